"""Datasets of pairs: Learn2Reg's dataset.json and its dialects, or a folder with pairs.csv."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

from zoo.errors import UserError
from zoo.io.files import AnyPath, existing_file
from zoo.io.points import Space
from zoo.planning.confinement import name_problem, place_problem
from zoo.planning.documents import MOST_BYTES, read_object
from zoo.planning.problems import Problem, warning

Split = Literal["train", "val", "test"]
Pairing = Literal["intra", "inter"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
_NUMBERED = re.compile(r"(?P<case>.+_\d{3,5})_(?P<slot>\d{4})$")
_BIDS = re.compile(r"(?P<case>sub-[A-Za-z0-9]+)")
_KINDS = {"labels": ("label", "labels"), "mask": ("mask", "masks")}
_POINTS = re.compile(r"(landmarks|keypoints)\d*")
_SIDES = ("fixed", "moving")


@dataclass(frozen=True)
class Item:
    """An image and what lies on its grid, named relative to the dataset's folder."""

    image: str
    split: Split
    labels: str | None = None
    mask: str | None = None
    points: str | None = None


@dataclass(frozen=True)
class NamedPair:
    """Two images of a dataset, by their names."""

    fixed: str
    moving: str
    split: Split


@dataclass(frozen=True)
class Dataset:
    """What a dataset's file lists, and the `problems` that reading it showed.

    `modality` is as declared, by slot; a slot is the last number of NAME_CASE_SLOT. `items` and
    `pairs_listed` keep the file's order and its repetitions.
    """

    root: Path
    file: Path
    name: str
    items: tuple[Item, ...]
    pairs_listed: tuple[NamedPair, ...]
    modality: Mapping[str, str] = field(default_factory=dict)
    anatomy: str | None = None
    pairing: Pairing | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)
    points_space: Space = "voxel"
    fixed_slot: str = "0"
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @cached_property
    def by_image(self) -> dict[str, Item]:
        """The items by the names of their images; of a repeated one the fullest."""
        out: dict[str, Item] = {}
        for item in self.items:
            old = out.get(item.image)
            if old is None or _fullness(item) > _fullness(old):
                out[item.image] = item
        return out

    @cached_property
    def files(self) -> list[str]:
        """Every file that is named, once."""
        names = [n for i in self.items for n in (i.image, i.labels, i.mask, i.points) if n]
        return list(dict.fromkeys(names))

    @cached_property
    def named_pairs(self) -> tuple[NamedPair, ...]:
        """The pairs: those listed, or in a split that lists none those that follow from its images.

        Two slots of one case are a pair; with one slot only, each image goes with the next one.
        """
        out = list(dict.fromkeys(self.pairs_listed))
        for split in SPLITS:
            if not any(pair.split == split for pair in out):
                out += self._implied_pairs(split)
        return tuple(out)

    def pairs(self, split: str = "val") -> list[dict[str, Any]]:
        """Return the pairs of a split as mappings with whole paths, as `pair_files` takes them.

        A dataset that names files wrongly is refused: a run on fewer pairs than meant is no run.
        """
        if split not in (*SPLITS, "all"):
            raise UserError(f"split {split!r} is not known; use {', '.join(SPLITS)} or all")
        for problem in self.problems:
            if problem.level == "error":
                raise UserError(
                    f"{self.file}: {problem}; regzoo check {self.root} tells everything"
                )
        found = [pair for pair in self.named_pairs if split in (pair.split, "all")]
        if not found:
            there = ", ".join(s for s in SPLITS if any(p.split == s for p in self.named_pairs))
            raise UserError(
                f"{self.file} has no pairs in the split {split!r}; there are {there or 'none'}"
            )
        return [self.mapping(pair) for pair in found]

    def slot(self, image: str) -> str:
        """Return the modality slot of an image: from its name, else from its part in the pairs."""
        if match := _NUMBERED.match(stem(image)):
            return str(int(match["slot"]))
        return "1" if image in self._only_moving else "0"

    def slots(self) -> dict[str, list[str]]:
        """Return the images of each slot, in the order of their names."""
        out: dict[str, list[str]] = {}
        for image in sorted(self.by_image):
            out.setdefault(self.slot(image), []).append(image)
        return dict(sorted(out.items()))

    @cached_property
    def _only_moving(self) -> set[str]:
        return {p.moving for p in self.pairs_listed} - {p.fixed for p in self.pairs_listed}

    def _implied_pairs(self, split: Split) -> Iterator[NamedPair]:
        images = sorted({item.image for item in self.items if item.split == split})
        cases: dict[str, list[str]] = {}
        for image in images:
            cases.setdefault(case_of(image), []).append(image)
        several = [group for group in cases.values() if len(group) > 1]
        if several:
            for group in several:
                group.sort(key=lambda image: self.slot(image) != self.fixed_slot)
                yield from (NamedPair(group[0], other, split) for other in group[1:])
        else:
            for fixed, moving in pairwise(images):
                yield NamedPair(fixed, moving, split)

    def mapping(self, pair: NamedPair) -> dict[str, Any]:
        """Return a pair as `pair_files` takes it, with whole paths."""
        out: dict[str, Any] = {"points_space": self.points_space}
        for side in _SIDES:
            item = self.by_image[getattr(pair, side)]
            path = str(self.root / item.image)
            out[side] = [path] if side == "moving" else path
            for kind in ("labels", "mask", "points"):
                name = getattr(item, kind)
                out[f"{side}_{kind}"] = None if name is None else str(self.root / name)
        return out


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
        return _Reader(place).table()
    return _Reader(place).document()


