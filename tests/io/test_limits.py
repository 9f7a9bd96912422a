"""Small files that describe too much are refused quickly and without the memory they ask for."""

import gzip
import io
import json
import struct
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from fuzzing import samples

from zoo import UserError
from zoo.geometry import Grid
from zoo.hub.weights_header import read_weights_header
from zoo.io.csv_rows import read_csv_rows
from zoo.io.json_documents import read_json_object
from zoo.io.limits import MAX_CSV_COLUMNS, MAX_CSV_ROWS, MAX_DEPTH, MAX_TENSORS
from zoo.io.points import read_points
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume

GRID = Grid.from_spacing((5, 6, 7))


@pytest.fixture
def limited_memory():
    """Fail a test that allocates more than 100 MiB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20


def refused(path, content, pattern, read):
    path.write_bytes(content)
    with pytest.raises(UserError, match=pattern) as refusal:
        read(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


# ---- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ({"a": [[]] * 2}, None),
        (json.loads("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)), None),
        (json.loads("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)), "nested too deeply"),
        (2**64, "integer of more than 64 bits"),
        (2**64 - 1, None),
    ],
)
def test_depth_and_integers_of_json_are_limited(tmp_path, content, pattern):
    text = json.dumps({"a": content}).encode()
    if pattern is None:
        (tmp_path / "a.json").write_bytes(text)
        assert read_json_object(tmp_path / "a.json") == {"a": content}
    else:
        refused(tmp_path / "a.json", text, pattern, read_json_object)


def test_floats_beyond_the_range_are_refused_in_json(tmp_path):
    refused(tmp_path / "a.json", b'{"a": 1e999}', "only finite numbers", read_json_object)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"\n" * (MAX_CSV_ROWS + 1), "more than 500000 rows"),
        (b"," * (MAX_CSV_COLUMNS + 1), "more than 1000 columns"),
        (b"a,b\n1," + b"x" * 5000, "line 2 has a cell of more than 4096"),
        (b"a,\0b\n", "NUL"),
        (b'a,"b\n', "is not a CSV table"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_tables_are_limited(tmp_path, content, pattern):
    refused(tmp_path / "a.csv", content, pattern, read_csv_rows)


@pytest.mark.parametrize(
    "cell", ["1_000", "\u0661", "1e300", "-1e10", "nan", "1e999"], ids=lambda cell: ascii(cell)
)
def test_points_must_be_plain_numbers_of_a_plausible_size(tmp_path, cell):
    content = f"x,y,z\n1,2,3\n1,{cell},3\n".encode()
    pattern = "not a number|not finite|mm from the origin"
    refused(tmp_path / "a.csv", content, pattern, lambda path: read_points(path, "ras"))


# ---- weights -----------------------------------------------------------------------------------


def safetensors_file(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("header", "pattern"),
    [
        ({"a": {"dtype": "F32", "shape": [2**31] * 100_000, "data_offsets": [0, 4]}}, "'a' incon"),
        ({"a": {"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}}, "'a' inconsistently"),
        ({"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, "'a' inconsistently"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "b": 1}}, "'a' incons"),
        ({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, "'a' inconsistently"),
        ({"__metadata__": {"width": 3}}, "metadata are not texts"),
        (
            {
                str(k): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                for k in range(MAX_TENSORS + 1)
            },
            "at most 20000 are allowed",
        ),
    ],
)
def test_headers_of_weights_are_limited(tmp_path, header, pattern):
    content = safetensors_file(header, bytes(4))
    refused(tmp_path / "a.safetensors", content, pattern, read_weights_header)


# ---- NIfTI -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(("position", "number"), [(352, -32), (352, 0), (352, 2**31 - 1)])
def test_broken_extensions_are_refused(tmp_path, position, number, compress):
    content = bytearray(samples.nifti())
    assert struct.unpack_from("<i", content, 352)[0] == 32
    content[position : position + 4] = struct.pack("<i", number)
    path = tmp_path / ("a.nii" if compress is bytes else "a.nii.gz")
    refused(path, compress(bytes(content)), "broken header extension at byte 352", read_volume)


def test_extensions_of_any_code_do_not_matter(tmp_path):
    content = bytearray(samples.nifti())
    content[356:360] = struct.pack("<i", 12345)
    (tmp_path / "a.nii").write_bytes(content)
    (tmp_path / "b.nii").write_bytes(samples.nifti())
    a, b = (read_volume(tmp_path / name).data for name in ("a.nii", "b.nii"))
    assert a.equal(b)


def test_voxels_far_behind_the_header_are_refused(tmp_path):
    content = bytearray(samples.nifti())
    content[108:112] = struct.pack("<f", 2.0**27)
    path = tmp_path / "a.nii.gz"
    refused(path, gzip.compress(bytes(content)), "data begin at byte.*at most", read_volume)


def test_much_data_after_the_voxels_is_refused(tmp_path):
    content = gzip.compress(samples.nifti() + bytes(20 << 20))
    refused(tmp_path / "a.nii.gz", content, "bytes follow its voxels", read_volume)


@pytest.mark.parametrize("position", [252, 254])
def test_unknown_codes_of_a_form_are_refused(tmp_path, position):
    content = bytearray(samples.nifti())
    content[position : position + 2] = struct.pack("<h", 9)
    refused(tmp_path / "a.nii", bytes(content), "form code 9", read_volume)


# ---- HDF5 --------------------------------------------------------------------------------------


def replaced(name, **how):
    """Return an HDF5 transform whose field's vector `name` is created anew."""
    content = io.BytesIO(samples.hdf5())
    with h5py.File(content, "r+") as store:
        group = store["TransformGroup/2"]
        del group[name]
        group.create_dataset(name, **how)
    return content.getvalue()


