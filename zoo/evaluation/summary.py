"""The summary of many cases: mean with its confidence interval, median and extremes per figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.evaluation.learn2reg import QUANTILE30
from zoo.evaluation.metrics import Figures

RESAMPLES = 2000


def evaluation(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the evaluation of a dataset, the summary and the rows, as it is written to a file."""
    return {"summary": summarise_figures([row["figures"] for row in rows]), "cases": list(rows)}


def summarise_figures(rows: Sequence[Figures]) -> dict[str, dict[str, float | int | None]]:
    """Return count, mean with its 95 % bootstrap interval, median and extremes of each figure.

    Cases that lack a figure are left out of its summary. Learn2Reg's figures also have the quantile
    that the challenge calls "30".
    """
    out: dict[str, dict[str, float | int | None]] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([v for row in rows if (v := row.get(name)) is not None], dtype=float)
        if not len(values):
            continue
        low, high = bootstrap_interval(values)
        out[name] = {
            "n": len(values),
            "mean": float(values.mean()),
            "mean_low": low,
            "mean_high": high,
            "median": float(np.median(values)),
            "smallest": float(values.min()),
            "largest": float(values.max()),
        }
        if name in QUANTILE30:
            out[name]["30"] = float(np.quantile(values, QUANTILE30[name]))
    return out


def bootstrap_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of the mean; it is undefined for fewer than two values.

    The seed of the bootstrap is fixed: equal values give equal intervals.
    """
    if len(values) < 2:
        return None, None
    random = np.random.default_rng(0)
    means = values[random.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