def stem(name: str) -> str:
    """Return a file's name without folders and suffixes."""
    last = name.rpartition("/")[2]
    suffix = next((s for s in SUFFIXES if last.lower().endswith(s)), "")
    return last[: len(last) - len(suffix)] if suffix else last.partition(".")[0]


def case_of(image: str) -> str:
    """Return the case that an image shows: NAME_CASE of NAME_CASE_SLOT, sub-X of BIDS, the name."""
    name = stem(image)
    match = _NUMBERED.match(name) or _BIDS.match(name)
    return match["case"] if match else name


def _fullness(item: Item) -> int:
    return sum(name is not None for name in (item.labels, item.mask, item.points))


class _Reader:
    """Reads one dataset file and collects what is wrong on the way."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.root = file.parent
        self.problems: list[Problem] = []
        self.placed: dict[str, bool] = {}
        self.items: list[Item] = []
        self.pairs: list[NamedPair] = []

    def document(self) -> Dataset:
        """Read a dataset.json."""
        value = read_object(self.file)
        counts = {}
        for key, entries in value.items():
            split = _split_of(key)
            if isinstance(entries, list) and split is not None:
                self._entries(key, entries, split)
                counts[key] = len(entries)
        if not counts:
            raise UserError(
                f"{self.file} lists no images: it needs training, or registration_val, with "
                'entries such as {"fixed": "./imagesTr/A_0001_0000.nii.gz", "moving": "..."}'
            )
        direction = value.get("registration_direction")
        fixed = direction.get("fixed", 0) if isinstance(direction, dict) else 0
        return Dataset(
            root=self.root,
            file=self.file,
            name=str(value.get("name") or self.root.name)[:200],
            items=tuple(self.items),
            pairs_listed=tuple(self.pairs),
            modality=_texts(value.get("modality")),
            anatomy=_text(value.get("anatomy")),
            pairing=self._pairing(value),
            label_names=_label_names(value.get("labels")),
            points_space=self._space(value.get("points_space", "voxel")),
            fixed_slot=str(fixed),
            counts=_declared(value, counts),
            problems=tuple(self.problems),
        )

    def table(self) -> Dataset:
        """Read a pairs.csv: fixed, moving and, if known, their labels, masks, points and split."""
        file = existing_file(self.file)
        if file.stat().st_size > MOST_BYTES:
            raise UserError(f"{file} has more than {MOST_BYTES} bytes; split the table")
        allowed = {*_SIDES, "split", "points_space"}
        allowed |= {f"{side}_{kind}" for side in _SIDES for kind in ("labels", "mask", "points")}
        spaces = set()
        try:
            text = file.read_text(encoding="utf-8-sig")
            rows = list(csv.reader(text.splitlines(), strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{file} is not a CSV table ({error}); correct it") from None
        names = [name.strip() for name in rows[0]] if rows else []
        if not set(_SIDES) <= set(names) or not set(names) <= allowed:
            raise UserError(
                f"{file} has the columns {', '.join(names)[:200]}; fixed and moving are needed, "
                f"allowed besides are {', '.join(sorted(allowed - set(_SIDES)))}"
            )
        for row in rows[1:]:
            cells = [cell.strip() for cell in row]
            entry = {n: c for n, c in zip(names, cells, strict=False) if c}
            spaces.add(entry.pop("points_space", "ras"))
            split = entry.pop("split", "val")
            if split not in SPLITS:
                what = f"the split {split[:40]!r} is not known"
                self._add(Problem("split", self.file.name, what, f"use {', '.join(SPLITS)}"))
                split = "val"
            if entry:
                self._pair(entry, cast("Split", split))
        if len(spaces) > 1:
            what = f"points_space differs between rows ({', '.join(sorted(spaces))[:80]})"
            self._add(Problem("points-space", self.file.name, what, "use one for all rows"))
        return Dataset(
            root=self.root,
            file=self.file,
            name=self.root.resolve().name,
            items=tuple(self.items),
            pairs_listed=tuple(self.pairs),
            points_space=self._space(next(iter(sorted(spaces)), "ras")),
            problems=tuple(self.problems),
        )

    def _entries(self, key: str, entries: list[Any], split: Split) -> None:
        seen = set()
        for entry in entries:
            if isinstance(entry, str):
                entry = {"image": entry}
            if str(entry) in seen:
                what = f"{key} lists {str(entry)[:80]} twice"
                self._add(Problem("entry-twice", self.file.name, what, "list it once"))
            seen.add(str(entry))
            if isinstance(entry, dict) and set(_SIDES) & set(entry):
                self._pair(entry, split)
            elif isinstance(entry, dict) and "image" in entry:
                self._item(entry, split)
            else:
                what = f"an entry of {key} is {str(entry)[:60]!r}"
                fix = 'write {"image": ...} or {"fixed": ..., "moving": ...}'
                self._add(Problem("entry", self.file.name, what, fix))

    def _pair(self, entry: Mapping[str, Any], split: Split) -> None:
        names = []
        for side in _SIDES:
            if side not in entry:
                what = f"the pair {str(dict(entry))[:80]} has no {side} image"
                self._add(Problem("pair-missing", self.file.name, what, f"add {side}"))
                return
            pieces = {k.removeprefix(side + "_"): v for k, v in entry.items() if side in k}
            names.append(self._item({**pieces, "image": entry[side]}, split))
        fixed, moving = names
        if fixed is not None and moving is not None:
            self.pairs.append(NamedPair(fixed, moving, split))

    def _item(self, entry: Mapping[str, Any], split: Split) -> str | None:
        """Keep an image with its annotations and return its name; None if it cannot be used."""
        image = self._name(entry["image"])
        if image is None:
            return None
        found: dict[str, str | None] = {}
        for kind, keys in _KINDS.items():
            text = next((entry[k] for k in keys if entry.get(k)), None)
            sibling = self._sibling(image, [f"{kind.rstrip('s')}s"], None)
            found[kind] = self._name(text) if text is not None else sibling
        points = [entry[k] for k in sorted(entry, reverse=True) if _is_points(k) and entry[k]]
        found["points"] = self._points(points[0]) if points else None
        if not points:
            found["points"] = self._sibling(image, ["landmarks", "keypoints"], ".csv")
        self.items.append(Item(image, split, **found))
        return image

    def _points(self, text: Any) -> str | None:
        """Learn2Reg's lists say .nii.gz of key points whose files are .csv."""
        if isinstance(text, str) and text.endswith(".nii.gz") and name_problem(text) is None:
            table = text.removesuffix(".nii.gz") + ".csv"
            if (self.root / table).is_file():
                return self._name(table)
            if (self.root / text).is_file():
                what = "key points are a volume; only lists of coordinates (.csv) are used"
                self._add(warning("points-volume", text, what, "save the coordinates as .csv"))
                return None
        return self._name(text)

    def _sibling(self, image: str, kinds: list[str], suffix: str | None) -> str | None:
        """Return labelsTr/x of imagesTr/x if there is one."""
        folder, _, last = image.rpartition("/")
        if not re.search(r"images(Tr|Ts|Val)$", folder):
            return None
        for kind in kinds:
            other = re.sub(r"images(?=(Tr|Ts|Val)$)", kind, folder)
            name = f"{other}/{last if suffix is None else stem(last) + suffix}"
            if (self.root / name).is_file():
                return self._name(name)
        return None

    def _name(self, text: Any) -> str | None:
        """Return a name without its leading ./, or None; what is wrong with it is told once."""
        name = re.sub(r"^(\./+)+", "", text) if isinstance(text, str) else str(text)[:80]
        if name not in self.placed:
            problem = name_problem(text) or place_problem(self.root, name)
            self.placed[name] = problem is None
            if problem is not None:
                self._add(problem)
        return name if self.placed[name] else None

    def _pairing(self, document: Mapping[str, Any]) -> Pairing | None:
        """Return `pairing`, or what Learn2Reg's `pairings` (paired, unpaired) says of it."""
        value = document.get("pairing")
        if value in ("intra", "inter"):
            return cast("Pairing", value)
        if value is not None:
            what = f"pairing is {str(value)[:40]!r}"
            self._add(Problem("pairing", self.file.name, what, "use intra or inter"))
        return "intra" if document.get("pairings") == "paired" else None

    def _space(self, value: Any) -> Space:
        if value in ("ras", "lps", "voxel"):
            return cast("Space", value)
        what = f"points_space is {str(value)[:40]!r}"
        self._add(Problem("points-space", self.file.name, what, "use ras, lps or voxel"))
        return "voxel"

    def _add(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


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


def _is_points(key: str) -> bool:
    return key == "points" or _POINTS.fullmatch(key) is not None


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
