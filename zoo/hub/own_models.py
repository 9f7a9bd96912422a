"""Models of one's own: bundles that did not come with the package, by their folder or by name.

`regzoo finetune` records the folder of every bundle that it writes in a file of the user's, so that
the bundle can be named from any folder. Its name is that of its folder. The record holds nothing
but folders; what is used of a bundle is read from the bundle, as data
(`zoo.hub.foreign_bundles`).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.hub.cache import expand_user, regzoo_home
from zoo.hub.catalogue import load_catalogue
from zoo.hub.foreign_bundles import read_bundle
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_json_object

RECORD_VARIABLE = "REGZOO_MODELS"
"""The environment variable that names another file for the record of one's own models."""


@dataclass(frozen=True)
class OwnModel:
    """A bundle outside the package.

    `name` is what the user calls it. `model` is the model of the zoo whose workflow and
    specification it uses. `settings` are validated values that replace those of that model; they
    include `weights`, the absolute path of the bundle's weights, if it has any. `trained_on` is the
    preset of the pairs that it was trained on, or None if that is not known.
    """

    name: str
    folder: Path
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    trained_on: str | None = None


def find_own_model(wanted: str | os.PathLike[str]) -> OwnModel | None:
    """Return the model of one's own that a folder or a name stands for.

    None stands for a model of the package, whose name nothing else can take. A text with a slash is
    a folder. Any other text is the name of a recorded model or of a bundle in the current folder;
    if that leaves several folders, `UserError` lists them.
    """
    text = os.fspath(wanted)
    if text in load_catalogue():
        return None
    if _is_path(text):
        return read_own_model(expand_user(text))
    candidates = {f.resolve(): f for f in [*_called(text), Path(text)] if is_bundle(f)}
    if len(candidates) > 1:
        folders = ", ".join(map(str, candidates))
        raise UserError(
            f"there are {len(candidates)} models called {text!r}: {folders}; give the folder "
            "instead of the name"
        )
    if not candidates:
        raise UserError(_not_found(text))
    return read_own_model(next(iter(candidates)), text)


def read_own_model(folder: Path, name: str | None = None) -> OwnModel:
    """Return the bundle in a folder; one that is more than data is refused."""
    folder = folder.absolute()
    if not is_bundle(folder):
        raise UserError(_no_bundle(folder))
    content = read_bundle(folder)
    if content.data is None:
        raise UserError(
            f"the bundle {folder} is more than data, so it is not run: {content.reasons[0]}; if "
            f"you know its author, run it with `regzoo register --bundle {folder} --trust`"
        )
    data = content.data
    settings = dict(data.settings)
    if data.weights is not None:
        settings["weights"] = str(data.weights)
    return OwnModel(name or folder.name, folder, data.model, settings, data.trained_on)


def is_bundle(folder: Path) -> bool:
    """Return whether a folder holds a bundle; a path that cannot be one does not."""
    return os.path.isfile(folder / "configs" / "inference.json")  # noqa: PTH113 - never raises


def check_own_name(folder: Path) -> None:
    """Refuse a folder for a new bundle whose name is that of a model of the package."""
    name = folder.absolute().name
    if name in load_catalogue():
        raise UserError(
            f"--out {folder}: {name} is a model of regzoo, and a folder of that name could not be "
            "told from it; choose another name"
        )


def record_own_model(folder: Path) -> None:
    """Add a bundle's folder to the record; folders that no longer hold a bundle are dropped."""
    from filelock import FileLock

    path = record_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            kept = [f for f in recorded_folders() if is_bundle(f) and f != folder.absolute()]
            write_json(path, {"folders": [str(f) for f in [*kept, folder.absolute()]]})
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; set {RECORD_VARIABLE} to another file"
        ) from error


def record_path() -> Path:
    """Return the file that lists the folders of one's own models."""
    named = os.environ.get(RECORD_VARIABLE)
    return expand_user(named) if named else regzoo_home() / "models.json"


def recorded_folders() -> list[Path]:
    """Return the recorded folders, also those that no longer exist, in the order of recording."""
    path = record_path()
    if not path.is_file():
        return []
    folders = read_json_object(path).get("folders")
    if not isinstance(folders, list) or not all(isinstance(f, str) and f for f in folders):
        raise UserError(
            f"{path} is not a list of models (key folders); move it away, and name your models by "
            "their folders"
        )
    return [Path(folder) for folder in folders]


def model_hint(name: str) -> str:
    """Return " (did you mean X?)" with the nearest name of any model; empty if none is near."""
    close = difflib.get_close_matches(name[:100], _all_names(), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return text in (".", "..") or text.startswith("~") or any(s in text for s in separators)


def _called(name: str) -> Iterable[Path]:
    return (folder for folder in recorded_folders() if folder.name == name)


def _all_names() -> list[str]:
    return [*load_catalogue(), *dict.fromkeys(folder.name for folder in recorded_folders())]


def _no_bundle(folder: Path) -> str:
    """Return the message for a folder without a bundle."""
    if not os.path.isdir(folder):  # noqa: PTH112 - never raises
        return f"there is no folder {folder}; give the folder of a bundle, or the name of a model"
    if (folder / "train").is_dir():
        return f"the training in {folder} has not finished; run the same regzoo finetune again"
    return f"{folder} is not a bundle: there is no {folder / 'configs' / 'inference.json'}"


def _not_found(name: str) -> str:
    """Return the message for a name that no model has."""
    gone = [str(folder) for folder in _called(name)]
    if gone:
        return (
            f"the model {name!r} was in {', '.join(gone)} and is gone; give the folder it is in now"
        )
    if os.path.isdir(name):  # noqa: PTH112 - never raises
        return _no_bundle(Path(name))
    return (
        f"there is no model {name!r}{model_hint(name)}; use one of {', '.join(_all_names())}, or "
        "the folder of a bundle"
    )