def test_the_sample_is_read(tmp_path):
    (tmp_path / "a.h5").write_bytes(samples.hdf5())
    assert read_transform(tmp_path / "a.h5").field.shape == (3, 5, 6, 7)


@pytest.mark.parametrize(
    ("how", "pattern"),
    [
        ({"shape": (10**9,), "dtype": "f4", "chunks": (10**6,)}, "has chunks of 4000000 bytes"),
        ({"shape": (10**12,), "dtype": "f8"}, "not all values.*are stored"),
        ({"shape": (630,), "dtype": "f4", "chunks": (315,)}, "has chunks of 1260 bytes"),
        ({"data": np.zeros(630, int)}, "type int64; only float32"),
        ({"data": np.zeros(630, np.longdouble)}, "only float32 and float64"),
        ({"data": ["text"]}, "only float32 and float64"),
        ({"data": h5py.Empty("f4")}, "has no values"),
        ({"data": np.zeros(630, "f4"), "scaleoffset": 3}, "with the filters"),
        ({"data": np.zeros(630, "f4"), "compression": "lzf"}, "with the filters"),
        ({"data": np.zeros(629, "f4")}, "needs 630 numbers, not 629"),
        ({"data": np.full(630, np.nan)}, "NaN or Inf"),
    ],
)
@pytest.mark.usefixtures("limited_memory")
def test_vectors_of_hdf5_are_checked_before_they_are_read(tmp_path, how, pattern):
    content = replaced("TransformParameters", **how)
    refused(tmp_path / "a.h5", content, pattern, read_transform)


def test_vectors_of_hdf5_have_a_limited_length(tmp_path):
    content = replaced(
        "TransformFixedParameters",
        **{"data": np.zeros(1 << 20, "f4"), "compression": "gzip", "chunks": (1 << 20,)},
    )
    refused(tmp_path / "a.h5", content, "1048576 numbers; at most 64", read_transform)


