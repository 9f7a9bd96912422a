"""Pairs rendered from anatomy: the truth matches, two persons share labels, contrasts differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.geometry.sampling import identity_index, sample, sample_nearest
from zoo.losses import folded_share
from zoo.synthesis import rendered_pairs
from zoo.synthesis.acquisition import missing_part, thick_slices, with_lesion
from zoo.synthesis.anatomies import Anatomy
from zoo.synthesis.ct import KNOTS, ct_contrasts, draw_curves
from zoo.synthesis.label_maps import draw_values, label_contrasts, without_skull
from zoo.synthesis.random_numbers import Random
from zoo.synthesis.rendered_pairs import draw_deformed_person, draw_two_persons
from zoo.synthesis.subjects import draw_pair
from zoo.synthesis.views import draw_view, sample_view, seen_index

SHAPE = (40, 32, 36)
CODES = torch.tensor([0, 2, 3, 4, 10, 11, 17, 24, 41, 42, 43, 49, 50, 53, 207, 211, 215, 16])


def head(seed: int, device: str = "cpu") -> Anatomy:
    """Return a head whose structures are random shapes."""
    shape = draw_pair(seed, (60, 56, 52), region="brain", layered=True).moving_labels
    codes = CODES[shape.long() % len(CODES)].byte() * (shape > 0)
    return Anatomy(codes.to(device), torch.tensor([3.0, 3.0, 3.5], dtype=torch.float64))


def ct(seed: int, device: str = "cpu") -> Anatomy:
    """Return a CT of random shapes, with its first structures as organs."""
    pair = draw_pair(seed, (60, 56, 40), region="head", clean=True)
    units = (pair.moving[0] * 2000 - 1000).round().short()
    labels = pair.moving_labels * (pair.moving_labels < 8)
    spacing = torch.tensor([4.0, 4.0, 2.5], dtype=torch.float64)
    return Anatomy(labels.to(device), spacing, units.to(device))


KINDS = pytest.mark.parametrize("person", [head, ct])


@pytest.fixture
def undisturbed(monkeypatch):
    """Images as they are before the scanner."""
    monkeypatch.setattr(rendered_pairs, "acquired", lambda _random, image, _is_ct: image)


@KINDS
@pytest.mark.parametrize("seed", range(4))
def test_the_moving_image_warped_by_the_truth_is_the_fixed_image(undisturbed, person, seed):
    pair = draw_deformed_person(seed, person(seed), SHAPE, contrasts=2)
    index = identity_index(SHAPE) + pair.truth[None]
    inside = ((index >= 0) & (index <= torch.tensor(SHAPE).view(1, 3, 1, 1, 1) - 1)).all(1)[0]
    for fixed, moving in zip(pair.fixed, pair.moving, strict=True):
        warped = sample(moving[None, None], index)[0, 0]
        after = (warped - fixed)[inside].abs().mean()
        before = (moving - fixed)[inside].abs().mean()
        assert after < 0.6 * before  # the rest is interpolation
    body = sample_nearest(pair.moving_labels[None, None], index)[0, 0]
    assert (body == pair.fixed_labels)[inside].float().mean() > 0.95
    assert folded_share(pair.truth[None]) == 0


@KINDS
def test_a_view_shows_the_anatomy_at_the_points_that_its_matrix_says(person):
    one = person(0)
    random = Random(3)
    view = draw_view(random, (torch.zeros(3).double(), 100 * torch.ones(3).double()), SHAPE, (2, 3))
    index = seen_index(view, one.spacing, SHAPE, "cpu")
    voxel = torch.tensor([7, 20, 11, 1], dtype=torch.float64)
    expected = (view @ voxel)[:3] / one.spacing
    torch.testing.assert_close(index[0, :, 7, 20, 11].double(), expected, atol=1e-4, rtol=0)


def test_a_coarse_view_averages_the_voxels_that_it_covers():
    image = torch.rand(1, 12, 12, 12)
    coarse = torch.nn.functional.avg_pool3d(image[None], 2)[0]
    index = 2 * identity_index((6, 6, 6)) + 0.5
    seen = sample_view(image, index, torch.zeros(1), (2, 2, 2))
    torch.testing.assert_close(seen, coarse)
    outside = sample_view(image, index + 100, torch.tensor([0.7]), (2, 2, 2))
    torch.testing.assert_close(outside, torch.full_like(outside, 0.7))


@KINDS
def test_two_persons_share_labels_and_are_roughly_aligned(person):
    overlaps = []
    for seed in range(4):
        one = person(seed)
        same = draw_two_persons(seed, one, one, SHAPE, contrasts=2)
        assert same.fixed.shape == same.moving.shape == (2, *SHAPE)
        fixed, moving = same.fixed_labels > 0, same.moving_labels > 0
        both = (fixed & moving).sum()
        overlaps.append(float(2 * both / (fixed.sum() + moving.sum()).clamp_min(1)))
        assert not torch.equal(same.fixed_labels, same.moving_labels)
    assert sum(overlaps) / len(overlaps) > 0.5


@KINDS
def test_equal_seeds_give_equal_pairs_and_images_are_in_range(person):
    one, two = person(0), person(1)
    for seed in range(4):
        first, again = (draw_deformed_person(seed, one, SHAPE, contrasts=3) for _ in range(2))
        assert torch.equal(first.fixed, again.fixed)
        assert torch.equal(first.truth, again.truth)
        persons, repeated = (draw_two_persons(seed, one, two, SHAPE) for _ in range(2))
        assert torch.equal(persons.moving, repeated.moving)
        for images in (first.fixed, first.moving, persons.fixed, persons.moving):
            assert torch.isfinite(images).all()
            assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert not torch.equal(first.fixed, draw_deformed_person(9, one, SHAPE, contrasts=3).fixed)


def test_curves_of_a_ct_are_those_of_numpy_and_half_are_monotone():
    units = torch.randint(-1500, 3000, (6, 7, 5), generator=torch.Generator().manual_seed(0))
    curves = draw_curves(Random(2), 3)
    images = ct_contrasts(units.short(), curves)
    for image, curve in zip(images, curves, strict=True):
        expected = np.interp(units.numpy(), KNOTS, curve.numpy())
        np.testing.assert_allclose(image.numpy(), expected, atol=1e-5)
    drawn = torch.cat([draw_curves(Random(seed), 3)[1:] for seed in range(60)])
    monotone = (drawn[:, 1:].diff(dim=1) >= 0).all(dim=1).float().mean()
    assert 0.35 < float(monotone) < 0.65
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1


def test_both_sides_of_the_brain_look_alike_and_contrasts_do_not():
    values = draw_values(Random(1), 2)
    assert torch.equal(values[:, 42], values[:, 3])
    assert not torch.equal(values[0], values[1])
    labels = head(0).labels
    images = label_contrasts(Random(1), labels, values)
    for image, value in zip(images, values, strict=True):
        assert float(image[labels == 0].abs().max()) == 0
        mean = torch.stack([image[labels == code].mean() for code in (2, 10, 24)])
        torch.testing.assert_close(mean, value[[2, 10, 24]], atol=0.05, rtol=0)


def test_without_the_skull_no_tissue_outside_the_brain_is_left():
    labels = head(0).labels
    shown = [without_skull(Random(seed), labels) for seed in range(12)]
    assert all(int(one.max()) < 200 for one in shown)
    assert all(torch.equal(one[labels == 2], labels[labels == 2]) for one in shown)
    assert 0 < sum(bool((one == 24).any()) for one in shown) < len(shown)


def test_disturbances_change_what_they_say():
    image = 0.2 + 0.5 * torch.rand(24, 28, 26, generator=torch.Generator().manual_seed(0))
    cut = missing_part(Random(0), image)
    gone = cut == 0
    assert 0.08 < float(gone.float().mean()) < 0.45
    assert torch.equal(cut[~gone], image[~gone])

    thick = thick_slices(Random(0), image)
    smooth = [
        float(thick.diff(dim=k).abs().mean() / image.diff(dim=k).abs().mean()) for k in range(3)
    ]
    thin, *others = sorted(smooth)
    assert thin < 0.7 * min(others)

    images = torch.stack([image, image])
    ill = with_lesion(Random(0), images)
    changed = (ill - images).abs() > 0.05
    assert 0 < float(changed[0].float().mean()) < 0.4
    inside = ((ill - images).abs() > 0).all(dim=0) & changed.any(dim=0)
    assert float((ill[0] - ill[1])[inside].abs().max()) > 0.05  # another value in each contrast


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@KINDS
def test_cuda_renders_pairs_of_the_same_kind(person):
    one, two = person(0, "cuda"), person(1, "cuda")
    pair = draw_deformed_person(0, one, SHAPE, contrasts=2)
    again = draw_deformed_person(0, one, SHAPE, contrasts=2)
    assert pair.fixed.is_cuda
    assert torch.equal(pair.fixed, again.fixed)
    index = identity_index(SHAPE, device="cuda") + pair.truth[None]
    body = sample_nearest(pair.moving_labels[None, None], index)[0, 0]
    assert (body == pair.fixed_labels).float().mean() > 0.9
    persons = draw_two_persons(0, one, two, SHAPE)
    assert torch.isfinite(persons.moving).all()
