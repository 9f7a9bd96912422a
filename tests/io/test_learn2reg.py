import gzip

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates, zoom
from support.io_cases import GRIDS, inner_points, max_distance, smooth_transform
from support.nifti_cases import nifti_bytes, write

from zoo import UserError
from zoo.geometry import Grid, Transform, warp
from zoo.io.learn2reg import is_npz, read_learn2reg, write_learn2reg
from zoo.io.transforms import read_transform

FIXED = GRIDS["oblique anisotropic LAS"]
MOVING = Grid((22, 19, 16), GRIDS["slightly oblique LPS"].affine)


@pytest.mark.parametrize("suffix", [".nii.gz", ".npz"])
def test_fields_round_trip(tmp_path, suffix):
    transform = smooth_transform(FIXED)
    path = tmp_path / f"disp_a_b{suffix}"
    write_learn2reg(path, transform, FIXED, MOVING)
    again = read_transform(path, FIXED, MOVING)
    points = inner_points(FIXED, margin=0)
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3


def test_written_field_warps_like_the_official_evaluation(tmp_path):
    transform = smooth_transform(FIXED)
    write_learn2reg(tmp_path / "disp.nii.gz", transform, FIXED, MOVING)
    disp = np.asarray(nib.load(tmp_path / "disp.nii.gz").dataobj)
    assert disp.shape == (*FIXED.shape, 3)
    assert disp.dtype == np.float32
    moving = np.random.default_rng(0).normal(size=MOVING.shape)
    index = np.stack(np.meshgrid(*map(np.arange, FIXED.shape), indexing="ij")) + np.moveaxis(
        disp, -1, 0
    )
    theirs = map_coordinates(moving, index, order=1)
    ours = warp(torch.from_numpy(moving)[None], MOVING, FIXED, transform)[0].numpy()
    last = np.array(MOVING.shape).reshape(3, 1, 1, 1) - 1
    within = ((index > 0) & (index < last)).all(0)
    assert within.mean() > 0.3
    np.testing.assert_allclose(ours[within], theirs[within], atol=1e-3)


def test_zero_field_maps_to_the_same_voxel_index(tmp_path):
    np.savez(tmp_path / "a.npz", np.zeros((*FIXED.shape, 3), np.float32))
    transform = read_learn2reg(tmp_path / "a.npz", FIXED, MOVING)
    index = torch.tensor([[0.0, 0, 0], [3, 2, 1], [-5, 30, 2]])
    assert max_distance(transform.map_points(FIXED.to_world(index)), MOVING.to_world(index)) < 1e-9


def test_archives_with_components_first_in_half_precision_are_read(tmp_path):
    field = np.random.default_rng(0).normal(size=(3, *FIXED.shape)).astype(np.float16)
    np.savez(tmp_path / "old.npz", field)
    np.savez(tmp_path / "new.npz", disp=np.moveaxis(field.astype(np.float32), 0, -1))
    old, new = (read_learn2reg(tmp_path / f"{k}.npz", FIXED, MOVING) for k in ("old", "new"))
    assert torch.equal(old.field, new.field)


def test_archives_of_half_the_size_are_resized_with_quadratic_splines(tmp_path):
    fixed = Grid.from_spacing((8, 10, 12))
    half = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float16)
    np.savez(tmp_path / "a.npz", half)
    whole = np.array([zoom(half[k].astype(np.float32), 2, order=2) for k in range(3)])
    transform = read_learn2reg(tmp_path / "a.npz", fixed, fixed)
    np.testing.assert_allclose(transform.field.numpy(), whole, atol=1e-6)


