"""Perturbations are small, placed by the header, and undone exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.grid_cases import ORIENTATIONS
from support.io_cases import max_distance
from support.report_cases import in_memory

from zoo.geometry import Grid, Transform, warp
from zoo.io.volume import Volume
from zoo.registration.uncertainty import draw_perturbation, perturb, undo
from zoo.synthesis.phantom import make_pair, placed_grid


def pair_on(orientation):
    """Return a phantom on unequal, anisotropic grids in one of the orientations."""
    phantom = make_pair(
        1,
        shape=(33, 30, 36),
        spacing=(3, 4, 3.5),
        moving_shape=(48, 32, 20),
        moving_spacing=(2.5, 3, 6),
        moving_axes="SAR",
        **ORIENTATIONS[orientation],
    )
    return replace(
        in_memory(phantom),
        moving_mask=Volume(phantom.moving_labels > 0, phantom.moving_grid, Path("mask.nii.gz")),
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_everything_of_the_moving_image_moves_and_only_borders_are_lost(orientation):
    pair = pair_on(orientation)
    labels = pair.moving_labels
    perturbation = draw_perturbation(4, labels.grid)
    assert any(max(margin) > 0 for margin in perturbation.crop)
    moved = perturb(pair, perturbation)
    assert moved.fixed.grid.same_as(pair.fixed.grid, 0)
    there = Transform(perturbation.rigid)
    back = warp(
        moved.moving_labels.data[None], moved.moving_labels.grid, labels.grid, there,
        interpolation="nearest", fill=99,
    )[0]  # fmt: skip
    kept = back != 99
    assert torch.equal(back[kept], labels.data[kept])
    lost = torch.ones_like(kept)
    lost[3:-3, 2:-2, 1:-1] = False  # the axes have 48, 32 and 20 voxels
    assert bool((kept | lost).all())
    for volume in (*moved.moving, moved.moving_mask):
        assert volume.grid.same_as(moved.moving_labels.grid, 0)
        assert tuple(volume.data.shape) == volume.grid.shape
    assert max_distance(moved.moving_points, there.map_points(pair.moving_points)) < 1e-9


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_perturbation_is_a_small_rigid_motion(seed):
    grid = placed_grid((64, 40, 20), (1.5, 2, 6), "PIR", -35)
    grid = grid.moved(
        torch.tensor([[1.0, 0, 0, 300], [0, 1, 0, -80], [0, 0, 1, 900], [0, 0, 0, 1]])
    )
    first, again = draw_perturbation(seed, grid), draw_perturbation(seed, grid)
    assert torch.equal(first.rigid, again.rigid)
    assert (first.crop, first.gammas) == (again.crop, again.gammas)
    assert not torch.equal(first.rigid, draw_perturbation(seed + 1, grid).rigid)
    turn = first.rigid[:3, :3]
    assert torch.allclose(turn @ turn.T, torch.eye(3).double(), atol=1e-12)
    assert float(torch.linalg.det(turn)) == pytest.approx(1)
    degrees = torch.rad2deg(torch.arccos(((turn.trace() - 1) / 2).clamp(-1, 1)))
    assert 0 < float(degrees) <= 3**0.5
    shift = Transform(first.rigid).map_points(grid.centre[None])[0] - grid.centre
    assert 0 < float(shift.abs().max()) <= 0.01 * 120  # the longest side is 120 mm


def test_undoing_is_exact_for_points_and_keeps_the_field():
    pair = pair_on("oblique")
    perturbation = draw_perturbation(7, pair.moving[0].grid)
    truth = make_pair(3, shape=(20, 22, 24), spacing=(5, 5, 4), tilt_degrees=15).truth
    perturbed = Transform(perturbation.rigid @ truth.affine, truth.field, truth.grid)
    undone = undo(perturbed, perturbation)
    assert torch.equal(undone.field, truth.field)
    points = pair.fixed_points
    assert max_distance(undone.map_points(points), truth.map_points(points)) < 1e-9


def test_intensities_change_slightly_and_padding_does_not():
    noise = torch.Generator().manual_seed(0)
    image = torch.full((30, 32, 28), -1024.0)
    image[6:24, 5:27, 4:22] = 40 + 300 * torch.rand(18, 22, 18, generator=noise)
    grid = placed_grid(image.shape, (2, 2.5, 3), "LPS", 20)
    pair = replace(
        pair_on("LPS"),
        fixed=Volume(image, grid, Path("fixed.nii")),
        moving=(Volume(image.short(), grid, Path("moving.nii")),),
        moving_labels=None,
        moving_mask=None,
    )
    perturbation = replace(draw_perturbation(2, grid), crop=((0, 0),) * 3)
    changed = perturb(pair, perturbation)
    for before, after in ((pair.fixed, changed.fixed), (pair.moving[0], changed.moving[0])):
        inside = before.data > 0
        assert torch.equal(after.data[~inside], before.data[~inside].float())
        difference = (after.data - before.data)[inside]
        range_ = 340 + 1024
        assert 0.5 * 0.01 * range_ < float(difference.std()) < 2 * 0.01 * range_
        assert float(difference.mean().abs()) < 0.05 * range_ / 2
    assert not torch.equal(changed.fixed.data, changed.moving[0].data)


def test_an_axis_of_two_voxels_is_not_cropped():
    pair = pair_on("RAS")
    thin = Volume(torch.rand(40, 2, 33), Grid.from_spacing((40, 2, 33)), Path("thin.nii"))
    pair = replace(pair, moving=(pair.moving[0], thin))
    crop = ((3, 3), (3, 3), (3, 3))
    perturbation = replace(draw_perturbation(1, pair.moving[0].grid), crop=crop)
    moved = perturb(pair, perturbation)
    assert moved.moving[1].grid.shape == (36, 2, 29)


def test_equal_seeds_give_equal_voxels():
    pair = pair_on("permuted")
    grid = pair.moving[0].grid
    one, two, other = (perturb(pair, draw_perturbation(seed, grid)) for seed in (3, 3, 4))
    assert torch.equal(one.fixed.data, two.fixed.data)
    assert torch.equal(one.moving[0].data, two.moving[0].data)
    assert not torch.equal(one.fixed.data, other.fixed.data)
