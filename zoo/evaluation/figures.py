"""The registry of figures: what each one is called, how it is printed, and when it is better.

A figure is a number that says how good a registration is. This module describes the figures and
computes none: `zoo.evaluation.metrics` computes them, and `zoo.evaluation.learn2reg` computes those
of the Learn2Reg challenge (`l2r_*`), which are not in this registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FigureSpec:
    """The description of one figure.

    `unit` is empty for a pure number, `form` is a format string, and `better` is 1 if higher values
    are better, -1 if lower ones are, and 0 if neither is. A figure with `before_after` is measured
    before and after the registration; the others describe the transform alone. `compared` figures
    appear in comparisons of runs, `ranked` ones also count in the ranking.
    """

    name: str
    title: str
    unit: str = ""
    form: str = "{:.2f}"
    better: int = 0
    detail: str = ""
    before_after: bool = True
    compared: bool = False
    ranked: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in result.json: before and after, or a single one."""
        return (f"{self.name}_before", f"{self.name}_after") if self.before_after else (self.name,)

    @property
    def key(self) -> str:
        """The key in result.json of the value after the registration."""
        return self.keys[-1]

    @property
    def label(self) -> str:
        """The title with its unit, such as "HD95, mm"."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def description(self) -> str:
        """The label with the detail, such as "Dice: overlap of the labels, 0 to 1"."""
        return f"{self.label}: {self.detail}" if self.detail else self.label

    def text(self, value: float | None) -> str:
        """Return a value as it is printed; a dash if it is unknown."""
        return "\N{EN DASH}" if value is None else self.form.format(value)


_ALL = (
    FigureSpec(
        "dice", "Dice", "", "{:.3f}", +1,
        detail="overlap of the labels, 0 to 1", compared=True, ranked=True,
    ),
    FigureSpec(
        "hd95_mm", "HD95", "mm", "{:.2f}", -1,
        detail="95th percentile of the distance between label surfaces",
        compared=True, ranked=True,
    ),
    FigureSpec(
        "tre_mm", "Landmark error, mean", "mm", "{:.2f}", -1, compared=True, ranked=True
    ),
    FigureSpec("tre_mm_median", "Landmark error, median", "mm", "{:.2f}", -1),
    FigureSpec("tre_mm_p95", "Landmark error, 95th percentile", "mm", "{:.2f}", -1),
    FigureSpec(
        "tre_mm_hardest30", "Landmark error, mean of the worst 30 %", "mm", "{:.2f}", -1,
        compared=True,
    ),
    FigureSpec(
        "similarity", "Similarity", "", "{:.3f}", +1,
        detail="squared local correlation, 0 to 1", compared=True,
    ),
    FigureSpec("nmi", "Mutual information", "", "{:.3f}", +1, detail="normalised, 1 to 2"),
    FigureSpec(
        "overlap_percent", "Shared field of view", "%", "{:.1f}", detail="share of the fixed body"
    ),
    FigureSpec(
        "folding_percent", "Folded voxels", "%", "{:.3g}", -1, before_after=False, compared=True
    ),
    FigureSpec(
        "sd_log_jacobian", "Spread of the volume change", "", "{:.3f}", -1,
        detail="standard deviation of log J", before_after=False, compared=True, ranked=True,
    ),
    FigureSpec("deformation_mm_mean", "Deformation, mean", "mm", before_after=False),
    FigureSpec("deformation_mm_p99", "Deformation, 99th percentile", "mm", before_after=False),
    FigureSpec(
        "inverse_consistency_mm", "Inverse consistency, mean", "mm", "{:.3f}", -1,
        before_after=False,
    ),
    FigureSpec(
        "inverse_consistency_mm_p95", "Inverse consistency, 95th percentile", "mm", "{:.3f}", -1,
        before_after=False,
    ),
    FigureSpec("uncertainty_mm_mean", "Uncertainty, mean", "mm", before_after=False),
    FigureSpec("uncertainty_mm_p95", "Uncertainty, 95th percentile", "mm", before_after=False),
)  # fmt: skip

FIGURES: Mapping[str, FigureSpec] = {spec.name: spec for spec in _ALL}
"""All figures by name, in the order of the tables."""

FIGURE_KEYS: tuple[str, ...] = tuple(key for spec in _ALL for key in spec.keys)
"""The keys that `figures` in result.json can have."""

COMPARED: Mapping[str, FigureSpec] = {spec.key: spec for spec in _ALL if spec.compared}
"""The figures that comparisons of runs and training logs show, by their key in result.json."""

RANKED: tuple[str, ...] = tuple(key for key, spec in COMPARED.items() if spec.ranked)
"""The keys of the figures that Learn2Reg ranks: similarity does not prove accuracy."""

PREFERRED = ("dice_after", "tre_mm_after", "similarity_after")
"""The keys of the most informative figures, the best one first."""


def key_figure(*rows: Mapping[str, Any]) -> str | None:
    """Return the key of the first preferred figure that every row has; None without one."""
    if not rows:
        return None
    return next((k for k in PREFERRED if all(row.get(k) is not None for row in rows)), None)
