"""How much memory a run takes: measured peaks, a + b * voxels, from `memory.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from zoo.errors import UserError

_UNITS = {"": 1 / (1 << 20), "K": 1 / (1 << 10), "M": 1.0, "G": 1024.0, "T": 1024.0**2}
IMAGES = "images"
"""The case that tells what images take by themselves: reading, warping and writing them."""


@dataclass(frozen=True)
class MemoryModel:
    """Peak resident memory in MiB: `base_mib` + `mib_per_megavoxel` * voxels / 10^6.

    `points` are what was measured, MiB by voxels; beyond the largest the line is a guess.
    """

    base_mib: float
    mib_per_megavoxel: float
    points: Mapping[str, int]
    residuals_mib: tuple[float, ...] = ()
    foretold: Mapping[str, int] = field(default_factory=dict)

    @property
    def largest(self) -> int:
        """The most voxels that were measured."""
        return max(map(int, self.points))

    def peak_mib(self, voxels: float) -> float:
        """Return the peak of a run on so many voxels, MiB."""
        return self.base_mib + self.mib_per_megavoxel * voxels / 1e6

    def most_voxels(self, budget_mib: float) -> float:
        """Return how many voxels fit into a budget; less than 1 if none do."""
        return (budget_mib - self.base_mib) / self.mib_per_megavoxel * 1e6


@cache
def memory_models() -> Mapping[str, MemoryModel]:
    """What was measured, by the names that `memory_case` gives."""
    text = files("zoo.planning").joinpath("memory.json").read_text(encoding="utf-8")
    return {name: MemoryModel(**entry) for name, entry in json.loads(text)["models"].items()}


def memory_case(model: str, settings: Mapping[str, Any], width: int | None = None) -> str:
    """Return the name of what a model with these settings was measured as.

    A network's weights of unknown width count as the published ones, width 16.
    """
    if model == "mcbo":
        return f"mcbo mode={settings['mode']}"
    refine = settings.get("refine_mode", "field") if settings.get("refine") else "off"
    if model == "unireg":
        return f"unireg refine={refine}"
    precision = settings.get("precision", "float32")
    return f"gradicon width={width or 16} refine={refine} precision={precision}"


def find_memory_model(case: str) -> MemoryModel:
    """Return what was measured of a case; one that was not is refused."""
    if case not in memory_models():
        raise UserError(
            f"the memory of {case} was not measured; leave --memory out, or take another --model"
        )
    return memory_models()[case]


def parse_memory(text: str) -> float:
    """Return an amount such as 8GB, 512MiB or 16G in MiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * _UNITS[match[2].upper()] if match else 0.0
    if amount <= 0:
        raise UserError(f"--memory {text!r} is no amount; write for example --memory 8GB")
    return amount
