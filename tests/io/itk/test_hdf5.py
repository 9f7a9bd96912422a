import struct
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Grid, Transform
from zoo.io.itk.hdf5 import is_hdf5, read_itk_hdf5, write_itk_hdf5
from zoo.io.limits import MAX_VOXELS

GRID = GRIDS["oblique anisotropic LAS"]


def test_file_has_the_structure_that_simpleitk_writes(tmp_path):
    ours, theirs = tmp_path / "ours.h5", tmp_path / "theirs.h5"
    write_itk_hdf5(ours, smooth_transform(GRID))
    sitk.WriteTransform(sitk.ReadTransform(str(ours)), str(theirs))

    def structure(path):
        shapes = {}
        with h5py.File(path) as store:
            store.visititems(lambda name, item: shapes.update({name: getattr(item, "shape", None)}))
            for number in "012":
                key = f"TransformGroup/{number}/TransformType"
                shapes[key] = store[key][0]
        return shapes

    assert structure(ours) == structure(theirs)


def test_affine_and_field_are_stored_separately(tmp_path):
    transform = smooth_transform(GRID)
    write_itk_hdf5(tmp_path / "a.h5", transform)
    again = read_itk_hdf5(tmp_path / "a.h5")
    torch.testing.assert_close(again.affine, transform.affine)
    assert torch.equal(again.field, transform.field)
    assert again.grid.same_as(GRID, 1e-9)


def test_field_can_be_written_on_another_grid(tmp_path):
    transform = smooth_transform(GRID)
    other = Grid((9, 11, 8), GRIDS["slightly oblique LPS"].affine)
    write_itk_hdf5(tmp_path / "a.h5", transform, other)
    again = read_itk_hdf5(tmp_path / "a.h5")
    assert again.grid.same_as(other, 1e-9)
    index = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64) for n in other.shape])
    points = other.to_world(index)
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3


def test_affine_alone_is_stored_without_a_field(tmp_path):
    transform = Transform(smooth_transform(GRID).affine)
    write_itk_hdf5(tmp_path / "a.h5", transform, GRID)
    again = read_itk_hdf5(tmp_path / "a.h5")
    assert again.field is None
    torch.testing.assert_close(again.affine, transform.affine)


