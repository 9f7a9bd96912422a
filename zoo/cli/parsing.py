"""Parsing of a command's arguments: every value is checked before anything runs.

Fire, which MONAI uses, guesses types from the text (a folder 007 becomes the number 7) and calls
the function before it notices a mistyped flag. The annotations of the commands say more, so the
arguments are bound by `inspect.Signature` here.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.cli.commands import Command, flag_of, name_of, nearest, parameters_of, placeholder
from zoo.errors import UserError


@dataclass(frozen=True)
class Call:
    """A command with its arguments by name, bound and not yet run."""

    command: Command
    arguments: dict[str, Any]

    def __call__(self) -> int:
        """Run the command and return its exit code."""
        bound = inspect.signature(self.command).bind_partial()
        bound.arguments.update(self.arguments)
        return self.command(*bound.args, **bound.kwargs) or 0


def parse(command: Command, words: list[str]) -> Call:
    """Bind `words` to the parameters of a command; each value gets the annotated type."""
    positional, by_flag = _Flags(command).read(words)
    arguments = _positional(command, positional, taken=by_flag) | by_flag
    missing = [
        placeholder(p)
        for p in parameters_of(command)
        if p.default is p.empty and p.kind is not p.VAR_POSITIONAL and p.name not in arguments
    ]
    if missing:
        raise UserError(f"{name_of(command)} needs {' and '.join(missing)}; {_see(command)}")
    ordered = [p.name for p in parameters_of(command) if p.name in arguments]
    return Call(command, {name: arguments[name] for name in ordered})


def _see(command: Command) -> str:
    return f"see regzoo {name_of(command)} --help"


def _positional(command: Command, words: list[str], taken: Mapping[str, Any]) -> dict[str, Any]:
    """Assign words to the positional parameters that no flag has set."""
    hints = typing.get_type_hints(command)
    rest = list(words)
    arguments: dict[str, Any] = {}
    for parameter in parameters_of(command):
        shown = placeholder(parameter)
        if parameter.kind is parameter.VAR_POSITIONAL:
            arguments[parameter.name] = tuple(
                convert(word, hints[parameter.name], parameter.name.upper()) for word in rest
            )
            rest = []
        elif parameter.kind is not parameter.KEYWORD_ONLY and parameter.name not in taken and rest:
            arguments[parameter.name] = convert(rest.pop(0), hints[parameter.name], shown)
    if rest:
        raise UserError(f"{name_of(command)} does not expect {rest[0]!r}; {_see(command)}")
    return arguments


class _Flags:
    """The flags of a command.

    An option of type list may be given several times (`--set a=1 --set b=2`), an option of type
    dict once per slot (`--modality.0 ct --modality.1 mr`), any other option once.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self.hints = typing.get_type_hints(command)
        options_first = sorted(parameters_of(command), key=lambda p: p.kind is not p.KEYWORD_ONLY)
        self.names = {
            flag_of(p.name): p.name for p in options_first if p.kind is not p.VAR_POSITIONAL
        }

    def read(self, words: list[str]) -> tuple[list[str], dict[str, Any]]:
        """Return the positional words, and the values of the flags by parameter."""
        positional: list[str] = []
        values: dict[str, Any] = {}
        rest = iter(words)
        for word in rest:
            if not re.match(r"--|-[A-Za-z](=|$)", word):
                positional.append(word)
                continue
            written, has_value, text = word.partition("=")
            flag, slot = self._known(written)
            name = self.names[flag]
            if not has_value:
                text = "true" if self.hints[name] is bool else next(rest, "--")
                if text.startswith("--"):
                    raise UserError(f"{flag} needs a value; {_see(self.command)}")
            self._add(values, name, flag, slot, text)
        return positional, values

    def _add(self, values: dict[str, Any], name: str, flag: str, slot: str, text: str) -> None:
        """Add one value to those that were read before."""
        container = self._container(name)
        if container is dict:
            by_slot = values.setdefault(name, {})
            if slot in by_slot:
                raise UserError(f"{flag}.{slot} is given twice; give it once")
            by_slot[slot] = convert(text, str, f"{flag}.{slot}")
        elif container is list:
            values.setdefault(name, []).append(convert(text, str, flag))
        elif name in values:
            raise UserError(f"{flag} is given twice; give it once")
        else:
            values[name] = convert(text, self.hints[name], flag)

    def _known(self, written: str) -> tuple[str, str]:
        """Return a flag in its long form, and its slot, which is empty unless it is a dict."""
        flag, dot, slot = self._long_form(written).partition(".")
        if flag not in self.names:
            hint = nearest(flag, self.names)
            raise UserError(
                f"{name_of(self.command)} has no option {written}{hint}; {_see(self.command)}"
            )
        if self._container(self.names[flag]) is dict:
            if not slot:
                raise UserError(
                    f"{flag} needs a slot: {flag}.0 (fixed) or {flag}.1 (moving); for instance "
                    f"{flag}.0 VALUE {flag}.1 VALUE"
                )
        elif dot:
            raise UserError(f"{flag} has no slots; write {flag} VALUE, not {written}")
        return flag, slot

    def _long_form(self, flag: str) -> str:
        """Return the long form of a flag such as -o: the first option that begins with it."""
        if flag.startswith("--"):
            return flag.replace("_", "-")
        return next((long for long in self.names if long.startswith("-" + flag)), flag)

    def _container(self, name: str) -> type | None:
        """Return dict or list if the parameter collects several values, else None."""
        kinds = {typing.get_origin(hint) for hint in typing.get_args(self.hints[name])}
        return next((kind for kind in (dict, list) if kind in kinds), None)


def convert(text: str, hint: Any, shown: str) -> Any:
    """Convert a text to `hint`: str, int, float, bool, a Literal, or one of these or None.

    `shown` is what errors call the argument.
    """
    if not text:
        raise UserError(f"the value of {shown} is empty; give one, or leave {shown} out")
    choices = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        if text not in choices:
            allowed = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise UserError(f"{shown} must be {allowed}, not {text!r}{nearest(text, choices)}")
        return text
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return convert(text, next(c for c in choices if c is not type(None)), shown)
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{shown} is a switch: write {shown} or {shown}=false, not {text!r}")
        return text.lower() == "true"
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            kind = "a whole number" if hint is int else "a number"
            raise UserError(f"{shown} must be {kind}, not {text!r}") from None
    return text
