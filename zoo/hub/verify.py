"""Checking again every weights file on this computer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.errors import UserError
from zoo.hub.catalogue import Model, load_catalogue
from zoo.hub.lock import Installed, read_lock
from zoo.hub.places import packaged_bundles
from zoo.hub.weights import read_weights_header, sha256_of


@dataclass(frozen=True)
class Check:
    """What was found out about one file: `problem` is None when all is well."""

    weights: str
    path: Path
    sha256: str | None
    verified: bool
    problem: str | None


def verify_all() -> list[Check]:
    """Re-read every pulled file and every packaged one: size, header, sha256."""
    catalogue = load_catalogue()
    checks = []
    for name, entry in read_lock().installed.items():
        known = entry.checked != "nothing yet"
        check = _check(name, Path(entry.path), entry.sha256, known)
        wanted = _of_catalogue(catalogue, entry)
        if check.problem is None and wanted not in (None, entry.sha256):
            problem = f"by the catalogue its sha256 is {wanted}; pull it again"
            check = replace(check, problem=problem)
        checks.append(check)
    for model in catalogue.values():
        for variant in model.variants.values():
            path = packaged_bundles() / model.name / variant.file
            if path.is_file():
                name = f"{model.name}:{variant.name} (packaged)"
                checks.append(_check(name, path, variant.sha256, variant.verified))
    return checks


def _of_catalogue(catalogue: Mapping[str, Model], entry: Installed) -> str | None:
    """Return the sha256 that the catalogue has for the file of the Hub; None if it knows none."""
    model = catalogue.get(entry.model)
    variant = model.variants.get(entry.variant) if model else None
    return variant.sha256 if variant and entry.source == "hub" else None


def _check(name: str, path: Path, expected: str | None, verified: bool) -> Check:
    if not path.is_file():
        return Check(name, path, None, verified, "the file is gone; pull it again")
    found = sha256_of(path)
    if expected is not None and found != expected:
        problem = f"sha256 is {found}, should be {expected}; delete it and pull it again"
        return Check(name, path, found, verified, problem)
    try:
        read_weights_header(path)
    except UserError as error:
        return Check(name, path, found, verified, str(error))
    return Check(name, path, found, verified, None)
