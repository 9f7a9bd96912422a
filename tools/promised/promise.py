"""What a promise is, where it is tried, and its outcome."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from zoo.hub.own_models import RECORD_VARIABLE
from zoo.io.points import write_points
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

ROOT = Path(__file__).resolve().parents[2]
ANNOTATIONS = ("fixed_labels", "moving_labels", "fixed_points", "moving_points")


class Broken(Exception):  # noqa: N818 - the outcome of a promise, not an error of the program
    """A promise is not kept; the text says what was seen instead."""


@dataclass(frozen=True)
class Place:
    """Where a promise is tried: an empty folder, one that the promises share, and a real pair.

    `pair` holds the files `fixed` and `moving`, and where given their labels; it is empty for a
    phantom.
    """

    folder: Path
    shared: Path
    pair: dict[str, Path] = field(default_factory=dict)

    def images(self, moving: str = "t1") -> dict[str, Path]:
        """Return the files of the real pair, or of a phantom whose moving contrast is `moving`."""
        return self.pair or phantom(self.shared / f"phantom-{moving}", moving)

    def regzoo(self, *words: object, code: int = 0, user: Mapping[str, str] | None = None) -> str:
        """Run `regzoo WORDS` in the folder; return what it printed, errors last.

        Another exit code than `code` breaks the promise, and so does a traceback. `user` is added
        to the environment.
        """
        return self.python("-m", "zoo", *words, code=code, user=user)

    def python(self, *words: object, code: int = 0, user: Mapping[str, str] | None = None) -> str:
        """Run the interpreter in the folder, as `regzoo` does."""
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env={**self.environment(), **(user or {})},
            capture_output=True,
            text=True,
        )
        command = " ".join(map(str, words)).removeprefix("-m zoo ")[:60]
        last = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
        ensure(done.returncode == code, f"exit code {done.returncode} of `{command}`: {last}")
        ensure(code == 0 or "Traceback" not in done.stderr, f"a traceback of `{command}`: {last}")
        return done.stdout + done.stderr

    def register(
        self, files: dict[str, Path], out: str, *words: object, code: int = 0
    ) -> dict[str, Any]:
        """Register a pair with its annotations into a folder; return the content of result.json."""
        annotations = [
            word
            for name in ANNOTATIONS
            if name in files
            for word in ("--" + name.replace("_", "-"), files[name])
        ]
        self.regzoo(
            "register",
            files["fixed"],
            files["moving"],
            "--out",
            out,
            *annotations,
            *words,
            code=code,
        )
        return self.json(f"{out}/result.json")

    def json(self, name: str) -> Any:
        """Return the content of a JSON file in the folder."""
        ensure((self.folder / name).is_file(), f"{name} was not written")
        return json.loads((self.folder / name).read_text())

    def environment(self) -> dict[str, str]:
        """Return an environment with a home of its own, so that nothing of the user's is used."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        home = str(self.shared / "home")
        own = {"PYTHONPATH": path, "HF_HOME": home, "HF_HUB_OFFLINE": "1"}
        return {**os.environ, **own, RECORD_VARIABLE: str(self.shared / "models.json")}


Promise = Callable[[Place], str]
"""Keeps a promise in a place and returns what was seen, or raises `Broken`.

Its name and its docstring, which is one sentence, are those of the promise.
"""


@dataclass(frozen=True)
class Outcome:
    """A row of the table."""

    name: str
    statement: str
    kept: bool
    seconds: float
    seen: str


def keep(promise: Promise, place: Place, name: str) -> Outcome:
    """Try a promise; whatever it raises breaks it."""
    statement = " ".join((promise.__doc__ or "").split())
    place.folder.mkdir(parents=True)
    started = time.monotonic()
    try:
        kept, seen = True, promise(place)
    except Broken as broken:
        kept, seen = False, str(broken)
    except Exception as error:
        kept, seen = False, f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    for folder in (place.folder, place.shared):
        seen = seen.replace(f"{folder}/", "")
    return Outcome(name, statement, kept, seconds, " ".join(seen.split()))


def ensure(condition: bool, seen: str) -> None:
    """Raise `Broken` with what was seen if the condition does not hold."""
    if not condition:
        raise Broken(seen)


def improved(figures: dict[str, Any]) -> str:
    """Ensure that a registration improved the pair; return the figure before and after.

    The figure is Dice where there are labels, and otherwise the similarity.
    """
    name = "dice" if figures.get("dice_before") is not None else "similarity"
    before, after = figures[f"{name}_before"], figures[f"{name}_after"]
    seen = f"{name} {before:.3f} -> {after:.3f}"
    ensure(after > before, f"{seen} is no improvement")
    return seen


def same_bytes(one: Path, two: Path) -> None:
    """Ensure that two files are equal."""
    ensure(one.read_bytes() == two.read_bytes(), f"{one.name} differs from that of {two.parent}")


def voxels(path: Path) -> np.ndarray:
    """Return the voxels of a NIfTI file: images [X, Y, Z], fields [X, Y, Z, 3], float64."""
    ensure(path.is_file(), f"{path.name} was not written")
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)
    return image.get_fdata().squeeze()


def phantom(folder: Path, moving: str = "t1") -> dict[str, Path]:
    """Return the files of a phantom pair on two oblique grids; they are written once."""
    sides = ("fixed", "moving")
    files = {side: folder / f"{side}.nii.gz" for side in sides}
    files |= {f"{side}_labels": folder / f"{side}_labels.nii.gz" for side in sides}
    files |= {f"{side}_points": folder / f"{side}_points.csv" for side in sides}
    if folder.exists():
        return files
    folder.mkdir(parents=True)
    pair = make_pair(
        7,
        shape=(48, 52, 44),
        spacing=(2.8, 2.6, 3.0),
        axes="LPS",
        moving_axes="RAS",
        tilt_degrees=8,
        contrasts=("t1", moving),
    )
    for side in sides:
        grid = getattr(pair, f"{side}_grid")
        write_volume(files[side], getattr(pair, side), grid, torch.int16)
        write_volume(files[f"{side}_labels"], getattr(pair, f"{side}_labels"), grid)
        write_points(files[f"{side}_points"], getattr(pair, f"{side}_points"), "ras")
    return files
