"""Masks and padding: what lies outside has no influence on the alignment."""

import pytest
import torch
from support.affine_cases import FIXED, TARGETS, TRUTH, cut, draw, error, world_map

from zoo.errors import UserError
from zoo.solvers.affine.alignment import align_affine

pytestmark = pytest.mark.usefixtures("few_points")


def half_of(grid, upper):
    """Return a mask of one half of a grid along its first axis."""
    mask = torch.zeros(grid.shape)
    middle = grid.shape[0] // 2
    mask[middle:] = float(upper)
    mask[:middle] = float(not upper)
    return mask


def test_masks_of_ones_change_nothing():
    grid = TARGETS["oblique, anisotropic"]
    fixed, moving = draw(FIXED), draw(grid, TRUTH)
    plain = align_affine(fixed, FIXED, moving, grid)
    ones = {"fixed_mask": torch.ones(FIXED.shape), "moving_mask": torch.ones(grid.shape)}
    assert torch.equal(align_affine(fixed, FIXED, moving, grid, **ones).matrix, plain.matrix)


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_voxels_outside_a_mask_do_not_influence_the_alignment(side):
    grid = TARGETS["same"]
    images = {"fixed": draw(FIXED), "moving": draw(grid, TRUTH)}
    own = FIXED if side == "fixed" else grid
    mask = half_of(own, upper=True)
    results = []
    for value in (0, 5):
        spoiled = images | {side: torch.where(mask > 0, images[side], value)}
        result = align_affine(
            spoiled["fixed"], FIXED, spoiled["moving"], grid, **{f"{side}_mask": mask}
        )
        results.append(result.matrix)
    assert torch.equal(*results)
    assert error(results[0], TRUTH) < 4


def test_an_empty_mask_is_refused():
    image = draw(FIXED)
    with pytest.raises(UserError, match=r"the mask of the fixed image covers 0 of \d+ voxels"):
        align_affine(image, FIXED, image, FIXED, fixed_mask=torch.zeros(FIXED.shape))


@pytest.mark.parametrize("target", ["same", "oblique, anisotropic"])
def test_padding_of_any_value_does_not_influence_the_alignment(target):
    grid = TARGETS[target]
    truth = world_map((6, -4, 8), shift=(12, -7, 9))
    moving = draw(grid, truth)
    matrices = [
        align_affine(draw(FIXED), FIXED, cut(moving, 1, 0.45, value)[0], grid, "affine").matrix
        for value in (0.0, -2.0, 5.0)
    ]
    assert error(matrices[1], matrices[0]) < 0.1
    assert error(matrices[2], matrices[0]) < 0.1
    assert error(matrices[0], truth) < 1.5


def test_padding_counts_like_a_mask_that_excludes_it():
    grid = TARGETS["LAS"]
    moving = draw(grid, TRUTH)
    padded, data = cut(moving, 2, 0.4)
    by_padding = align_affine(draw(FIXED), FIXED, padded, grid)
    by_mask = align_affine(draw(FIXED), FIXED, moving, grid, moving_mask=data)
    assert error(by_padding.matrix, by_mask.matrix) < 1


def test_images_that_cover_different_parts_are_aligned():
    grid = TARGETS["same"]
    truth = world_map((5, -5, 8), shift=(15, -10, 12))
    fixed, _ = cut(draw(FIXED), 2, 0.4)
    moving, _ = cut(draw(grid, truth), 2, -0.35)
    com = align_affine(fixed, FIXED, moving, grid, "com")
    found = align_affine(fixed, FIXED, moving, grid, "rigid")
    assert error(com.matrix, truth) > 20
    assert error(found.matrix, truth) < 2
    assert not found.header_fault
