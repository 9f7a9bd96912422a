"""How much memory a run takes: measured peaks, a + b * voxels, from `memory.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from zoo.errors import UserError

_UNITS = {"": 1 / (1 << 20), "K": 1 / (1 << 10), "M": 1.0, "G": 1024.0, "T": 1024.0**2}


@dataclass(frozen=True)
class MemoryModel:
    """Peak resident memory in MiB: `base_mib` + `mib_per_megavoxel` * voxels / 10^6.

    Measured between `smallest` and `largest` voxels of the working grid; beyond it is a guess.
    """

    base_mib: float
    mib_per_megavoxel: float
    smallest: int
    largest: int
    measured: str

    def peak_mib(self, voxels: float) -> float:
        """Return the peak of a run on so many voxels, MiB."""
        return self.base_mib + self.mib_per_megavoxel * voxels / 1e6

    def most_voxels(self, budget_mib: float) -> float:
        """Return how many voxels fit into a budget; less than 1 if none do."""
        return (budget_mib - self.base_mib) / self.mib_per_megavoxel * 1e6


@cache
def memory_models() -> Mapping[str, MemoryModel]:
    """The measured models, by `model` or `model:setting=value`."""
    text = files("zoo.planning").joinpath("memory.json").read_text(encoding="utf-8")
    return {key: MemoryModel(**entry) for key, entry in json.loads(text).items()}


def find_memory_model(model: str, settings: Mapping[str, Any]) -> MemoryModel | None:
    """Return what was measured for a model with one of its settings, or in general."""
    keys = [f"{model}:{name}={value}" for name, value in settings.items()]
    return next((memory_models()[k] for k in [*keys, model] if k in memory_models()), None)


def parse_memory(text: str) -> float:
    """Return an amount such as 8GB, 512MiB or 16G in MiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * _UNITS[match[2].upper()] if match else 0.0
    if amount <= 0:
        raise UserError(f"--memory {text!r} is no amount; write for example --memory 8GB")
    return amount
