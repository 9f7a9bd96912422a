"""Gathering what a dataset's file lists, and what is wrong with it on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from zoo.datasets.dataset import SIDES, Item, NamedPair, Split
from zoo.datasets.names import stem
from zoo.datasets.path_safety import name_problem, place_problem
from zoo.datasets.problems import Problem, warning
from zoo.io.points import Space

_KINDS = {"labels": ("label", "labels"), "mask": ("mask", "masks")}
_POINTS = re.compile(r"(landmarks|keypoints)\d*")


class Listing:
    """The items and pairs that `file` lists, in its order, and the problems they show.

    What can be used is kept and what cannot is told, once.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.root = file.parent
        self.items: list[Item] = []
        self.pairs: list[NamedPair] = []
        self.problems: list[Problem] = []
        self._placed: dict[str, bool] = {}

    def entries(self, key: str, entries: list[Any], split: Split) -> None:
        """Keep the images and pairs of one list of a dataset.json, which calls it `key`."""
        seen = set()
        for entry in entries:
            if isinstance(entry, str):
                entry = {"image": entry}
            if str(entry) in seen:
                what = f"{key} lists {str(entry)[:80]} twice"
                self.add(Problem("entry-twice", self.file.name, what, "list it once"))
            seen.add(str(entry))
            if isinstance(entry, dict) and set(SIDES) & set(entry):
                self.pair(entry, split)
            elif isinstance(entry, dict) and "image" in entry:
                self._item(entry, split)
            else:
                what = f"an entry of {key} is {str(entry)[:60]!r}"
                fix = 'write {"image": ...} or {"fixed": ..., "moving": ...}'
                self.add(Problem("entry", self.file.name, what, fix))

    def pair(self, entry: Mapping[str, Any], split: Split) -> None:
        """Keep a pair: fixed, moving and what is named fixed_labels, moving_mask and so on."""
        names = []
        for side in SIDES:
            if side not in entry:
                what = f"the pair {str(dict(entry))[:80]} has no {side} image"
                self.add(Problem("pair-missing", self.file.name, what, f"add {side}"))
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
                self.add(warning("points-volume", text, what, "save the coordinates as .csv"))
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
        if name not in self._placed:
            problem = name_problem(text) or place_problem(self.root, name)
            self._placed[name] = problem is None
            if problem is not None:
                self.add(problem)
        return name if self._placed[name] else None

    def space(self, value: Any) -> Space:
        """Return what key points are in; voxels where that is not understood."""
        if value in ("ras", "lps", "voxel"):
            return cast("Space", value)
        what = f"points_space is {str(value)[:40]!r}"
        self.add(Problem("points-space", self.file.name, what, "use ras, lps or voxel"))
        return "voxel"

    def add(self, problem: Problem) -> None:
        """Keep a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)


def _is_points(key: str) -> bool:
    return key == "points" or _POINTS.fullmatch(key) is not None
