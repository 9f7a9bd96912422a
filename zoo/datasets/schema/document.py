"""The keys of a dataset.json and the values that each of them may have.

The keys are those of regzoo and those that Learn2Reg and the Medical Segmentation Decathlon write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from zoo.datasets.dataset import SIDES, Split
from zoo.errors import UserError, nearest

LISTS: Mapping[str, Split] = {
    **dict.fromkeys(("training", "training_paired_images", "imagesTr"), "train"),
    **dict.fromkeys(("validation", "validation_paired_images", "imagesVal"), "val"),
    "registration_val": "val",
    **dict.fromkeys(("test", "test_paired_images", "registration_test", "imagesTs"), "test"),
}
"""The lists of images and pairs, with their split."""

COUNTS: Mapping[str, str] = {
    "numTraining": "training",
    "numPairedTraining": "training_paired_images",
    "numValidation": "validation",
    "numTest": "test",
    "numPairedTest": "test_paired_images",
    "numRegistration_val": "registration_val",
    "numRegistration_test": "registration_test",
}
"""The declared lengths of lists, with the list that each belongs to."""

_ANNOTATIONS = ("label", "labels", "mask", "masks", "points")
_POINTS = re.compile(r"(landmarks|keypoints)\d{0,3}")
_EVALUATED = ("$", "@", "%")
_MOST_CHARACTERS = 100_000
_LARGEST = 10**9

Check = Callable[[Any], bool]


def is_points_key(key: str) -> bool:
    """Return whether a key of an entry names key points, such as keypoints01."""
    return key == "points" or _POINTS.fullmatch(key) is not None


def unknown_entry_keys(entry: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the keys of an image or a pair: one text per unknown key."""
    if set(SIDES) & set(entry):
        prefixes = [f"{side}_" for side in SIDES]
        known = [*SIDES, *(p + kind for p in prefixes for kind in (*_ANNOTATIONS, "keypoints"))]
    else:
        prefixes, known = [""], ["image", *_ANNOTATIONS, "keypoints", "landmarks"]
    return [
        f"{shown(key)}{nearest(key, known)}"
        for key in entry
        if key not in known
        and not any(key.startswith(p) and is_points_key(key.removeprefix(p)) for p in prefixes)
    ]


def check_document(file: Path, document: Mapping[str, Any]) -> None:
    """Refuse keys that a dataset.json does not have, and values that they cannot have.

    The entries of the lists are checked where they are read.
    """
    for key, value in document.items():
        if key not in _CHECKS:
            raise UserError(
                f"{file}: {shown(key)}: a dataset.json has no such key"
                f"{nearest(key, _CHECKS)}; correct its name or remove it"
            )
        for text in () if key in LISTS else _texts(value):
            if text.lstrip().startswith(_EVALUATED):
                raise UserError(
                    f"{file}: {key}: {shown(text)} begins with $, @ or %, which is allowed only in "
                    "the names of files; remove this character"
                )
        check, allowed = _CHECKS[key]
        if not check(value):
            raise UserError(f"{file}: {key}: {shown(value)} is not allowed; use {allowed}")


def shown(value: Any) -> str:
    """Return a value for a message: quoted, printable, and of at most 60 characters."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _texts(value: Any) -> Iterable[str]:
    """Yield all texts in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS


def _is_text_or_number(value: Any) -> bool:
    return value is None or _is_text(value) or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any, least: int = 0, most: int = _LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_slot(value: Any) -> bool:
    """Return whether a value is the number of a modality slot, as a number or as text."""
    if isinstance(value, str):
        return re.fullmatch(r"\d{1,4}", value, re.ASCII) is not None
    return _is_whole(value, 0, 9999)


def _by_slot(check: Check) -> Check:
    """Return the check of one value, or of a mapping from slots to such values."""

    def checked(value: Any) -> bool:
        if isinstance(value, dict):
            return all(_is_slot(key) and check(item) for key, item in value.items())
        return check(value)

    return checked


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _is_modality(value: Any) -> bool:
    texts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else [0]
    slots = value if isinstance(value, dict) else ()
    return all(map(_is_text, texts)) and all(map(_is_slot, slots))


def _are_labels(value: Any) -> bool:
    """Return whether a value is {"1": "liver"}, {"liver": 1}, or one such mapping per slot."""
    if not isinstance(value, dict) or not any(isinstance(v, dict) for v in value.values()):
        return value == [] or _are_names(value)
    return all(_is_slot(slot) and _are_names(names) for slot, names in value.items())


def _are_names(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(v) or _is_whole(v) for v in value.values())


def _is_direction(value: Any) -> bool:
    return (
        isinstance(value, dict) and set(value) <= set(SIDES) and all(map(_is_slot, value.values()))
    )


def _one_of(*choices: str) -> tuple[Check, str]:
    return (lambda value: value in choices and isinstance(value, str)), " or ".join(choices)


_ANY: tuple[Check, str] = (lambda value: True), "any value"
_TEXT: tuple[Check, str] = _is_text_or_number, "a text or a number"
_CHECKS: Mapping[str, tuple[Check, str]] = {
    **dict.fromkeys(
        LISTS,
        (
            lambda value: (
                isinstance(value, list)
                or (_by_slot(_list_of(lambda item: True))(value) and isinstance(value, dict))
            ),
            "a list of images or pairs, or one list per slot",
        ),
    ),
    **dict.fromkeys(COUNTS, (_by_slot(_is_whole), "a whole number of at least 0")),
    "name": (_is_text, "a text"),
    "anatomy": (_is_text, "a text"),
    "pairing": _one_of("intra", "inter"),
    "pairings": _one_of("paired", "unpaired", "hybrid"),
    "points_space": _one_of("ras", "lps", "voxel"),
    "modality": (_is_modality, 'one text per slot, such as {"0": "CT", "1": "MR"}'),
    "labels": (_are_labels, 'a name per label, such as {"1": "liver"}'),
    "registration_direction": (_is_direction, 'the slots of both, as {"fixed": 0, "moving": 1}'),
    # What follows is written by Learn2Reg and the Decathlon, and ignored.
    **dict.fromkeys(("description", "licence", "license", "reference", "release", "relase"), _TEXT),
    **dict.fromkeys(("task_name", "eval_config_version", "converted_by"), _TEXT),
    **dict.fromkeys(("tensorImageSize", "tensorImageShape", "expected_shape"), _ANY),
    **dict.fromkeys(("provided_data", "img_shift", "masked_evaluation"), _ANY),
    **dict.fromkeys(("evaluation_methods", "eval_pairs"), _ANY),
}
