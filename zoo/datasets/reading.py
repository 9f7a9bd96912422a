"""Reading a dataset's file: a dataset.json as in Learn2Reg and its variants, or a pairs.csv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from zoo.datasets.dataset import SPLITS, Dataset, Pairing, Split
from zoo.datasets.entries import EntryCollector
from zoo.datasets.path_safety import FileFinder
from zoo.datasets.problems import Problem
from zoo.datasets.schema.document import COUNTS, LISTS, check_document
from zoo.datasets.schema.table import read_pair_table
from zoo.errors import UserError
from zoo.io.files import AnyPath, existing_file
from zoo.io.json_documents import read_json_object

DESCRIPTIONS = ("dataset.json", "pairs.csv")
"""The files that describe a dataset, the preferred one first."""


def read_dataset(path: AnyPath, finder: FileFinder | None = None) -> Dataset:
    """Read a dataset from its folder, its dataset.json or its pairs.csv.

    Unusable entries end up in `problems`. A file that is not a dataset, or that has keys or values
    which a dataset does not have, is an error. `finder` says which files exist, if they are not
    beside the dataset's file.
    """
    file = _file_in(Path(path)) if Path(path).is_dir() else Path(path)
    if file.suffix.lower() == ".csv":
        return _read_table(file, finder)
    return _read_document(file, finder)


def _file_in(folder: Path) -> Path:
    """Return the file that describes the dataset in a folder."""
    for name in DESCRIPTIONS:
        if (folder / name).exists():
            return folder / name
    candidates = sorted(folder.glob("*dataset*.json"))
    if len(candidates) != 1:
        raise UserError(
            f"{folder} contains neither dataset.json nor pairs.csv; run regzoo init {folder}"
        )
    return candidates[0]


def _read_document(file: Path, finder: FileFinder | None) -> Dataset:
    """Read a dataset.json."""
    value = read_json_object(file)
    check_document(file, value)
    entries = EntryCollector(file, finder)
    counts: dict[str, int] = {}
    for key in (key for key in value if key in LISTS):
        listed = value[key]
        for part in listed.values() if isinstance(listed, dict) else [listed]:
            entries.add_list(key, part, LISTS[key])
            counts[key] = counts.get(key, 0) + len(part)
    if not counts:
        raise UserError(
            f"{file} lists no images; add a list training or registration_val with entries "
            'such as {"fixed": "./imagesTr/A_0001_0000.nii.gz", "moving": "..."}'
        )
    direction = value.get("registration_direction", {})
    return Dataset(
        root=entries.root,
        file=file,
        name=str(value.get("name") or entries.root.name)[:200],
        items=tuple(entries.items),
        pairs_listed=tuple(entries.pairs),
        modality=_texts(value.get("modality")),
        anatomy=_text(value.get("anatomy")),
        pairing=_pairing(value),
        label_names=_label_names(value.get("labels")),
        points_space=entries.parse_space(value.get("points_space", "voxel")),
        fixed_slot=str(int(direction.get("fixed", 0))),
        counts=_declared(value, counts),
        problems=tuple(entries.problems),
    )


def _read_table(given: Path, finder: FileFinder | None) -> Dataset:
    """Read a pairs.csv: one pair per row, with optional columns for annotations and split."""
    file = existing_file(given)
    entries = EntryCollector(file, finder)
    spaces = set()
    for line, entry in read_pair_table(file, ("split",)):
        spaces.add(entry.pop("points_space", "ras"))
        split = entry.pop("split", "val")
        if split not in SPLITS:
            what = f"line {line} has the split {split[:40]!r}, which is not known"
            entries.add_problem(Problem("split", file.name, what, f"use {', '.join(SPLITS)}"))
            split = "val"
        if entry:
            entries.add_pair(entry, cast("Split", split))
    if len(spaces) > 1:
        what = f"points_space differs between rows ({', '.join(sorted(spaces))[:80]})"
        fix = "use the same value in all rows"
        entries.add_problem(Problem("points-space", file.name, what, fix))
    return Dataset(
        root=entries.root,
        file=file,
        name=entries.root.resolve().name,
        items=tuple(entries.items),
        pairs_listed=tuple(entries.pairs),
        points_space=entries.parse_space(next(iter(sorted(spaces)), "ras")),
        problems=tuple(entries.problems),
    )


def _pairing(document: Mapping[str, Any]) -> Pairing | None:
    """Return `pairing`, or the value that Learn2Reg's `pairings: paired` implies."""
    if "pairing" in document:
        return cast("Pairing", document["pairing"])
    return "intra" if document.get("pairings") == "paired" else None


def _text(value: Any) -> str | None:
    return value.strip().lower()[:80] or None if isinstance(value, str) else None


def _texts(value: Any) -> dict[str, str]:
    """Return a mapping of short texts; the keys of a list are its indices from 0."""
    if isinstance(value, list):
        value = {str(k): v for k, v in enumerate(value)}
    if not isinstance(value, dict):
        return {}
    return {str(k)[:20]: v.strip()[:40] for k, v in value.items() if isinstance(v, str)}


def _label_names(value: Any) -> dict[int, str]:
    """Return names by id from {"1": "liver"}, {"liver": 1} or one such mapping per slot."""
    out: dict[int, str] = {}
    if not isinstance(value, dict):
        return out
    for key, entry in value.items():
        if isinstance(entry, dict):
            out |= _label_names(entry)
        elif isinstance(entry, str) and key.isascii() and key.isdecimal() and len(key) < 10:
            out[int(key)] = entry[:80]
        elif isinstance(entry, int) and not isinstance(entry, bool):
            out[entry] = str(key)[:80]
    return out


def _declared(value: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return (declared, listed) for every length of a list that the file declares."""
    declared = {}
    for number, key in COUNTS.items():
        if number in value and key in value:
            given = value[number]
            total = sum(given.values()) if isinstance(given, dict) else given
            declared[number] = (int(total), counts[key])
    return declared
