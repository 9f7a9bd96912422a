"""Limits of ITK's transform files: nothing is read or allocated before it is checked."""

import io
import struct

import h5py
import numpy as np
import pytest
from fuzzing import samples
from support.limit_cases import refused

from zoo.io.transforms import read_transform


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


def test_a_vector_in_many_chunks_is_read(tmp_path):
    vector = np.arange(630, dtype="f4")
    content = replaced("TransformParameters", data=vector, chunks=(7,), compression="gzip")
    (tmp_path / "a.h5").write_bytes(content)
    field = read_transform(tmp_path / "a.h5").field
    assert sorted(field.abs().flatten().tolist()) == vector.tolist()


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
