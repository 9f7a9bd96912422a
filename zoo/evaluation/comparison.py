"""The comparison of runs on the same pairs: paired tests and the ranking of Learn2Reg."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import UserError
from zoo.evaluation.figures import COMPARED, RANKED
from zoo.evaluation.runs import Run, with_unique_names
from zoo.evaluation.summary import summarise_figures

SIGNIFICANCE_LEVEL = 0.05


def compare_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """Return summaries, paired tests and ranks of several runs on the cases that all of them have.

    `left_out` counts the other cases of each run. Runs with the same name are numbered.
    """
    if len(runs) < 2:
        raise UserError("a comparison needs two runs or more; name another run")
    runs = with_unique_names(runs)
    shared = [case for case in runs[0].figures if all(case in run.figures for run in runs)]
    if not shared:
        raise UserError(
            f"the runs {', '.join(run.name for run in runs)} have no pair in common; compare runs "
            "on the same dataset"
        )
    tables = value_tables(runs, shared)
    if not tables:
        raise UserError(
            f"the runs {', '.join(run.name for run in runs)} have no figure in common; evaluate "
            "them with regzoo evaluate"
        )
    return {
        "cases": shared,
        "left_out": {run.name: len(run.figures) - len(shared) for run in runs},
        "summary": {r.name: summarise_figures([dict(r.figures[c]) for c in shared]) for r in runs},
        "seconds": {run.name: _mean_seconds(run, shared) for run in runs},
        "tests": [row for key, table in tables.items() for row in paired_tests(key, table, runs)],
        "ranking": ranking({key: tables[key] for key in RANKED if key in tables}, runs),
    }


def value_tables(runs: Sequence[Run], cases: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the values [run, case] of each compared figure, on the cases where all runs have it.

    Figures that no case has in all runs are left out.
    """
    out = {}
    for key in COMPARED:
        table = np.array(
            [[_nan_if_none(run.figures[case].get(key)) for case in cases] for run in runs],
            dtype=float,
        )
        table = table[:, np.isfinite(table).all(axis=0)]
        if table.shape[1]:
            out[key] = table
    return out


def _nan_if_none(value: float | None) -> float:
    return math.nan if value is None else value


def _mean_seconds(run: Run, cases: Sequence[str]) -> float | None:
    known = [run.seconds[case] for case in cases if case in run.seconds]
    return float(np.mean(known)) if known else None


def paired_tests(key: str, table: NDArray[np.float64], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return a row for each two runs: the mean difference, how often b is better, and p.

    p is that of Wilcoxon's two-sided signed-rank test over the pairs, and 1 if all pairs are equal.
    """
    from scipy.stats import wilcoxon

    rows = []
    for a, b in itertools.combinations(range(len(runs)), 2):
        differences = table[b] - table[a]
        p = float(wilcoxon(differences).pvalue) if np.any(differences) else 1.0
        rows.append(
            {
                "figure": key,
                "a": runs[a].name,
                "b": runs[b].name,
                "n": len(differences),
                "b_minus_a": float(differences.mean()),
                "b_better_percent": 100 * float((differences * COMPARED[key].better > 0).mean()),
                "p": p,
            }
        )
    return rows


def ranking(
    tables: Mapping[str, NDArray[np.float64]], runs: Sequence[Run]
) -> dict[str, dict[str, float]]:
    """Return each run's score per figure and overall, 0.1 to 1, as Learn2Reg ranks methods.

    `tables` has the values [run, case] of each figure. A run wins against another one if a
    rank-sum test finds it better with p < 0.05. The runs are ordered by their wins and get evenly
    spaced scores; runs with equal wins share their mean score. The overall score is the geometric
    mean over the figures.
    """
    scores: dict[str, dict[str, float]] = {run.name: {} for run in runs}
    steps = np.linspace(0.1, 1, len(runs))
    for key, table in tables.items():
        wins = np.array([_wins(k, table * COMPARED[key].better) for k in range(len(runs))])
        order = np.argsort(wins, kind="stable")
        for k, run in enumerate(runs):
            scores[run.name][key] = float(steps[wins[order] == wins[k]].mean())
    for row in scores.values():
        if row:
            row["overall"] = float(np.exp(np.mean(np.log(list(row.values())))))
    return scores


def _wins(run: int, goodness: NDArray[np.float64]) -> int:
    """Count the runs that `run` is significantly better than, by `goodness` [run, case]."""
    from scipy.stats import ranksums

    count = 0
    for other in range(len(goodness)):
        test = ranksums(goodness[run], goodness[other])
        count += bool(other != run and test.statistic > 0 and test.pvalue < SIGNIFICANCE_LEVEL)
    return count
