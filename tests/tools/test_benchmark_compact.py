"""What is left of the error: all by a network that finds nothing, none by one that is told."""

from __future__ import annotations

from dataclasses import replace

import benchmark_compact
import pytest
import torch
from compact.recipes import RECIPES
from compact.training import new_training

from zoo.synthesis.subjects import draw_pair


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(benchmark_compact, "SUBJECTS", 1)
    monkeypatch.setattr("compact.training.VALIDATION", 2)


def test_a_network_that_finds_nothing_leaves_all_and_one_that_is_told_leaves_none(monkeypatch):
    training = new_training(RECIPES["multigradicon"])
    assert benchmark_compact.contrasts(training) == {"one contrast": 1.0, "two": 1.0}
    size = (benchmark_compact.SIZE,) * 3
    truth = draw_pair(benchmark_compact.FIRST, size, contrasts=3).truth[None]
    told = "zoo.training.objectives.GradICONObjective.displacement"
    monkeypatch.setattr(told, lambda *_: truth)
    assert benchmark_compact.contrasts(training) == {"one contrast": 0.0, "two": 0.0}


def test_each_task_is_measured_alone(monkeypatch):
    stage = replace(RECIPES["unireg-two"].stages[0], size=(16, 16, 16))
    training = new_training(replace(RECIPES["unireg-two"], stages=(stage,)))
    drawn = []

    def found(self, pair, stage):
        drawn.append(pair.region)
        return torch.zeros_like(pair.truth)[None]

    monkeypatch.setattr("compact.training.UniRegTraining.predict", found)
    left = benchmark_compact.tasks(training)
    assert left == {"abdomen": 1.0, "brain": 1.0}
    assert drawn == ["abdomen", "abdomen", "brain", "brain"]
