"""A request to register two inputs, and the same as words of the command and as Python.

Every value is checked against a list, because a request may come from anybody.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.app.request_error import RequestError
from zoo.datasets.modality import MODALITIES
from zoo.hub.catalogue import load_catalogue
from zoo.hub.own_models import recorded_folders
from zoo.hub.specs import EFFORTS
from zoo.hub.weights import models_here, weights_here
from zoo.planning.anatomy import ANATOMIES

ANNOTATIONS = (
    *("fixed_labels", "moving_labels", "fixed_mask", "moving_mask"),
    *("fixed_points", "moving_points"),
)
ROLES = ("fixed", "moving", *ANNOTATIONS)
PAIRINGS = ("inter", "intra")
POINTS_SPACES = ("ras", "lps", "voxel")
FACTS = ("points_space", "modality", "anatomy", "pairing", "model", "effort", "volume")
RESULT_FOLDER = "result"
"""The folder of the results in a command that is shown, and in the folder of a job."""
MOST_VOLUMES = 1 << 20


@dataclass(frozen=True)
class RegistrationRequest:
    """The ids of the inputs by their role, and the facts that the user stated."""

    inputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the request as it was sent, without the keys that are null."""
        return {**self.inputs, **self.facts}


@dataclass(frozen=True)
class Chosen:
    """A request with its inputs by role, as they were when it was made.

    `paths` are what a registration reads, `names` what the user calls the files, and `typed` what
    the user would type for them. The folders of the files in `moved` are not known.
    """

    request: RegistrationRequest
    paths: Mapping[str, Path]
    names: Mapping[str, str]
    typed: Mapping[str, str]
    moved: frozenset[str]

    @property
    def name(self) -> str:
        """What the registration is called."""
        return f"{self.names['moving']} to {self.names['fixed']}"

    def options(self) -> dict[str, Any]:
        """Return the fields of `RegistrationOptions`."""
        return {role: str(path) for role, path in self.paths.items()} | dict(self.request.facts)

    def same_as(self) -> dict[str, Any]:
        """Return the same registration as a command and in Python, with a note about the files."""
        options = self.typed_options()
        command = {"shell": shell_text(options), "python": python_text(options)}
        return {"command": command, "note": self._note()}

    def typed_options(self) -> dict[str, Any]:
        """Return the options of a registration as the user would type them."""
        return self._typed() | dict(self.request.facts)

    def _typed(self) -> dict[str, str]:
        """Return what is typed for each file; a folder distinguishes files with equal names."""
        shown = {}
        for role, name in self.typed.items():
            alone = list(self.typed.values()).count(name) == 1
            shown[role] = name if alone or role not in self.moved else f"{role}/{name}"
            if shown[role].startswith("-"):
                shown[role] = f"./{shown[role]}"
        return shown

    def _note(self) -> str | None:
        if not self.moved:
            return None
        note = "A browser does not tell in which folder your files are: run the command there"
        if any(self.names[role].lower().endswith(".zip") for role in self.moved):
            note += ", after unpacking the archives"
        if len({self.typed[role] for role in self.moved}) < len(self.moved):
            note += ", and replace the folders of files with equal names"
        return f"{note}."


def parse_request(document: Any) -> RegistrationRequest:
    """Return the request in a JSON document; `RequestError` says what is not allowed."""
    if not isinstance(document, dict):
        raise RequestError("a request is a JSON object")
    given = {key: value for key, value in document.items() if value is not None}
    if unknown := sorted(set(given) - {*ROLES, *FACTS}):
        raise RequestError(f"a request has no key {unknown[0][:60]!r}")
    for role in ("fixed", "moving"):
        if role not in given:
            raise RequestError(f"the {role} image is missing; choose one")
    inputs = {role: given[role] for role in ROLES if role in given}
    for role, id in inputs.items():
        if not isinstance(id, str):
            raise RequestError(f"{role} must be the id of an input")
    allowed = choices()
    facts = {key: _checked(key, given[key], allowed) for key in FACTS if key in given}
    return RegistrationRequest(inputs, facts)


def _checked(key: str, value: Any, allowed: Mapping[str, tuple[str, ...]]) -> Any:
    if key == "volume":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MOST_VOLUMES:
            raise RequestError(f"volume must be a whole number from 0, not {str(value)[:60]!r}")
        return value
    if key == "modality":
        if not isinstance(value, dict) or set(value) - {"0", "1"}:
            raise RequestError(
                'modality must be an object with the keys "0" (fixed) and "1" (moving)'
            )
        given = {slot: word for slot, word in sorted(value.items()) if word is not None}
        return {slot: _one_of("modality", MODALITIES, word) for slot, word in given.items()}
    return _one_of(key, allowed[key], value)


def choices() -> dict[str, tuple[str, ...]]:
    """Return the allowed values of the facts that are words."""
    return {
        "points_space": POINTS_SPACES,
        "anatomy": tuple(ANATOMIES),
        "pairing": PAIRINGS,
        "model": tuple(model["name"] for model in models()),
        "effort": EFFORTS,
    }


def models() -> list[dict[str, Any]]:
    """Return the models of the zoo and one's own, with the reason if one cannot be used here."""
    ready = models_here(weights_here())
    listed = [
        {
            "name": name,
            "title": spec.title,
            "ready": name in ready,
            "reason": "" if name in ready else f"get its weights with regzoo pull {name}",
        }
        for name, spec in load_catalogue().items()
    ]
    own = dict.fromkeys(folder.name for folder in recorded_folders() if folder.is_dir())
    return [*listed, *({"name": n, "title": n, "ready": True, "reason": ""} for n in own)]


def _one_of(key: str, allowed: tuple[str, ...], value: Any) -> str:
    if value not in allowed:
        raise RequestError(f"{key} must be one of {', '.join(allowed)}, not {str(value)[:60]!r}")
    return str(value)


def command_words(options: Mapping[str, Any], out: str) -> list[str]:
    """Return the words of `regzoo register` for options that name the files."""
    words = ["register", options["fixed"], options["moving"], "--out", out]
    for key, value in options.items():
        flag = "--" + key.replace("_", "-")
        if key == "modality":
            for slot, word in value.items():
                words += [f"{flag}.{slot}", word]
        elif key not in ("fixed", "moving"):
            words += [flag, str(value)]
    return words


def job_words(chosen: Chosen, out: Path) -> list[str]:
    """Return the words of the command that a job runs; it prints its progress as lines."""
    return [*command_words(chosen.options(), str(out)), "--quiet", "--progress"]


def shell_text(options: Mapping[str, Any]) -> str:
    """Return the command as one line for the shell of this system."""
    words = ["regzoo", *command_words(options, RESULT_FOLDER)]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def python_text(options: Mapping[str, Any]) -> str:
    """Return the same registration as five lines of Python."""
    named = {key: value for key, value in options.items() if key not in ("fixed", "moving")}
    named |= {"report": "full"}
    given = [repr(options["fixed"]), repr(options["moving"]), f"out={RESULT_FOLDER!r}"]
    given += [f"{key}={value!r}" for key, value in named.items()]
    return (
        "import zoo\n\n"
        f"registration = zoo.register({', '.join(given)})\n"
        "print(registration.quality, registration.figures)\n"
        "warped = registration.to_nibabel()  # the moving image on the fixed grid\n"
    )