@pytest.mark.parametrize("kind", ["f4", "f8", ">f8"])
def test_old_spelling_and_other_precisions_are_read(tmp_path, kind):
    transform = smooth_transform(GRID)
    write_itk_hdf5(tmp_path / "a.h5", transform)
    with h5py.File(tmp_path / "a.h5", "a") as store:
        for number in "12":
            group = store[f"TransformGroup/{number}"]
            for name in ("Parameters", "FixedParameters"):
                values = group[f"Transform{name}"][()].astype(kind)
                del group[f"Transform{name}"]
                group[f"Tranform{name}"] = values
            kind_name = group["TransformType"][0].replace(b"double", b"float")
            del group["TransformType"]
            group["TransformType"] = np.array([kind_name], dtype=h5py.string_dtype("ascii"))
    points = inner_points(GRID)
    again = read_itk_hdf5(tmp_path / "a.h5")
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89HDF\r\n\x1a\n", True),
        (b"\x89HDF\r\n\x1a\n more", True),
        (b"\x89HDF\r\n\x1a", False),
        (b"\x89HDF\r\n\x1a\t", False),
        (b"\x89HDF\r\n\x1a\r", False),
        (b"\x88HDF\r\n\x1a\n", False),
    ],
)
def test_hdf5_is_recognised_by_its_first_eight_bytes(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    assert is_hdf5(tmp_path / "a") is expected


def test_only_vectors_of_more_than_twelve_numbers_are_compressed(tmp_path):
    write_itk_hdf5(tmp_path / "a.h5", smooth_transform(GRID))
    with h5py.File(tmp_path / "a.h5") as store:
        affine, field = (store[f"TransformGroup/{k}/TransformParameters"] for k in (1, 2))
        assert (affine.compression, affine.dtype) == (None, np.float64)
        assert (field.compression, field.compression_opts, field.shuffle) == ("gzip", 1, True)
        assert field.dtype == np.float32
        assert field.id.get_storage_size() < 0.9 * field.nbytes


@pytest.mark.parametrize(("voxels", "compression"), [(3, None), (4, None), (5, "gzip")])
def test_small_fields_are_written_and_read(tmp_path, voxels, compression):
    grid = Grid.from_spacing((1, 1, voxels), (1, 2, 3))
    field = torch.arange(3.0 * voxels).reshape(3, 1, 1, voxels)
    write_itk_hdf5(tmp_path / "a.h5", Transform(torch.eye(4), field, grid))
    assert torch.equal(read_itk_hdf5(tmp_path / "a.h5").field, field)
    with h5py.File(tmp_path / "a.h5") as store:
        assert store["TransformGroup/2/TransformParameters"].compression == compression


def add_part(store, number, kind, parameters=None, fixed=()):
    """Write one transform in the layout of ITK."""
    group = store.create_group(f"TransformGroup/{number}")
    group["TransformType"] = np.array([f"{kind}_double_3_3".encode()])
    if parameters is not None:
        group["TransformParameters"] = np.array(parameters, float)
        group["TransformFixedParameters"] = np.array(fixed, float)


def write_translations(path, count):
    """Write a composite with `count` - 1 translations by (1, 2, 4), LPS mm."""
    with h5py.File(path, "w") as store:
        add_part(store, 0, "CompositeTransform")
        for number in range(1, count):
            add_part(store, number, "TranslationTransform", (1, 2, 4))


def test_a_file_has_at_most_64_transforms_with_its_composite(tmp_path):
    write_translations(tmp_path / "a.h5", 65)
    with pytest.raises(UserError, match=r"a\.h5 has 65 transforms; at most 64 are allowed"):
        read_itk_hdf5(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as store:
        del store["TransformGroup/64"]
    shift = read_itk_hdf5(tmp_path / "a.h5").affine[:3, 3]
    assert shift.tolist() == [-63, -126, 252]


@pytest.mark.parametrize("content", ["nothing", "a dataset", "a group without transforms"])
def test_hdf5_of_something_else_is_refused(tmp_path, content):
    with h5py.File(tmp_path / "a.h5", "w") as store:
        if content == "a dataset":
            store["TransformGroup"] = np.zeros(3)
        elif content == "a group without transforms":
            store.create_group("TransformGroup")
    with pytest.raises(UserError, match="is HDF5 but has no TransformGroup with transforms"):
        read_itk_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize("damage", ["another number", "a dataset"])
def test_transforms_are_groups_numbered_from_zero(tmp_path, damage):
    write_translations(tmp_path / "a.h5", 3)
    with h5py.File(tmp_path / "a.h5", "r+") as store:
        store.move("TransformGroup/2", "TransformGroup/3" if damage == "another number" else "old")
        if damage == "a dataset":
            store["TransformGroup/2"] = np.zeros(3)
    with pytest.raises(UserError, match=r"\(its transforms are not numbered 0 to 2\)"):
        read_itk_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize("count", [64, 65])
def test_fixed_parameters_are_at_most_64_numbers(tmp_path, count):
    """Only the first three of an affine transform count, which are its centre."""
    matrix = np.diag([2.0, 3.0, 4.0]).ravel()
    with h5py.File(tmp_path / "a.h5", "w") as store:
        add_part(store, 0, "AffineTransform", [*matrix, 5, 6, 7], [1.0] * count)
    if count == 64:
        affine = read_itk_hdf5(tmp_path / "a.h5").affine
        assert affine[:3, 3].tolist() == [-4, -4, 4]  # shift + centre - matrix @ centre, in RAS
    else:
        with pytest.raises(UserError, match="has 65 numbers; at most 64 are allowed"):
            read_itk_hdf5(tmp_path / "a.h5")


@contextmanager
def address_space(more):
    """Let this process use only `more` bytes of addresses in addition to those that it uses."""
    resource = pytest.importorskip("resource")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
@pytest.mark.parametrize(
    ("more", "pattern"),
    [(0, "does not fit into memory"), (1, "has 3221225473 numbers; at most 3221225472")],
)
def test_a_field_has_at_most_as_many_vectors_as_a_volume_has_voxels(tmp_path, more, pattern):
    count, chunk = 3 * MAX_VOXELS + more, 4 << 20
    packed = zlib.compress(bytes(4 * chunk))
    with h5py.File(tmp_path / "a.h5", "w") as store:
        add_part(store, 0, "DisplacementFieldTransform")
        group, how = store["TransformGroup/0"], {"chunks": (chunk,), "compression": "gzip"}
        values = group.create_dataset("TransformParameters", (count,), "f4", **how)
        for start in range(0, count, chunk):
            values.id.write_direct_chunk((start,), packed)
    with address_space(2 << 30), pytest.raises(UserError, match=pattern):
        read_itk_hdf5(tmp_path / "a.h5")


def test_the_reason_of_the_hdf5_library_is_quoted(tmp_path):
    path = tmp_path / "a.h5"
    write_itk_hdf5(path, Transform(torch.eye(4)))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(OSError, match="truncated") as reason:
        h5py.File(path)
    with pytest.raises(UserError) as refusal:
        read_itk_hdf5(path)
    assert f"{path} is truncated or damaged ({reason.value}); copy" in str(refusal.value)


def test_a_text_beyond_the_end_of_the_file_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    write_itk_hdf5(path, Transform(torch.eye(4)))
    content = bytearray(path.read_bytes())
    with h5py.File(path) as store:
        place = store["TransformGroup/1/TransformType"].id.get_offset()
    content[place + 4 : place + 12] = struct.pack("<Q", len(content))
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.h5 is truncated or damaged"):
        read_itk_hdf5(path)
