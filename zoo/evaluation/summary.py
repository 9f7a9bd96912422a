"""The summary of many cases: mean with its confidence interval, median and extremes per figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.evaluation.learn2reg import QUANTILE30
from zoo.evaluation.metrics import Figures

RESAMPLES = 2000
MOST_RESAMPLED = 10_000
"""Of more values, the interval is that of the normal distribution, which then hardly differs."""
BLOCK = 1 << 15
"""The number of values that a bootstrap draws at once."""


def evaluation(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the evaluation of a dataset, the summary and the rows, as it is written to a file."""
    return {"summary": summarise_figures([row["figures"] for row in rows]), "cases": list(rows)}


def summarise_figures(rows: Sequence[Figures]) -> dict[str, dict[str, float | int | None]]:
    """Return count, mean with its 95 % bootstrap interval, median and extremes of each figure.

    Cases that lack a figure are left out of its summary. Learn2Reg's figures also have the quantile
    that the challenge calls "30".
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return summarise_columns(
        {name: np.array([row.get(name) for row in rows], dtype=float) for name in names}
    )


def summarise_columns(
    columns: Mapping[str, np.ndarray],
) -> dict[str, dict[str, float | int | None]]:
    """Return the summary of figures from the values of each one, of which NaN are missing."""
    out: dict[str, dict[str, float | int | None]] = {}
    for name, column in columns.items():
        values = column[~np.isnan(column)]
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

    The seed of the bootstrap is fixed: equal values give equal intervals. The samples are drawn in
    blocks, whose size limits the memory.
    """
    if len(values) < 2:
        return None, None
    if len(values) > MOST_RESAMPLED:
        half = 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values))
        return float(values.mean()) - half, float(values.mean()) + half
    random, count = np.random.default_rng(0), len(values)
    at_once = max(1, BLOCK // count)
    means = []
    for done in range(0, RESAMPLES, at_once):
        drawn = random.integers(count, size=(min(at_once, RESAMPLES - done), count))
        means.extend(values[drawn].mean(axis=1))
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
