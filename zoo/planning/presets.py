"""The table of presets: which models suit which pairs. `presets.yaml` is the table itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from zoo.datasets.modality import MODALITIES

ANY = "any"


@dataclass(frozen=True)
class Preset:
    """Models for a kind of pair, best first; those `trained` on it; the conditions of UniReg."""

    key: str
    models: tuple[str, ...]
    because: str
    trained: tuple[str, ...] = ()
    unireg: Mapping[str, str] = field(default_factory=dict)


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by their keys."""
    return {
        key: Preset(
            key,
            tuple(entry["models"]),
            entry["because"],
            tuple(entry.get("trained", ())),
            entry.get("unireg", {}),
        )
        for key, entry in _table()["presets"].items()
    }


def model_settings(model: str) -> dict[str, Any]:
    """Return what a model is run with unless a rule says otherwise."""
    return dict(_table()["models"][model])


def models() -> list[str]:
    """Return the models that the table knows."""
    return list(_table()["models"])


def find_preset(anatomy: str | None, modalities: str | None, pairing: str | None) -> Preset:
    """Return the preset of the most exact key there is."""
    for a in (anatomy or ANY, ANY):
        for m in (modalities or ANY, ANY):
            for p in (pairing or ANY, ANY):
                if f"{a}/{m}/{p}" in presets():
                    return presets()[f"{a}/{m}/{p}"]
    raise KeyError(f"{ANY}/{ANY}/{ANY}")


def modality_pair(fixed: str | None, moving: str | None, *, contrasts: bool) -> str | None:
    """Return the middle of a key: `ct-mr` whichever is fixed; with two `contrasts` of MR `mr-mr'`.

    None if one of them is not known.
    """
    if fixed is None or moving is None:
        return None
    first, second = sorted((fixed, moving), key=MODALITIES.index)
    return f"{first}-{second}" + ("'" if contrasts and first == second == "mr" else "")


@cache
def _table() -> Mapping[str, Any]:
    import yaml

    text = files("zoo.planning").joinpath("presets.yaml").read_text(encoding="utf-8")
    table: Mapping[str, Any] = yaml.safe_load(text)
    return table
