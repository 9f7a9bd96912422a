import numpy as np
import pytest
from scipy.stats import wilcoxon
from support.comparison_cases import run_of, three_runs

from zoo import UserError
from zoo.evaluation.comparison import compare_runs, ranking
from zoo.evaluation.runs import Run


@pytest.fixture
def runs():
    return three_runs()


def test_the_better_run_is_ranked_higher(runs):
    scores = compare_runs(runs)["ranking"]
    assert scores["good"]["dice_after"] == pytest.approx(1)
    assert scores["poor"]["dice_after"] == pytest.approx(0.1)
    assert scores["good"]["overall"] > scores["middle"]["overall"] > scores["poor"]["overall"]


def test_scores_are_evenly_spaced_and_the_overall_one_is_their_geometric_mean():
    near = np.linspace(0, 1, 40)
    tables = {"dice_after": np.stack([near, near + 5, near + 10, near + 10])}
    tables["tre_mm_after"] = -tables["dice_after"][::-1]
    scores = ranking(tables, [run_of(name, near) for name in "abcd"])
    assert scores["a"]["dice_after"] == pytest.approx(0.1)
    assert scores["b"]["dice_after"] == pytest.approx(0.4)
    assert scores["c"]["dice_after"] == scores["d"]["dice_after"] == pytest.approx((0.7 + 1) / 2)
    assert scores["a"]["tre_mm_after"] == pytest.approx(0.85)
    assert scores["a"]["overall"] == pytest.approx(np.sqrt(0.1 * 0.85))


def test_runs_that_do_not_differ_share_one_score():
    values = np.random.default_rng(0).normal(size=25)
    scores = ranking(
        {"tre_mm_after": np.stack([values, values])}, [run_of("a", values), run_of("b", values)]
    )
    assert scores["a"] == scores["b"]
    assert scores["a"]["overall"] == pytest.approx(0.55)


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


def test_equal_runs_have_p_1_and_get_different_names():
    result = compare_runs([run_of("a", [1, 2, 3]), run_of("a", [1, 2, 3])])
    assert [t["p"] for t in result["tests"]] == [1]
    assert list(result["summary"]) == ["a (1)", "a (2)"]


def test_a_case_without_the_figure_is_left_out_of_it(runs):
    incomplete = run_of("incomplete", [5.0] * 30)
    incomplete.figures["case3"]["tre_mm_after"] = None
    row = compare_runs([runs[0], incomplete])["tests"][0]
    assert (row["figure"], row["n"]) == ("tre_mm_after", 29)


def test_runs_without_a_common_pair_and_a_single_run_are_refused(runs):
    other = Run("other", {"elsewhere": {"tre_mm_after": 1.0}}, {})
    with pytest.raises(UserError, match="no pair in common"):
        compare_runs([runs[0], other])
    with pytest.raises(UserError, match="two runs"):
        compare_runs(runs[:1])
