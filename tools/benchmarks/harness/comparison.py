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

from benchmarks.harness.methods import REFERENCE
from benchmarks.harness.runs import Run
from benchmarks.harness.tables import heading, row

Medians = dict[tuple[str, str], Run]
"""The median figures of each (pair, method)."""

_PACKAGES = ("regzoo", "torch", "monai", "convexAdam", "antspyx", "itk-elastix", "SimpleITK")
_COLUMNS: dict[str, tuple[str, str]] = {
    "Dice": ("dice", ".4f"),
    "end-point error mm": ("epe_mm", ".3f"),
    "in the body mm": ("epe_body_mm", ".3f"),
    "folding %": ("folding_percent", ".4f"),
    "SD log J": ("sd_log_jacobian", ".3f"),
    "s": ("seconds", ".1f"),
    "CPU s": ("cpu_seconds", ".1f"),
    "peak MiB": ("peak_mib", ".0f"),
    "MiB after imports": ("idle_mib", ".0f"),
    "runs": ("repeats", "d"),
}
"""The heading of each column, its figure and the format."""


def medians(runs: list[Run]) -> Medians:
    """Return the medians over the repeats that succeeded."""
    result: Medians = {}
    for key in dict.fromkeys((run["pair"], run["method"]) for run in runs):
        succeeded = [r for r in runs if (r["pair"], r["method"]) == key and "failed" not in r]
        if succeeded:
            names = [name for name, value in succeeded[0].items() if isinstance(value, float)]
            result[key] = {n: float(np.median([run[n] for run in succeeded])) for n in names}
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
            for name in ("error", "seconds", "peak_mib")
        }
        result[method] = {name: float(np.exp(np.log(r).mean())) for name, r in ratios.items()}
        result[method] |= {"worst": float(ratios["error"].max()), "pairs": len(shared)}
    return result


def markdown(runs: list[Run], threads: int) -> str:
    """Return a page with date, machine, versions, command and two tables."""
    figures = medians(runs)
    lines = [*_circumstances(threads), "", heading(["pair", "method"], list(_COLUMNS))]
    for (pair, method), run in sorted(figures.items(), key=lambda item: item[0][0]):
        lines.append(row([pair, method, *(_cell(run, *c) for c in _COLUMNS.values())]))
    failed = [run for run in runs if "failed" in run]
    lines += [f"\n{r['method']} failed on {r['pair']}: {r['failed']}" for r in failed]
    lines += [
        f"\nGeometric means of the ratios to {REFERENCE}. The error is the end-point error where "
        "the truth is known, and 1 - Dice elsewhere.\n",
        heading(["method"], ["pairs", "error", "worst pair", "seconds", "peak memory"]),
    ]
    for method, ratios in mean_ratios(figures).items():
        cells = [f"{ratios[name]:.3f}" for name in ("error", "worst", "seconds", "peak_mib")]
        lines.append(row([method, str(ratios["pairs"]), *cells]))
    return "\n".join(lines) + "\n"


def draw(runs: list[Run], path: Path) -> None:
    """Save a bar chart of error and seconds per pair, relative to the reference method."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figures = medians(runs)
    pairs = [p for p in dict.fromkeys(p for p, _ in figures) if (p, REFERENCE) in figures]
    methods = list(dict.fromkeys(method for _, method in figures))
    if not pairs:
        return
    figure, axes = plt.subplots(2, 1, figsize=(2 + 2 * len(pairs), 7), sharex=True)
    width = 0.8 / len(methods)
    for axis, name in zip(axes, ("error", "seconds"), strict=True):
        for k, method in enumerate(methods):
            ratios = [
                figures[p, method][name] / figures[p, REFERENCE][name]
                if (p, method) in figures
                else 0
                for p in pairs
            ]
            places = np.arange(len(pairs)) + (k - (len(methods) - 1) / 2) * width
            axis.bar(places, ratios, width, label=method)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_ylabel(f"{name}, relative to {REFERENCE}")
    axes[1].set_yscale("log")
    axes[1].set_xticks(range(len(pairs)), pairs)
    axes[0].legend(ncols=4, fontsize="small")
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
