"""What the runs say: a Markdown table and a picture."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from bench.methods import REFERENCE

Run = dict[str, Any]
PACKAGES = ("regzoo", "torch", "monai", "convexAdam", "antspyx", "itk-elastix", "SimpleITK")


def summarise(runs: list[Run]) -> dict[tuple[str, str], Run]:
    """Return (pair, method) -> the medians over the repeats that worked."""
    out: dict[tuple[str, str], Run] = {}
    for key in dict.fromkeys((run["pair"], run["method"]) for run in runs):
        good = [r for r in runs if (r["pair"], r["method"]) == key and "failed" not in r]
        if good:
            names = [name for name, value in good[0].items() if isinstance(value, float)]
            out[key] = {name: float(np.median([run[name] for run in good])) for name in names}
            out[key]["repeats"] = len(good)
    return out


def means(found: dict[tuple[str, str], Run], reference: str = REFERENCE) -> dict[str, Run]:
    """Return, for each method, the geometric means of its ratios to the reference method.

    Over the pairs that both have run; the worst ratio of errors is given too.
    """
    out: dict[str, Run] = {}
    for method in dict.fromkeys(method for _, method in found):
        shared = [p for p, m in found if m == method and (p, reference) in found]
        if not shared:
            continue
        ratios = {
            name: np.array([found[p, method][name] / found[p, reference][name] for p in shared])
            for name in ("error", "seconds", "peak_mib")
        }
        out[method] = {name: float(np.exp(np.log(r).mean())) for name, r in ratios.items()}
        out[method] |= {"worst": float(ratios["error"].max()), "pairs": len(shared)}
    return out


def markdown(runs: list[Run], threads: int) -> str:
    """Return both tables with date, machine, versions and command."""
    found = summarise(runs)
    lines = [*_heading(threads), "", "| pair | method | " + " | ".join(_NAMES) + " |"]
    lines.append("|---|---|" + "---:|" * len(_NAMES))
    for (pair, method), run in sorted(found.items(), key=lambda item: item[0][0]):
        cells = [_cell(run, *column) for column in _NAMES.values()]
        lines.append(f"| {pair} | {method} | " + " | ".join(cells) + " |")
    failed = [run for run in runs if "failed" in run]
    lines += [f"\n{r['method']} failed on {r['pair']}: {r['failed']}" for r in failed]
    lines += [
        f"\nGeometric means of the ratios to {REFERENCE} (error: end-point error, else 1 - Dice):",
        "\n| method | pairs | error | worst pair | seconds | peak memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for method, m in means(found).items():
        cells = [f"{m[name]:.3f}" for name in ("error", "worst", "seconds", "peak_mib")]
        lines.append(f"| {method} | {m['pairs']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


_NAMES: dict[str, tuple[str, str]] = {
    "Dice": ("dice", ".4f"),
    "end-point error mm": ("epe_mm", ".3f"),
    "in the body": ("epe_body_mm", ".3f"),
    "folding %": ("folding_percent", ".4f"),
    "SD log J": ("sd_log_jacobian", ".3f"),
    "s": ("seconds", ".1f"),
    "CPU s": ("cpu_seconds", ".1f"),
    "peak MiB": ("peak_mib", ".0f"),
    "of it imports": ("idle_mib", ".0f"),
    "runs": ("repeats", "d"),
}


def _cell(run: Run, name: str, form: str) -> str:
    return format(run[name], form) if name in run else ""


def _heading(threads: int) -> list[str]:
    installed = []
    for name in PACKAGES:
        try:
            installed.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return [
        f"{date.today()}; {os.cpu_count()} CPU cores, {pages:.0f} GiB, {threads} threads a run; "
        f"Python {platform.python_version()}, {', '.join(installed)}.",
        "",
        f"`python tools/benchmark.py {shlex.join(sys.argv[1:])}`",
    ]


def draw(runs: list[Run], path: Path) -> None:
    """Save a picture: error of each pair and seconds, relative to the reference, a method a bar."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = summarise(runs)
    pairs = [p for p in dict.fromkeys(p for p, _ in found) if (p, REFERENCE) in found]
    methods = list(dict.fromkeys(method for _, method in found))
    if not pairs:
        return
    figure, axes = plt.subplots(2, 1, figsize=(2 + 2 * len(pairs), 7), sharex=True)
    width = 0.8 / len(methods)
    for axis, name in zip(axes, ("error", "seconds"), strict=True):
        for k, method in enumerate(methods):
            ratios = [
                found[p, method][name] / found[p, REFERENCE][name] if (p, method) in found else 0
                for p in pairs
            ]
            places = np.arange(len(pairs)) + (k - (len(methods) - 1) / 2) * width
            axis.bar(places, ratios, width, label=method)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_ylabel(f"{name} / {REFERENCE}'s")
    axes[1].set_yscale("log")
    axes[1].set_xticks(range(len(pairs)), pairs)
    axes[0].legend(ncols=4, fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
