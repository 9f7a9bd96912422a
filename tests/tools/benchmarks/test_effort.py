"""The table of the efforts: which candidate is chosen, and its regret."""

import pytest
from benchmarks.effort import chosen, markdown, regret


def run(method, error, criterion=None):
    spread = {"sd_log_jacobian": 0.2, "sd_log_jacobian_body": 0.3}
    judged = {} if criterion is None else {"residual": criterion / 0.3, "criterion": criterion}
    figures = {"error": error, "dice": 1 - error, "folding_percent": 0.0}
    return {"pair": "p", "method": method, "cpu_seconds": 9.0, **figures, **spread, **judged}


def test_the_regret_is_the_excess_over_the_best_planned_candidate():
    runs = [
        run("fast", 0.5),
        run("search", 0.4, 0.02),
        run("refined", 0.44, 0.01),
        run("network", 0.3, 0.001),
    ]
    methods = {r["method"]: r for r in runs}
    assert chosen(methods) == "refined"
    assert regret(methods) == pytest.approx(0.1)
    assert "| p | refined | 10.0 | 1.000 | 1.136 |" in markdown(runs)


def test_a_search_that_is_not_refined_is_chosen_without_regret():
    runs = [run("fast", 0.4), run("search", 0.4, 0.02)]
    assert "| p | search | 0.0 | 1.000 | 1.000 |" in markdown(runs)


def test_a_thorough_refinement_is_chosen_from_instead_of_the_usual_one():
    runs = [
        run("fast", 0.5),
        run("search", 0.4, 0.02),
        run("refined", 0.3, 0.011),
        run("thorough", 0.25, 0.01),
    ]
    methods = {r["method"]: r for r in runs}
    assert chosen(methods) == "thorough"
    assert regret(methods) == 0
    assert "| p | thorough | 0.0 | 0.833 | 1.667 |" in markdown(runs)
    assert "best 0.833, fast 1.667, thorough 0.833 (1 pairs). Regret: 0.0 %" in markdown(runs)


def test_without_the_margin_the_smaller_criterion_is_chosen():
    runs = [run("fast", 0.5), run("search", 0.4, 0.009), run("refined", 0.3, 0.01)]
    methods = {r["method"]: r for r in runs}
    assert regret(methods) == 0
    assert regret(methods, margin=False) == pytest.approx(1 / 3)
