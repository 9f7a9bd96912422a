"""Making a dataset.json of loose files: BIDS names, Learn2Reg's, or any others."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from zoo.datasets.modality import canonical, checked, is_hounsfield
from zoo.datasets.names import SUFFIXES, case_of, stem
from zoo.datasets.path_safety import name_problem
from zoo.datasets.voxels import decode
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
class _FoundImage:
    """An image of a folder: its case, what its name says of the modality, and its annotations."""

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
    """Return a dataset.json for the images below `folder`; what cannot be told is asked for.

    Images of one case become pairs, the first kind of image fixed; if every case has one image,
    each is paired with the next.
    """
    images = _images(folder)
    if len(images) < 2:
        raise UserError(
            f"{folder} holds {len(images)} images ({', '.join(SUFFIXES)}); two make a pair"
        )
    cases: dict[str, list[_FoundImage]] = defaultdict(list)
    for image in images:
        cases[image.case].append(image)
    several = [sorted(group, key=lambda i: (i.kind, i.name)) for group in cases.values()]
    pairs = [(group[0], other) for group in several for other in group[1:]]
    within = bool(pairs)
    if not within:
        pairs = list(pairwise(images))
    wanted = {"0": pairs[0][0], "1": pairs[0][1]} if within else {"0": pairs[0][0]}
    for slot in sorted(set(modality or {}) - set(wanted)):
        raise UserError(
            f"--modality.{slot}: there is no slot {slot} here, only {' and '.join(wanted)}"
        )
    for slot, side in zip(wanted, zip(*pairs, strict=True), strict=False):
        _check_one_kind(slot, side if within else images)
    words = {k: _modality(folder, k, image, modality or {}) for k, image in wanted.items()}
    return {
        "name": name or folder.resolve().name,
        "pairing": pairing or ("intra" if within else "inter"),
        **({"anatomy": anatomy} if anatomy else {}),
        "modality": words,
        "points_space": "voxel",
        "numRegistration_val": len(pairs),
        "registration_val": [_entry(*pair) for pair in pairs],
    }


def _check_one_kind(slot: str, images: Sequence[_FoundImage]) -> None:
    """Refuse images of several modalities in one slot: a dataset declares one for each slot."""
    kinds = {found: image.name for image in images if (found := canonical(image.kind))}
    if len(kinds) > 1:
        seen = ", ".join(f"{kind} ({name})" for kind, name in sorted(kinds.items()))
        raise UserError(
            f"slot {slot} would hold images of several modalities: {seen}; put those that belong "
            "together in a folder each, or write the dataset.json by hand"
        )


def _entry(fixed: _FoundImage, moving: _FoundImage) -> dict[str, str]:
    out = {"fixed": f"./{fixed.name}", "moving": f"./{moving.name}"}
    for side, image in (("fixed", fixed), ("moving", moving)):
        for kind in ("labels", "mask"):
            if (other := getattr(image, kind)) is not None:
                out[f"{side}_{kind}"] = f"./{other}"
    return out


def _modality(folder: Path, slot: str, image: _FoundImage, said: Mapping[str, str]) -> str:
    """Return a slot's modality: as said, as the name says, as the values prove; else ask."""
    if slot in said:
        checked(said[slot], f"--modality.{slot}")
        return said[slot]
    if canonical(image.kind):
        return image.kind
    values = decode(str(folder), image.name, "image").values
    if values is not None and is_hounsfield(values):
        return "CT"
    raise UserError(
        f"what {image.name} shows cannot be told from its name or its values; add, with what is "
        f"true, --modality.{slot} mr"
    )


def _images(folder: Path) -> list[_FoundImage]:
    """Return the images below a folder, sorted, with the label maps and masks that go with them."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the one that holds the images")
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    names = [n for n in names if n.lower().endswith(SUFFIXES) and name_problem(n) is None]
    kinds = {name: _annotation(name) for name in names}
    beside = {(kind, _bare(name)): name for name, kind in kinds.items() if kind is not None}
    found = []
    for name in (n for n in names if kinds[n] is None):
        keys = [_bare(name), case_of(name)]
        others = {
            kind: next((beside[kind, k] for k in keys if (kind, k) in beside), None)
            for kind in ("labels", "mask")
        }
        found.append(_FoundImage(name, case_of(name), _kind(name), **others))
    return found


def _annotation(name: str) -> str | None:
    """Say whether a file is a label map or a mask, by its name or its folder's."""
    folders = name.lower().split("/")[:-1]
    for kind in ("labels", "mask"):
        if _ANNOTATION[kind].search(stem(name)) or any(_FOLDER[kind].match(f) for f in folders):
            return kind
    return None


def _bare(name: str) -> str:
    """Return a name without what marks it as a label map, a mask or a kind of image."""
    bare = stem(name)
    for pattern in _ANNOTATION.values():
        bare = pattern.sub("", bare)
    return re.sub(r"_(space|desc|label)-[A-Za-z0-9]+", "", bare)


def _kind(name: str) -> str:
    """Return what the last part of a name says of an image: T1w of sub-01_T1w."""
    last = re.split(r"[_-]", stem(name))[-1]
    return last if canonical(last) or not last.isdigit() else ""
