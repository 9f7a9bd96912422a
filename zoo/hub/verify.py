"""Verify every weights file on this computer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue
from zoo.hub.lock import UNVERIFIED, Installed, read_lock
from zoo.hub.specs import ModelSpec
from zoo.hub.weights import read_weights_header, sha256_of


@dataclass(frozen=True)
class Check:
    """The result for one weights file; `problem` is None for a sound file.

    `verified` says whether its sha256 is known from somewhere else than the file itself.
    """

    weights: str
    path: Path
    sha256: str | None
    verified: bool
    problem: str | None


def verify_all() -> list[Check]:
    """Check size, header and sha256 of every pulled and every packaged file."""
    catalogue = load_catalogue()
    checks = []
    for name, entry in read_lock().installed.items():
        known = entry.checked != UNVERIFIED
        check = _check(name, Path(entry.path), entry.sha256, known)
        expected = _expected_sha256(catalogue, entry)
        if check.problem is None and expected not in (None, entry.sha256):
            problem = f"the catalogue lists the sha256 {expected} for it; pull it again"
            check = replace(check, problem=problem)
        checks.append(check)
    for model in catalogue.values():
        for variant in model.variants.values():
            path = model.folder / variant.file
            if path.is_file():
                name = f"{model.name}:{variant.name} (packaged)"
                checks.append(_check(name, path, variant.sha256, variant.verified))
    return checks


def _expected_sha256(catalogue: Mapping[str, ModelSpec], entry: Installed) -> str | None:
    """Return the sha256 that the catalogue lists for a file from the Hub, if it lists one."""
    model = catalogue.get(entry.model)
    variant = model.variants.get(entry.variant) if model else None
    return variant.sha256 if variant and entry.source == "hub" else None


def _check(name: str, path: Path, expected: str | None, verified: bool) -> Check:
    """Check one file; without an expected sha256 only its header is checked."""
    if not path.is_file():
        return Check(name, path, None, verified, "the file no longer exists; pull it again")
    sha256 = sha256_of(path)
    if expected is not None and sha256 != expected:
        problem = f"its sha256 is {sha256} and should be {expected}; delete it and pull it again"
        return Check(name, path, sha256, verified, problem)
    try:
        read_weights_header(path)
    except UserError as error:
        return Check(name, path, sha256, verified, str(error))
    return Check(name, path, sha256, verified, None)
