"""Values of HDF5 files that h5py writes, and of damaged and crafted ones."""

import struct

import h5py
import numpy as np
import pytest
from support.hdf5_heaps import free, heap, stored

from zoo.errors import UserError
from zoo.io.itk.hdf5_values import hard_linked, read_text, read_vector

FLOATS = np.random.default_rng(0).normal(size=300).astype("f4")


def write(path, **how):
    """Write a file with one dataset."""
    with h5py.File(path, "w") as store:
        store.create_dataset("values", **how)


def vector(path, most=1000):
    with h5py.File(path, "r") as store:
        return read_vector(path, store["values"], most)


def text(path):
    with h5py.File(path, "r") as store:
        return read_text(path, store["values"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.h5"


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8"])
def test_numbers_are_flattened_in_native_byte_order(path, kind):
    values = np.array([[0.5, -1.25, 2], [3, 4, 5]])
    write(path, data=values.astype(kind))
    read = vector(path)
    assert read.tolist() == [0.5, -1.25, 2, 3, 4, 5]
    assert read.dtype.isnative
    assert read.dtype.itemsize == int(kind[2])


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((300,), {}),
        ((0,), {}),
        ((300,), {"chunks": (300,)}),
        ((300,), {"chunks": (1,)}),
        ((300,), {"chunks": (7,), "compression": "gzip"}),
        ((300,), {"compression": "gzip", "shuffle": True, "fletcher32": True}),
        ((300,), {"shuffle": True}),
        ((5, 7), {"chunks": (2, 3), "compression": "gzip"}),
    ],
)
def test_contiguous_and_chunked_values_are_read(path, shape, how):
    values = FLOATS[: np.prod(shape)].reshape(shape)
    write(path, data=values, **how)
    assert np.array_equal(vector(path), values.ravel())


def test_compact_values_are_read(path):
    with h5py.File(path, "w") as store:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((300,))
        data = h5py.h5d.create(store.id, b"values", h5py.h5t.NATIVE_FLOAT, space, creation)
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, FLOATS)
    assert np.array_equal(vector(path), FLOATS)


@pytest.mark.parametrize("kind", ["i4", "i8", "u1", "f2", "longdouble", "complex64", "bool"])
def test_other_types_of_numbers_are_refused_by_name(path, kind):
    write(path, data=np.zeros(3, kind))
    pattern = f"of type {np.dtype(kind)}; only float32 and float64 are allowed"
    with pytest.raises(UserError, match=pattern):
        vector(path)


def test_a_vector_has_at_most_the_given_length(path):
    write(path, data=FLOATS[:6])
    assert len(vector(path, 7)) == 6
    assert len(vector(path, 6)) == 6
    with pytest.raises(UserError, match="has 6 numbers; at most 5 are allowed"):
        vector(path, 5)


def test_links_are_named_and_refused(path):
    with h5py.File(path, "w") as store:
        store.create_group("group/inner")["values"] = FLOATS
        store["soft"] = h5py.SoftLink("/group")
        store["external"] = h5py.ExternalLink("other.h5", "/group")
        assert hard_linked(path, store, "group") == store["group"]
        assert hard_linked(path, store["group"], "inner")["values"].shape == (300,)
        assert hard_linked(path, store, "inner") is None
        for name, kind in (("soft", "SoftLink"), ("external", "ExternalLink")):
            with pytest.raises(UserError, match=f"a.h5: {name} is a {kind}, which can lead to"):
                hard_linked(path, store, name)


def test_a_missing_dataset_and_a_group_are_not_read(path):
    with h5py.File(path, "w") as store:
        group = store.create_group("group")
        for value in (None, group):
            for read in (lambda v: read_vector(path, v, 9), lambda v: read_text(path, v)):
                with pytest.raises(UserError, match="a group without type or parameters"):
                    read(value)


@pytest.mark.parametrize(
    "how",
    [
        {"shape": (10,)},
        {"shape": (10**6,)},
        {"shape": (30,), "chunks": (10,)},
        {"shape": (1 << 17,), "chunks": (1,)},
    ],
)
def test_values_that_were_never_written_are_refused(path, how):
    write(path, dtype="f4", **how)
    with pytest.raises(UserError, match="not all values of /values are stored"):
        vector(path, 10**9)


