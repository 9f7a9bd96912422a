"""Presets: the models that suit a kind of pair, best first, put together from all specifications.

The key of a preset is ANATOMY/MODALITY-MODALITY/PAIRING, where `any` stands for all; `mr-mr` means
one contrast and `mr-mr'` two. The most exact key counts: anatomy first, then modalities, then
pairing. A fallback model comes last in every preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.datasets.modality import MODALITIES
from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue
from zoo.hub.specs import ModelSpec, SuitablePairs

ANY = "any"


@dataclass(frozen=True)
class Preset:
    """The models for a kind of pair, best first, and those `trained` on such pairs."""

    key: str
    models: tuple[str, ...]
    because: str
    trained: tuple[str, ...] = ()


def load_presets() -> Mapping[str, Preset]:
    """Return all presets by their keys."""
    specs = load_catalogue()
    keys = dict.fromkeys(key for spec in specs.values() for key in spec.planning.pairs)
    return {key: _preset(key, specs) for key in keys}


def find_preset(anatomy: str | None, modalities: str | None, pairing: str | None) -> Preset:
    """Return the preset with the most exact key."""
    known = load_presets()
    for a in (anatomy or ANY, ANY):
        for m in (modalities or ANY, ANY):
            for p in (pairing or ANY, ANY):
                if f"{a}/{m}/{p}" in known:
                    return known[f"{a}/{m}/{p}"]
    raise UserError("no model of this installation suits any pair; install regzoo again")


def modality_pair(fixed: str | None, moving: str | None, *, contrasts: bool) -> str | None:
    """Return the middle of a key, `ct-mr` whichever is fixed; None if a modality is unknown.

    With two `contrasts` of MR it is `mr-mr'`.
    """
    if fixed is None or moving is None:
        return None
    first, second = sorted((fixed, moving), key=MODALITIES.index)
    return f"{first}-{second}" + ("'" if contrasts and first == second == "mr" else "")


def _preset(key: str, specs: Mapping[str, ModelSpec]) -> Preset:
    entries: dict[str, SuitablePairs] = {
        name: spec.planning.pairs[key] for name, spec in specs.items() if key in spec.planning.pairs
    }
    ordered = sorted(entries, key=lambda name: (entries[name].rank, name))
    fallbacks = [name for name, spec in specs.items() if spec.planning.fallback]
    models = tuple(dict.fromkeys([*ordered, *fallbacks]))
    because = next((entries[name].because for name in ordered if entries[name].because), "")
    return Preset(key, models, because, tuple(name for name in ordered if entries[name].trained))
