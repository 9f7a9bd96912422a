import json

import numpy as np
import pytest
from PIL import Image
from scipy.stats import wilcoxon

from zoo import UserError
from zoo.evaluation.comparison import Run, compare_runs, draw_comparison, ranking, read_run
from zoo.io.atomic import write_json


def run(name, tre, dice=None, seconds=None):
    cases = {f"case{k}": {"tre_mm_after": float(v)} for k, v in enumerate(tre)}
    for k, value in enumerate(dice if dice is not None else []):
        cases[f"case{k}"]["dice_after"] = float(value)
    return Run(name, cases, {c: seconds for c in cases} if seconds else {})


@pytest.fixture
def runs():
    random = np.random.default_rng(1)
    hard = random.gamma(4, size=30)
    return [
        run("poor", hard + 3, 0.5 + 0.02 * random.normal(size=30), 1.0),
        run("good", hard, 0.8 + 0.02 * random.normal(size=30), 20.0),
        run("middle", hard + 1.5, 0.65 + 0.02 * random.normal(size=30), 4.0),
    ]


def test_the_better_run_is_ranked_higher(runs):
    found = compare_runs(runs)["ranking"]
    assert found["good"]["dice_after"] == pytest.approx(1)
    assert found["poor"]["dice_after"] == pytest.approx(0.1)
    assert found["good"]["overall"] > found["middle"]["overall"] > found["poor"]["overall"]


def test_scores_are_evenly_spaced_and_the_overall_one_is_their_geometric_mean():
    near = np.linspace(0, 1, 40)
    tables = {"dice_after": np.stack([near, near + 5, near + 10, near + 10])}
    tables["tre_mm_after"] = -tables["dice_after"][::-1]
    found = ranking(tables, [run(name, near) for name in "abcd"])
    assert found["a"]["dice_after"] == pytest.approx(0.1)
    assert found["b"]["dice_after"] == pytest.approx(0.4)
    assert found["c"]["dice_after"] == found["d"]["dice_after"] == pytest.approx((0.7 + 1) / 2)
    assert found["a"]["tre_mm_after"] == pytest.approx(0.85)
    assert found["a"]["overall"] == pytest.approx(np.sqrt(0.1 * 0.85))


def test_runs_that_do_not_differ_share_one_score():
    values = np.random.default_rng(0).normal(size=25)
    found = ranking(
        {"tre_mm_after": np.stack([values, values])}, [run("a", values), run("b", values)]
    )
    assert found["a"] == found["b"]
    assert found["a"]["overall"] == pytest.approx(0.55)


def test_the_paired_test_is_wilcoxons_on_the_shared_cases(runs):
    extra = Run("good", {**runs[1].figures, "only here": {"tre_mm_after": 99.0}}, {})
    result = compare_runs([runs[2], extra])
    row = next(t for t in result["tests"] if t["figure"] == "tre_mm_after")
    a, b = ([c["tre_mm_after"] for c in r.figures.values()] for r in (runs[2], runs[1]))
    assert result["left_out"] == {"middle": 0, "good": 1}
    assert row["n"] == 30
    assert row["p"] == pytest.approx(wilcoxon(a, b).pvalue)
    assert row["b_minus_a"] == pytest.approx(-1.5)
    assert row["b_better_percent"] == 100


def test_equal_runs_differ_with_p_1_and_keep_their_names_apart():
    result = compare_runs([run("a", [1, 2, 3]), run("a", [1, 2, 3])])
    assert [t["p"] for t in result["tests"]] == [1]
    assert list(result["summary"]) == ["a (1)", "a (2)"]


def test_a_case_without_the_figure_is_left_out_of_it(runs):
    lame = run("lame", [5.0] * 30)
    lame.figures["case3"]["tre_mm_after"] = None
    row = compare_runs([runs[0], lame])["tests"][0]
    assert (row["figure"], row["n"]) == ("tre_mm_after", 29)


def test_nothing_in_common_and_too_few_are_told(runs):
    other = Run("other", {"elsewhere": {"tre_mm_after": 1.0}}, {})
    with pytest.raises(UserError, match="no pair in common"):
        compare_runs([runs[0], other])
    with pytest.raises(UserError, match="two runs"):
        compare_runs(runs[:1])


def test_the_picture_shows_boxes_and_time(runs, tmp_path):
    draw_comparison(tmp_path / "c.png", runs, compare_runs(runs))
    with_time = np.asarray(Image.open(tmp_path / "c.png").convert("RGB"))
    assert with_time.std() > 20
    timeless = [Run(r.name, r.figures, {}) for r in runs]
    draw_comparison(tmp_path / "d.png", timeless, compare_runs(timeless))
    assert Image.open(tmp_path / "d.png").width < with_time.shape[1]


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
    with pytest.raises(UserError, match="holds no figures"):
        read_run(tmp_path / "empty")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"cases": [{"name": "a", "figures": {}}, {"name": "a", "figures": {}}]}, "called a"),
        ({"cases": [1, 2]}, "holds no figures"),
        ({"cases": [{"name": "a"}]}, "holds no figures"),
    ],
)
def test_a_file_that_holds_no_run_is_refused_in_words(tmp_path, written, words):
    write_json(tmp_path / "figures.json", written)
    with pytest.raises(UserError, match=words):
        read_run(tmp_path)
