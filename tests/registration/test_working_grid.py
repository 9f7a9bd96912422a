from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from support.working_grid_cases import some_affine

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.volume import Volume
from zoo.registration.working_grid import IsotropicFrame, NativeFrame, ResizedFrame
from zoo.registration.working_pair import Image
from zoo.synthesis.phantom import make_pair, placed_grid


def oblique_phantom(**more):
    options = {
        "shape": (33, 26, 15),
        "spacing": (1.3, 1.6, 3.0),
        "axes": "LPS",
        "tilt_degrees": 15,
        "moving_axes": "SRA",
        "moving_shape": (30, 40, 36),
        "moving_spacing": (1.5, 1.1, 1.3),
    }
    return make_pair(7, **(options | more))


def as_pair(phantom, masks=False):
    fixed = Volume(phantom.fixed, phantom.fixed_grid, "fixed")
    moving = Volume(phantom.moving, phantom.moving_grid, "moving")
    if not masks:
        return Pair("p", fixed, (moving,))
    return Pair(
        "p", fixed, (moving,),
        fixed_mask=Volume(phantom.fixed_labels, phantom.fixed_grid, "m"),
        moving_mask=Volume(phantom.moving_labels, phantom.moving_grid, "m"),
    )  # fmt: skip


def work_of(frame, phantom, affine=None, masks=False, moving=1):
    fixed = Image(phantom.fixed, phantom.fixed_grid)
    images = [Image(phantom.moving, phantom.moving_grid)] * moving
    return frame(fixed, images, as_pair(phantom, masks), affine)


def well_inside(grid, points, margin):
    index = grid.to_index(points)
    return ((index > margin) & (index < torch.tensor(grid.shape) - 1 - margin)).all(dim=1)


FRAMES = {
    "isotropic": IsotropicFrame(),
    "coarse": IsotropicFrame(spacing=2.5),
    "native": NativeFrame(),
    "resized": ResizedFrame((30, 28, 26)),
    "cropped": ResizedFrame((30, 28, 26), crop=True),
}


def world_ramp(grid):
    """Return the world x, y, z of each voxel: [3, X, Y, Z]."""
    voxels = torch.cartesian_prod(*[torch.arange(n).double() for n in grid.shape])
    return grid.to_world(voxels).T.reshape(3, *grid.shape).float()


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("with_affine", [True, False])
def test_each_voxel_was_sampled_at_the_point_that_grid_and_affine_give(name, with_affine):
    """Images of their own world coordinates show where each voxel was sampled."""
    phantom = oblique_phantom()
    affine = some_affine() if with_affine else None
    for axis in range(3):
        fixed = Image(world_ramp(phantom.fixed_grid)[axis], phantom.fixed_grid)
        moving = Image(world_ramp(phantom.moving_grid)[axis], phantom.moving_grid)
        work = FRAMES[name](fixed, [moving], as_pair(phantom), affine)
        voxels = torch.cartesian_prod(*[torch.arange(n).double() for n in work.grid.shape])
        here = work.grid.to_world(voxels)
        there = here @ work.affine[:3, :3].T + work.affine[:3, 3]
        deep = well_inside(phantom.fixed_grid, here, 1)
        for channel, points in ((1, here), (0, there)):
            if channel == 0:
                deep = deep & well_inside(phantom.moving_grid, there, 4)
            assert deep.sum() > 100
            sampled = work.image[0, channel].flatten()[deep]
            assert (sampled - points[deep, axis]).abs().max() < 0.05


@pytest.mark.parametrize("name", FRAMES)
def test_a_zero_displacement_gives_the_initial_affine_alone(name):
    phantom = oblique_phantom()
    work = work_of(FRAMES[name], phantom, some_affine())
    transform = work.transform(torch.zeros(1, 3, *work.grid.shape))
    points = phantom.fixed_points
    expected = points @ some_affine()[:3, :3].T + some_affine()[:3, 3]
    assert (transform.map_points(points) - expected).abs().max() < 1e-6


def test_the_transforms_of_a_zero_displacement_are_inverse_to_each_other():
    work = work_of(ResizedFrame((30, 28, 26)), oblique_phantom())
    zero = torch.zeros(1, 3, *work.grid.shape)
    there, back = work.transform(zero), work.reverse_transform(zero)
    points = torch.randn(20, 3, dtype=torch.float64) * 10
    assert torch.allclose(back.map_points(there.map_points(points)), points, atol=1e-4)


def test_the_resized_frame_interpolates_when_the_axes_agree():
    phantom = oblique_phantom(moving_axes="LPS")
    work = work_of(ResizedFrame((30, 28, 26)), phantom)
    for channel, data in ((0, phantom.moving), (1, phantom.fixed)):
        expected = F.interpolate(data[None, None], (30, 28, 26), mode="trilinear")
        assert torch.equal(work.image[:, channel : channel + 1], expected)


def test_the_isotropic_grid_has_the_finest_spacing_of_the_fixed_image():
    grid = IsotropicFrame().grid(placed_grid((60, 50, 24), (1, 1.2, 2), "LAS", 20))
    assert grid.spacing == pytest.approx((1, 1, 1), rel=0.05)
    assert grid.axis_codes == "LAS"


