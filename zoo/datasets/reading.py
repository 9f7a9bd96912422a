"""Reading a dataset's file: a dataset.json as in Learn2Reg and its variants, or a pairs.csv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from zoo.datasets.dataset import SIDES, SPLITS, Dataset, Pairing, Split
from zoo.datasets.entries import EntryCollector
from zoo.datasets.problems import Problem, warning
from zoo.errors import UserError
from zoo.io.csv_rows import read_csv_rows
from zoo.io.files import AnyPath, existing_file
from zoo.io.json_documents import read_json_object


def read_dataset(path: AnyPath) -> Dataset:
    """Read a dataset from its folder, its dataset.json or its pairs.csv.

    Unusable entries end up in `problems`; only a file that is not a dataset at all is an error.
    """
    file = _file_in(Path(path)) if Path(path).is_dir() else Path(path)
    return _read_table(file) if file.suffix.lower() == ".csv" else _read_document(file)


def _file_in(folder: Path) -> Path:
    """Return the file that describes the dataset in a folder."""
    for name in ("dataset.json", "pairs.csv"):
        if (folder / name).exists():
            return folder / name
    candidates = sorted(folder.glob("*dataset*.json"))
    if len(candidates) != 1:
        raise UserError(
            f"{folder} contains neither dataset.json nor pairs.csv; run regzoo init {folder}"
        )
    return candidates[0]


def _read_document(file: Path) -> Dataset:
    """Read a dataset.json."""
    value = read_json_object(file)
    entries = EntryCollector(file)
    counts = {}
    for key, listed in value.items():
        split = _split_of(key)
        if isinstance(listed, list) and split is not None:
            entries.add_list(key, listed, split)
            counts[key] = len(listed)
        elif isinstance(listed, list) and any(map(_names_images, listed)):
            what = f"the list {key[:40]!r} contains images but is not read"
            fix = "rename it to training, registration_val or registration_test"
            entries.add_problem(warning("list-unknown", file.name, what, fix))
    if not counts:
        raise UserError(
            f"{file} lists no images; add a list training or registration_val with entries "
            'such as {"fixed": "./imagesTr/A_0001_0000.nii.gz", "moving": "..."}'
        )
    direction = value.get("registration_direction")
    fixed = direction.get("fixed", 0) if isinstance(direction, dict) else 0
    return Dataset(
        root=entries.root,
        file=file,
        name=str(value.get("name") or entries.root.name)[:200],
        items=tuple(entries.items),
        pairs_listed=tuple(entries.pairs),
        modality=_texts(value.get("modality")),
        anatomy=_text(value.get("anatomy")),
        pairing=_pairing(entries, value),
        label_names=_label_names(value.get("labels")),
        points_space=entries.parse_space(value.get("points_space", "voxel")),
        fixed_slot=str(fixed),
        counts=_declared(value, counts),
        problems=tuple(entries.problems),
    )


def _read_table(given: Path) -> Dataset:
    """Read a pairs.csv: one pair per row, with optional columns for annotations and split."""
    file = existing_file(given)
    entries = EntryCollector(file)
    names, *rows = _table_rows(file)
    spaces = set()
    for row in rows:
        cells = [cell.strip() for cell in row]
        if len(cells) > len(names):
            what = f"the row {', '.join(cells)[:80]} has more cells than the table has columns"
            fix = "put names that contain commas in quotes"
            entries.add_problem(Problem("cells", file.name, what, fix))
        entry = {n: c for n, c in zip(names, cells, strict=False) if c}
        spaces.add(entry.pop("points_space", "ras"))
        split = entry.pop("split", "val")
        if split not in SPLITS:
            what = f"the split {split[:40]!r} is not known"
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


def _table_rows(file: Path) -> list[list[str]]:
    """Return the rows of a pairs.csv; the first one contains the names of the columns."""
    rows = [cells for _, cells in read_csv_rows(file)]
    names = [name.strip() for name in rows[0]] if rows else []
    optional = {f"{side}_{kind}" for side in SIDES for kind in ("labels", "mask", "points")}
    optional |= {"split", "points_space"}
    if not set(SIDES) <= set(names) or not set(names) <= optional | set(SIDES):
        raise UserError(
            f"{file} has the columns {', '.join(names)[:200] or '(none)'}; fixed and moving are "
            f"required, and {', '.join(sorted(optional))} are allowed"
        )
    return [names, *rows[1:]]


def _pairing(entries: EntryCollector, document: Mapping[str, Any]) -> Pairing | None:
    """Return `pairing`, or the value that Learn2Reg's `pairings: paired` implies."""
    value = document.get("pairing")
    if value in ("intra", "inter"):
        return cast("Pairing", value)
    if value is not None:
        what = f"pairing is {str(value)[:40]!r}"
        entries.add_problem(Problem("pairing", entries.file.name, what, "use intra or inter"))
    return "intra" if document.get("pairings") == "paired" else None


def _names_images(entry: Any) -> bool:
    return isinstance(entry, dict) and not {"image", *SIDES}.isdisjoint(entry)


def _split_of(key: str) -> Split | None:
    """Return the split listed under a key such as training, registration_val or imagesTs."""
    low = key.lower()
    if low.startswith("num") or low in ("modality", "labels"):
        return None
    if "train" in low or low.endswith("tr"):
        return "train"
    if "val" in low:
        return "val"
    return "test" if "test" in low or low.endswith("ts") else None


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
    lists = {
        "numTraining": "training",
        "numPairedTraining": "training_paired_images",
        "numTest": "test",
        "numRegistration_val": "registration_val",
        "numRegistration_test": "registration_test",
        "numValidation": "validation",
    }
    return {
        number: (value[number], counts[key])
        for number, key in lists.items()
        if isinstance(value.get(number), int) and key in counts
    }
