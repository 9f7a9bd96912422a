"""What the zoo knows about its models and their weights: `catalogue.yaml`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from zoo.errors import UserError

_SHA256_DIGITS = 64


@dataclass(frozen=True)
class Upstream:
    """The authors' own file: where it is and, when somebody has measured it, its sha256."""

    url: str
    sha256: str | None


@dataclass(frozen=True)
class Variant:
    """One set of weights of a model.

    `sha256` and `size` (bytes) are those of the safetensors file, None while unverified;
    `architecture` holds the network's name and its arguments.
    """

    name: str
    revision: str
    published: bool
    file: str
    sha256: str | None
    size: int | None
    licence: str
    architecture: Mapping[str, Any]
    upstream: Upstream | None
    figures: str

    @property
    def verified(self) -> bool:
        """Whether the catalogue holds the sha256 of the file."""
        return self.sha256 is not None


@dataclass(frozen=True)
class Model:
    """A model of the zoo: what it is for, its Hub repo and its variants (none: no weights)."""

    name: str
    title: str
    summary: str
    hub: str
    licence: str
    arxiv: tuple[str, ...]
    modalities: tuple[str, ...]
    anatomies: tuple[str, ...]
    metrics: tuple[str, ...]
    variants: Mapping[str, Variant]


@cache
def load_catalogue() -> Mapping[str, Model]:
    """Every model of the zoo by its name."""
    import yaml

    text = files("zoo.hub").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    return MappingProxyType({name: _model(name, e) for name, e in yaml.safe_load(text).items()})


def find_model(name: str) -> Model:
    """The model of that name; UserError with the names there are."""
    models = load_catalogue()
    if name not in models:
        raise UserError(f"no model is called {name!r}; there are {', '.join(models)}")
    return models[name]


def find_variant(spec: str) -> tuple[Model, Variant]:
    """What `MODEL` or `MODEL:VARIANT` names; without a variant, the official one."""
    name, _, wanted = spec.partition(":")
    model = find_model(name)
    if not model.variants:
        raise UserError(f"{name} has no weights: it needs nothing to be pulled")
    wanted = wanted or "official"
    if wanted not in model.variants:
        allowed = ", ".join(f"{name}:{variant}" for variant in model.variants)
        raise UserError(f"{name} has no variant {wanted!r}; there are {allowed}")
    return model, model.variants[wanted]


def _model(name: str, entry: dict[str, Any]) -> Model:
    variants = {key: _variant(key, value) for key, value in entry["variants"].items()}
    return Model(
        name=name,
        title=entry["title"],
        summary=entry["summary"],
        hub=entry["hub"],
        licence=entry["licence"],
        arxiv=tuple(entry["arxiv"]),
        modalities=tuple(entry["modalities"]),
        anatomies=tuple(entry["anatomies"]),
        metrics=tuple(entry["metrics"]),
        variants=MappingProxyType(variants),
    )


def _variant(name: str, entry: dict[str, Any]) -> Variant:
    upstream = entry["upstream"]
    variant = Variant(
        **{
            **entry,
            "name": name,
            "architecture": MappingProxyType(entry["architecture"]),
            "upstream": None if upstream is None else Upstream(upstream["url"], upstream["sha256"]),
        }
    )
    for digest in (variant.sha256, variant.upstream.sha256 if variant.upstream else None):
        if digest is not None and len(digest) != _SHA256_DIGITS:
            raise ValueError(f"catalogue.yaml: {name}: {digest!r} is not a sha256")
    return variant
