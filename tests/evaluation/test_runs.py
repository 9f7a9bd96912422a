import json

import pytest

from zoo import UserError
from zoo.evaluation.comparison import compare_runs
from zoo.evaluation.runs import read_run
from zoo.io.atomic import write_json


def test_runs_are_read_from_an_evaluation_and_from_results(tmp_path):
    (tmp_path / "a").mkdir()
    case = {"name": "x", "seconds": 2.0, "figures": {"dice_after": 0.5}}
    (tmp_path / "a" / "figures.json").write_text(json.dumps({"cases": [case]}))
    (tmp_path / "b" / "x").mkdir(parents=True)
    result = {"seconds": {"s": 3.0}, "figures": {"dice_after": 0.7}}
    (tmp_path / "b" / "x" / "result.json").write_text(json.dumps(result))
    one, two = read_run(tmp_path / "a"), read_run(tmp_path / "b")
    assert (one.name, one.seconds) == ("a", {"x": 2.0})
    assert (two.name, two.seconds) == ("b", {"x": 3.0})
    assert read_run(tmp_path / "a" / "figures.json").name == "a"
    (tmp_path / "a" / "figures.json").rename(tmp_path / "a" / "evaluation.json")
    assert read_run(tmp_path / "a") == one
    assert compare_runs([one, two])["tests"][0]["b_minus_a"] == pytest.approx(0.2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="contains no figures"):
        read_run(tmp_path / "empty")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"cases": [{"name": "a", "figures": {}}, {"name": "a", "figures": {}}]}, "called a"),
        ({"cases": [1, 2]}, "contains no figures"),
        ({"cases": [{"name": "a"}]}, "contains no figures"),
    ],
)
def test_a_file_without_a_run_is_refused(tmp_path, written, words):
    write_json(tmp_path / "figures.json", written)
    with pytest.raises(UserError, match=words):
        read_run(tmp_path)
