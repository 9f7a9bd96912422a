"""The comparison of methods: one run in a child process."""

import numpy as np
import pytest
from benchmarks import peers
from benchmarks.harness.pairs import BenchPair, phantom_pairs, true_field
from benchmarks.peers import measure, register

from zoo.hub import bundle_names


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return phantom_pairs(tmp_path_factory.mktemp("phantoms"), [28], seed=3)[0]


def test_a_run_in_a_child_process_is_measured(pair):
    figures = measure("start", pair, threads=1, timeout=300)
    start = np.linalg.norm(true_field(pair), axis=-1).mean()
    assert figures["epe_mm"] == pytest.approx(start, 1e-4)
    assert figures["seconds"] > 0
    assert figures["peak_mib"] >= figures["idle_mib"] > 50


@pytest.mark.slow
def test_the_default_registration_reports_its_verdict_and_model(pair, monkeypatch):
    """In this process, because the other tests start one for each run."""
    monkeypatch.setattr(peers, "call", lambda _function, arguments, **_: register(**arguments))
    run = measure("normal", pair, threads=1, timeout=300)
    assert run["verdict"] in ("ok", "check", "failed")
    assert run["model"] in bundle_names()
    start = np.linalg.norm(true_field(pair), axis=-1).mean()
    assert run["error"] < start


def test_a_failure_is_recorded_with_its_reason(pair, tmp_path):
    lost = BenchPair("lost", tmp_path / "gone.nii.gz", pair.moving)
    run = measure("start", lost, threads=1, timeout=300)
    assert "gone.nii.gz" in run["failed"]
