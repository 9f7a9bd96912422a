"""The catalogue: the specifications of all packaged models, read from `bundles/NAME/spec.yaml`.

Only packaged bundles are read: a specification decides what is planned and which class is built,
so a bundle from elsewhere has no say in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from zoo.errors import UserError
from zoo.hub import bundles
from zoo.hub.setting_rules import SettingRule
from zoo.hub.specs import (
    Architecture,
    Condition,
    EffortRules,
    MemoryRules,
    MemoryStep,
    ModelSpec,
    PlanningRules,
    SuitablePairs,
    Upstream,
    Variant,
    WorkingGrid,
)
from zoo.io.json_documents import read_json_object

SPEC_FILE = "spec.yaml"
_TABLES = {"pairs": SuitablePairs, "conditions": Condition, "effort": EffortRules}
"""The tables of a specification's planning rules, and the kind of their entries."""

_T = TypeVar("_T")


def load_catalogue() -> Mapping[str, ModelSpec]:
    """Return the specification of every packaged model by its name, in alphabetical order."""
    return _read_folders(bundles.search_folders())


def find_model(name: str) -> ModelSpec:
    """Return the specification of a model; `UserError` lists the models if there is none."""
    models = load_catalogue()
    if name not in models:
        raise UserError(f"there is no model {name!r}; use one of {', '.join(models)}")
    return models[name]


def citations(model: str | None) -> list[str]:
    """Return the papers to cite for a model, its own first: the references of its bundle.

    The list is empty for a bundle from elsewhere, whose model the zoo does not know.
    """
    spec = None if model is None else load_catalogue().get(model)
    metadata = None if spec is None else spec.folder / "configs" / "metadata.json"
    if metadata is None or not metadata.is_file():
        return []
    return [str(reference) for reference in read_json_object(metadata).get("references", [])]


def find_variant(weights: str) -> tuple[ModelSpec, Variant]:
    """Return the model and the variant that `MODEL` (its official weights) or `MODEL:VARIANT` name.

    `UserError` lists what is available if there is none.
    """
    name, _, wanted = weights.partition(":")
    model = find_model(name)
    if not model.variants:
        raise UserError(f"{name} has no weights, so there is nothing to pull")
    wanted = wanted or "official"
    if wanted not in model.variants:
        available = ", ".join(f"{name}:{variant}" for variant in model.variants)
        raise UserError(f"{name} has no variant {wanted!r}; use one of {available}")
    return model, model.variants[wanted]


@cache
def _read_folders(folders: tuple[Path, ...]) -> Mapping[str, ModelSpec]:
    specs: dict[str, ModelSpec] = {}
    for folder in reversed(folders):  # the first folder takes precedence, as for the configs
        for path in folder.glob(f"*/{SPEC_FILE}"):
            specs[path.parent.name] = read_spec(path)
    return MappingProxyType(dict(sorted(specs.items())))


def read_spec(path: Path) -> ModelSpec:
    """Read the specification of a model; a mistake in the file is named with its key."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _model(path.parent, content)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not a model specification: {error}; correct the file"
        ) from error


def _model(folder: Path, content: Mapping[str, Any]) -> ModelSpec:
    variants = {
        name: _record(
            Variant,
            {**entry, "name": name, "upstream": _optional(Upstream, entry.get("upstream"))},
            f"variants: {name}",
        )
        for name, entry in content.get("variants", {}).items()
    }
    entries = {
        **content,
        "name": folder.name,
        "folder": folder,
        "planning": _planning(content.get("planning", {})),
        "architecture": _optional(Architecture, content.get("architecture"), "architecture"),
        "variants": MappingProxyType(variants),
        "memory": _memory(content.get("memory")),
        "settings": _rules(content.get("settings", {}), "settings"),
        "training": _rules(content.get("training", {}), "training"),
    }
    return _record(ModelSpec, entries)


def _planning(content: Mapping[str, Any]) -> PlanningRules:
    where = "planning"
    tables: dict[str, Any] = {
        name: MappingProxyType(
            {key: _record(kind, e, f"{where}: {name}: {key}") for key, e in table.items()}
        )
        for name, kind in _TABLES.items()
        for table in [content.get(name, {})]
    }
    grid = _record(WorkingGrid, content.get("working_grid", {}), f"{where}: working_grid")
    return _record(PlanningRules, {**content, **tables, "working_grid": grid}, where)


def _memory(content: Mapping[str, Any] | None) -> MemoryRules | None:
    if content is None:
        return None
    steps = tuple(_record(MemoryStep, e, "memory: steps") for e in content.get("steps", ()))
    return _record(MemoryRules, {**content, "steps": steps}, "memory")


def _rules(content: Mapping[str, Any], where: str) -> Mapping[str, SettingRule]:
    rules = {key: _rule(entry, f"{where}: {key}") for key, entry in content.items()}
    return MappingProxyType(rules)


def _rule(content: Mapping[str, Any], where: str) -> SettingRule:
    items = content.get("items")
    nested = {
        "items": None if items is None else _rule(items, f"{where}: items"),
        "entries": _rules(content.get("entries", {}), where),
    }
    return _record(SettingRule, {**content, **nested}, where)


def _optional(kind: type[_T], content: Mapping[str, Any] | None, where: str = "") -> _T | None:
    return None if content is None else _record(kind, content, where)


def _record(kind: type[_T], content: Mapping[str, Any], where: str = "") -> _T:
    """Return a data class with the values of `content`; unknown and missing keys are refused."""
    known: Any = fields(kind)  # type: ignore[arg-type]
    required = {f.name for f in known if f.default is MISSING and f.default_factory is MISSING}
    start = f"{where}: " if where else ""
    if unknown := sorted(content.keys() - {f.name for f in known}):
        allowed = ", ".join(f.name for f in known)
        raise ValueError(f"{start}the key {unknown[0]!r} is not known (known keys: {allowed})")
    if missing := sorted(required - content.keys()):
        raise ValueError(f"{start}the key {missing[0]!r} is missing")
    try:
        lists = {k: tuple(v) for k, v in content.items() if isinstance(v, list)}
        return kind(**{**content, **lists})
    except ValueError as error:
        raise ValueError(f"{start}{error}") from error
