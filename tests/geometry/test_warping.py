import subprocess
import sys

import pytest
import SimpleITK as sitk
import torch
from support.grid_cases import simple_itk_image
from support.transform_cases import itk_transform, some_affine

from zoo.geometry import Transform, warp
from zoo.synthesis.phantom import placed_grid

METHODS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}


def smooth_field(grid, size=2.0):
    coarse = torch.randn(1, 3, 4, 4, 4) * size
    field = torch.nn.functional.interpolate(coarse, grid.shape, mode="trilinear")[0]
    return Transform(some_affine(), field, grid)


def resampled(volume, moving, fixed, transform, method, fill):
    out = sitk.Resample(
        simple_itk_image(volume, moving),
        simple_itk_image(torch.zeros(fixed.shape), fixed),
        itk_transform(transform),
        method,
        fill,
        sitk.sitkUnknown,
    )
    return torch.from_numpy(sitk.GetArrayFromImage(out).transpose(2, 1, 0).copy())


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_warp_agrees_with_simpleitk(grid, interpolation):
    moving = placed_grid((21, 33, 17), (1.7, 0.9, 2.8), "SLA", 30)
    transform = smooth_field(grid)
    volume = torch.randint(-900, 900, moving.shape).short()
    if interpolation == "linear":
        volume = volume.float()
    ours = warp(volume[None], moving, grid, transform, interpolation=interpolation, fill=-7)[0]
    theirs = resampled(volume, moving, grid, transform, METHODS[interpolation], -7)
    assert ours.dtype == volume.dtype
    assert ((ours - theirs).abs() > 0.5).float().mean() < 2e-3  # ties and border voxels differ


def test_cubic_warp_agrees_with_the_b_spline_of_simpleitk_inside(grid):
    moving = placed_grid((21, 33, 17), (1.7, 0.9, 2.8), "SLA", 30)
    transform = smooth_field(grid)
    volume = torch.rand(moving.shape)
    ours = warp(volume[None], moving, grid, transform, interpolation="cubic")[0]
    theirs = resampled(volume, moving, grid, transform, sitk.sitkBSpline, 0)
    index = transform.moving_index(grid, moving)[0]
    last = torch.tensor(moving.shape).view(3, 1, 1, 1) - 2
    deep = ((index > 1) & (index < last)).all(dim=0)
    assert deep.sum() > 500
    assert (ours - theirs)[deep].abs().max() < 1e-3


def test_channels_are_warped_independently():
    grid = placed_grid((9, 8, 7), (1, 2, 3))
    volume = torch.rand(2, 9, 8, 7)
    transform = smooth_field(grid, 0.5)
    both = warp(volume, grid, grid, transform)
    assert torch.equal(both[1:], warp(volume[1:], grid, grid, transform))


def test_identity_returns_the_volume(grid):
    labels = torch.randint(0, 2**14, grid.shape).short()
    same = Transform.identity()
    assert torch.equal(warp(labels[None], grid, grid, same, interpolation="nearest")[0], labels)
    out = warp(labels[None], grid, grid, same)[0]
    assert (out - labels).abs().max() < 0.1


MEMORY_PROGRAM = """
import resource, sys, torch
from zoo.geometry import Transform, warp
from zoo.geometry.grid import Grid
torch.set_num_threads(2)
n = 192
grid = Grid.from_spacing((n, n, n))
transform = Transform(torch.eye(4), torch.ones(3, n, n, n), grid)
volume = torch.ones(1, n, n, n)
warp(volume[:, :8], Grid.from_spacing((8, n, n)), Grid.from_spacing((8, n, n)), transform)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
warp(volume, grid, grid, transform)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024 / (volume.numel() * 4))
"""


@pytest.mark.slow
def test_warp_needs_less_than_three_times_the_memory_of_the_volume():
    out = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM], capture_output=True, text=True, check=True
    )
    assert float(out.stdout) < 3
