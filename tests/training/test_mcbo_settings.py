"""The space of MCBO's settings: everything in it is accepted by the solver."""

import json

import numpy as np
import pytest

from zoo.registration.mcbo import settings_of
from zoo.training.mcbo_settings import perturbed_changes, random_changes


@pytest.mark.parametrize("mode", ["accurate", "paper"])
def test_random_and_perturbed_settings_are_valid_settings_of_the_solver(mode):
    random = np.random.default_rng(0)
    levels = set()
    for _ in range(200):
        changes = random_changes(mode, random)
        settings = settings_of(mode, json.loads(json.dumps(changes)))
        levels |= {settings.levels}
        for _ in range(3):
            changes = perturbed_changes(mode, changes, random)
            settings_of(mode, json.loads(json.dumps(changes)))
        if "weights" in changes:
            assert sum(changes["weights"]) == pytest.approx(1)
            assert min(changes["weights"]) > 0
        assert all(2 <= n <= 6 for n in changes["reach"])
        assert 1 <= changes["mind_radius"] <= 3
    assert len(levels) == 5


@pytest.mark.parametrize("mode", ["accurate", "paper"])
def test_a_perturbation_changes_one_or_two_settings(mode):
    random = np.random.default_rng(1)
    start = random_changes(mode, random)
    counts = []
    for _ in range(100):
        changes = perturbed_changes(mode, start, random)
        assert changes.keys() == start.keys()
        counts.append(sum(changes[name] != start[name] for name in start))
    assert max(counts) == 2
    assert np.mean(counts) > 1  # at a limit a setting may stay as it is
