"""Comparison of methods with a reference method: a Markdown page and a picture."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.harness.methods import ONE_CONTRAST_REFERENCE, REFERENCE
from benchmarks.harness.runs import Run
from benchmarks.harness.tables import heading, row

Medians = dict[tuple[str, str], Run]
"""The median figures of each (pair, method)."""

_PACKAGES = ("regzoo", "torch", "monai", "convexAdam", "antspyx", "itk-elastix", "picsl-greedy")
_RATIOS = {
    "error": "error",
    "seconds": "seconds",
    "CPU seconds": "cpu_seconds",
    "peak memory": "peak_mib",
}
"""What is compared with a reference method: the title of a column and the name of the figure."""
_COLUMNS: dict[str, tuple[str, str]] = {
    "Dice": ("dice", ".4f"),
    "end-point error mm": ("epe_mm", ".3f"),
    "in the body mm": ("epe_body_mm", ".3f"),
    "folding %": ("folding_percent", ".4f"),
    "in the body %": ("folding_body_percent", ".4f"),
    "SD log J": ("sd_log_jacobian", ".3f"),
    "in the body": ("sd_log_jacobian_body", ".3f"),
    "verdict": ("verdict", "s"),
    "s": ("seconds", ".1f"),
    "CPU s": ("cpu_seconds", ".1f"),
    "peak MiB": ("peak_mib", ".0f"),
    "MiB after imports": ("idle_mib", ".0f"),
    "runs": ("repeats", "d"),
}
"""The heading of each column, its figure and the format."""


def medians(runs: list[Run]) -> Medians:
    """Return the medians over the repeats that succeeded; texts are those of the first."""
    result: Medians = {}
    for key in dict.fromkeys((run["pair"], run["method"]) for run in runs):
        succeeded = [r for r in runs if (r["pair"], r["method"]) == key and "failed" not in r]
        if succeeded:
            names = [name for name, value in succeeded[0].items() if isinstance(value, float)]
            texts = {n: v for n, v in succeeded[0].items() if n in ("modality", "model", "verdict")}
            result[key] = {n: float(np.median([run[n] for run in succeeded])) for n in names}
            result[key] |= texts
            result[key]["repeats"] = len(succeeded)
    return result


def mean_ratios(figures: Medians, reference: str = REFERENCE) -> dict[str, Run]:
    """Return the geometric means of the ratios of each method to the reference method.

    The means are over the pairs that both have registered. "worst" is the largest ratio of errors.
    """
    result: dict[str, Run] = {}
    for method in dict.fromkeys(method for _, method in figures):
        shared = [p for p, m in figures if m == method and (p, reference) in figures]
        if not shared:
            continue
        ratios = {
            name: np.array([figures[p, method][name] / figures[p, reference][name] for p in shared])
            for name in _RATIOS.values()
        }
        result[method] = {name: float(np.exp(np.log(r).mean())) for name, r in ratios.items()}
        result[method] |= {"worst": float(ratios["error"].max()), "pairs": len(shared)}
    return result


def of_one_contrast(figures: Medians) -> Medians:
    """Return the figures of the pairs whose two images have the same contrast."""
    contrasts = {key: run["modality"].split("/") for key, run in figures.items()}
    return {key: run for key, run in figures.items() if contrasts[key][0] == contrasts[key][1]}


def comparisons(figures: Medians) -> list[tuple[str, dict[str, Run]]]:
    """Return what each comparison shows, and the mean ratios of its methods."""
    return [
        (f"all pairs, relative to {REFERENCE}", mean_ratios(figures)),
        (
            f"pairs of one contrast, relative to {ONE_CONTRAST_REFERENCE}",
            mean_ratios(of_one_contrast(figures), ONE_CONTRAST_REFERENCE),
        ),
    ]


def markdown(runs: list[Run], threads: int) -> str:
    """Return a page with date, machine, versions, command, all pairs and the mean ratios."""
    figures = medians(runs)
    lines = [*_circumstances(threads), "", heading(["pair", "contrasts", "method"], list(_COLUMNS))]
    for (pair, method), run in sorted(figures.items(), key=lambda item: item[0][0]):
        cells = [pair, run["modality"], method, *(_cell(run, *c) for c in _COLUMNS.values())]
        lines.append(row(cells))
    failed = [run for run in runs if "failed" in run]
    lines += [f"\n{r['method']} failed on {r['pair']}: {r['failed']}" for r in failed]
    lines.append(
        "\nThe tables below show geometric means of ratios over the pairs that both methods have "
        "registered. The error is the end-point error over the grid where the truth is known, and "
        "1 - Dice elsewhere."
    )
    for title, means in comparisons(figures):
        lines += [
            f"\n{title[0].upper()}{title[1:]}:\n",
            heading(["method"], ["pairs", *_RATIOS, "worst error"]),
        ]
        for method, ratios in means.items():
            cells = [f"{ratios[name]:.3f}" for name in (*_RATIOS.values(), "worst")]
            lines.append(row([method, str(ratios["pairs"]), *cells]))
    return "\n".join(lines) + "\n"


def draw(runs: list[Run], path: Path) -> None:
    """Save a picture of error against seconds: one point per method in each comparison."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = comparisons(medians(runs))
    figure, axes = plt.subplots(1, len(shown), figsize=(7 * len(shown), 5))
    for axis, (title, means) in zip(axes, shown, strict=True):
        for method, ratios in means.items():
            axis.plot(ratios["seconds"], ratios["error"], "o", label=method)
            axis.annotate(
                f" {method} ({ratios['pairs']})", (ratios["seconds"], ratios["error"]), fontsize=8
            )
        axis.set_xscale("log")
        axis.margins(x=0.2)
        axis.set_title(f"{title[0].upper()}{title[1:]} (number of pairs)", fontsize=10)
        axis.set_xlabel("seconds, geometric mean of the ratios")
        axis.set_ylabel("error, geometric mean of the ratios")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _cell(run: Run, name: str, form: str) -> str:
    return format(run[name], form) if name in run else ""


def _circumstances(threads: int) -> list[str]:
    versions = []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return [
        f"{date.today()}; {os.cpu_count()} CPU cores, {memory_gib:.0f} GiB, {threads} threads per "
        f"run; Python {platform.python_version()}, {', '.join(versions)}.",
        "",
        f"`PYTHONPATH=tools python -m benchmarks.peers {shlex.join(sys.argv[1:])}`",
    ]
