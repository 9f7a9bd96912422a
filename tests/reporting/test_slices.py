from pathlib import Path

import numpy as np
import pytest
import torch
from support.grid_cases import ORIENTATIONS
from support.marked_volume import marked_volume

from zoo.geometry import Transform
from zoo.io.volume import Volume
from zoo.reporting.slices import body_centre, choose_planes, image_slices
from zoo.synthesis.phantom import placed_grid


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize(
    ("direction", "plane", "side"),
    [
        ((1, 0, 0), 0, "left"),
        ((-1, 0, 0), 1, "right"),
        ((0, 1, 0), 0, "top"),
        ((0, 1, 0), 2, "left"),
        ((0, 0, 1), 1, "top"),
        ((0, 0, -1), 2, "bottom"),
    ],
)
def test_planes_are_in_radiological_view_on_any_grid(name, direction, plane, side):
    grid = placed_grid((36, 30, 20), (1.2, 1.5, 2.2), **ORIENTATIONS[name])
    volume = marked_volume(grid, direction)
    chosen = choose_planes(volume, width=300)
    picture = image_slices(volume, chosen, Transform.identity())[plane]
    rows, columns = np.nonzero(picture > 0.9)
    across, down = columns.mean() / picture.shape[1], rows.mean() / picture.shape[0]
    value = {"left": 1 - across, "right": across, "top": 1 - down, "bottom": down}[side]
    assert value > 0.6
    assert chosen[plane].letters == ("RLAP", "RLSI", "APSI")[plane]


def test_pixels_are_square_in_mm_whatever_the_spacing():
    volume = marked_volume(placed_grid((40, 30, 12), (1.0, 1.4, 3.5), "SLA"), (1, 0, 0))
    for plane in choose_planes(volume, width=400):
        assert plane.grid.spacing[0] == pytest.approx(plane.grid.spacing[1], rel=0.03)


def test_planes_go_through_the_body_and_not_through_the_centre_of_the_grid():
    grid = placed_grid((48, 40, 40), (1.5, 1.5, 1.5), "LPS")
    offset = (14.0, -8.0, 5.0)
    volume = marked_volume(grid, (1, 0, 0), offset)
    axial, coronal, sagittal = choose_planes(volume)
    middle = torch.tensor([[0.0, 0, 0]])
    assert float(axial.grid.to_world(middle)[0, 2]) == pytest.approx(offset[2], abs=2)
    assert float(coronal.grid.to_world(middle)[0, 1]) == pytest.approx(offset[1], abs=2)
    assert float(sagittal.grid.to_world(middle)[0, 0]) == pytest.approx(offset[0], abs=4)


def test_a_constant_image_is_cut_at_the_centre_of_its_grid():
    grid = placed_grid((12, 14, 10), (2, 2, 2), "RAS")
    volume = Volume(torch.zeros(grid.shape), grid, Path("zero.nii.gz"))
    assert torch.allclose(body_centre(volume), grid.centre)
    assert len(image_slices(volume, choose_planes(volume), Transform.identity())) == 3
