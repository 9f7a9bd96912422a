"""The fluid refinement: known deformations, regions without data, images of two contrasts."""

import pytest
import torch

from zoo.geometry import Grid, Transform
from zoo.geometry.jacobian import jacobian_determinant
from zoo.geometry.sampling import identity_index, sample
from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.solvers.fluid import refine_by_composition, refinement
from zoo.solvers.fluid.contrast import LEAST_LOWEST, LEAST_MEAN
from zoo.solvers.fluid.refinement import smoothness_for, well_matched

SHAPE = (44, 52, 40)
INNER = (..., slice(8, -8), slice(8, -8), slice(8, -8))


@pytest.fixture(autouse=True)
def _small_images_are_refined(monkeypatch):
    monkeypatch.setattr(refinement, "FEWEST_VOXELS", 32)


def smooth_noise(*shape, sigma, seed):
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))
    return separable_filter(noise, [gaussian_taps(sigma)] * 3, edge="replicate")


def deformed_pair(sigma=1.5):
    """Return moving and fixed image, and the displacement that warps moving onto fixed.

    The structures of the images have a size of about `sigma` voxels.
    """
    texture = smooth_noise(1, *SHAPE, sigma=sigma, seed=1)
    moving = (texture - texture.min()) / (texture.max() - texture.min())
    truth = smooth_noise(3, *SHAPE, sigma=7.0, seed=2)
    truth *= 1.0 / truth.norm(dim=1).mean()
    return moving, sample(moving, identity_index(SHAPE) + truth), truth


def error(displacement, truth):
    return float((displacement - truth)[INNER].norm(dim=1).mean())


def determinants(displacement):
    grid = Grid(SHAPE, torch.eye(4, dtype=torch.float64))
    return jacobian_determinant(Transform(torch.eye(4), displacement[0], grid))


def test_a_known_deformation_is_found_to_a_tenth_of_a_voxel():
    moving, fixed, truth = deformed_pair()
    start = 0.5 * truth
    found = refine_by_composition(start, moving, fixed)
    assert found.refined
    assert found.correlation[1] > found.correlation[0]
    assert error(start, truth) > 0.2
    assert error(found.displacement, truth) < 0.08
    assert determinants(found.displacement).min() > 0


def test_a_thorough_refinement_finds_what_is_too_far_for_the_usual_one():
    moving, fixed, truth = deformed_pair(sigma=2.5)
    start = -2.0 * truth
    usual = refine_by_composition(start, moving, fixed)
    thorough = refine_by_composition(start, moving, fixed, thorough=True)
    assert thorough.thorough
    assert not usual.thorough
    assert error(start, truth) > 1
    assert error(thorough.displacement, truth) < 0.7 * error(usual.displacement, truth)
    assert error(thorough.displacement, truth) < 0.15
    assert determinants(thorough.displacement)[INNER].min() > 0


def test_two_contrasts_are_not_refined_thoroughly():
    moving, fixed, truth = two_contrasts()
    start, choose = -0.4 * truth, preferring("refined", [])
    usual = refine_by_composition(start, moving, fixed, choose=choose)
    found = refine_by_composition(start, moving, fixed, thorough=True, choose=choose)
    assert not found.thorough
    assert torch.equal(found.displacement, usual.displacement)


def test_a_perfect_start_stays():
    moving, fixed, truth = deformed_pair()
    found = refine_by_composition(truth, moving, fixed)
    assert error(found.displacement, truth) < 0.05


@pytest.mark.parametrize("contrast", [lambda x: 1 - x, lambda x: 0.5 + 0.5 * torch.sin(25 * x)])
def test_images_of_two_contrasts_are_left_as_they_are(contrast):
    moving, fixed, truth = deformed_pair()
    found = refine_by_composition(truth, moving, contrast(fixed))
    assert not found.refined
    assert found.agreement.mean < LEAST_MEAN
    assert found.displacement is truth


