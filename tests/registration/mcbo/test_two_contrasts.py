"""The refinement of two contrasts on an oblique, flipped, anisotropic pair with a known truth."""

from dataclasses import replace

import pytest
import torch
from support.inferer_cases import on_working_grid

from zoo.registration.mcbo import refined
from zoo.registration.mcbo.candidates import CLEARLY
from zoo.solvers.fluid import contrast, refinement
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def pair_and_truth():
    """A pair whose moving image has bright fluid, on its working grid, and its displacement."""
    phantom = make_pair(
        3,
        shape=(56, 44, 38),
        spacing=(2, 2.4, 2.9),
        axes="LPS",
        tilt_degrees=15,
        contrasts=("t1", "t2"),
        moving_shape=(50, 56, 42),
        moving_axes="PIR",
    )
    return on_working_grid(phantom)


@pytest.fixture(autouse=True)
def _small_images_are_refined(monkeypatch):
    monkeypatch.setattr(refinement, "FEWEST_VOXELS", 24)
    monkeypatch.setattr(contrast, "LEAST_LOWEST", 0.2)  # of few windows the lowest mean is low


def refine(displacement, work):
    return refined(displacement, work, lambda done, text: None)


@pytest.mark.parametrize(("share", "refines"), [(0.0, False), (-2.0, True)])
def test_what_the_held_out_features_prefer_is_kept(pair_and_truth, share, refines):
    """A start far from the truth is refined, one that the transfer would spoil is not."""
    work, truth = pair_and_truth
    start = share * truth
    found, notes = refine(start, work)
    choice = notes["contrast_transfer"]
    refused = choice["values"]["unrefined"] < CLEARLY * choice["values"]["refined"]
    assert choice["chosen"] == ("unrefined" if refused else "refined")
    assert notes["refined"] == (choice["chosen"] != "unrefined") == refines
    error = [float((d - truth).norm(dim=1).mean()) for d in (start, found)]
    if refines:
        assert error[1] < 0.8 * error[0]
    else:
        assert torch.equal(found, start)
    assert torch.equal(found, refine(start, work)[0])


def test_an_aligned_pair_is_left_alone(pair_and_truth):
    work, truth = pair_and_truth
    found, notes = refine(truth, work)
    assert not notes["refined"]
    assert torch.equal(found, truth)


def test_images_of_noise_are_left_alone(pair_and_truth):
    work, truth = pair_and_truth
    noise = torch.rand(work.image.shape, generator=torch.Generator().manual_seed(1))
    found, notes = refine(truth, replace(work, image=noise))
    assert not notes["refined"]
    assert "contrast_transfer" not in notes
    assert torch.equal(found, truth)
