"""The description of a folder of images as a dataset.json, and what is left out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.datasets.discovery.images import FolderImage, find_images
from zoo.datasets.discovery.partners import find_partners
from zoo.datasets.modality import (
    canonical_modality,
    contradictions,
    is_hounsfield,
    parse_modality,
)
from zoo.datasets.names import SUFFIXES
from zoo.datasets.scan import SAMPLE, evenly_spaced
from zoo.datasets.voxels import inspect_voxels
from zoo.errors import UserError


@dataclass(frozen=True)
class Discovery:
    """The content of a dataset.json, and the images that it leaves out, with the reason of each."""

    document: dict[str, Any]
    left_out: Mapping[str, str]


def describe_folder(
    folder: Path,
    *,
    modality: Mapping[str, str] | None = None,
    anatomy: str | None = None,
    pairing: str | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Return the document of `discover`."""
    found = discover(folder, modality=modality, anatomy=anatomy, pairing=pairing, name=name)
    return found.document


def discover(
    folder: Path,
    *,
    modality: Mapping[str, str] | None = None,
    anatomy: str | None = None,
    pairing: str | None = None,
    name: str | None = None,
) -> Discovery:
    """Return a dataset.json for the images below `folder`, and what is left out of it.

    Images of one case become pairs, as `find_partners` describes; if every case has a single image,
    each image forms a pair with the next one. `modality` is given by slot. A modality that cannot
    be determined is an error that names the missing flag, and an image whose intensities contradict
    the modality of its slot is an error that names the file.
    """
    images, left_out = find_images(folder)
    if len(images) < 2:
        raise UserError(
            f"{folder} contains {len(images)} images ({', '.join(SUFFIXES)} or DICOM), but a pair "
            f"needs two; add images{_reasons(left_out)}"
        )
    pairs, within_case, unpaired = find_partners(images)
    left_out |= unpaired
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
    document = {
        "name": name or folder.resolve().name,
        "pairing": pairing or ("intra" if within_case else "inter"),
        **({"anatomy": anatomy} if anatomy else {}),
        "modality": words,
        "points_space": "voxel",
        "numRegistration_val": len(pairs),
        "registration_val": [_entry(*pair) for pair in pairs],
    }
    return Discovery(document, left_out)


def _check_one_modality(slot: str, images: Sequence[FolderImage]) -> None:
    """Raise an error if the names of a slot's images give several modalities."""
    named = {word: image.name for image in images if (word := canonical_modality(image.kind))}
    if len(named) > 1:
        examples = ", ".join(f"{word} ({name})" for word, name in sorted(named.items()))
        raise UserError(
            f"slot {slot} would contain images of several modalities: {examples}; sort the images "
            "into one folder per dataset, or write the dataset.json by hand"
        )


def _check_values(folder: Path, slot: str, word: str, images: Sequence[FolderImage]) -> None:
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


def _entry(fixed: FolderImage, moving: FolderImage) -> dict[str, str]:
    """Return a pair as an entry of a dataset.json."""
    out = {"fixed": f"./{fixed.name}", "moving": f"./{moving.name}"}
    for side, image in (("fixed", fixed), ("moving", moving)):
        for kind in ("labels", "mask"):
            if (other := getattr(image, kind)) is not None:
                out[f"{side}_{kind}"] = f"./{other}"
    return out


def _modality(folder: Path, slot: str, image: FolderImage, declared: Mapping[str, str]) -> str:
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


def _reasons(left_out: Mapping[str, str]) -> str:
    """Return the first images that were left out, with their reasons, for an error."""
    shown = [f"{name} ({reason})" for name, reason in list(left_out.items())[:5]]
    return f"; left out: {', '.join(shown)}" if shown else ""
