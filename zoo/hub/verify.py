"""Checking again every weights file on this computer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue
from zoo.hub.lock import read_lock
from zoo.hub.places import packaged_bundles
from zoo.hub.weights import read_header, sha256_of


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
        checks.append(_check(name, Path(entry.path), entry.sha256, known))
    for model in catalogue.values():
        for variant in model.variants.values():
            path = packaged_bundles() / model.name / variant.file
            if path.is_file():
                name = f"{model.name}:{variant.name} (packaged)"
                checks.append(_check(name, path, variant.sha256, variant.verified))
    return checks


def _check(name: str, path: Path, expected: str | None, verified: bool) -> Check:
    if not path.is_file():
        return Check(name, path, None, verified, "the file is gone; pull it again")
    found = sha256_of(path)
    if expected is not None and found != expected:
        problem = f"sha256 is {found}, should be {expected}; delete it and pull it again"
        return Check(name, path, found, verified, problem)
    try:
        read_header(path)
    except UserError as error:
        return Check(name, path, found, verified, str(error))
    return Check(name, path, found, verified, None)
