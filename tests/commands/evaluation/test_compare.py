"""`regzoo compare`: several evaluated runs on the same pairs."""

import json

import pytest
from support.command_line import refusal
from support.learn2reg_cases import write_dataset

from zoo.cli import run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    write_dataset(folder)
    return folder


@pytest.mark.slow
def test_runs_are_compared(dataset, tmp_path, capsys):
    for name in ("true", "zero", "sign"):
        words = [str(dataset / name), "--pairs", str(dataset / "pairs.csv")]
        assert run(["evaluate", *words]) == 0
    runs = [str(dataset / name) for name in ("true", "zero", "sign")]
    assert run(["compare", *runs, "--out", str(tmp_path / "c")]) == 0
    assert "2 pairs in common" in capsys.readouterr().out
    result = json.loads((tmp_path / "c" / "comparison.json").read_text())
    means = {name: row["tre_mm_after"]["mean"] for name, row in result["summary"].items()}
    assert means["true"] < means["zero"] < means["sign"]
    assert (tmp_path / "c" / "comparison.png").stat().st_size > 10_000


def test_runs_without_a_common_pair_are_refused(dataset, tmp_path, capsys):
    case = {"name": "other", "figures": {"dice_after": 0.5}}
    (tmp_path / "figures.json").write_text(json.dumps({"cases": [case]}))
    words = [dataset / "true", "--pairs", dataset / "pairs.csv"]
    assert run(["evaluate", *map(str, words)]) == 0
    error = refusal(capsys, "compare", dataset / "true", tmp_path)
    assert "have no pair in common" in error
