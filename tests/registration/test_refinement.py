"""Refinement of a prediction for one pair, with masks and labels on the working grid."""

import pytest
import torch
from support.inferer_cases import ShiftAlong, brain_pair

from zoo.errors import UserError
from zoo.registration.gradicon import GradICONInferer
from zoo.registration.intensity import GradICONIntensity, UniRegIntensity
from zoo.registration.unireg import UniRegInferer
from zoo.registration.working_grid import AnatomicalFrame, NativeFrame, ResizedFrame
from zoo.solvers.affine import align_affine

FRAME = ResizedFrame((40, 36, 44))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refine": -1}, r"--refine -1 must be 0 \(prediction only\) or a positive number"),
        ({"refine_mode": "both"}, "'both' is not known; use field or weights"),
        ({"similarity": "ssd"}, "'ssd' is not known; use one of lncc, lncc2, mind"),
        ({"masking": "all"}, "masking 'all' is not known"),
        ({"refinement": {"dice": 1}}, "has no 'dice'; its keys are learning_rate"),
    ],
)
def test_unknown_options_are_refused_with_the_known_ones(options, message):
    with pytest.raises(UserError, match=message):
        GradICONInferer(NativeFrame(), **options)


@pytest.mark.parametrize(
    "inferer",
    [
        GradICONInferer(
            ResizedFrame((40, 40, 40)), refine=25, affine="none", bar=False,
            intensity=GradICONIntensity("mr"),
        ),
        UniRegInferer(
            AnatomicalFrame((40, 40, 40)), refine=25, affine="none", bar=False, inverse=True,
            intensity=UniRegIntensity("mr"), type="inter", region="brain",
        ),
    ],
    ids=["gradicon", "unireg"],
)  # fmt: skip
def test_refinement_of_a_poor_prediction_reduces_the_error_of_landmarks(inferer):
    pair, phantom = brain_pair()
    result = inferer(pair, ShiftAlong(0, 0.0))
    fixed, moving = phantom.fixed_points, phantom.moving_points
    before = (fixed - moving).norm(dim=1).mean()
    after = (result.transform.map_points(fixed) - moving).norm(dim=1).mean()
    assert after < 0.7 * before
    if inferer.inverse:
        after = (result.inverse.map_points(moving) - fixed).norm(dim=1).mean()
        assert after < 0.8 * before


@pytest.mark.parametrize("kind", [None, "com"])
def test_labels_for_the_loss_are_on_the_working_grid(kind):
    pair, phantom = brain_pair("labels")
    inferer = GradICONInferer(FRAME, affine="none", refine=1, refinement={"dice_weight": 1.0})
    alignment = None if kind is None else align_affine(
        phantom.fixed, phantom.fixed_grid, phantom.moving, phantom.moving_grid, kind
    )  # fmt: skip
    work = inferer.prepare(pair, alignment)
    assert work.labels.shape == work.image.shape
    for image, labels in zip(work.image[0], work.labels[0], strict=True):
        inside = labels > 0
        assert image[inside].mean() > 2 * image[~inside].mean()  # the body is bright


def test_a_dice_weight_needs_labels():
    pair, _ = brain_pair()
    inferer = GradICONInferer(FRAME, refinement={"dice_weight": 1.0})
    with pytest.raises(UserError, match="needs --fixed-labels"):
        inferer.prepare(pair, None)


def test_conservation_of_mass_needs_hounsfield_units():
    pair, _ = brain_pair()
    inferer = GradICONInferer(FRAME, refinement={"mass": True})
    with pytest.raises(UserError, match="not in Hounsfield units"):
        inferer.prepare(pair, None)


@pytest.mark.parametrize("masking", ["input", "both"])
def test_masking_of_the_input_needs_masks(masking):
    pair, _ = brain_pair()
    with pytest.raises(UserError, match=f"masking '{masking}' needs a mask: add --fixed-mask"):
        GradICONInferer(FRAME, masking=masking).prepare(pair, None)


@pytest.mark.parametrize("masking", ["loss", "input", "both"])
def test_masks_apply_to_the_loss_the_input_or_both(masking):
    pair, _ = brain_pair("mask")
    work = GradICONInferer(FRAME, masking=masking).prepare(pair, None)
    plain = GradICONInferer(FRAME).prepare(pair, None)
    assert (work.masks is None) == (masking == "input")
    expected = plain.image if masking == "loss" else plain.image * plain.masks
    assert torch.equal(work.image, expected)
    assert 0.01 < plain.masks.mean() < 0.99
