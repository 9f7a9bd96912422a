"""The record of runs, from which a benchmark is resumed."""

from pathlib import Path

from benchmarks.harness.pairs import BenchPair
from benchmarks.harness.runs import append_run, missing_runs, read_runs


def run(method, pair, repeat=0):
    return {"method": method, "pair": pair, "repeat": repeat}


def test_methods_take_turns_and_recorded_runs_are_not_repeated():
    pairs = [BenchPair(name, Path("f"), Path("m")) for name in "ab"]
    recorded = [run("x", "a"), run("y", "b", repeat=1)]
    missing = [(m, p.name, r) for m, p, r in missing_runs(recorded, ["x", "y"], pairs, 2)]
    assert missing == [
        ("y", "a", 0), ("x", "b", 0), ("y", "b", 0), ("x", "a", 1), ("y", "a", 1), ("x", "b", 1)
    ]  # fmt: skip


def test_runs_are_read_back(tmp_path):
    path = tmp_path / "new" / "runs.jsonl"
    assert read_runs(path) == []
    append_run(path, run("x", "a"))
    append_run(path, run("y", "a"))
    assert read_runs(path) == [run("x", "a"), run("y", "a")]
