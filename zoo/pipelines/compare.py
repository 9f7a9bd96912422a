"""Compare several runs on the pairs that all of them registered."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from zoo.evaluation import compare_runs, read_run
from zoo.io.atomic import write_json
from zoo.pipelines.run_folder import results_of
from zoo.reporting import draw_comparison


def compare(
    run_a: str | PathLike[str],
    run_b: str | PathLike[str],
    *others: str | PathLike[str],
    out: str | PathLike[str] | None = None,
) -> dict[str, Any]:
    """Compare runs on the same pairs: of models, of plans or of other programs.

    Returns the common cases, the mean of each figure with its 95 % bootstrap interval, the mean
    seconds per pair, paired tests (Wilcoxon signed rank) and a ranking as in Learn2Reg.

    Args:
        run_a: The folder of an evaluated run, the JSON file that its evaluation wrote, or a model
            of one's own, which stands for the run in its folder.
        run_b: Another run.
        others: Further runs.
        out: The folder for comparison.json and comparison.png.
    """
    runs = [read_run(results_of(run)) for run in (run_a, run_b, *others)]
    comparison = compare_runs(runs)
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        draw_comparison(folder / "comparison.png", runs, comparison)
        write_json(folder / "comparison.json", comparison)
    return comparison