@pytest.mark.parametrize(
    "link",
    [h5py.SoftLink("/other"), h5py.ExternalLink("other.h5", "/values")],
    ids=["soft", "external"],
)
@pytest.mark.parametrize("place", ["TransformParameters", "TransformType", ""])
def test_links_in_hdf5_are_refused(tmp_path, link, place):
    content = io.BytesIO(samples.hdf5())
    with h5py.File(content, "r+") as store:
        path = f"TransformGroup/2/{place}".rstrip("/")
        store["other"] = store[path]
        del store[path]
        store[path] = link
    refused(tmp_path / "a.h5", content.getvalue(), "lead to another file", read_transform)


def test_values_in_other_files_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.zeros(630, "f4").tobytes())
    content = replaced(
        "TransformParameters", shape=(630,), dtype="f4", external=[(str(secret), 0, 2520)]
    )
    refused(tmp_path / "a.h5", content, "stored in another file", read_transform)
    layout = h5py.VirtualLayout((630,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "values", (630,))
    virtual = io.BytesIO(samples.hdf5())
    with h5py.File(virtual, "r+") as store:
        del store["TransformGroup/2/TransformParameters"]
        store["TransformGroup/2"].create_virtual_dataset("TransformParameters", layout)
    refused(tmp_path / "b.h5", virtual.getvalue(), "stored in another file", read_transform)


@pytest.mark.parametrize("name", ["\u00b2", "x", "7"])
def test_groups_must_be_numbered(tmp_path, name):
    content = io.BytesIO(samples.hdf5())
    with h5py.File(content, "r+") as store:
        store.move("TransformGroup/2", f"TransformGroup/{name}")
    refused(tmp_path / "a.h5", content.getvalue(), "not numbered 0 to 2", read_transform)


def test_chunks_that_are_missing_or_compressed_beyond_measure_are_refused(tmp_path):
    content = io.BytesIO(samples.hdf5())
    with h5py.File(content, "r+") as store:
        group = store["TransformGroup/2"]
        del group["TransformParameters"]
        values = group.create_dataset("TransformParameters", (2000,), "f4", chunks=(1000,))
        values[:1000] = 1
    refused(tmp_path / "a.h5", content.getvalue(), "not all values", read_transform)


@pytest.mark.parametrize("damage", ["address", "index", "size of the object", "signature"])
def test_texts_in_a_damaged_heap_are_refused(tmp_path, damage):
    """The HDF5 library itself loops forever on some of these."""
    content = bytearray(samples.hdf5())
    heap = content.index(b"GCOL")
    with h5py.File(io.BytesIO(content)) as store:
        reference = store["TransformGroup/0/TransformType"].id.get_offset()
    position, new = {
        "address": (reference + 4, b"\xff" * 8),
        "index": (reference + 12, b"\0" * 4),
        "size of the object": (heap + 24, bytes(8)),
        "signature": (heap, b"HEAP"),
    }[damage]
    content[position : position + len(new)] = new
    refused(tmp_path / "a.h5", bytes(content), "cannot be found|damaged", read_transform)


# ---- tfm and mat -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Parameters: 1 0", "Parameters: 1_0 0"),
        ("FixedParameters: 1 2 3\n", "FixedParameters: 1 2 3\nFixedParameters: 1 2 3\n"),
        ("0.1 -0.2 0.3 4 5 6", "0.1 -0.2 0.3 4 5 1e999"),
        ("1 0 0 0 1.5", "1e200 0 0 0 1e200"),
        ("Transform: Euler", "Transform: Euler3DTransform_double_3_3\n" * 70 + "Transform: Euler"),
    ],
)
def test_wrong_text_transforms_are_refused(tmp_path, old, new):
    content = samples.tfm().decode()
    assert old in content
    pattern = "only numbers|not part of a transform|NaN or Inf|cannot be inverted"
    refused(tmp_path / "a.tfm", content.replace(old, new).encode(), pattern, read_transform)


