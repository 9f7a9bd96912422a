"""The plan of a request, as the page shows it. Runs in the helper process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from zoo.datasets.pairs import PairFiles, load_pair
from zoo.hub.catalogue import find_model
from zoo.hub.own_models import find_own_model
from zoo.hub.specs import NORMAL
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.plan_pair import plan_pair
from zoo.pipelines.register import BESIDE_IMAGES, absolute_files
from zoo.pipelines.settings import resolve_settings
from zoo.planning.fingerprint import pair_fingerprint
from zoo.planning.plan import Plan

REMEMBERED = 32
"""Pairs whose fingerprint is kept, so that a changed request is planned without reading images."""


def plan_document(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan for options of a registration; labels and points are checked as well."""
    request = RegistrationOptions(**options)
    files = absolute_files(request)
    if any(getattr(files, name) is not None for name in BESIDE_IMAGES):
        _checked(files, _changed(files))
    own = None if request.model == "auto" else find_own_model(request.model)
    settings = resolve_settings(request.bundle_settings())
    plan = plan_pair(request, files, settings, own, fingerprint=_remembered)
    assert plan is not None, "only the option bundle makes no plan"
    return _document(plan)


def _document(plan: Plan) -> dict[str, Any]:
    section = plan["plan"]
    choices = dict(section["choices"])
    model = choices.pop("model")
    names = ("anatomy", "pairing", "modality.0", "modality.1")
    keys = ("value", "confidence", "evidence")
    beliefs = zip(names, map(_stated, section["beliefs"].values()), strict=True)
    return {
        "model": section["model"],
        "title": find_model(section["model"]).title,
        "effort": section.get("effort", NORMAL),
        "preset": section["preset"],
        "because": model["because"],
        "beliefs": [{"name": n} | {key: b.get(key) for key in keys} for n, b in beliefs],
        "settings": [{"name": name} | choice for name, choice in choices.items()],
        "cautions": section["cautions"],
    }


def _stated(belief: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a belief; what the user stated has no evidence in the images."""
    if belief.get("source") != "user":
        return belief
    return {**belief, "evidence": "stated by you"}


@lru_cache(REMEMBERED)
def _checked(files: PairFiles, _changed: tuple[int, ...]) -> None:
    """Refuse labels and points that do not belong to their images."""
    load_pair(files)


def _remembered(fixed: Path, moving: Path, *, read: Any, **more: Any) -> dict[str, Any]:
    """Return the fingerprint of a pair, taken once for the same files."""
    changed = tuple(_time_of(path) for path in (fixed, moving))
    return _taken(fixed, moving, changed, tuple(sorted(more.items())))


@lru_cache(REMEMBERED)
def _taken(
    fixed: Path, moving: Path, _changed: tuple[int, ...], more: tuple[tuple[str, Any], ...]
) -> dict[str, Any]:
    return pair_fingerprint(fixed, moving, **dict(more))


def _changed(files: PairFiles) -> tuple[int, ...]:
    """Return the times at which the files were changed."""
    beside = (getattr(files, name) for name in BESIDE_IMAGES)
    paths = [files.fixed, *files.moving, *(path for path in beside if path is not None)]
    return tuple(map(_time_of, paths))


def _time_of(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
