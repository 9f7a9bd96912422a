"""The calibration of the verdict: its pairs, and the ROC of a measurement."""

import numpy as np
import pytest
from benchmarks.harness.spoiled_pairs import FAULTS, cases
from benchmarks.verdict import area, detections, roc, true_error

from zoo.evaluation.metrics import landmark_errors
from zoo.geometry import Transform


def test_ten_seeds_give_good_and_spoiled_pairs_of_different_names():
    rows = list(cases(10))
    assert len({case.name for case in rows}) == len(rows) == 270
    assert sum(case.spoiled for case in rows) == 110


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_the_header_also_moves_the_landmarks(kind):
    spoiled = next(case for case in cases(1) if case.kind == kind).make()
    moving = spoiled.moving[0]
    index = moving.grid.to_index(spoiled.moving_points)
    assert tuple(moving.data.shape) == moving.grid.shape
    assert float(index.min()) > -30
    assert float((index - index.new_tensor(moving.grid.shape)).max()) < 40
    errors = landmark_errors(Transform.identity(), spoiled.fixed_points, spoiled.moving_points)
    moved = float(errors.mean()) > 10
    assert moved == kind.startswith(("header", "mirrored", "units", "scale"))


def test_the_roc_of_a_perfect_a_useless_and_a_reversed_score():
    spoiled = np.array([False] * 40 + [True] * 20)
    perfect, useless = spoiled.astype(float), np.zeros(60)
    assert (area(perfect, spoiled), detections(perfect, spoiled)) == (1, 1)
    assert (area(useless, spoiled), detections(useless, spoiled)) == (0.5, 0)
    assert area(-perfect, spoiled) == 0
    false, true = roc(perfect, spoiled)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


@pytest.mark.parametrize("kind", ["units x10", "units x0.1", "scale x3", "T1 and T1"])
def test_the_landmark_error_is_in_mm_of_the_anatomy_whatever_the_header_says(kind):
    pair = next(case for case in cases(1) if case.kind == kind).make()
    moving = pair.moving[0].grid
    shift = moving.linear @ moving.linear.new_tensor([1, 0, 0])  # one voxel of 2.5 mm
    mapped = (pair.moving_points + shift - pair.moving_points).norm(dim=1).mean()
    assert true_error({"kind": kind, "error_mm": float(mapped)}) == pytest.approx(2.5)
