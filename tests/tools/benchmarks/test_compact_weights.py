"""The remaining share of the error: all of it for the identity, none of it for the truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from benchmarks import compact_weights
from compact.recipes import RECIPES
from compact.start import new_training

from zoo.synthesis.subjects import draw_pair


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(compact_weights, "SUBJECTS", 1)
    monkeypatch.setattr("compact.validation.VALIDATION_PAIRS", 2)


def test_the_identity_leaves_all_of_the_error_and_the_truth_none(monkeypatch):
    training = new_training(RECIPES["multigradicon"])
    assert compact_weights.errors_by_contrast(training) == {"one contrast": 1.0, "two": 1.0}
    size = (compact_weights.SIZE,) * 3
    truth = draw_pair(compact_weights.FIRST_SEED, size, contrasts=3).truth[None]
    method = "zoo.training.objectives.GradICONObjective.displacement"
    monkeypatch.setattr(method, lambda *_: truth)
    assert compact_weights.errors_by_contrast(training) == {"one contrast": 0.0, "two": 0.0}


def test_each_task_is_measured_alone(monkeypatch):
    stage = replace(RECIPES["unireg-two"].stages[0], size=(16, 16, 16))
    training = new_training(replace(RECIPES["unireg-two"], stages=(stage,)))
    drawn = []

    def predict(self, pair, stage):
        drawn.append(pair.region)
        return torch.zeros_like(pair.truth)[None]

    monkeypatch.setattr("compact.unireg.UniRegTraining.predict", predict)
    errors = compact_weights.errors_by_task(training)
    assert errors == {"abdomen": 1.0, "brain": 1.0}
    assert drawn == ["abdomen", "abdomen", "brain", "brain"]
