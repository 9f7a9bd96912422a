"""The Python API takes and returns images in memory."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from support.api_cases import QUICK, as_own, as_pair

import zoo
from zoo import UserError
from zoo.io.images import as_volume
from zoo.io.lps import grid_to_itk


def as_nibabel(data, grid):
    return nib.Nifti1Image(data.numpy(), grid.affine.numpy())


def as_metatensor(data, grid):
    return MetaTensor(data[None], affine=grid.affine)


def as_lps_metatensor(data, grid):
    flip = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))
    return MetaTensor(data[None], affine=flip @ grid.affine, meta={"space": "LPS"})


def as_sitk(data, grid):
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.numpy().transpose(2, 1, 0)))
    origin, spacing, direction = grid_to_itk(grid)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.flatten().tolist())
    return image


KINDS = [as_nibabel, as_pair, as_metatensor, as_lps_metatensor, as_sitk, as_own]


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_in_memory_keeps_its_voxels_and_its_grid(pair, kind):
    volume = as_volume(kind(pair.fixed, pair.fixed_grid))
    assert torch.equal(volume.data.float(), pair.fixed)
    assert volume.grid.same_as(pair.fixed_grid, tolerance=1e-4)


@pytest.mark.parametrize(("one", "other"), [(as_sitk, as_pair), (as_metatensor, as_nibabel)])
def test_images_in_memory_register_as_files_do(pair, from_files, one, other):
    registration = zoo.register(
        one(pair.fixed, pair.fixed_grid), other(pair.moving, pair.moving_grid), **QUICK
    )
    points = pair.fixed_points
    torch.testing.assert_close(
        registration.map_points(points), from_files.map_points(points), atol=1e-3, rtol=0
    )
    assert registration.figures["folding_percent"] == from_files.figures["folding_percent"]


def test_labels_in_memory_and_the_inverse(pair):
    fixed, moving = (
        as_pair(pair.fixed, pair.fixed_grid),
        as_sitk(pair.moving, pair.moving_grid),
    )
    registration = zoo.register(
        fixed,
        moving,
        fixed_labels=as_pair(pair.fixed_labels, pair.fixed_grid),
        moving_labels=as_nibabel(pair.moving_labels, pair.moving_grid),
        inverse=True,
        **QUICK,
    )
    assert 0 < registration.figures["dice_after"] <= 1
    points = pair.fixed_points
    back = registration.inverse.map_points(registration.map_points(points))
    assert float((back - points).norm(dim=1).mean()) < 0.5


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ([1, 2, 3], "is a list; give a path"),
        (np.zeros((8, 8, 8)), "is a ndarray; give a path"),
        ((np.zeros((8, 8)), np.eye(4)), r"shape \(8, 8\)"),
        ((np.zeros((8, 8, 8, 3)), np.eye(4)), "shape"),
        ((np.zeros((8, 8, 8)), np.eye(3)), "4x4"),
        ((np.zeros((8, 8, 8)), np.zeros((4, 4))), "invertible"),
        ((np.zeros((8, 8, 8), complex), np.eye(4)), "complex128"),
        ((np.full((8, 8, 8), np.nan), np.eye(4)), "NaN"),
    ],
)
def test_an_object_that_is_not_an_image_is_refused(image, says):
    with pytest.raises(UserError, match=says):
        as_volume(image, "fixed")


SQUARE = np.zeros((4, 5, 6), np.float32)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ((np.full((3, 3, 3), 2**63 + 5, np.uint64), np.eye(4)), "at most 9223372036854775807"),
        ((np.zeros((0, 4, 4)), np.eye(4)), "at least two voxels per axis"),
        ((np.zeros((64, 64, 1)), np.eye(4)), "at least two voxels per axis"),
        ((SQUARE, "x"), "cannot be read"),
        ((SQUARE, np.zeros((4, 4))), "must be an invertible"),
        (sitk.Image((4, 4), sitk.sitkVectorFloat32, 3), "3 axes and one number"),
    ],
)
def test_an_image_that_is_not_a_volume_is_refused(image, says):
    with pytest.raises(UserError, match=says):
        as_volume(image, "fixed")


@pytest.mark.parametrize("change", [lambda t: t.requires_grad_(), lambda t: t.bfloat16()])
def test_tensors_with_gradients_and_of_half_precision_are_accepted(change):
    volume = as_volume((change(torch.ones(3, 4, 5)), np.diag([1e-5, 1e-5, 1e-5, 1])))
    assert volume.data.dtype == torch.float32
    assert volume.grid.spacing == pytest.approx((1e-5,) * 3)


def test_the_warped_image_becomes_an_image_of_nibabel_and_of_simpleitk(from_files):
    """Both have the voxels of warped.nii.gz at the same places, as each library reads the file."""
    path = str(from_files.folder / "warped.nii.gz")
    ours, read = from_files.to_nibabel(), nib.load(path)
    assert np.array_equal(np.asarray(ours.dataobj), np.asarray(read.dataobj))
    np.testing.assert_allclose(ours.affine, read.affine, atol=1e-4)
    assert ours.get_data_dtype() == read.get_data_dtype()
    image, expected = from_files.to_sitk(), sitk.ReadImage(path)
    assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    corner = (0, 0, 0), tuple(n - 1 for n in image.GetSize())
    for index in corner:
        np.testing.assert_allclose(
            image.TransformIndexToPhysicalPoint(index),
            expected.TransformIndexToPhysicalPoint(index),
            atol=1e-3,
        )
