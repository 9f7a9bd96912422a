"""Reading a dataset: Learn2Reg's dataset.json and its dialects, or a folder with pairs.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from zoo.datasets.dataset import SIDES, SPLITS, Dataset, Pairing, Split
from zoo.datasets.listing import Listing
from zoo.datasets.problems import Problem, warning
from zoo.errors import UserError
from zoo.io.files import AnyPath, existing_file
from zoo.io.json_documents import MAX_BYTES, read_json_object


def read_dataset(path: AnyPath) -> Dataset:
    """Read a dataset: its folder, its dataset.json or its pairs.csv.

    What can be read is kept and what cannot is in `problems`; only a file that is neither is
    refused.
    """
    place = Path(path)
    if place.is_dir():
        names = ("dataset.json", "pairs.csv")
        found = next((place / name for name in names if (place / name).exists()), None)
        if found is None:
            other = sorted(place.glob("*dataset*.json"))
            if len(other) != 1:
                raise UserError(
                    f"{place} holds no dataset.json and no pairs.csv; run regzoo init {place}"
                )
            found = other[0]
        place = found
    if place.suffix.lower() == ".csv":
        return _table(place)
    return _document(place)


def _document(file: Path) -> Dataset:
    """Read a dataset.json."""
    value = read_json_object(file)
    listing = Listing(file)
    counts = {}
    for key, entries in value.items():
        split = _split_of(key)
        if isinstance(entries, list) and split is not None:
            listing.entries(key, entries, split)
            counts[key] = len(entries)
        elif isinstance(entries, list) and any(map(_names_images, entries)):
            what = f"the list {key[:40]!r} names images, and is not read"
            fix = "call it training, registration_val or registration_test"
            listing.add(warning("list-unknown", file.name, what, fix))
    if not counts:
        raise UserError(
            f"{file} lists no images: it needs training, or registration_val, with "
            'entries such as {"fixed": "./imagesTr/A_0001_0000.nii.gz", "moving": "..."}'
        )
    direction = value.get("registration_direction")
    fixed = direction.get("fixed", 0) if isinstance(direction, dict) else 0
    return Dataset(
        root=listing.root,
        file=file,
        name=str(value.get("name") or listing.root.name)[:200],
        items=tuple(listing.items),
        pairs_listed=tuple(listing.pairs),
        modality=_texts(value.get("modality")),
        anatomy=_text(value.get("anatomy")),
        pairing=_pairing(listing, value),
        label_names=_label_names(value.get("labels")),
        points_space=listing.space(value.get("points_space", "voxel")),
        fixed_slot=str(fixed),
        counts=_declared(value, counts),
        problems=tuple(listing.problems),
    )


def _table(given: Path) -> Dataset:
    """Read a pairs.csv: fixed, moving and, if known, their labels, masks, points and split."""
    file = existing_file(given)
    listing = Listing(file)
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"{file} has more than {MAX_BYTES} bytes; split the table")
    allowed = {*SIDES, "split", "points_space"}
    allowed |= {f"{side}_{kind}" for side in SIDES for kind in ("labels", "mask", "points")}
    spaces = set()
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = list(csv.reader(text.splitlines(), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not a CSV table ({error}); correct it") from None
    names = [name.strip() for name in rows[0]] if rows else []
    if not set(SIDES) <= set(names) or not set(names) <= allowed:
        raise UserError(
            f"{file} has the columns {', '.join(names)[:200]}; fixed and moving are needed, "
            f"allowed besides are {', '.join(sorted(allowed - set(SIDES)))}"
        )
    for row in rows[1:]:
        cells = [cell.strip() for cell in row]
        if len(cells) > len(names):
            what = f"the row {', '.join(cells)[:80]} has more cells than there are columns"
            listing.add(Problem("cells", file.name, what, "put a name that has commas in quotes"))
        entry = {n: c for n, c in zip(names, cells, strict=False) if c}
        spaces.add(entry.pop("points_space", "ras"))
        split = entry.pop("split", "val")
        if split not in SPLITS:
            what = f"the split {split[:40]!r} is not known"
            listing.add(Problem("split", file.name, what, f"use {', '.join(SPLITS)}"))
            split = "val"
        if entry:
            listing.pair(entry, cast("Split", split))
    if len(spaces) > 1:
        what = f"points_space differs between rows ({', '.join(sorted(spaces))[:80]})"
        listing.add(Problem("points-space", file.name, what, "use one for all rows"))
    return Dataset(
        root=listing.root,
        file=file,
        name=listing.root.resolve().name,
        items=tuple(listing.items),
        pairs_listed=tuple(listing.pairs),
        points_space=listing.space(next(iter(sorted(spaces)), "ras")),
        problems=tuple(listing.problems),
    )


def _pairing(listing: Listing, document: Mapping[str, Any]) -> Pairing | None:
    """Return `pairing`, or what Learn2Reg's `pairings` (paired, unpaired) says of it."""
    value = document.get("pairing")
    if value in ("intra", "inter"):
        return cast("Pairing", value)
    if value is not None:
        what = f"pairing is {str(value)[:40]!r}"
        listing.add(Problem("pairing", listing.file.name, what, "use intra or inter"))
    return "intra" if document.get("pairings") == "paired" else None


def _names_images(entry: Any) -> bool:
    return isinstance(entry, dict) and not {"image", *SIDES}.isdisjoint(entry)


def _split_of(key: str) -> Split | None:
    """Return the split that a key of dataset.json lists: training, registration_val, imagesTs."""
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
    """Return a table of short texts; a list counts from 0."""
    if isinstance(value, list):
        value = {str(k): v for k, v in enumerate(value)}
    if not isinstance(value, dict):
        return {}
    return {str(k)[:20]: v.strip()[:40] for k, v in value.items() if isinstance(v, str)}


def _label_names(value: Any) -> dict[int, str]:
    """Return names by id from {"1": "liver"}, {"liver": 1} or one such table a slot."""
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
    """Return (declared, listed) of every number that the file gives for a list of its own."""
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
