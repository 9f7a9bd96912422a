"""Digests of everything that the result of a pair depends on.

A result is valid as long as its digest matches: the bytes of the pair's files, the settings of the
plan, the model and its weights, and the version of regzoo.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from zoo import __version__
from zoo.datasets.pairs import PairFiles
from zoo.hub.bundles import bundle_folder, config_keys
from zoo.hub.weights import sha256_of
from zoo.io.dicom.image import image_files
from zoo.io.files import existing_file
from zoo.planning.plan import Plan, for_a_pair
from zoo.registration.weights import SelectedWeights

DigestOf = Callable[[Path, "Mapping[str, Any] | None"], dict[str, Any]]
"""Returns the digest of a file, given an earlier one if there is one."""


def settings_digest(plan: Plan, uncertainty: int | None = None) -> str:
    """Return the digest of what all pairs of a run have in common, independent of file locations.

    The weights are those that the bundle selects for the plan. `uncertainty` is the number of
    perturbed registrations of each pair.
    """
    settings = {k: v for k, v in for_a_pair(plan).items() if k != "plan"}
    for name in ("affine", "preset"):
        if Path(str(settings.get(name))).is_file():
            settings[name] = sha256_of(Path(settings[name]))
    common = {
        "regzoo": __version__,
        "model": plan["plan"]["model"],
        "weights": weights_sha256(plan),
        "settings": settings,
    }
    if uncertainty is not None:
        common["uncertainty"] = uncertainty
    return _digest_of(common)


def weights_sha256(plan: Plan) -> str | None:
    """Return the sha256 of the weights that a plan's bundle uses; None for a model without any."""
    model = str(plan["plan"]["model"])
    bundle = bundle_folder(model)
    if "weights" not in config_keys(bundle):
        return None
    return SelectedWeights(model, plan.get("weights"), bundle).find().sha256


def pair_digest(
    files: PairFiles,
    settings: str,
    known: Mapping[str, Any] | None = None,
    digest: DigestOf | None = None,
) -> dict[str, Any]:
    """Return the digest of a pair and of each of its files, as result.json stores them.

    `settings` is the result of `settings_digest`. `known` is an earlier result of this function:
    files whose size and times have not changed since are not read again. `digest` returns that of a
    file; by default it is `file_digest`.
    """
    digest = digest or file_digest
    earlier = (known or {}).get("files", {})
    parts = {role: digest(path, earlier.get(role)) for role, path in files_by_role(files)}
    content = {role: part["sha256"] for role, part in parts.items()}
    return {"sha256": _digest_of([settings, files.points_space, content]), "files": parts}


def file_digest(path: Path, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the sha256, the size and the modification times of a file or a DICOM series.

    If size and times equal those in `known`, its sha256 is returned without reading the file.
    """
    files = [existing_file(file) for file in image_files(path)]
    states = [file.stat() for file in files]
    now = {
        "size": sum(state.st_size for state in states),
        "mtime_ns": max(state.st_mtime_ns for state in states),
        "ctime_ns": max(state.st_ctime_ns for state in states),
    }
    if known is not None and "sha256" in known and all(known.get(k) == v for k, v in now.items()):
        return {"sha256": known["sha256"], **now}
    digests = [sha256_of(file) for file in files]
    return {"sha256": digests[0] if len(digests) == 1 else _digest_of(digests), **now}


def files_by_role(files: PairFiles) -> list[tuple[str, Path]]:
    """Return the files of a pair with their roles; several moving images are numbered."""
    out: list[tuple[str, Path]] = []
    for field in fields(PairFiles):
        value = getattr(files, field.name)
        if isinstance(value, Path):
            out.append((field.name, value))
        elif isinstance(value, tuple):
            out += [(f"{field.name}.{k}", path) for k, path in enumerate(value)]
    return out


def _digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
