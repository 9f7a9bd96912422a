import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from zoo.errors import UserError
from zoo.geometry.grid import Grid
from zoo.measures.body import (
    find_body,
    find_cut_data,
    otsu_threshold,
    pool,
    smooth,
    spacing_for_voxels,
)
from zoo.synthesis.phantom import placed_grid


def ball(grid, centre, radius):
    points = grid.to_world(torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]))
    return ((points - torch.tensor(centre)).norm(dim=1) < radius).float().view(grid.shape)


def test_pooled_values_are_at_the_positions_of_the_pooled_grid(grid):
    points = grid.to_world(torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]))
    slope = torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64)
    pooled, pooled_grid = pool((points @ slope).view(grid.shape), grid, 4.0)
    index = torch.cartesian_prod(*[torch.arange(n) for n in pooled_grid.shape])
    where = pooled_grid.to_world(index)
    assert pooled.shape == pooled_grid.shape != grid.shape
    torch.testing.assert_close(pooled.flatten(), where @ slope, atol=1e-9, rtol=0)


def test_smoothing_is_the_binomial_filter():
    image = torch.rand(7, 5, 6)
    expected = image.numpy()
    for axis in range(3):
        expected = correlate1d(expected, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    np.testing.assert_allclose(smooth(image).numpy(), expected, atol=1e-6)


def test_threshold_is_between_two_modes():
    low, high = torch.full((900,), 0.1), torch.full((300,), 0.7)
    values = (torch.cat([low, high]) + 0.03 * torch.randn(1200)).clamp(0, 1)
    assert 0.2 < otsu_threshold(values) < 0.6


@pytest.mark.parametrize("contrast", [(0, 1), (1, 0), (-1000, 40), (300, -20)])
def test_centre_is_found_whatever_the_contrast(contrast):
    grid = placed_grid((40, 44, 30), (2, 2, 3), "LPS", tilt_degrees=20)
    shape = ball(grid, [6.0, -4.0, 9.0], 22)
    image = contrast[0] + (contrast[1] - contrast[0]) * shape + torch.randn(grid.shape) * 0.01
    body = find_body(image, grid, 2, "fixed")
    assert (body.centre - torch.tensor([6.0, -4.0, 9.0])).norm() < 0.3
    volume = float(body.mask.sum() * torch.linalg.det(body.grid.linear).abs())
    assert abs(volume / (4 / 3 * np.pi * 22**3) - 1) < 0.03


def test_a_few_extreme_voxels_hardly_move_the_centre():
    grid = Grid.from_spacing((30, 30, 30), (2, 2, 2))
    image = ball(grid, [28.0, 30.0, 30.0], 18)
    corrupted = image.clone()
    corrupted[3, 3, 3], corrupted[15, 15, 15] = -9999, 9999
    centres = [find_body(i, grid, 2, "fixed").centre for i in (image, corrupted)]
    assert (centres[0] - centres[1]).norm() < 0.1


def test_voxels_of_the_spacing_fill_the_field_of_view(grid):
    spacing = spacing_for_voxels(grid, 4000)
    volume = float(torch.linalg.det(grid.linear).abs()) * grid.voxels
    assert 4000 * spacing**3 == pytest.approx(volume)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.full((8, 8, 8), 7.0), "fixed image is constant.*7"),
        (
            torch.full((8, 8, 8), 7.0).index_fill(0, torch.tensor([2]), torch.nan),
            "contains NaN or infinity",
        ),
    ],
)
def test_an_image_without_anything_to_align_is_refused(image, message):
    with pytest.raises(UserError, match=message):
        find_body(image, Grid.from_spacing((8, 8, 8)), 1, "fixed")


CENTRE = [24.0, 28.0, 32.0]


def cut_ball(value, at=40.0):
    """Return a noisy ball on a grid of 2 mm, with padding of a value above a height, and the data.

    The radius of the ball is 18 mm.
    """
    grid = Grid.from_spacing((26, 30, 32), (2, 2, 2))
    image = 100 * ball(grid, CENTRE, 18) + torch.randn(grid.shape)
    data = torch.ones(grid.shape, dtype=torch.bool)
    data[:, :, round(at / 2) :] = False
    return torch.where(data, image, value), grid, data


@pytest.mark.parametrize("value", [0.0, -3000.0, 2000.0])
def test_padding_of_any_value_is_no_part_of_the_body(value):
    image, grid, data = cut_ball(value)
    reference = cut_ball(0.0, at=64)[0]
    body = find_body(image, grid, 2, "fixed", data=data)
    assert torch.equal(body.region > 0, data)
    assert float(body.mask[~data].sum()) == 0
    truth = ball(grid, CENTRE, 18)[data]
    assert float((body.mask[data] - truth).abs().mean()) < 0.01
    spread = body.at(4).image
    clean = find_body(reference, grid, 2, "fixed").at(4).image
    known = body.at(4).region == 1
    assert float((spread - clean)[known].abs().max()) < 0.1


def test_a_body_is_cut_where_a_plane_without_data_crosses_it():
    image, grid, data = cut_ball(0.0)
    by_padding = find_body(image, grid, 2, "fixed", data=data)
    assert by_padding.is_cut(at_border=False)
    assert by_padding.is_cut()
    by_border = find_body(image[:, :, :20], Grid((26, 30, 20), grid.affine), 2, "fixed")
    assert by_border.is_cut()
    assert not by_border.is_cut(at_border=False)


def test_a_whole_body_is_not_cut_by_the_zeros_around_it():
    image, grid, _ = cut_ball(0.0, at=64)
    inside = ball(grid, CENTRE, 18) > 0
    stripped = torch.where(inside, image, 0.0)
    assert not find_body(stripped, grid, 2, "fixed", data=inside).is_cut()
    assert not find_body(image, grid, 2, "fixed").is_cut()


def test_only_padding_that_cuts_off_a_body_is_no_data():
    image, grid, data = cut_ball(-50.0)
    assert torch.equal(find_cut_data(image, grid, "fixed"), data)
    whole, grid, _ = cut_ball(0.0, at=64)
    stripped = torch.where(ball(grid, CENTRE, 18) > 0, whole, 0.0)
    assert find_cut_data(stripped, grid, "fixed") is None
    assert find_cut_data(whole, grid, "fixed") is None
