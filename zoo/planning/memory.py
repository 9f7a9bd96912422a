"""The peak memory of a run, a + b * voxels, from the measurements in the files `memory.json`.

Each bundle's folder holds the measurements of its model; the file beside this module holds those of
the images alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue
from zoo.hub.specs import ModelSpec

MEMORY_FILE = "memory.json"
IMAGES = "images"
"""The measurement of reading, warping and writing the images, without a model."""
_UNITS = {"": 1 / (1 << 20), "K": 1 / (1 << 10), "M": 1.0, "G": 1024.0, "T": 1024.0**2}


@dataclass(frozen=True)
class MemoryModel:
    """Peak resident memory in MiB: `base_mib` + `mib_per_megavoxel` * voxels / 10^6.

    `points` are the measured peaks (MiB) by the number of voxels; beyond the largest number the
    line is an extrapolation. `residuals_mib` are those of the fit before the line was raised above
    all points; `extrapolated` compares a line through the small sizes with the peak at full size.
    """

    base_mib: float
    mib_per_megavoxel: float
    points: Mapping[str, int]
    residuals_mib: tuple[float, ...] = ()
    extrapolated: Mapping[str, int] = field(default_factory=dict)

    @property
    def largest(self) -> int:
        """The largest measured number of voxels."""
        return max(map(int, self.points))

    def peak_mib(self, voxels: float) -> float:
        """Return the peak memory of a run on this many voxels, MiB."""
        return self.base_mib + self.mib_per_megavoxel * voxels / 1e6

    def most_voxels(self, budget_mib: float) -> float:
        """Return the number of voxels that fits into a budget; below 1 if none do."""
        return (budget_mib - self.base_mib) / self.mib_per_megavoxel * 1e6


def memory_models() -> Mapping[str, MemoryModel]:
    """Return all measurements by the names that `measurement_name` gives."""
    folders = [Path(__file__).parent, *(spec.folder for spec in load_catalogue().values())]
    files = (folder / MEMORY_FILE for folder in folders)
    return {k: v for path in files if path.is_file() for k, v in _read(path).items()}


@cache
def _read(path: Path) -> Mapping[str, MemoryModel]:
    entries = json.loads(path.read_text(encoding="utf-8"))["models"]
    return {name: MemoryModel(**entry) for name, entry in entries.items()}


def measurement_name(spec: ModelSpec, settings: Mapping[str, Any], width: int | None = None) -> str:
    """Return the name under which the memory of a model with these settings was measured.

    Weights of unknown width count as the official ones.
    """
    if spec.memory is None:
        raise UserError(
            f"the memory of {spec.name} was not measured; leave --memory out, or use another "
            "--model"
        )
    official = spec.variants.get("official")
    values = {
        "precision": "float32",
        **settings,
        "refine": settings.get("refine_mode", "field") if settings.get("refine") else "off",
        "width": width or (official.width if official else None),
    }
    factors = (f"{name}={values[name]}" for name in spec.memory.factors)
    return " ".join((spec.memory.measured_as, *factors))


def find_memory_model(name: str) -> MemoryModel:
    """Return a measurement by its name; `UserError` if there is none."""
    models = memory_models()
    if name not in models:
        raise UserError(
            f"the memory of {name} was not measured; leave --memory out, or use another --model"
        )
    return models[name]


def parse_memory(text: str, flag: str = "--memory") -> float:
    """Return an amount such as 8GB, 512MiB or 16G in MiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * _UNITS[match[2].upper()] if match else 0.0
    if amount <= 0:
        raise UserError(f"{flag} {text!r} is not an amount of memory; use for example {flag} 8GB")
    return amount
