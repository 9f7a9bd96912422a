"""Optimising a displacement field for one pair."""

import pytest
import torch
from support.instance_cases import SHAPE, pair_with_map, seeded, texture, zeros

from zoo.geometry.displacement_maps import resize_displacement
from zoo.geometry.sampling import identity_index, sample
from zoo.losses import LNCC, NCC, folded_share
from zoo.losses.filters import gaussian
from zoo.solvers.instance import ImagePair, Misfit
from zoo.solvers.instance_field import refine_field


def error(displacement, truth):
    """Return the mean end-point error in voxels, away from the border."""
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4), slice(4, -4))
    return float((displacement - truth)[inner].norm(dim=1).mean())


@pytest.mark.parametrize(
    "similarity",
    ["lncc", "lncc2", "mind", "ncc", LNCC(2)],
    ids=lambda m: m if isinstance(m, str) else "own",
)
def test_refining_a_field_lowers_its_error_without_folding(phantom, similarity):
    pair, truth = phantom
    refined = refine_field(
        zeros(), pair, reverse=zeros(), similarity=similarity, generator=seeded(), learning_rate=0.2
    )
    assert refined.trace[-1].loss < refined.trace[0].loss
    assert error(zeros(), truth) > 1.7
    assert error(refined.displacement, truth) < 0.6
    assert folded_share(refined.displacement) == 0


def test_the_reverse_field_becomes_the_inverse(phantom):
    refined = refine_field(zeros(), phantom[0], reverse=zeros(), steps=60, generator=seeded())
    back = sample(refined.reverse, identity_index(SHAPE) + refined.displacement)
    assert error(refined.displacement, -back) < 0.5


def test_a_field_without_reverse_is_refined_in_one_direction(phantom):
    pair, truth = phantom
    refined = refine_field(zeros(), pair)
    assert refined.reverse is None
    assert error(refined.displacement, truth) < 0.8


def test_a_good_prediction_is_kept(phantom):
    pair, truth = phantom
    refined = refine_field(truth, pair)
    assert error(refined.displacement, truth) < 0.25


def test_voxels_outside_the_mask_do_not_count():
    """A patch of the fixed image is shifted by four voxels, as a moved lesion would be."""
    shape = (36, 29, 42)
    pair, truth = pair_with_map(shape)
    patch = (slice(None), slice(None), slice(12, 24), slice(8, 20), slice(14, 28))
    shift = torch.tensor([0.0, 4.0, 0.0]).view(1, 3, 1, 1, 1)
    fixed = pair.fixed.clone()
    fixed[patch] = texture(identity_index(shape) + truth + shift)[patch]
    mask = torch.ones_like(fixed)
    mask[:, :, 8:28, 4:24, 10:32] = 0
    unmasked, masked = (
        refine_field(zeros(shape), ImagePair(pair.moving, fixed, **masks), generator=seeded())
        for masks in ({}, {"fixed_mask": mask})
    )
    away = [(run.displacement - truth)[patch].norm(dim=1).mean() for run in (unmasked, masked)]
    assert float(away[1]) < 0.6 * float(away[0])


def test_labels_drive_the_refinement_of_constant_images():
    flat = torch.full((1, 1, 24, 24, 24), 0.5)
    moving, fixed = (torch.zeros(1, 1, 24, 24, 24, dtype=torch.long) for _ in range(2))
    moving[:, :, 6:16, 6:16, 6:16] = 3
    fixed[:, :, 9:19, 6:16, 6:16] = 3
    pair = ImagePair(flat, flat, moving_labels=moving, fixed_labels=fixed)
    start = torch.zeros(1, 3, 24, 24, 24)
    refined = refine_field(start, pair, dice_weight=1.0, regularity=0.1)
    shift = refined.displacement[0, :, 14, 11, 11]
    assert float(shift[0]) < -1.5
    assert float(shift[1:].abs().max()) < 0.5


def test_mass_is_conserved_on_request():
    """With conservation of mass, denser tissue is explained by compression."""
    generator = seeded(3)
    image = 0.3 + 0.1 * gaussian(torch.randn(1, 1, 24, 24, 24, generator=generator), 1.5)
    squeeze = 0.1 * (identity_index((24, 24, 24)) - 11.5)
    pair = ImagePair(image, image)
    plain, mass = (Misfit(pair, NCC(), both=False, mass=flag) for flag in (False, True))
    assert float(mass(torch.zeros_like(squeeze))) == pytest.approx(0, abs=1e-5)
    assert float(plain(squeeze)) > 0.1
    swelling = squeeze * (identity_index((24, 24, 24))[:, :1] > 12)
    assert float(mass(swelling)) != pytest.approx(float(plain(swelling)), abs=1e-3)


def test_both_directions_are_summed(phantom):
    pair, truth = phantom
    fields = torch.cat([truth, -truth])
    swapped = ImagePair(pair.fixed, pair.moving)
    one, other = (Misfit(p, LNCC(3), both=False) for p in (pair, swapped))
    expected = float(one(truth) + other(-truth))
    assert float(Misfit(pair, LNCC(3))(fields)) == pytest.approx(expected, rel=1e-5)


def test_a_seed_repeats_the_result_and_another_does_not(phantom):
    runs = [
        refine_field(zeros(), phantom[0], reverse=zeros(), steps=5, generator=seeded(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(runs[0].displacement, runs[1].displacement)
    assert runs[0].trace == runs[1].trace
    assert not torch.equal(runs[0].displacement, runs[2].displacement)


def test_the_number_of_threads_does_not_change_the_field(phantom):
    threads = torch.get_num_threads()
    fields = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            run = refine_field(zeros(), phantom[0], reverse=zeros(), steps=8, generator=seeded())
            fields.append(run.displacement)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(fields[0], fields[1], atol=1e-4, rtol=0)


def test_progress_reports_the_fraction_the_loss_and_the_folding(phantom):
    calls = []
    refine_field(zeros(), phantom[0], steps=4, progress=lambda *call: calls.append(call))
    assert [fraction for fraction, _ in calls] == [0.25, 0.5, 0.75, 1.0]
    assert all("loss 0." in text and "folding 0.000 %" in text for _, text in calls)


def test_a_field_is_the_same_map_at_another_size():
    """A linear field is linear in the same world points at every resolution."""
    shape, coarse = (20, 31, 26), (10, 16, 13)
    field = 0.1 * (identity_index(shape) + 0.5)
    centres = identity_index(coarse) + 0.5
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(resize_displacement(field, coarse)[inner], (0.1 * centres)[inner])
