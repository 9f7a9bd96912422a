import pytest
import torch

from zoo.errors import UserError
from zoo.geometry.sampling import identity_index, sample, sample_nearest
from zoo.losses import LNCC, folded_share
from zoo.synthesis import REGIONS, draw_pair

SHAPE = (40, 32, 36)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("pairing", ["inter", "intra"])
def test_the_moving_image_warped_by_the_truth_is_the_fixed_image(region, pairing):
    pair = draw_pair(5, SHAPE, region=region, pairing=pairing)
    index = identity_index(SHAPE) + pair.truth[None]
    measure = LNCC(2)
    before = float(measure(pair.moving[None], pair.fixed[None]))
    after = float(measure(sample(pair.moving[None], index), pair.fixed[None]))
    assert after < before

    inside = ((index >= 0) & (index <= torch.tensor(SHAPE).view(1, 3, 1, 1, 1) - 1)).all(1)[0]
    warped_labels = sample_nearest(pair.moving_labels[None, None], index)[0, 0]
    assert (warped_labels == pair.fixed_labels)[inside].float().mean() > 0.999


def test_the_truth_never_folds():
    shares = [
        folded_share(draw_pair(seed, SHAPE, pairing="inter").truth[None]) for seed in range(8)
    ]
    assert max(shares) == 0


def test_inter_subject_pairs_differ_more_than_intra_subject_ones():
    def mean_displacement(pairing):
        pairs = [draw_pair(seed, SHAPE, pairing=pairing) for seed in range(12)]
        return sum(
            float((p.truth - p.truth.mean((1, 2, 3), True)).norm(dim=0).mean()) for p in pairs
        )

    assert mean_displacement("inter") > 1.15 * mean_displacement("intra")


def test_equal_seeds_give_equal_pairs_and_other_seeds_other_pairs():
    first, again, other = (draw_pair(seed, SHAPE, contrasts=2) for seed in (3, 3, 4))
    for name in ("fixed", "moving", "fixed_labels", "moving_labels", "truth"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.moving, other.moving)


def test_contrasts_of_a_subject_share_one_geometry_but_not_their_intensities():
    pair = draw_pair(1, SHAPE, contrasts=3, region="brain")
    assert pair.fixed.shape == pair.moving.shape == (3, *SHAPE)
    one, two = pair.fixed[0].flatten(), pair.fixed[1].flatten()
    assert float(torch.corrcoef(torch.stack([one, two]))[0, 1]) < 0.98
    labels = pair.fixed_labels.flatten().long()
    for image in pair.fixed:
        # Structures explain most of the variance of each contrast.
        count = torch.bincount(labels).clamp_min(1)
        mean = torch.bincount(labels, image.flatten()) / count
        rest = image.flatten() - mean[labels]
        assert float(rest.var() / image.var()) < 0.5


def test_a_layered_body_has_fluid_outside_that_is_dark_in_some_contrasts():
    dark = bright = 0
    for seed in range(12):
        pair = draw_pair(seed, SHAPE, contrasts=3, region="brain", clean=True, layered=True)
        body = pair.moving_labels > 0
        around = torch.nn.functional.max_pool3d((~body)[None].float(), 3, 1, 1)[0] > 0
        edge = pair.moving_labels[body & around]
        fluid = int(pair.moving_labels.max())
        assert (edge >= fluid - 1).float().mean() > 0.8  # fluid, or the cortex where there is none
        level = torch.stack([image[pair.moving_labels == fluid].mean() for image in pair.moving])
        dark += int((level < 0.25).sum())
        bright += int((level > 0.4).sum())
    assert dark > 5
    assert bright > 5


def test_a_layered_pair_has_other_labels_and_a_true_displacement():
    plain, layered = (draw_pair(8, SHAPE, region="brain", layered=k) for k in (False, True))
    assert not torch.equal(plain.moving_labels, layered.moving_labels)
    index = identity_index(SHAPE) + layered.truth[None]
    inside = ((index >= 0) & (index <= torch.tensor(SHAPE).view(1, 3, 1, 1, 1) - 1)).all(1)[0]
    warped_labels = sample_nearest(layered.moving_labels[None, None], index)[0, 0]
    assert (warped_labels == layered.fixed_labels)[inside].float().mean() > 0.999
    assert folded_share(layered.truth[None]) == 0


def test_the_images_of_a_clean_pair_differ_by_the_deformation_alone():
    clean, noisy = (draw_pair(4, SHAPE, contrasts=2, clean=c) for c in (True, False))
    assert torch.equal(clean.truth, noisy.truth)
    index = identity_index(SHAPE) + clean.truth[None]
    inside = ((index >= 0) & (index <= torch.tensor(SHAPE).view(1, 3, 1, 1, 1) - 1)).all(1)[0]

    def rest(pair):
        return (sample(pair.moving[None], index)[0] - pair.fixed)[:, inside].abs().mean()

    assert rest(clean) < 1e-3 < 0.01 < rest(noisy)


def test_images_are_in_the_range_that_networks_expect():
    for seed in range(6):
        pair = draw_pair(seed, SHAPE, contrasts=2)
        both = torch.stack([pair.fixed, pair.moving])
        assert torch.isfinite(both).all()
        assert float(both.min()) >= 0
        assert float(both.max()) <= 1
        assert (both.flatten(2).std(dim=2) > 0.01).all()


@pytest.mark.parametrize("region", ["brain", "cardiac"])
def test_subjects_of_a_region_are_ct_with_its_probability(region):
    pairs = [draw_pair(seed, (24, 24, 24), region=region, clean=True) for seed in range(60)]
    # Soft tissue of about 50 HU lies halfway between air and bone: most of the body, in CT alone.
    bodies = [pair.fixed[0][pair.fixed_labels > 0] for pair in pairs]
    ct = [float(((body - 0.52).abs() < 0.1).float().mean()) > 0.6 for body in bodies]
    assert sum(ct) / len(ct) == pytest.approx(REGIONS[region].ct, abs=0.15)


@pytest.mark.parametrize("wrong", [{"region": "knee"}, {"pairing": "same"}])
def test_an_unknown_name_is_refused_with_the_known_ones(wrong):
    with pytest.raises(UserError, match=r"inter|brain"):
        draw_pair(0, SHAPE, **wrong)
