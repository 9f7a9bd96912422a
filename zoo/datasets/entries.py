"""Collecting the entries of a dataset's file: images, their annotations, pairs, and problems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from zoo.datasets.dataset import SIDES, Item, NamedPair, Split
from zoo.datasets.names import stem
from zoo.datasets.path_safety import FileFinder, path_problem
from zoo.datasets.problems import Problem, warning
from zoo.datasets.schema.document import is_points_key, unknown_entry_keys
from zoo.io.points import Space

_POINT_FOLDERS = ["landmarks", "keypoints"]
_POINT_SUFFIXES = (".csv", ".fcsv", ".mrk.json", ".vtk", ".vtp")
_KEYS = {"labels": ("label", "labels"), "mask": ("mask", "masks")}


class EntryCollector:
    """Collects the items and pairs that `file` lists, in its order, and their problems.

    Usable entries are kept; each unusable one becomes a problem, which is recorded once.
    """

    def __init__(self, file: Path, finder: FileFinder | None = None) -> None:
        self.file = file
        self.root = file.parent
        self.finder = finder or FileFinder(self.root)
        self.items: list[Item] = []
        self.pairs: list[NamedPair] = []
        self.problems: list[Problem] = []
        self._usable: dict[str, bool] = {}

    def add_list(self, key: str, entries: list[Any], split: Split) -> None:
        """Add the images and pairs listed in a dataset.json under `key`."""
        earlier = set()
        for entry in entries:
            if isinstance(entry, str):
                entry = {"image": entry}
            if str(entry) in earlier:
                what = f"{key} lists {str(entry)[:80]} twice"
                self.add_problem(Problem("entry-twice", self.file.name, what, "list it once"))
            earlier.add(str(entry))
            if isinstance(entry, dict):
                self._report_unknown_keys(key, entry)
            if isinstance(entry, dict) and set(SIDES) & set(entry):
                self.add_pair(entry, split)
            elif isinstance(entry, dict) and "image" in entry:
                self._add_item(entry, split)
            else:
                what = f"{key} has the entry {str(entry)[:60]!r}, which is not an image or a pair"
                fix = 'write {"image": ...} or {"fixed": ..., "moving": ...}'
                self.add_problem(Problem("entry", self.file.name, what, fix))

    def add_pair(self, entry: Mapping[str, Any], split: Split) -> None:
        """Add a pair: fixed, moving and their annotations, such as fixed_labels or moving_mask."""
        images = []
        for side in SIDES:
            if side not in entry:
                what = f"the pair {str(dict(entry))[:80]} has no {side} image"
                fix = f'add "{side}" to the pair'
                self.add_problem(Problem("pair-missing", self.file.name, what, fix))
                return
            pieces = {k.removeprefix(side + "_"): v for k, v in entry.items() if side in k}
            images.append(self._add_item({**pieces, "image": entry[side]}, split))
        fixed, moving = images
        if fixed is not None and moving is not None:
            self.pairs.append(NamedPair(fixed, moving, split))

    def _report_unknown_keys(self, key: str, entry: Mapping[str, Any]) -> None:
        """Record a problem for each key that an image or a pair does not have."""
        for unknown in unknown_entry_keys(entry):
            what = f"an entry of {key} has the key {unknown}, which is not known"
            fix = "correct its name or remove it"
            self.add_problem(Problem("entry-key", self.file.name, what, fix))

    def add_problem(self, problem: Problem) -> None:
        """Record a problem unless it is recorded already."""
        if problem not in self.problems:
            self.problems.append(problem)

    def parse_space(self, value: Any) -> Space:
        """Return the space of key points; an unknown value is a problem and counts as voxel."""
        if value in ("ras", "lps", "voxel"):
            return cast("Space", value)
        what = f"points_space is {str(value)[:40]!r}"
        self.add_problem(Problem("points-space", self.file.name, what, "use ras, lps or voxel"))
        return "voxel"

    def _add_item(self, entry: Mapping[str, Any], split: Split) -> str | None:
        """Add an image with its annotations and return its name; None if it cannot be used."""
        image = self._usable_name(entry["image"])
        if image is None:
            return None
        annotations: dict[str, str | None] = {}
        for kind, keys in _KEYS.items():
            text = next((entry[k] for k in keys if entry.get(k)), None)
            sibling = self._sibling(image, [f"{kind.rstrip('s')}s"], None)
            annotations[kind] = self._usable_name(text) if text is not None else sibling
        points = [entry[k] for k in sorted(entry, reverse=True) if is_points_key(k) and entry[k]]
        annotations["points"] = self._points_name(points[0]) if points else None
        if not points:
            siblings = (self._sibling(image, _POINT_FOLDERS, end) for end in _POINT_SUFFIXES)
            annotations["points"] = next((name for name in siblings if name is not None), None)
        self.items.append(Item(image, split, **annotations))
        return image

    def _points_name(self, text: Any) -> str | None:
        """Return the file of key points; Learn2Reg's lists say .nii.gz where the file is a .csv."""
        if isinstance(text, str) and text.endswith(".nii.gz") and path_problem(text) is None:
            table = text.removesuffix(".nii.gz") + ".csv"
            if self.finder.exists(table):
                return self._usable_name(table)
            if self.finder.exists(text):
                what = "key points are given as a volume, but only lists of coordinates are read"
                fix = "save the coordinates as .csv"
                self.add_problem(warning("points-volume", text, what, fix))
                return None
        return self._usable_name(text)

    def _sibling(self, image: str, kinds: list[str], suffix: str | None) -> str | None:
        """Return the file of an image in a parallel folder, such as labelsTr/x for imagesTr/x."""
        folder, _, last = image.rpartition("/")
        if not re.search(r"images(Tr|Ts|Val)$", folder):
            return None
        for kind in kinds:
            other = re.sub(r"images(?=(Tr|Ts|Val)$)", kind, folder)
            name = f"{other}/{last if suffix is None else stem(last) + suffix}"
            if self.finder.exists(name):
                return self._usable_name(name)
        return None

    def _usable_name(self, text: Any) -> str | None:
        """Return a file's name without a leading ./; None, and a problem, if it is unusable."""
        name = re.sub(r"^(\./+)+", "", text) if isinstance(text, str) else str(text)[:80]
        if name not in self._usable:
            problem = path_problem(text) or self.finder.problem(name)
            self._usable[name] = problem is None
            if problem is not None:
                self.add_problem(problem)
        return name if self._usable[name] else None
