"""Describing a folder of images as a dataset.json: BIDS names, Learn2Reg names, or any others."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from zoo.datasets.modality import (
    canonical_modality,
    contradictions,
    is_hounsfield,
    parse_modality,
)
from zoo.datasets.names import SUFFIXES, case_of, stem
from zoo.datasets.path_safety import path_problem
from zoo.datasets.scan import SAMPLE, evenly_spaced
from zoo.datasets.voxels import inspect_voxels
from zoo.errors import UserError

_ANNOTATION = {
    "labels": re.compile(r"(^|[_-])(labels?|seg|dseg|aseg|segmentation|parcellation)$", re.I),
    "mask": re.compile(r"(^|[_-])(brain)?masks?$", re.I),
}
_FOLDER = {
    "labels": re.compile(r"labels?(tr|ts|val)?$"),
    "mask": re.compile(r"masks?(tr|ts|val)?$"),
}


@dataclass(frozen=True)
class _FolderImage:
    """An image in a folder; `kind` is the part of its name that may give the modality."""

    name: str
    case: str
    kind: str
    labels: str | None = None
    mask: str | None = None


def describe_folder(
    folder: Path,
    *,
    modality: Mapping[str, str] | None = None,
    anatomy: str | None = None,
    pairing: str | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Return a dataset.json for the images below `folder`.

    Images of one case become pairs, with the first kind of image fixed; if every case has a single
    image, each image forms a pair with the next one. `modality` is given by slot. A modality that
    cannot be determined is an error that names the missing flag, and an image whose intensities
    contradict the modality of its slot is an error that names the file.
    """
    images = _images(folder)
    if len(images) < 2:
        raise UserError(
            f"{folder} contains {len(images)} images ({', '.join(SUFFIXES)}), but a pair needs "
            "two; add images"
        )
    cases: dict[str, list[_FolderImage]] = defaultdict(list)
    for image in images:
        cases[image.case].append(image)
    several = [sorted(group, key=lambda i: (i.kind, i.name)) for group in cases.values()]
    pairs = [(group[0], other) for group in several for other in group[1:]]
    within_case = bool(pairs)
    if not within_case:
        pairs = list(pairwise(images))
    examples = {"0": pairs[0][0], "1": pairs[0][1]} if within_case else {"0": pairs[0][0]}
    for slot in sorted(set(modality or {}) - set(examples)):
        raise UserError(
            f"--modality.{slot}: there is no slot {slot} here, only {' and '.join(examples)}"
        )
    for slot, side in zip(examples, zip(*pairs, strict=True), strict=False):
        _check_one_modality(slot, side if within_case else images)
    words = {slot: _modality(folder, slot, i, modality or {}) for slot, i in examples.items()}
    for slot, side in zip(words, zip(*pairs, strict=True), strict=False):
        _check_values(folder, slot, words[slot], side if within_case else images)
    return {
        "name": name or folder.resolve().name,
        "pairing": pairing or ("intra" if within_case else "inter"),
        **({"anatomy": anatomy} if anatomy else {}),
        "modality": words,
        "points_space": "voxel",
        "numRegistration_val": len(pairs),
        "registration_val": [_entry(*pair) for pair in pairs],
    }


def _check_one_modality(slot: str, images: Sequence[_FolderImage]) -> None:
    """Raise an error if the names of a slot's images give several modalities."""
    named = {word: image.name for image in images if (word := canonical_modality(image.kind))}
    if len(named) > 1:
        examples = ", ".join(f"{word} ({name})" for word, name in sorted(named.items()))
        raise UserError(
            f"slot {slot} would contain images of several modalities: {examples}; sort the images "
            "into one folder per dataset, or write the dataset.json by hand"
        )


def _check_values(folder: Path, slot: str, word: str, images: Sequence[_FolderImage]) -> None:
    """Raise an error if the intensities of an image contradict the modality of its slot.

    At most `SAMPLE` images of a slot are decoded. An image that cannot be read is left to
    `regzoo check`.
    """
    names = list(dict.fromkeys(image.name for image in images))
    decoded = {n: inspect_voxels(str(folder), n, "image") for n in evenly_spaced(names, SAMPLE)}
    values = {name: facts.values for name, facts in decoded.items() if facts.values is not None}
    for name, reason in contradictions(canonical_modality(word), values).items():
        raise UserError(
            f"{name}: {reason}; move it out of {folder}, convert it, or declare the modality of "
            f"slot {slot} with --modality.{slot}"
        )


def _entry(fixed: _FolderImage, moving: _FolderImage) -> dict[str, str]:
    """Return a pair as an entry of a dataset.json."""
    out = {"fixed": f"./{fixed.name}", "moving": f"./{moving.name}"}
    for side, image in (("fixed", fixed), ("moving", moving)):
        for kind in ("labels", "mask"):
            if (other := getattr(image, kind)) is not None:
                out[f"{side}_{kind}"] = f"./{other}"
    return out


def _modality(folder: Path, slot: str, image: _FolderImage, declared: Mapping[str, str]) -> str:
    """Return a slot's modality as declared, as the name gives it, or CT if in Hounsfield units."""
    if slot in declared:
        parse_modality(declared[slot], f"--modality.{slot}")
        return declared[slot]
    if canonical_modality(image.kind):
        return image.kind
    values = inspect_voxels(str(folder), image.name, "image").values
    if values is not None and is_hounsfield(values):
        return "CT"
    raise UserError(
        f"neither the name nor the intensities of {image.name} show its modality; add it, for "
        f"example --modality.{slot} mr"
    )


def _images(folder: Path) -> list[_FolderImage]:
    """Return the images below a folder, sorted by name, with their label maps and masks."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the folder that contains the images")
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    names = [n for n in names if n.lower().endswith(SUFFIXES) and path_problem(n) is None]
    kinds = {name: _annotation(name) for name in names}
    annotations = {(kind, _bare(name)): name for name, kind in kinds.items() if kind is not None}
    images = []
    for name in (n for n in names if kinds[n] is None):
        keys = [_bare(name), case_of(name)]
        own = {
            kind: next((annotations[kind, k] for k in keys if (kind, k) in annotations), None)
            for kind in ("labels", "mask")
        }
        images.append(_FolderImage(name, case_of(name), _kind(name), **own))
    return images


def _annotation(name: str) -> str | None:
    """Return "labels" or "mask" if a file's name or folder marks it as such, else None."""
    folders = name.lower().split("/")[:-1]
    for kind in ("labels", "mask"):
        if _ANNOTATION[kind].search(stem(name)) or any(_FOLDER[kind].match(f) for f in folders):
            return kind
    return None


def _bare(name: str) -> str:
    """Return a name without the parts that mark it as a label map, a mask or a kind of image."""
    bare = stem(name)
    for pattern in _ANNOTATION.values():
        bare = pattern.sub("", bare)
    return re.sub(r"_(space|desc|label)-[A-Za-z0-9]+", "", bare)


def _kind(name: str) -> str:
    """Return the last part of a name if it may give the modality, such as T1w of sub-01_T1w."""
    last = re.split(r"[_-]", stem(name))[-1]
    return last if canonical_modality(last) or not last.isdigit() else ""
