"""`regzoo compare`: several runs on the same pairs."""

from __future__ import annotations

from typing import Any


def compare(run_a: str, run_b: str, *others: str, out: str | None = None) -> None:
    """Compare runs on the same pairs: models, plans or other programs.

    Prints a table of means with 95 % bootstrap intervals, paired tests (Wilcoxon signed rank) and
    a ranking as Learn2Reg makes it, on the pairs that all runs have.

    Examples:
        regzoo compare run-a run-b
        regzoo compare run-a run-b ants/figures.json --out comparison

    Args:
        run_a: a folder that `regzoo evaluate` was run on, or the JSON file it wrote.
        run_b: another one.
        others: any more of them.
        out: a folder for comparison.json and comparison.png; made if missing.
    """
    from pathlib import Path

    from zoo.evaluation import compare_runs, read_run
    from zoo.io.atomic import write_json
    from zoo.reporting import draw_comparison

    read = [read_run(Path(run)) for run in (run_a, run_b, *others)]
    result = compare_runs(read)
    print(table(result))
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        draw_comparison(folder / "comparison.png", read, result)
        write_json(folder / "comparison.json", result)
        print(f"written to {folder}")


def table(result: dict[str, Any]) -> str:
    """Return a comparison as lines of text."""
    from zoo.evaluation.figures import COMPARED

    names = list(result["summary"])
    shown = [f for f in COMPARED if all(f in result["summary"][n] for n in names)]
    head = ["", *names]
    rows = [[figure, *(_cell(result["summary"][n][figure]) for n in names)] for figure in shown]
    rows.append(["seconds a pair", *(_plain(result["seconds"][n]) for n in names)])
    rows.append(["rank score", *(_plain(result["ranking"][n].get("overall")) for n in names)])
    lines = [f"{len(result['cases'])} pairs in common", *_aligned([head, *rows]), ""]
    tests = [
        [t["figure"], f"{t['b']} - {t['a']}", f"{t['b_minus_a']:+.4g}", f"p = {t['p']:.3g}"]
        for t in result["tests"]
    ]
    return "\n".join([*lines, *_aligned(tests)])


def _cell(row: dict[str, float | None]) -> str:
    if row["mean_low"] is None:
        return f"{row['mean']:.4g}"
    return f"{row['mean']:.4g} [{row['mean_low']:.4g}, {row['mean_high']:.4g}]"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))] if rows else []
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