def test_images_that_agree_except_for_one_tissue_are_left_as_they_are():
    """As T1 and FLAIR: most edges agree, those of the tissue with opposed contrast do not."""
    moving, fixed, truth = deformed_pair()
    found = refine_by_composition(truth, moving, torch.where(fixed > 0.64, 1.28 - fixed, fixed))
    assert not found.refined
    assert found.agreement.mean > LEAST_MEAN
    assert found.agreement.lowest < LEAST_LOWEST


def test_a_mask_of_ones_changes_no_bit():
    moving, fixed, truth = deformed_pair()
    plain = refine_by_composition(0.5 * truth, moving, fixed)
    ones = torch.ones_like(moving)
    masked = refine_by_composition(0.5 * truth, moving, fixed, moving_mask=ones, fixed_mask=ones)
    assert torch.equal(plain.displacement, masked.displacement)


def test_a_region_without_data_pulls_nothing():
    """A part of the moving image that was cut off does not change what is found far from it."""
    moving, fixed, truth = deformed_pair()
    mask = torch.ones_like(moving)
    mask[:, :, :14] = 0
    cut = torch.where(mask > 0, moving, 0.0)
    found = refine_by_composition(0.5 * truth, cut, fixed, moving_mask=mask)
    kept = (..., slice(24, -8), slice(8, -8), slice(8, -8))
    assert float((found.displacement - truth)[kept].norm(dim=1).mean()) < 0.1
    assert determinants(found.displacement).min() > 0


def test_well_matched_images_are_refined_more_smoothly():
    for stride, high, low in ((2, 0.99, 0.80), (1, 0.9, 0.75)):
        assert smoothness_for(well_matched(high, stride), stride).step == pytest.approx(3.0)
        assert smoothness_for(well_matched(low, stride), stride).step < 1.6


def test_small_images_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(refinement, "FEWEST_VOXELS", 41)
    moving, fixed, truth = deformed_pair()
    found = refine_by_composition(truth, moving, fixed)
    assert found.displacement is truth
    assert found.agreement is None


def two_contrasts():
    """Return moving and fixed image of two contrasts, and the displacement between them."""
    moving, fixed, truth = deformed_pair()
    return moving, (0.5 + 0.4 * torch.sin(5 * fixed)), truth


def preferring(name, seen):
    def choose(found):
        seen.append(list(found))
        return name

    return choose


def test_two_contrasts_are_refined_if_that_is_preferred():
    moving, fixed, truth = two_contrasts()
    start, seen, shares = -0.4 * truth, [], []
    found = refine_by_composition(
        start,
        moving,
        fixed,
        choose=preferring("refined", seen),
        progress=lambda share, text: shares.append(share),
    )
    assert found.agreement.mean < LEAST_MEAN
    assert seen == [["unrefined", "refined"]]
    assert found.refined
    assert found.shown in ("moving", "fixed")
    assert found.correlation[1] > found.correlation[0]
    assert error(found.displacement, truth) < 0.25 * error(start, truth)
    assert determinants(found.displacement)[INNER].min() > 0
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("poor", ["moving", "fixed"])
def test_the_image_that_tells_more_tissues_apart_is_transferred(poor):
    """Two tissues that are equal in one image cannot be told apart in it."""
    moving, fixed, truth = deformed_pair()
    if poor == "fixed":
        fixed = 0.5 + 0.4 * torch.sin(8 * fixed)
    else:
        moving = 0.5 + 0.4 * torch.sin(8 * moving)
    found = refine_by_composition(0 * truth, moving, fixed, choose=preferring("refined", []))
    assert found.shown == ("fixed" if poor == "moving" else "moving")


def test_two_contrasts_stay_if_that_is_preferred():
    moving, fixed, truth = two_contrasts()
    seen, start = [], -0.4 * truth
    found = refine_by_composition(start, moving, fixed, choose=preferring("unrefined", seen))
    assert seen
    assert not found.refined
    assert torch.equal(found.displacement, start)


def test_well_matched_images_of_two_contrasts_are_left_as_they_are():
    moving, fixed, truth = two_contrasts()
    seen = []
    found = refine_by_composition(truth, moving, fixed, choose=preferring("refined", seen))
    assert not found.refined
    assert not seen
