"""Comparing runs on the same pairs: paired tests, Learn2Reg's ranking, a picture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import ranksums, wilcoxon

from zoo.errors import UserError
from zoo.evaluation.cases import read_result, summary
from zoo.evaluation.figures import BETTER, MAP_WORDS, RANKED, WORDS
from zoo.io.atomic import atomic_path

SIGNIFICANT = 0.05
WRITTEN = ("figures.json", "evaluation.json", "summary.json")
"""What `regzoo evaluate`, a bundle's evaluate.json and `regzoo run` write into a run's folder."""

COLOURS = ("#35618f", "#d98032", "#4f8f5b", "#9a5b9e", "#b8433f", "#5f6b76", "#8a7a3a", "#3c9aa0")


@dataclass(frozen=True)
class Run:
    """One method's cases by name: its figures, and the seconds each took if known."""

    name: str
    figures: Mapping[str, Mapping[str, float | None]]
    seconds: Mapping[str, float]


def read_run(path: Path) -> Run:
    """Read what `regzoo evaluate` wrote, or what registrations wrote, from a file or a folder.

    Of several files in a run's folder the newest one counts.
    """
    file = path
    if path.is_dir():
        written = [path / name for name in WRITTEN if (path / name).is_file()]
        file = max(written, key=lambda f: f.stat().st_mtime_ns, default=path)
    if file.is_dir():
        cases = [
            {"name": p.parent.name, **read_result(p)} for p in sorted(path.glob("*/result.json"))
        ]
        for case in cases:
            case["seconds"] = sum(case.get("seconds", {}).values()) or None
    else:
        cases = read_result(file).get("cases", [])
    if not cases or not all(
        isinstance(case, dict) and isinstance(case.get("figures"), dict) and "name" in case
        for case in cases
    ):
        raise UserError(f"{path} holds no figures; run `regzoo evaluate {path}` first")
    names = [case["name"] for case in cases]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{path} has several cases called {min(twice)}; evaluate it again")
    return Run(
        path.name if path.is_dir() else path.parent.name if path.name in WRITTEN else path.stem,
        {case["name"]: case["figures"] for case in cases},
        {case["name"]: case["seconds"] for case in cases if case.get("seconds")},
    )


def compare_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """Return means with intervals, paired tests and ranks of runs, on the pairs that all have."""
    runs = named_apart(runs)
    shared = [c for c in runs[0].figures if all(c in run.figures for run in runs)]
    if not shared:
        raise UserError(
            f"the runs {', '.join(run.name for run in runs)} have no pair in common; compare runs "
            "on the same dataset"
        )
    left_out = {run.name: len(run.figures) - len(shared) for run in runs}
    values = _tables(runs, shared)
    return {
        "cases": shared,
        "left_out": left_out,
        "summary": {r.name: summary([dict(r.figures[c]) for c in shared]) for r in runs},
        "seconds": {r.name: _mean_seconds(r, shared) for r in runs},
        "tests": [row for name, table in values.items() for row in paired_tests(name, table, runs)],
        "ranking": ranking({n: t for n, t in values.items() if n in RANKED}, runs),
    }


def named_apart(runs: Sequence[Run]) -> list[Run]:
    """Give runs of one name a number each."""
    if len(runs) < 2:
        raise UserError("give two runs or more to compare")
    names = [run.name for run in runs]
    return [
        Run(f"{r.name} ({k})" if names.count(r.name) > 1 else r.name, r.figures, r.seconds)
        for k, r in enumerate(runs, start=1)
    ]


