"""`regzoo compare`: several runs on the same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def compare(run_a: str, run_b: str, *others: str, out: str | None = None) -> None:
    """Compare runs on the same pairs: of models, of plans or of other programs.

    Prints the mean of each figure with its 95 % bootstrap interval, paired tests (Wilcoxon signed
    rank) and a ranking as in Learn2Reg, all on the pairs that every run contains.

    Examples:
        regzoo compare run-a run-b
        regzoo compare run-a run-b ants/figures.json --out comparison

    Args:
        run_a: The folder of a run that regzoo evaluate measured, the JSON file it wrote, or a model
            of your own, which stands for the run in its folder.
        run_b: Another run.
        others: Further runs.
        out: The folder for comparison.json and comparison.png, which is created if it does not
            exist.
    """
    from zoo.pipelines.compare import compare as compare_runs

    print(table(compare_runs(run_a, run_b, *others, out=out)))
    if out is not None:
        print(f"Comparison written to {out}")


def table(comparison: dict[str, Any]) -> str:
    """Return a comparison as text: means per run, then a test for each figure and two runs."""
    from zoo.commands._shared import counted
    from zoo.evaluation.figures import COMPARED

    runs = comparison["summary"]
    shown = [figure for figure in COMPARED if all(figure in runs[name] for name in runs)]
    rows = [["", *runs]]
    rows += [[figure, *(_mean(runs[name][figure]) for name in runs)] for figure in shown]
    rows.append(["seconds per pair", *(_number(comparison["seconds"][name]) for name in runs)])
    scores = [comparison["ranking"][name].get("overall") for name in runs]
    rows.append(["rank score", *map(_number, scores)])
    tests = [
        [t["figure"], f"{t['b']} - {t['a']}", f"{t['b_minus_a']:+.4g}", f"p = {t['p']:.3g}"]
        for t in comparison["tests"]
    ]
    head = f"{counted(len(comparison['cases']), 'pair')} in common"
    return "\n".join([head, *_aligned(rows), "", *_aligned(tests)])


def _mean(row: dict[str, float | None]) -> str:
    """Return a mean with its interval, if it has one."""
    if row["mean_low"] is None:
        return f"{row['mean']:.4g}"
    return f"{row['mean']:.4g} [{row['mean_low']:.4g}, {row['mean_high']:.4g}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
