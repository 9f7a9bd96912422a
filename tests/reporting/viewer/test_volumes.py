"""The volumes of the viewer against functions of world coordinates, on grids of any orientation."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.datasets.pairs import Pair
from zoo.geometry import Grid, Transform
from zoo.io.volume import Volume
from zoo.registration.result import RegisteredPair
from zoo.reporting.viewer.volumes import coarser_spacing, on_viewer_grid, viewer_volumes

RAMP = torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64)  # intensity per mm along R, A and S


def grid(shape, spacing, axes, degrees):
    """Return a grid whose array axes point along `axes`, tilted about the first one."""
    signs = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    linear = torch.zeros(3, 3, dtype=torch.float64)
    for k, letter in enumerate(axes):
        row, sign = signs[letter]
        linear[row, k] = sign * spacing[k]
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    tilt = torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]], dtype=torch.float64)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = tilt @ linear
    affine[:3, 3] = -affine[:3, :3] @ ((torch.tensor(shape, dtype=torch.float64) - 1) / 2)
    return Grid(shape, affine)


def world(of):
    index = torch.cartesian_prod(*[torch.arange(float(n)) for n in of.shape])
    return of.to_world(index)


def ramp_on(of, name):
    return Volume((world(of) @ RAMP).reshape(of.shape).float(), of, Path(name))


FIXED = grid((24, 30, 20), (2.0, 1.5, 2.5), "LPS", 14)
MOVING = grid((52, 44, 60), (1.5, 2.5, 1.2), "PIR", -9)


@pytest.fixture(scope="module")
def registration():
    shift = torch.zeros(3, *FIXED.shape)
    shift[0], shift[1], shift[2] = 2.0, -1.0, 0.5
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, 3] = torch.tensor([1.0, 2.0, -3.0])
    affine[0, 0] = 1.1
    pair = Pair("p", ramp_on(FIXED, "f.nii"), (ramp_on(MOVING, "m.nii"),))
    return RegisteredPair(pair, Transform(affine, shift, FIXED))


def inner(values, border=2):
    return values[(slice(border, -border),) * 3]


@pytest.mark.parametrize("voxels", [10**6, 9000, 1500])
def test_images_are_the_functions_of_world_coordinates_that_they_were(registration, voxels):
    shown = viewer_volumes(registration, voxels, 2000)
    assert shown.grid.voxels <= voxels
    assert shown.grid.axis_codes == "RAS"
    places = world(shown.grid)
    transform = registration.transform
    start = Transform(transform.affine)
    for volume, expected in (
        (shown.fixed, places),
        (shown.moving, start.map_points(places)),
        (shown.warped, transform.map_points(places)),
    ):
        values = (expected @ RAMP).reshape(shown.grid.shape)
        assert inner(volume - values).abs().max() < 0.05
    assert torch.allclose(inner(shown.jacobian), torch.tensor(1.1), atol=1e-4)
    directions = shown.grid.linear / torch.tensor(shown.grid.spacing)
    along = torch.linalg.inv(directions) @ torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    middle = shown.shift[:, 3, 3, 3]
    assert torch.allclose(middle.double(), along, atol=1e-4)


def test_labels_are_shown_where_they_are(registration):
    def labels(of):  # octants around the origin
        signs = world(of) > 0
        return Volume((signs.long() @ torch.tensor([1, 2, 4]) + 1).reshape(of.shape), of, Path("l"))

    pair = replace(registration.pair, fixed_labels=labels(FIXED), moving_labels=labels(MOVING))
    shown = viewer_volumes(replace(registration, pair=pair), 10**6, 2000)
    places = world(shown.grid)
    maps = (Transform.identity(), Transform(registration.transform.affine), registration.transform)
    assert shown.labels is not None
    for volume, transform in zip(shown.labels, maps, strict=True):
        mapped = transform.map_points(places)
        far = inner((mapped.abs().min(dim=1).values > 3).reshape(shown.grid.shape))
        expected = ((mapped > 0).long() @ torch.tensor([1, 2, 4]) + 1).reshape(shown.grid.shape)
        assert far.double().mean() > 0.2
        assert torch.equal(inner(volume)[far].long(), inner(expected)[far])


def test_fewer_voxels_keep_the_field_of_view_and_spare_coarse_axes():
    thick = Grid.from_spacing((200, 200, 20), (1, 1, 10))
    data, small = on_viewer_grid(Volume(torch.rand(thick.shape), thick, Path("x")), 100_000)
    assert data.shape == small.shape
    assert small.voxels <= 100_000
    assert small.spacing[2] == pytest.approx(10)
    assert np.allclose(
        [n * s for n, s in zip(small.shape, small.spacing, strict=True)], [200, 200, 200]
    )
    assert coarser_spacing(thick, 10**7) == [1, 1, 10]