def _tables(runs: Sequence[Run], cases: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return each figure as [run, case], on the cases where every run has it, if there are any."""
    out = {}
    for name in BETTER:
        table = np.array(
            [[_known(run.figures[case].get(name)) for case in cases] for run in runs], dtype=float
        )
        table = table[:, np.isfinite(table).all(axis=0)]
        if table.shape[1]:
            out[name] = table
    return out


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _mean_seconds(run: Run, cases: Sequence[str]) -> float | None:
    known = [run.seconds[case] for case in cases if case in run.seconds]
    return float(np.mean(known)) if known else None


def paired_tests(
    name: str, table: NDArray[np.float64], runs: Sequence[Run]
) -> list[dict[str, Any]]:
    """Return a row for every two runs: mean difference, its interval's sign aside, and p.

    Wilcoxon's signed-rank test over the pairs, two-sided; p is 1 where all pairs are equal.
    """
    rows = []
    for a, b in itertools.combinations(range(len(runs)), 2):
        apart = table[b] - table[a]
        p = float(wilcoxon(apart).pvalue) if np.any(apart) else 1.0
        rows.append(
            {
                "figure": name,
                "a": runs[a].name,
                "b": runs[b].name,
                "n": len(apart),
                "b_minus_a": float(apart.mean()),
                "b_better_percent": 100 * float((apart * BETTER[name] > 0).mean()),
                "p": p,
            }
        )
    return rows


def ranking(
    tables: Mapping[str, NDArray[np.float64]], runs: Sequence[Run]
) -> dict[str, dict[str, float]]:
    """Return each run's score a figure and overall, 0.1 to 1, as Learn2Reg ranks methods.

    For a figure, a run wins against another if a rank-sum test finds it better with p < 0.05. Runs
    are ordered by wins and get evenly spaced scores; those with equal wins share their mean. The
    overall score is the geometric mean over the figures.
    """
    scores: dict[str, dict[str, float]] = {run.name: {} for run in runs}
    steps = np.linspace(0.1, 1, len(runs))
    for name, table in tables.items():
        wins = np.array([_wins(k, table * BETTER[name]) for k in range(len(runs))])
        order = np.argsort(wins, kind="stable")
        for k, run in enumerate(runs):
            scores[run.name][name] = float(steps[wins[order] == wins[k]].mean())
    for row in scores.values():
        if row:
            row["overall"] = float(np.exp(np.mean(np.log(list(row.values())))))
    return scores


def _wins(run: int, goodness: NDArray[np.float64]) -> int:
    """Count the runs that one is better than; `goodness` [run, case], more is better."""
    count = 0
    for other in range(len(goodness)):
        test = ranksums(goodness[run], goodness[other])
        count += bool(other != run and test.statistic > 0 and test.pvalue < SIGNIFICANT)
    return count


def draw_comparison(path: Path, runs: Sequence[Run], result: Mapping[str, Any]) -> None:
    """Write a PNG: a box plot for each figure, and the error against the time."""
    runs = named_apart(runs)
    shown = _tables(runs, result["cases"])
    error = next((n for n in RANKED if n in shown), None)
    timed = error is not None and all(result["seconds"].values())
    count = len(shown) + timed
    columns = min(3, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), dpi=140, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    names = [run.name for run in runs]
    for k, (name, table) in enumerate(shown.items(), start=1):
        _boxes(figure.add_subplot(rows, columns, k), name, table, names)
    if timed and error is not None:
        axes = figure.add_subplot(rows, columns, count)
        _against_time(axes, error, shown[error], [result["seconds"][n] for n in names], names)
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)


def _boxes(axes: Axes, name: str, table: NDArray[np.float64], names: Sequence[str]) -> None:
    parts = axes.boxplot(
        list(table),
        widths=0.55,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": "#1d2733", "lw": 1.8},
    )
    for k, box in enumerate(parts["boxes"]):
        box.set(facecolor=COLOURS[k % len(COLOURS)], edgecolor="none", alpha=0.75)
        spread = np.random.default_rng(k).uniform(-0.12, 0.12, table.shape[1])
        axes.plot(k + 1 + spread, table[k], ".", color="#1d2733", ms=3, alpha=0.5)
    axes.set_xticks(range(1, len(names) + 1), names, rotation=20, ha="right", parse_math=False)
    if BETTER[name] < 0:
        axes.set_ylim(bottom=0, top=None if table.any() else 1)
    _plain(axes, f"{_title(name)}\n{'higher' if BETTER[name] > 0 else 'lower'} is better")


def _against_time(
    axes: Axes,
    name: str,
    table: NDArray[np.float64],
    seconds: Sequence[float],
    names: Sequence[str],
) -> None:
    for k, (run, time, values) in enumerate(zip(names, seconds, table, strict=True)):
        axes.plot(time, values.mean(), "o", ms=8, color=COLOURS[k % len(COLOURS)])
        axes.annotate(
            run, (time, values.mean()), (6, 5), textcoords="offset points", parse_math=False
        )
    axes.set_xscale("log")
    axes.margins(0.25)
    axes.set_xlabel("seconds a pair")
    _plain(axes, f"{_title(name)}\nagainst time")


def _title(name: str) -> str:
    if name in MAP_WORDS:
        return MAP_WORDS[name][0]
    words, more, _ = WORDS[name.removesuffix("_after")]
    return f"{words}, {more}" if words.endswith("mm") and "tre" in name else words


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e3e7eb", lw=0.8)
    axes.set_axisbelow(True)
