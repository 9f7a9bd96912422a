"""Files written by the zoo map points equally when read by the zoo and three other programs."""

import ants
import nibabel as nib
import nitransforms as nt
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo.geometry import Transform
from zoo.io.transforms import read_transform, write_transform

FLIP = np.array([-1.0, -1.0, 1.0])


def by_sitk(path, points):
    if path.suffix == ".gz":
        image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkVectorFloat64)
        transform = sitk.DisplacementFieldTransform(image)
    else:
        transform = sitk.ReadTransform(str(path))
    return np.array([transform.TransformPoint(p) for p in points.numpy() * FLIP]) * FLIP


def by_ants(path, points):
    if path.suffix == ".tfm":
        transform = ants.read_transform(str(path))
        mapped = [ants.apply_ants_transform_to_point(transform, p) for p in points.numpy() * FLIP]
        return np.array(mapped) * FLIP
    table = pd.DataFrame(points.numpy() * FLIP, columns=["x", "y", "z"])
    mapped = ants.apply_transforms_to_points(3, table, [str(path)])
    return mapped[["x", "y", "z"]].to_numpy() * FLIP


def by_nitransforms(path, points):
    if path.suffix == ".gz":
        field = nt.io.itk.ITKDisplacementsField.from_image(nib.load(path))
        return nt.nonlinear.DenseFieldTransform(field).map(points.numpy())
    if path.suffix == ".tfm":
        return nt.linear.load(path, fmt="itk").map(points.numpy())
    return nt.manip.load(path, fmt="itk").map(points.numpy())


def check_all(path, transform, grid):
    """Compare inner points, because the cubic splines of nitransforms ring near the border."""
    points = inner_points(grid, margin=5)
    ours = transform.map_points(points)
    assert max_distance(points, ours) > 3
    assert max_distance(read_transform(path).map_points(points), ours) < 1e-3
    assert max_distance(by_sitk(path, points), ours) < 1e-3
    assert max_distance(by_ants(path, points), ours) < 1e-3
    if path.suffix != ".mat":  # nitransforms cannot load it
        assert max_distance(by_nitransforms(path, points), ours) < 1e-2
    outer = inner_points(grid, margin=0)
    assert max_distance(by_sitk(path, outer), transform.map_points(outer)) < 1e-3
    assert max_distance(by_ants(path, outer), transform.map_points(outer)) < 1e-3


@pytest.mark.parametrize("name", ["dense.nii.gz", "both.h5"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_field_files_map_points_equally_in_all_programs(tmp_path, grid, name):
    transform = smooth_transform(grid)
    write_transform(tmp_path / name, transform, grid)
    check_all(tmp_path / name, transform, grid)


@pytest.mark.parametrize("name", ["affine.tfm", "affine.mat", "affine.h5", "affine.nii.gz"])
@pytest.mark.parametrize("grid", ["RAS", "LPS", "LAS", "oblique anisotropic LAS"])
def test_affine_files_map_points_equally_in_all_programs(tmp_path, grid, name):
    transform = Transform(AFFINE)
    write_transform(tmp_path / name, transform, GRIDS[grid])
    check_all(tmp_path / name, transform, GRIDS[grid])


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_learn2reg_fields_agree_with_simpleitk(tmp_path, grid):
    transform = smooth_transform(grid)
    moving = GRIDS["permuted PIR"] if grid is not GRIDS["permuted PIR"] else GRIDS["oblique RAS"]
    write_transform(tmp_path / "both.h5", transform, grid)
    write_transform(tmp_path / "disp_a_b.nii.gz", transform, grid, "learn2reg", moving=moving)
    field = np.asarray(nib.load(tmp_path / "disp_a_b.nii.gz").dataobj)
    itk = sitk.ReadTransform(str(tmp_path / "both.h5"))
    fixed_image, moving_image = (itk_image(g) for g in (grid, moving))
    rng = np.random.default_rng(0)
    for voxel in rng.integers(0, grid.shape, size=(1000, 3)):
        point = itk.TransformPoint(fixed_image.TransformIndexToPhysicalPoint(voxel.tolist()))
        expected = moving_image.TransformPhysicalPointToContinuousIndex(point)
        np.testing.assert_allclose(voxel + field[tuple(voxel)], expected, atol=2e-4)


def itk_image(grid):
    image = sitk.Image(grid.shape, sitk.sitkUInt8)
    affine = grid.affine.numpy()
    image.SetSpacing(grid.spacing)
    image.SetOrigin((affine[:3, 3] * FLIP).tolist())
    image.SetDirection((FLIP[:, None] * affine[:3, :3] / grid.spacing).ravel().tolist())
    return image


def test_outside_the_field_a_composite_is_affine_as_in_simpleitk(tmp_path):
    grid = GRIDS["oblique anisotropic LAS"]
    transform = smooth_transform(grid)
    path = tmp_path / "both.h5"
    write_transform(path, transform, grid)
    index = torch.tensor([[-3.0, 5, 5], [5, 40, 5], [-0.3, 5, 5], [19.4, 16.4, 5], [5, 5, 14]])
    points = grid.to_world(index)
    assert max_distance(by_sitk(path, points), transform.map_points(points)) < 1e-3
