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

BUILT_IN = {
    "completion": "Print a script that completes commands and options in your shell",
    "help": "Print the commands",
    "version": "Print the version",
}
"""The commands that need no module of their own, with their help."""


def command_groups() -> dict[str, dict[str, str]]:
    """Return the title of each group of commands, with the modules of its commands by name."""
    groups = {}
    for folder in zoo.commands.GROUPS:
        package = importlib.import_module(f"zoo.commands.{folder}")
        names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        commands = {name.replace("_", "-"): f"{package.__name__}.{name}" for name in names}
        groups[str(package.__doc__)] = commands
    return groups


def command_names() -> list[str]:
    """Return the names of the commands, as they are typed."""
    return sorted(name for commands in command_groups().values() for name in commands)


def find_command(name: str) -> Command:
    """Return the command called `name`."""
    modules = {key: module for group in command_groups().values() for key, module in group.items()}
    if name not in modules:
        hint = nearest(name, [*modules, *BUILT_IN])
        raise UserError(f"there is no command {name!r}{hint}; see regzoo --help")
    module = importlib.import_module(modules[name])
    command: Command = getattr(module, name.replace("-", "_"))
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