class Trap:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_python_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", np.array([Trap(tmp_path / "sprung")], dtype=object))
    with pytest.raises(UserError, match="Python objects"):
        read_learn2reg(tmp_path / "a.npz", FIXED, MOVING)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("arrays", "pattern"),
    [
        ({"arr_0": np.zeros((3, 4, 5, 6))}, "has the shape"),
        ({"arr_0": np.zeros(())}, "has the shape"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, "contains a, b; give an archive"),
        ({}, "contains nothing; give an archive"),
        ({"arr_0": np.zeros((3, *FIXED.shape), int)}, "int64; save the field"),
        ({"arr_0": np.full((3, *FIXED.shape), np.nan)}, "NaN or Inf"),
    ],
)
def test_unsuitable_archives_are_refused(tmp_path, arrays, pattern):
    np.savez(tmp_path / "a.npz", **arrays)
    if not arrays:
        assert (tmp_path / "a.npz").stat().st_size == 22
    with pytest.raises(UserError, match=pattern):
        read_learn2reg(tmp_path / "a.npz", FIXED, MOVING)


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_truncated_archive_is_refused(tmp_path, keep):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, np.random.default_rng(0).normal(size=(3, *FIXED.shape)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(UserError, match="truncated or damaged"):
        read_transform(path, FIXED, MOVING)


def test_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, np.random.default_rng(0).normal(size=(3, *FIXED.shape)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="truncated or damaged"):
        read_transform(path, FIXED, MOVING)


def test_wrong_fixed_image_is_refused(tmp_path):
    write_learn2reg(tmp_path / "a.nii.gz", Transform.identity(), FIXED, MOVING)
    with pytest.raises(UserError, match="give the fixed image of this field"):
        read_learn2reg(tmp_path / "a.nii.gz", MOVING, FIXED)


def test_an_archive_holds_the_field_of_the_nifti_file(tmp_path):
    transform = smooth_transform(FIXED)
    for name in ("a.npz", "a.nii.gz"):
        write_learn2reg(tmp_path / name, transform, FIXED, MOVING)
        assert is_npz(tmp_path / name) == (name == "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        assert archive.files == ["arr_0"]
        field = archive["arr_0"]
    assert field.dtype == np.float32
    assert np.array_equal(field, nib.load(tmp_path / "a.nii.gz").get_fdata(dtype=np.float32))
    write_learn2reg(tmp_path / "zero.npz", Transform.identity(), FIXED, FIXED)
    assert (tmp_path / "zero.npz").stat().st_size < 0.1 * field.nbytes


@pytest.mark.parametrize("start", [b"PK", b"PL", b"QK", b"P", b""])
def test_archives_are_recognised_by_their_first_bytes(tmp_path, start):
    assert is_npz(write(tmp_path / "a.npz", start + b"\3\4" * (len(start) == 2))) == (
        start == b"PK"
    )


def test_a_field_of_one_half_size_differs_from_the_other_grids(tmp_path):
    np.savez(tmp_path / "a.npz", np.zeros((3, 4, 5, 6), np.float32))
    for shape in ((8, 10, 13), (9, 10, 12), (4, 5, 7)):
        fixed = Grid.from_spacing(shape)
        x, y, z = shape
        expected = (
            rf"shape \(3, 4, 5, 6\); .* be \({x}, {y}, {z}, 3\) or \(3, {x}, {y}, {z}\): give"
        )
        with pytest.raises(UserError, match=expected):
            read_learn2reg(tmp_path / "a.npz", fixed, fixed)


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [
        ((1024, 1024, 1000, 3), "is truncated or damaged|bytes of memory"),
        ((1024, 1024, 1000, 4), r"has the shape \(1024, 1024, 1000, 4\); at most 1073741824"),
    ],
)
def test_a_field_has_three_numbers_for_each_of_two_to_the_thirty_voxels(tmp_path, shape, pattern):
    dim = [4, *shape, 1, 1, 1]
    content = gzip.compress(nifti_bytes(np.zeros((300, 1), np.uint8), dim=dim))
    path = write(tmp_path / "a.nii.gz", content + b"no second stream")
    with path.open("r+b") as stream:
        stream.truncate(5 << 20)  # as many bytes as deflate needs at least
    with pytest.raises(UserError, match=pattern):
        read_learn2reg(path, FIXED, FIXED)


def test_a_field_that_is_not_finite_is_refused_with_its_voxel(tmp_path):
    field = np.zeros((*FIXED.shape, 3), np.float32)
    field[7, 3, 11, 2] = np.inf
    np.savez(tmp_path / "a.npz", field)
    with pytest.raises(UserError, match=r"1 of 14280 values.* at voxel \(7, 3, 11\)"):
        read_learn2reg(tmp_path / "a.npz", FIXED, MOVING)
