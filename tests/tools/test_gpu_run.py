"""The call for a GPU machine, rehearsed on the CPU with tiny sizes."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gpu_run
import pytest
import torch
from compact.anatomy import People
from compact.gradicon import FIRST_UNET
from compact.recipes import RECIPES, Stage
from safetensors.torch import load_file

from zoo.networks import GradICON, UniReg
from zoo.synthesis.anatomies import Anatomy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A recipe of shapes, few subjects, small models, and a state folder of its own.

    The clock advances by one second each time it is read. The number of steps that fit thus does
    not depend on the machine.
    """
    seconds = itertools.count()
    monkeypatch.setattr(gpu_run, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    monkeypatch.setattr(gpu_run, "PROBE_STEPS", 4)
    monkeypatch.setattr(gpu_run, "PROBE_FROM", 1)
    stage = Stage(30, (32, 32, 32), 1e-3, 1e-2, parts=1, batch=2, relative=True)
    recipe = replace(RECIPES["multigradicon-shapes"], stages=(stage, replace(stage, steps=10)))
    monkeypatch.setitem(RECIPES, "multigradicon-shapes", recipe)
    monkeypatch.setattr("compact.gradicon.CALIBRATION_STEPS", 2)
    monkeypatch.setattr("compact.gradicon.KEPT_SUBJECTS", 3)
    monkeypatch.setattr("compact.validation.VALIDATION_PAIRS", 2)
    monkeypatch.setattr(gpu_run, "read_people", lambda *_: People([], []))
    monkeypatch.setattr(gpu_run, "RESERVE_S", 2.0)
    monkeypatch.setattr(gpu_run, "TIMING_SHARE", 100.0)
    monkeypatch.setattr(gpu_run, "REPEATS", 1)
    models = {
        "unireg": lambda: UniReg(type="inter", region="brain"),
        "gradicon": lambda: GradICON(width=4),
    }
    monkeypatch.setattr(gpu_run, "MODELS", models)
    monkeypatch.setattr(gpu_run, "STORE", tmp_path / "store")
    return tmp_path / "store"


def call(out, minutes):
    words = ["--out", str(out), "--device", "cpu", "--recipe", "multigradicon-shapes"]
    gpu_run.main([*words, "--sizes", "66", "--batch", "2", "--minutes", str(minutes)])


@pytest.mark.slow
def test_all_parts_run_in_turn_and_a_second_call_goes_on(tmp_path, tiny, monkeypatch, capsys):
    monkeypatch.setattr(gpu_run, "run_tests", lambda report, _seconds: report.write_text("none"))
    out = tmp_path / "out"
    call(out, 0.5)
    names = {path.name for path in out.iterdir()}
    assert names == {
        *("tests.txt", "timings.json", "state.pt", "log.csv", "curve.png"),
        "model_compact.safetensors",
    }
    assert max(path.stat().st_size for path in out.iterdir()) < 16 * 2**20
    rows = json.loads((out / "timings.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["unireg", "gradicon"]
    assert all(0 < row["best_s"] <= row["mean_s"] for row in rows)
    *_, last = csv.DictReader((out / "log.csv").open())
    assert "from model_compact.safetensors" in capsys.readouterr().out

    tiny.mkdir()
    (tiny / "state.pt").write_bytes((out / "state.pt").read_bytes())
    before = load_file(out / "model_compact.safetensors")
    call(tmp_path / "again", 0.4)
    assert "from state.pt" in capsys.readouterr().out
    after = load_file(tmp_path / "again/model_compact.safetensors")
    name = f"{FIRST_UNET}downConvs.1.weight"
    start = load_file(ROOT / "bundles/multigradicon/models/model_compact.safetensors")
    assert not torch.equal(before[name], start[name])
    assert not torch.equal(after[name], before[name])
    assert int(last["stage"]) >= 0


def test_the_recipe_is_shortened_to_the_steps_that_fit():
    recipe = RECIPES["multigradicon-anatomy"]
    steps = [stage.steps for stage in gpu_run.shortened(recipe, 1000).stages]
    assert sum(steps) == 1000
    assert steps[0] == 667  # two thirds, as in the recipe
    assert all(stage.steps == 1 for stage in gpu_run.shortened(recipe, 1).stages)


def test_models_are_skipped_once_the_time_is_up(tiny):
    rows = gpu_run.time_models("cpu", [66], -1.0)
    assert all("time for this part" in row["skipped"] for row in rows)


def test_the_rate_of_rendering_counts_pairs_of_each_kind(monkeypatch):
    monkeypatch.setattr(gpu_run, "CROP", (16, 16, 16))
    labels = torch.randint(0, 5, (12, 12, 12)).byte()
    head = Anatomy(labels, torch.full((3,), 4.0, dtype=torch.float64))
    ct = replace(head, ct=200 * labels.short() - 300)
    rows = gpu_run.rendering_rates(People([head, head], [ct, ct]), "cpu")
    names = {row["rendering"] for row in rows}
    assert names == {
        f"{kind}, {n}" for kind in ("heads", "CT") for n in ("one person", "two persons")
    }
    assert all(row["pairs_per_s"] > 0 for row in rows)
    assert gpu_run.rendering_rates(People([], [ct]), "cpu") == []


def test_the_tests_for_cuda_are_found_and_run(tmp_path, monkeypatch, capsys):
    called = []

    def run(command, **settings):
        called.append((command, settings["timeout"]))

    monkeypatch.setattr(subprocess, "run", run)
    gpu_run.run_tests(tmp_path / "tests.txt", 50.0)
    ((command, timeout),) = called
    assert timeout == 50.0
    names = {Path(word).name for word in command if word.endswith(".py")}
    assert {"test_cuda.py", "test_unireg.py", "test_rendered_pairs.py"} <= names


def test_the_script_needs_an_output_folder():
    script = ROOT / "tools/gpu_run.sh"
    text = script.read_text()
    assert "gpu_run.py" in text
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