def test_one_missing_chunk_is_refused(path):
    with h5py.File(path, "w") as store:
        values = store.create_dataset("values", (30,), "f4", chunks=(10,))
        values[:10] = values[20:] = 1
    with pytest.raises(UserError, match="not all values of /values are stored"):
        vector(path)


def test_values_longer_than_the_file_are_refused(path):
    with h5py.File(path, "w") as store:
        how = {"chunks": (1000,), "compression": "gzip"}
        values = store.create_dataset("values", (1000,), "f4", **how)
        values.id.write_direct_chunk((0,), b"x" * 1234)
    content, size = path.read_bytes(), struct.pack("<II", 1234, 0)  # of the chunk, and its mask
    assert content.count(size) == 1
    path.write_bytes(content.replace(size, struct.pack("<II", 123_400, 0)))
    with pytest.raises(UserError, match="not all values of /values are stored"):
        vector(path)


def test_values_in_other_files_are_refused(path, tmp_path):
    (tmp_path / "secret").write_bytes(FLOATS.tobytes())
    write(path, shape=(300,), dtype="f4", external=[(str(tmp_path / "secret"), 0, 1200)])
    with pytest.raises(UserError, match="/values is stored in another file"):
        vector(path)
    layout = h5py.VirtualLayout((300,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "values", (300,))
    with h5py.File(path, "w") as store:
        store.create_virtual_dataset("values", layout)
    with pytest.raises(UserError, match="/values is stored in another file"):
        vector(path)


def test_a_dataset_without_values_is_refused(path):
    write(path, data=h5py.Empty("f4"))
    with pytest.raises(UserError, match="/values has no values"):
        vector(path)


@pytest.mark.parametrize(
    ("how", "number"), [({"compression": "lzf"}, 32000), ({"scaleoffset": 3}, 6)]
)
def test_other_filters_are_refused_by_number(path, how, number):
    write(path, data=FLOATS, **how)
    with pytest.raises(UserError, match=rf"filters \[{number}\]; only gzip, shuffle and fletcher"):
        vector(path)


def test_a_filter_that_is_applied_twice_is_refused(path):
    with h5py.File(path, "w") as store:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((300,))
        creation.set_deflate(1)
        creation.set_deflate(1)
        space = h5py.h5s.create_simple((300,))
        data = h5py.h5d.create(store.id, b"values", h5py.h5t.NATIVE_FLOAT, space, creation)
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, FLOATS)
    with pytest.raises(UserError, match=r"filters \[1, 1\]; only gzip"):
        vector(path)


LARGE = 16 << 20  # numbers in 64 MiB


@pytest.mark.parametrize(
    ("size", "chunk", "packed", "pattern"),
    [
        (258, 258, 1, None),
        (259, 259, 1, "has chunks of 1036 bytes"),
        (516, 516, 2, None),
        (517, 517, 2, "has chunks of 2068 bytes"),
        (1032, 259, 1, None),
        (1033, 259, 1, "the 4 bytes of /values cannot expand to 4132"),
        (10, LARGE, 70_000, None),
        (10, LARGE + 1, 70_000, "has chunks of 67108868 bytes"),
        (LARGE + 1, LARGE + 1, 70_000, None),
    ],
)
def test_chunks_are_limited_to_64_mib_and_to_what_gzip_can_compress(
    path, size, chunk, packed, pattern
):
    """Chunks within the limits are passed to the HDF5 library, which cannot decompress these."""
    with h5py.File(path, "w") as store:
        how = {"chunks": (chunk,), "maxshape": (None,), "compression": "gzip"}
        values = store.create_dataset("values", (size,), "f4", **how)
        for start in range(0, size, chunk):
            values.id.write_direct_chunk((start,), b"x" * packed)
    if pattern is None:
        with pytest.raises(OSError, match="read data"):
            vector(path, 1 << 30)
    else:
        with pytest.raises(UserError, match=pattern):
            vector(path, 1 << 30)


def test_the_number_of_chunks_is_limited(path):
    write(path, shape=((1 << 17) + 1,), dtype="f4", chunks=(1,))
    with pytest.raises(UserError, match="/values has 131073 chunks"):
        vector(path, 1 << 30)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_texts_of_fixed_and_variable_length_are_read(path, shape):
    write(path, data=np.full(shape, b"AffineTransform", "S15"))
    assert text(path) == "AffineTransform"
    write(path, data=np.full(shape, "AffineTransform", object), dtype=h5py.string_dtype("ascii"))
    assert text(path) == "AffineTransform"


