"""Names of BIDS derivatives: the files of one registration as a dataset of its own.

The transform is `sub-01_from-T2w_to-T1w_mode-image_xfm.nii.gz`: `from` is the moving and `to` the
fixed image. The warped image keeps the entities of the moving image and adds `space` and `desc`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.io.atomic import write_json, write_text

DESCRIPTION, IGNORED = "dataset_description.json", ".bidsignore"
BIDS_VERSION = "1.10.0"
DATATYPES = ("anat", "func", "dwi", "pet", "perf", "fmap", "micr")

PATTERN = (
    r"dataset_description\.json|\.bidsignore|sub-[A-Za-z0-9]+/(ses-[A-Za-z0-9]+/)?[a-z]+/"
    r"sub-[A-Za-z0-9]+(_[A-Za-z0-9]+-[A-Za-z0-9+]+)*_[A-Za-z0-9]+\.(nii\.gz|h5|txt|json)"
)
"""Matches the names of all files that a registration writes with BIDS names, in its folder."""

_ENTITY = re.compile(r"([A-Za-z0-9]+)-([A-Za-z0-9+]+)")
_SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd", ".mhd")
_DATATYPE_OF = {"bold": "func", "sbref": "func", "dwi": "dwi", "pet": "pet", "asl": "perf"}


@dataclass(frozen=True)
class BidsName:
    """A file name in BIDS: its entities in order, its suffix such as T1w, and its datatype."""

    entities: dict[str, str]
    suffix: str
    datatype: str


@dataclass(frozen=True)
class BidsOutputs:
    """The names of the outputs of one registration, relative to the folder of the derivative."""

    fixed: BidsName
    moving: BidsName

    @property
    def folder(self) -> str:
        """The folder of the moving image: sub-X, ses-Y if there is one, and the datatype."""
        parts = [f"{k}-{v}" for k, v in self.moving.entities.items() if k in ("sub", "ses")]
        return "/".join([*parts, self.moving.datatype])

    @property
    def spaces(self) -> tuple[str, str]:
        """The labels of the spaces of the moving and of the fixed image, such as T2w and T1w.

        The label is that of a template or of an earlier registration, or else the suffix. Where
        both are equal, the session or the subject, or the other entities, are put before it.
        """
        labels = [_space(name) for name in (self.moving, self.fixed)]
        if labels[0] != labels[1]:
            return labels[0], labels[1]
        differing = [
            k
            for k in dict.fromkeys([*self.moving.entities, *self.fixed.entities])
            if self.moving.entities.get(k) != self.fixed.entities.get(k)
        ]
        chosen = [k for k in ("ses", "sub") if k in differing][:1] or differing
        if not chosen:
            return labels[0] + "moving", labels[1] + "fixed"
        moving, fixed = (
            "".join(f"{k}{name.entities[k]}" for k in chosen if k in name.entities).replace("+", "")
            for name in (self.moving, self.fixed)
        )
        return moving + labels[0], fixed + labels[1]

    def transform(self, extension: str, *, inverse: bool = False) -> str:
        """Return the name of the transform, or of its inverse."""
        source, target = reversed(self.spaces) if inverse else self.spaces
        more = {"from": source, "to": target, "mode": "image"}
        return self._name(more, "xfm", extension)

    def warped(self, suffix: str | None = None, extension: str = ".nii.gz") -> str:
        """Return the name of the warped moving image, or of another image with a suffix."""
        more = {"space": self.spaces[1], "desc": "registered"}
        return self._name(more, suffix or self.moving.suffix, extension)

    def _name(self, more: dict[str, str], suffix: str, extension: str) -> str:
        kept = {k: v for k, v in self.moving.entities.items() if k not in ("space", "desc")}
        entities = "_".join(f"{k}-{v}" for k, v in {**kept, **more}.items())
        return f"{self.folder}/{entities}_{suffix}{extension}"


def bids_outputs(fixed: Path, moving: Path) -> BidsOutputs:
    """Return the names of the outputs for two images, of which the moving one has a subject."""
    outputs = BidsOutputs(parse_bids_name(fixed), parse_bids_name(moving))
    if "sub" not in outputs.moving.entities:
        raise UserError(
            f"--bids names the outputs after the moving image {moving.name}, which has no subject; "
            "give it a BIDS name such as sub-01_T1w.nii.gz"
        )
    return outputs


def parse_bids_name(path: Path) -> BidsName:
    """Return the parts of a BIDS name, such as sub-01_ses-02_T1w.nii.gz or tpl-X_T1w.nii.gz."""
    ending = next((s for s in _SUFFIXES if path.name.lower().endswith(s)), None)
    stem = path.name[: -len(ending)] if ending else path.stem
    *pairs, suffix = stem.split("_")
    matches = [_ENTITY.fullmatch(pair) for pair in pairs]
    known = [match for match in matches if match is not None]
    keys = [match[1] for match in known]
    valid = len(known) == len(matches) and len(set(keys)) == len(keys) and suffix.isalnum()
    if not valid or not keys or keys[0] not in ("sub", "tpl") or not suffix.isascii():
        raise UserError(
            f"{path.name} is not a BIDS name; with --bids both images need names such as "
            "sub-01_ses-02_T1w.nii.gz or tpl-MNI152NLin2009cAsym_T1w.nii.gz"
        )
    folder = path.absolute().parent.name
    datatype = folder if folder in DATATYPES else _DATATYPE_OF.get(suffix, "anat")
    return BidsName({match[1]: match[2] for match in known}, suffix, datatype)


def write_description(folder: Path, version: str, ignored: list[str]) -> None:
    """Write the description of a derivative, and .bidsignore for files without BIDS names."""
    description: dict[str, Any] = {
        "Name": "regzoo: registered images and their transforms",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "regzoo", "Version": version}],
    }
    write_json(folder / DESCRIPTION, description)
    if ignored:
        write_text(folder / IGNORED, "".join(f"{name}\n" for name in sorted(set(ignored))))


def refuse_other_dataset(folder: Path, own: Iterable[str] = ()) -> None:
    """Refuse to write a derivative into a folder that is a dataset already.

    `own` are the files of an earlier registration in that folder, which may be replaced.
    """
    if (folder / DESCRIPTION).exists() and DESCRIPTION not in own:
        raise UserError(
            f"{folder} has a {DESCRIPTION} that belongs to another dataset; with --bids choose a "
            f"folder for this registration alone, such as {folder / 'derivatives' / 'regzoo-01'}"
        )


def write_sidecar(path: Path, fixed: Path, moving: Path) -> None:
    """Write the metadata that BIDS asks for beside an image in the space of another image."""
    write_json(path, {"SpatialReference": fixed.name, "Sources": [moving.name]})


def _space(name: BidsName) -> str:
    label = name.entities.get("tpl") or name.entities.get("space") or name.suffix
    return label.replace("+", "")