def test_rotation_of_more_than_half_a_turn_is_refused(tmp_path):
    """The vector part of a unit quaternion is at most 1 long; ITK refuses a longer one too."""
    content = samples.tfm().replace(b"Euler3D", b"VersorRigid3D").replace(b"0.1 -0.2", b"0.9 -0.9")
    refused(tmp_path / "a.tfm", content, "longer than 1", read_transform)


@pytest.mark.parametrize(
    ("position", "number"),
    [(4, -1), (4, 2**31 - 1), (8, -12), (12, 1), (16, -20), (16, 0), (16, 2**31 - 1)],
)
def test_wrong_matrices_are_refused(tmp_path, position, number):
    content = bytearray(samples.mat())
    content[position : position + 4] = struct.pack("<i", number)
    refused(tmp_path / "a.mat", bytes(content), "damaged|not a known transform", read_transform)


def test_many_small_matrices_are_refused(tmp_path):
    content = samples.mat() + (struct.pack("<5i", 0, 0, 0, 0, 1) + b"\0") * 1000
    refused(tmp_path / "a.mat", content, "occurs twice or is one too many", read_transform)


@pytest.mark.parametrize("size", [[5.4, 6, 7], [-5, -6, 7], [0, 6, 7], [1e300, 1, 1]])
def test_sizes_of_a_field_must_be_whole_and_positive(tmp_path, size):
    grid = np.array([*size, 0, 0, 0, 2, 2.5, 3, *np.eye(3).ravel()], float)
    content = replaced("TransformFixedParameters", data=grid)
    refused(tmp_path / "a.h5", content, "three whole numbers above 0|needs", read_transform)


# ---- npz ---------------------------------------------------------------------------------------


def npz_of(header, body=b"", *, method=zipfile.ZIP_DEFLATED, copies=1, version=b"\1\0"):
    content = io.BytesIO()
    text = header.encode() + b"\n"
    array = b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + body
    with zipfile.ZipFile(content, "w", method) as archive:
        for k in range(copies):
            archive.writestr(f"arr_{k}.npy", array)
    return content.getvalue()


HEADER = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}}}"


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (npz_of(HEADER.format("<f4", False, (10**6, 10**3, 3))), "at most 1073741824|needs"),
        (npz_of(HEADER.format("<f4", False, (10**9,)), bytes(100)), "needs 4000000000 bytes"),
        (npz_of(HEADER.format("<f4", False, (10**20,))), "at most 1073741824"),
        (npz_of(HEADER.format("<f4", False, (-1, -1))), "damaged"),
        (npz_of(HEADER.format("<f4", False, "(" * 3000 + ")" * 3000)), "damaged"),
        (npz_of(HEADER.format("|O", False, (3,)), b"cos\nsystem\n(S'x'\ntR."), "Python objects"),
        (npz_of(HEADER.format("<f4", False, (5, 6, 7, 3)), bytes(2521)), "needs 2520"),
        (npz_of(HEADER.format("<f4", False, (1,)), bytes(4), version=b"\3\0"), "version"),
        (npz_of(HEADER.format("<f4", False, (1,)), bytes(4), copies=40_000), "list of members"),
        (npz_of("", method=zipfile.ZIP_LZMA), "method 14"),
    ],
)
@pytest.mark.usefixtures("limited_memory")
def test_archives_are_checked_before_they_are_decompressed(tmp_path, content, pattern):
    refused(tmp_path / "a.npz", content, pattern, lambda path: read_transform(path, GRID, GRID))


def test_arrays_in_both_orders_and_byte_orders_are_read(tmp_path):
    field = np.random.default_rng(0).normal(size=(5, 6, 7, 3)).astype("<f4")
    np.savez(tmp_path / "c.npz", field)
    np.savez(tmp_path / "f.npz", np.asfortranarray(field).astype(">f4", order="K"))
    c, f = (read_transform(tmp_path / name, GRID, GRID).field for name in ("c.npz", "f.npz"))
    assert c.equal(f)