def test_a_text_of_fixed_length_has_at_most_256_bytes(path):
    for length in (3, 256):
        write(path, data=np.array([b"x" * length]))
        assert text(path) == "x" * length
    write(path, data=np.array([b"x" * 257]))
    with pytest.raises(UserError, match="/values is longer than 256 bytes"):
        text(path)


@pytest.mark.parametrize("data", [[1], [1.5], [b"a", b"b"], np.empty(0, "S3"), ["a", "b"]])
def test_only_one_string_is_a_text(path, data):
    write(path, data=data)
    with pytest.raises(UserError, match="/values is not one string"):
        text(path)


def test_a_text_of_variable_length_in_chunks_is_refused(path):
    write(path, data=["a"], chunks=(1,))
    with pytest.raises(UserError, match="/values is not stored in one piece"):
        text(path)


def write_with_heap(path, length, content, index=300):
    """Write a text of variable length that refers to a heap appended to the file."""
    write(path, data=["any"])
    with h5py.File(path, "r") as store:
        place = store["values"].id.get_offset()
    file = bytearray(path.read_bytes())
    file[place : place + 16] = struct.pack("<IQI", length, len(file), index)
    path.write_bytes(bytes(file) + content)


MIB = bytes((1 << 20) - 56)  # 16 bytes of the heap, twice 16 of its objects, and 8 of the text
FOUND = {
    "first": (6, "moving", heap(stored(300, b"moving"), free(16))),
    **{
        f"after {size} bytes": (
            *(6, "moving"),
            heap(stored(299, bytes(size)), stored(301, b"fixed!"), stored(300, b"moving")),
        )
        for size in (0, 1, 7, 8, 9, 16)
    },
    "shorter than its object": (4, "movi", heap(stored(300, b"moving"))),
    "with zeros at its end": (6, "text", heap(stored(300, b"text\0\0"))),
    "of 256 bytes": (256, "x" * 256, heap(stored(300, b"x" * 300))),
    "of no bytes at the end": (0, "", heap(stored(300, b""))),
    "up to the end of the heap": (
        *(16, "ends at the end!"),
        heap(stored(1, bytes(8)), stored(300, b"ends at the end!"), size=72),
    ),
    "up to one MiB": (8, "8 bytes!", heap(stored(1, MIB), stored(300, b"8 bytes!"))),
}
LOST = {
    "of 257 bytes": (257, heap(stored(300, b"x" * 300))),
    "longer than its object": (7, heap(stored(300, b"moving"))),
    "beyond the end of the heap": (
        *(16,),
        heap(stored(1, bytes(8)), stored(300, b"ends at the end!"), size=71),
    ),
    "under another index": (6, heap(stored(299, b"moving"), stored(301, b"moving"))),
    "after free space": (6, heap(free(0), stored(300, b"moving"))),
    "in the second object of its index": (6, heap(stored(300, b"ab"), stored(300, b"moving"))),
    "in a heap of version 0": (6, heap(stored(300, b"moving"), signature=b"GCOL\0")),
    "in a heap of version 2": (6, heap(stored(300, b"moving"), signature=b"GCOL\2")),
    "beyond one MiB": (8, heap(stored(1, MIB + bytes(8)), stored(300, b"8 bytes!"))),
    "in a heap of other objects and eight bytes": (6, heap(stored(299, b"moving"), bytes(8))),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_text_is_found_in_its_heap(path, name):
    length, expected, content = FOUND[name]
    write_with_heap(path, length, content)
    assert text(path) == expected


@pytest.mark.parametrize("name", LOST)
def test_a_text_that_is_not_in_its_heap_is_refused(path, name):
    write_with_heap(path, *LOST[name])
    with pytest.raises(UserError, match="the text of /values cannot be found"):
        text(path)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x" * 200, "/" + "x" * 119),
        ("a\x1b[31m", "/a\\x1b[31m"),
        ("\N{GREEK SMALL LETTER PI}", "/\\u03c0"),
    ],
)
def test_names_of_datasets_are_shortened_and_printable(path, name, shown):
    with h5py.File(path, "w") as store:
        store[name] = np.zeros(3, int)
    with h5py.File(path, "r") as store, pytest.raises(UserError) as refusal:
        read_vector(path, store[name], 9)
    assert f"({shown} has numbers of type int64" in str(refusal.value)
