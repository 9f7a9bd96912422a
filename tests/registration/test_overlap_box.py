"""Working grids cut to the part that both images show, and what happens outside of it."""

import pytest
import torch
from support.working_grid_cases import some_affine

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.io.volume import Volume
from zoo.registration.working_grid import AnatomicalFrame, ResizedFrame, overlap_box
from zoo.registration.working_pair import Image
from zoo.synthesis.phantom import placed_grid


def half_overlapping(axes="SRA", tilt=-10.0):
    """Return a fixed grid and one that overlaps about half of it, at an angle."""
    fixed = placed_grid((33, 26, 30), (1.3, 1.6, 2.0), "LPS", 15)
    moving = placed_grid((28, 24, 22), (1.2, 1.7, 1.4), axes, tilt)
    middle = torch.eye(4, dtype=torch.float64)
    middle[:3, 3] = fixed.centre - moving.centre + torch.tensor([6.0, -9.0, 18.0]).double()
    return fixed, moving.moved(middle)


GRIDS = {"oblique": ("SRA", -10.0), "flipped": ("RAS", 15.0), "left-handed": ("PIR", -35.0)}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("with_affine", [True, False])
def test_the_overlap_box_is_the_bounding_box_of_all_overlapping_voxels(name, with_affine):
    fixed, moving = half_overlapping(*GRIDS[name])
    affine = some_affine() if with_affine else torch.eye(4, dtype=torch.float64)
    box = overlap_box(fixed, moving, affine)
    voxels = torch.cartesian_prod(*[torch.arange(n).double() for n in fixed.shape])
    index = moving.to_index(fixed.to_world(voxels) @ affine[:3, :3].T + affine[:3, 3])
    overlap = ((index >= -0.5) & (index <= torch.tensor(moving.shape) - 0.5)).all(dim=1)
    low, high = voxels[overlap].amin(0), voxels[overlap].amax(0)
    assert torch.equal(box.linear, fixed.linear)
    assert torch.equal(fixed.to_index(box.to_world(torch.zeros(1, 3)))[0].round(), low)
    assert torch.equal(torch.tensor(box.shape), (high - low + 1).long())
    assert box.voxels < 0.8 * fixed.voxels


def cropped_work(frame, fixed, moving):
    images = [torch.randn(grid.shape) for grid in (fixed, moving)]
    pair = Pair("p", Volume(images[0], fixed, "f"), (Volume(images[1], moving, "m"),))
    return frame(Image(images[0], fixed), [Image(images[1], moving)], pair, None)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("make", [ResizedFrame, AnatomicalFrame])
def test_a_transform_of_the_overlap_is_extended_continuously_to_the_fixed_grid(name, make):
    fixed, moving = half_overlapping(*GRIDS[name])
    work = cropped_work(make((24, 22, 20), crop=True), fixed, moving)
    ramp = torch.stack(
        torch.meshgrid(*[torch.linspace(-2, 2, n) for n in work.grid.shape], indexing="ij")
    )[None]
    transform = work.transform(ramp)
    assert transform.grid.same_as(fixed)
    voxels = torch.cartesian_prod(*[torch.arange(n).double() for n in fixed.shape])
    points = fixed.to_world(voxels)
    index = work.grid.to_index(points)
    last = torch.tensor(work.grid.shape) - 1
    inside = ((index >= 0) & (index <= last)).all(dim=1)
    assert 0.1 < inside.double().mean() < 0.8
    nearest = index.clamp(torch.zeros(3), last)  # of a point outside, the border's nearest one
    expected = (nearest / last * 4 - 2) @ work.grid.linear.T
    assert (transform.map_points(points) - points - expected).abs().max() < 1e-4


def test_a_reverse_transform_of_the_overlap_is_extended_to_the_moving_grid():
    fixed, moving = half_overlapping()
    work = cropped_work(ResizedFrame((24, 22, 20), crop=True), fixed, moving)
    step = torch.ones(1, 3, *work.grid.shape)
    back = work.reverse_transform(step)
    corners = moving.to_world(torch.tensor([[0.0, 0, 0], [27, 23, 21], [27, 0, 21]]))
    assert (back.map_points(corners) - corners - work.grid.linear.sum(1)).abs().max() < 1e-4


def test_a_pair_without_overlap_is_refused():
    fixed, moving = half_overlapping()
    away = torch.eye(4, dtype=torch.float64)
    away[:3, 3] = 500
    with pytest.raises(UserError, match="share 0 % of the fixed field of view"):
        cropped_work(ResizedFrame((24, 22, 20), crop=True), fixed, moving.moved(away))


def test_cropping_changes_nothing_if_the_moving_image_covers_the_fixed_one():
    fixed = placed_grid((20, 22, 18), (2, 1.5, 2), "LPS", 15)
    moving = placed_grid((40, 44, 40), (1.6, 1.6, 1.6), "LPS", 15)
    middle = torch.eye(4, dtype=torch.float64)
    middle[:3, 3] = fixed.centre - moving.centre
    work = cropped_work(ResizedFrame((16, 16, 16), crop=True), fixed, moving.moved(middle))
    assert work.grid.same_as(fixed.resize((16, 16, 16)))
