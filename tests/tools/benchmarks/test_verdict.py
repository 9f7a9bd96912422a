"""The calibration of the verdict: its pairs, and the ROC of a measurement."""

import numpy as np
import pytest
from benchmarks.harness.spoiled_pairs import FAULTS, cases
from benchmarks.verdict import area, detections, roc

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
