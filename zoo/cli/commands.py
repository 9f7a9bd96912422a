"""The commands by name, and their parameters as they are typed."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable

import zoo.commands
from zoo.errors import UserError

Command = Callable[..., "int | None"]


def command_names() -> list[str]:
    """Return the names of the commands, as they are typed."""
    modules = pkgutil.iter_modules(zoo.commands.__path__)
    return sorted(m.name.replace("_", "-") for m in modules if not m.name.startswith("_"))


def find_command(name: str) -> Command:
    """Return the command called `name`."""
    if name not in command_names():
        hint = nearest(name, command_names())
        raise UserError(f"there is no command {name!r}{hint}; see regzoo --help")
    identifier = name.replace("-", "_")
    module = importlib.import_module(f"zoo.commands.{identifier}")
    command: Command = getattr(module, identifier)
    return command


def name_of(command: Command) -> str:
    """Return the name of a command, as it is typed."""
    return command.__name__.replace("_", "-")


def parameters_of(command: Command) -> list[inspect.Parameter]:
    """Return the parameters of a command in the order of its signature."""
    return list(inspect.signature(command).parameters.values())


def flag_of(parameter: str) -> str:
    """Return the flag of a parameter; a trailing underscore only avoids a Python keyword."""
    return "--" + parameter.rstrip("_").replace("_", "-")


def placeholder(parameter: inspect.Parameter) -> str:
    """Return a parameter as a usage line shows it, such as FIXED or --out OUT."""
    name = parameter.name.upper()
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"[{name} ...]"
    return f"{flag_of(parameter.name)} {name}" if parameter.kind is parameter.KEYWORD_ONLY else name


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean X?)" with the known word that is most similar, or an empty text."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
