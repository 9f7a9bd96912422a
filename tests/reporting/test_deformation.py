import numpy as np
import pytest
import torch
from support.grid_cases import ORIENTATIONS
from support.marked_volume import marked_volume
from support.report_cases import phantom_registration

from zoo.geometry import Transform
from zoo.registration.result import RegisteredPair
from zoo.reporting.canvas import paint
from zoo.reporting.deformation import FOLD_COLOUR, grid_lines, volume_change
from zoo.reporting.panels import draw_panels
from zoo.reporting.slices import choose_planes
from zoo.synthesis.phantom import placed_grid


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_folded_voxels_are_marked_at_their_position(name):
    grid = placed_grid((24, 22, 20), (1.5, 1.5, 2.0), **ORIENTATIONS[name])
    volume = marked_volume(grid, (1, 0, 0))
    x = grid.to_world(torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]))[:, 0]
    step = torch.where((x > 3) & (x < 9), -2.5 * (x - 6), 0.0)  # dT/dx = -1.5 on the right
    field = torch.zeros(3, grid.voxels)
    field[0] = step.float()
    transform = Transform(torch.eye(4), field.view(3, *grid.shape), grid)
    axial = choose_planes(volume, width=300)[0]
    picture = volume_change(transform, axial)
    folded = np.all(np.isclose(picture, FOLD_COLOUR), axis=-1)
    columns = np.nonzero(folded)[1] / folded.shape[1]
    assert 0.02 < folded.mean() < 0.3
    assert columns.mean() < 0.5  # the patient's right is on the left


def test_the_grid_follows_the_deformation_and_letters_are_drawn():
    registration = phantom_registration()
    panel = draw_panels(registration)[-1]
    undeformed = RegisteredPair(registration.pair, Transform.identity())
    straight = draw_panels(undeformed)[-1]
    bent_lines, lines = panel.strips[0].pixels, straight.strips[0].pixels
    assert (bent_lines > 180).mean() > 0.05
    assert (np.abs(bent_lines.astype(int) - lines) > 60).mean() > 0.05
    chosen = choose_planes(registration.pair.fixed)
    blank = paint(chosen, [np.zeros(p.grid.shape[1::-1]) for p in chosen])
    assert (blank > 200).sum() > 100


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_grid_lines_are_at_whole_multiples_of_their_distance_in_the_moving_image(name, scale):
    grid = placed_grid((24, 22, 20), (1.5, 1.5, 2.0), **ORIENTATIONS[name])
    affine = torch.diag(torch.tensor([scale, scale, scale, 1.0], dtype=torch.float64))
    for plane in choose_planes(marked_volume(grid, (1, 0, 0)), width=900):
        blank = np.zeros(plane.grid.shape[1::-1], dtype=np.float32)
        picture = grid_lines(Transform(affine), plane, 5.0, blank)
        across = picture[picture.mean(axis=1).argmin()]  # a row between two lines along rows
        peaks = np.nonzero((across[1:-1] > across[:-2]) & (across[1:-1] >= across[2:]))[0]
        pixels = 5.0 / scale / plane.grid.spacing[0]
        np.testing.assert_allclose(np.diff(peaks), pixels, atol=1)
        assert 0.6 < picture.max() <= 0.951
        covered = picture.mean() / 0.95
        assert covered == pytest.approx(2 * 0.9 / pixels, rel=0.25)  # lines in two directions
