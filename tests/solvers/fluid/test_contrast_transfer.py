"""The transfer of a contrast: known values of tissues, borders, displaced and missing regions."""

import pytest
import torch

from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.solvers.fluid import contrast_transfer
from zoo.solvers.fluid.contrast_transfer import transferred
from zoo.solvers.fluid.steps import LevelImages

SHAPE = (40, 36, 44)
STILL = torch.zeros(1, 3, *SHAPE)
ONE, OTHER = (0.2, 0.8, 0.5), (0.9, 0.3, 0.1)
"""The values of three tissues in two contrasts."""


def tissues():
    """Return the tissue of each voxel: the second is a bar in the first, beside it is the third."""
    labels = torch.zeros(SHAPE, dtype=torch.long)
    labels[8:20, 6:30] = 1
    labels[26:36, 6:30, 8:36] = 2
    return labels


def image(labels, values):
    """Return an image [1, 1, X, Y, Z] of the tissues, blurred as by partial volume."""
    sharp = torch.tensor(values)[labels][None, None]
    return separable_filter(sharp, [gaussian_taps(0.7)] * 3, edge="replicate")


def pair(moving, fixed):
    return LevelImages(moving, fixed, torch.ones_like(moving), torch.ones_like(fixed))


@pytest.mark.parametrize("shown", ["moving", "fixed"])
def test_an_image_is_shown_in_the_contrast_of_the_other_one(shown):
    moving, fixed = image(tissues(), ONE), image(tissues(), OTHER)
    found = transferred(pair(moving, fixed), STILL, shown)
    changed, kept = (
        (found.moving, found.fixed) if shown == "moving" else (found.fixed, found.moving)
    )
    assert torch.equal(kept, fixed if shown == "moving" else moving)
    assert float((changed - kept).abs().mean()) < 0.02
    assert float((changed - kept).abs().max()) < 0.3


def test_a_border_is_told_from_the_tissue_that_has_its_value(monkeypatch):
    """The border of the first two tissues has the value of the third, which is dark in `OTHER`."""
    moving, fixed = image(tissues(), ONE), image(tissues(), OTHER)
    border = ((moving - 0.5).abs() < 0.2) & (tissues() < 2)[None, None]
    border[:, :, 24:] = False
    assert int(border.sum()) > 300

    def error():
        return float(
            (transferred(pair(moving, fixed), STILL, "moving").moving - fixed)[border].abs().mean()
        )

    with_gradient = error()
    monkeypatch.setattr(contrast_transfer, "STEEPEST", 1e6)
    assert with_gradient < 0.5 * error()


@pytest.mark.parametrize("shown", ["moving", "fixed"])
def test_the_displacement_says_where_the_images_show_the_same_place(shown):
    labels = tissues()
    moving, fixed = image(torch.roll(labels, 5, 0), ONE), image(labels, OTHER)
    displacement = STILL.clone()
    displacement[:, 0] = 5
    images = pair(moving, fixed)
    inner = (..., slice(6, -6), slice(4, -4), slice(4, -4))
    errors = []
    for field in (displacement, STILL):
        found = transferred(images, field, shown)
        warped = torch.roll(found.moving, -5, 2)
        errors.append(float((warped - found.fixed)[inner].abs().mean()))
    assert errors[0] < 0.03
    assert errors[1] > 2 * errors[0]


@pytest.mark.parametrize("shown", ["moving", "fixed"])
def test_tissues_that_look_alike_are_told_apart_by_their_place(monkeypatch, shown):
    """Both ends have one value in one image, and are dark and bright in the other one."""
    monkeypatch.setattr(contrast_transfer, "REGION", 12)
    monkeypatch.setattr(contrast_transfer, "_FEW_IN_REGION", 1.0)  # of these few voxels
    labels = torch.zeros(SHAPE, dtype=torch.long)
    labels[4:12, 6:30, 6:38], labels[28:36, 6:30, 6:38] = 1, 2
    alike, different = image(labels, (0.1, 0.6, 0.6)), image(labels, (0.5, 0.1, 0.9))
    images = pair(alike, different) if shown == "moving" else pair(different, alike)
    found = transferred(images, STILL, shown)
    changed = found.moving if shown == "moving" else found.fixed
    for tissue in (1, 2):
        inside = (
            torch.nn.functional.max_pool3d((labels != tissue)[None, None].float(), 5, 1, 2) == 0
        )
        assert float((changed - different)[inside].abs().mean()) < 0.05


def test_regions_without_data_teach_nothing():
    labels = tissues()
    moving, fixed = image(labels, ONE), image(labels, OTHER)
    spoiled, mask = fixed.clone(), torch.ones_like(fixed)
    spoiled[:, :, :, 20:], mask[:, :, :, 20:] = 0.77, 0
    masked = transferred(LevelImages(moving, spoiled, torch.ones_like(mask), mask), STILL, "moving")
    cut = transferred(LevelImages(moving, fixed, torch.ones_like(mask), mask), STILL, "moving")
    assert torch.equal(masked.moving, cut.moving)
    assert float((masked.moving - fixed).abs().mean()) < 0.03


def test_an_intensity_that_was_never_seen_gets_a_value_between_those_that_were():
    labels = tissues()
    moving, fixed = image(labels, ONE), image(labels, OTHER)
    mask = torch.ones_like(moving)
    mask[:, :, 22:] = 0
    moving = torch.where(mask > 0, moving, 1.0)
    found = transferred(LevelImages(moving, fixed, mask, mask), STILL, "moving")
    assert found.moving.isfinite().all()
    assert 0 <= float(found.moving.min()) <= float(found.moving.max()) <= 1
