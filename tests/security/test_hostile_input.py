"""Hostile bundles, plans, presets and arguments run nothing and write nothing elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.hostile_cases import DATA, EITHER, MARK, REFUSED
from support.planning_facts import fingerprint

from zoo.io.volume import write_volume
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import for_a_pair, make_plan
from zoo.synthesis.phantom import make_pair

pytestmark = pytest.mark.slow
TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of all cases, which run in one process with an audit hook."""
    root = tmp_path_factory.mktemp("hostile")
    pair = make_pair(1, shape=(10, 12, 10), contrasts=("ct", "ct"))
    for side in ("fixed", "moving"):
        grid = getattr(pair, f"{side}_grid")
        write_volume(root / f"{side}.nii.gz", getattr(pair, side), grid)
    facts = fingerprint("prostate", "mr", "us", "intra") | {"dataset": str(root / "data")}
    (root / "fingerprint.json").write_text(json.dumps(facts))
    plan = make_plan(facts, UserOptions(settings={"mode": "paper", "affine": "none"}))
    (root / "dataset-plan.json").write_text(json.dumps(plan))
    (root / "pair-plan.json").write_text(json.dumps(for_a_pair(plan)))
    words = [root, root / "pair-plan.json", root / "dataset-plan.json"]
    done = subprocess.run(
        [sys.executable, "-m", "support.audited_child", *map(str, words)],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HOME": str(root / "home"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    marked = [path for path in root.rglob(f"*{MARK}*") if not {"input", "results"} & {*path.parts}]
    assert marked == []
    return json.loads(done.stdout.splitlines()[-1])


def test_a_good_bundle_is_registered_with_its_settings(results):
    assert results[0]["code"] == 0, results[0]


def test_there_are_many_cases_of_every_kind(results):
    names = [result["name"] for result in results]
    for kind, least in (("bundle", 150), ("register with a plan", 50), ("run with a plan", 20),
                        ("finetune with a plan", 20), ("preset", 20), ("--set", 40),
                        ("dataset", 100), ("table", 12), ("fingerprint", 40), ("result", 50),
                        ("evaluation", 30), ("weights", 12)):  # fmt: skip
        assert sum(name.startswith(kind) for name in names) >= least, kind


def test_the_audit_hook_notices_an_expression_that_does_run(results):
    assert results[1]["name"] == "control"
    assert any(event.startswith("compile") for event in results[1]["events"])


def test_no_case_runs_anything_or_writes_elsewhere(results):
    assert {r["name"]: r["events"] for r in results[2:] if r["events"]} == {}


def test_hostile_input_is_refused_with_a_message(results):
    wrong = [r for r in results[1:] if r["outcome"] == REFUSED and r["code"] != 2]
    assert wrong == []


def test_hostile_files_beside_the_data_are_never_opened(results):
    wrong = [r for r in results[1:] if r["outcome"] == DATA and r["code"] != 0]
    assert wrong == []


def test_no_input_causes_a_traceback(results):
    wrong = [r for r in results[1:] if r["outcome"] == EITHER and r["code"] not in (0, 2)]
    assert wrong == []