def test_thick_slices_do_not_multiply_the_voxels():
    thick = placed_grid((60, 50, 12), (1, 1.2, 5), "LAS", 20)
    grid = IsotropicFrame().grid(thick)
    assert max(grid.spacing) / min(grid.spacing) < 1.1
    assert grid.voxels == pytest.approx(2.5 * thick.voxels, rel=0.1)
    assert IsotropicFrame(spacing=1.0).grid(thick).voxels > 5.5 * thick.voxels


def test_a_nearly_isotropic_grid_is_used_as_it_is():
    grid = Grid.from_spacing((20, 20, 20), (1, 1.01, 1))
    assert IsotropicFrame().grid(grid) is grid


def test_the_spacing_grows_to_keep_the_number_of_voxels_limited():
    grid = IsotropicFrame(most_voxels=20_000).grid(placed_grid((60, 50, 40), (1, 1, 1)))
    assert 0.8 * 20_000 < grid.voxels < 1.2 * 20_000


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("affine", [None, torch.eye(4, dtype=torch.float64)])
def test_masks_cover_the_body_in_each_channel(name, affine):
    work = work_of(FRAMES[name], oblique_phantom(), affine, masks=True)
    assert work.masks.shape == work.image.shape
    assert set(work.masks.unique().tolist()) == {0.0, 1.0}
    for channel in (0, 1):
        body = work.masks[0, channel] > 0
        bright = work.image[0, channel] > 200
        assert (body & bright).sum() > 0.9 * bright.sum()


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_one_mask_alone_leaves_the_other_image_whole(name, side):
    phantom = oblique_phantom()
    both = as_pair(phantom, masks=True)
    other = "moving" if side == "fixed" else "fixed"
    images = Image(phantom.fixed, phantom.fixed_grid), [Image(phantom.moving, phantom.moving_grid)]
    alone = FRAMES[name](*images, replace(both, **{f"{other}_mask": None}), some_affine())
    expected = FRAMES[name](*images, both, some_affine()).masks
    channel = 1 if side == "fixed" else 0
    assert torch.equal(alone.masks[0, channel], expected[0, channel])
    assert (alone.masks[0, 1 - channel] == 1).all()


@pytest.mark.parametrize("name", FRAMES)
def test_masks_of_ones_are_no_masks(name):
    phantom = oblique_phantom()
    pair = as_pair(phantom, masks=True)
    ones = {
        f"{side}_mask": replace(mask, data=torch.ones_like(mask.data))
        for side, mask in (("fixed", pair.fixed_mask), ("moving", pair.moving_mask))
    }
    images = Image(phantom.fixed, phantom.fixed_grid), [Image(phantom.moving, phantom.moving_grid)]
    for given in (ones, {**ones, "fixed_mask": None}, {**ones, "moving_mask": None}):
        assert FRAMES[name](*images, replace(pair, **given), some_affine()).masks is None


def test_a_header_in_other_units_does_not_blur_the_image():
    """An image of 2 mm voxels whose header says 0.2 mm must not be averaged over 10 voxels."""
    phantom = oblique_phantom(moving_axes="LPS", spacing=(2, 2, 2), moving_spacing=(2, 2, 2))
    tenth = torch.diag(torch.tensor([0.1, 0.1, 0.1, 1.0], dtype=torch.float64))
    images = [Image(phantom.moving, phantom.moving_grid.moved(tenth))]
    fixed = Image(phantom.fixed, phantom.fixed_grid)
    identity = torch.eye(4, dtype=torch.float64)
    expected = work_of(NativeFrame(), phantom, identity)
    result = NativeFrame()(fixed, images, as_pair(phantom), tenth)
    assert (result.image - expected.image).abs().max() < 1e-2 * phantom.moving.max()


def test_several_moving_images_are_channels_before_the_fixed_one():
    work = work_of(IsotropicFrame(), oblique_phantom(), masks=True, moving=3)
    assert work.image.shape[1] == work.masks.shape[1] == 4
    assert torch.equal(work.image[0, 0], work.image[0, 2])


def test_the_resized_frame_refuses_several_moving_images():
    with pytest.raises(UserError, match="one moving image"):
        work_of(ResizedFrame((30, 28, 26)), oblique_phantom(), moving=2)


def test_a_much_finer_moving_image_is_averaged():
    """Averaging 27 voxels reduces the noise of a 1 mm image that is sampled at 3 mm."""
    phantom = oblique_phantom(shape=(12, 12, 12), spacing=(3, 3, 3), moving_shape=(36, 36, 36),
                   moving_spacing=(1, 1, 1), moving_axes="LPS")  # fmt: skip
    noise = Image(torch.randn(36, 36, 36), phantom.moving_grid)
    work = NativeFrame()(Image(phantom.fixed, phantom.fixed_grid), [noise], as_pair(phantom), None)
    assert work.image[0, 0].std() < 0.3


def test_an_averaging_frame_averages_the_voxels_between_its_own():
    """Sampling stripes of one voxel gives one of their values; averaging gives the mean."""
    grid = Grid((64, 48, 50), torch.eye(4, dtype=torch.float64))
    stripes = torch.zeros(grid.shape)
    stripes[::2] = 1.0
    image = Image(stripes, grid)
    pair = Pair("p", Volume(stripes, grid, "a"), (Volume(stripes, grid, "b"),))
    frame = ResizedFrame((16, 16, 17))
    averaged = frame.on((16, 16, 17))(image, [image], pair, None)
    assert (averaged.image - 0.5).abs().max() < 1e-6
    assert averaged.grid.same_as(frame(image, [image], pair, None).grid)
