"""Accuracy of displacement fields whose errors are known."""

import numpy as np
import pytest
import torch
from benchmarks.harness.accuracy import accuracy, interval_of_mean, mean_dice
from benchmarks.harness.pairs import phantom_pairs, true_field

from zoo.io.volume import read_volume
from zoo.measures.body import find_body


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return phantom_pairs(tmp_path_factory.mktemp("phantoms"), [28], seed=3)[0]


def test_the_true_field_has_no_error_and_the_identity_has_that_of_the_start(pair):
    truth = true_field(pair)
    best = accuracy(pair, truth)
    assert best["epe_mm"] == best["error"] == 0
    assert best["dice"] > 0.85
    assert best["folding_percent"] == 0
    start = accuracy(pair, np.zeros_like(truth))
    assert start["epe_mm"] == pytest.approx(np.linalg.norm(truth, axis=-1).mean(), rel=1e-5)
    assert start["dice"] < best["dice"]
    assert start["epe_body_mm"] == pytest.approx(start["epe_mm"], rel=0.3)
    assert start["epe_body_mm"] != start["epe_mm"]
    assert start["sd_log_jacobian"] == pytest.approx(0)


def test_folding_voxels_are_counted(pair):
    grid = read_volume(pair.fixed).grid
    field = np.zeros((*grid.shape, 3), np.float32)
    field[14:] = [-3 * grid.spacing[0], 0, 0]
    figures = accuracy(pair, field)
    assert figures["folding_percent"] == pytest.approx(100 * 2 / 28)
    body = find_body(read_volume(pair.fixed).data.float(), grid, 0, "fixed").mask > 0
    share = 100 * float(body[13:15].sum() / body.sum())
    assert figures["folding_body_percent"] == pytest.approx(share, rel=1e-5)


def test_dice_ignores_labels_that_are_small_or_missing_in_one_image():
    fixed = torch.zeros((20, 20, 20), dtype=torch.uint8)
    fixed[:10] = 1
    fixed[10:, :2, :2] = 2  # 40 voxels: too small
    fixed[10:, 10:] = 3
    moving = torch.where(fixed == 3, 0, fixed)
    warped = fixed.roll(5, dims=0)
    a, b = fixed == 1, warped == 1
    assert mean_dice(fixed, moving, warped) == pytest.approx(
        float(2 * (a & b).sum() / (a.sum() + b.sum()))
    )


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(3).normal(0.6, 0.2, 400)
    low, high = interval_of_mean(values)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert interval_of_mean(np.full(3, 0.5)) == (0.5, 0.5)
