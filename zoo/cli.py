"""The command line: words are parsed and checked first, and only then does anything run.

Fire finds the command and binds its arguments. It would call a function before it notices a
mistyped flag, so what it sees is a stand-in with the same signature that only records the call.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import inspect
import io
import pkgutil
import re
import sys
import types
import typing
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import zoo.commands
from zoo import UserError, __version__

Command = Callable[..., "int | None"]

USAGE = 2
INTERRUPTED = 130


@dataclass(frozen=True)
class Call:
    """A command with its arguments, bound and not yet run."""

    command: Command
    arguments: dict[str, Any]

    def __call__(self) -> int:
        """Run the command and return its exit code."""
        bound = inspect.BoundArguments(inspect.signature(self.command), OrderedDict(self.arguments))
        return self.command(*bound.args, **bound.kwargs) or 0


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 done in part, 2 a problem the user can mend."""
    sys.exit(run(list(sys.argv[1:] if words is None else words)))


def run(words: list[str]) -> int:
    """Parse `words`, run the command, and return the exit code."""
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(overview())
            return 0
        if words[0] in ("-V", "--version", "version"):
            print(f"regzoo {__version__}")
            return 0
        command = find(words[0])
        _check_text(words)
        if {"-h", "--help"} & set(words[1:]):
            print(help_text(command))
            return 0
        return parse(command, words[1:])()
    except UserError as error:
        print(f"regzoo: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("regzoo: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:  # a folder that is a file, a name too long, no permission, a full disk
        if error.filename is None:
            raise
        print(f"regzoo: {error.filename}: {error.strerror}; check the path", file=sys.stderr)
        return USAGE


def _check_text(words: list[str]) -> None:
    """Refuse a name in bytes that are no text: a result that quotes it could not be written."""
    for word in words:
        if re.search("[\ud800-\udfff]", word):
            raise UserError(f"{word!r} is not UTF-8; rename the file, or call it by a link")


def names() -> list[str]:
    """Return the commands' names, as they are typed."""
    found = pkgutil.iter_modules(zoo.commands.__path__)
    return sorted(m.name.replace("_", "-") for m in found if not m.name.startswith("_"))


def find(name: str) -> Command:
    """Return the command called `name`."""
    if name not in names():
        raise UserError(f"there is no command {name!r}{_nearest(name, names())}; see regzoo --help")
    short = name.replace("-", "_")
    command: Command = getattr(importlib.import_module(f"zoo.commands.{short}"), short)
    return command


def parse(command: Command, words: list[str]) -> Call:
    """Bind `words` to the command's parameters; every value is checked against its annotation."""
    import fire
    from fire.core import FireExit
    from fire.decorators import SetParseFn

    words, collected = _read_flags(command, words)
    recorded: list[dict[str, Any]] = []

    @functools.wraps(command)
    def stand_in(*args: Any, **kwargs: Any) -> None:
        recorded.append(inspect.signature(command).bind(*args, **kwargs).arguments)

    try:
        # Values stay text here: Fire would turn a folder called 007 into the number 7.
        with contextlib.redirect_stderr(io.StringIO()):
            fire.Fire(SetParseFn(str)(stand_in), command=words, name="regzoo")
    except FireExit:
        raise UserError(_misuse(command, words)) from None
    return Call(command, _converted(command, recorded[0]) | collected)


def _read_flags(command: Command, words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Check every flag, and write `--flag value` as `--flag=value`.

    So a value may begin with a minus sign, and a positional after a switch is not taken by it.
    What may be given several times is collected apart: `--set a=1 --set b=2` for a list,
    `--modality.0 ct --modality.1 mr` for a dict.
    """
    hints = typing.get_type_hints(command)
    parameters = inspect.signature(command).parameters.values()
    by_flag_first = sorted(parameters, key=lambda p: p.kind is not p.KEYWORD_ONLY)
    known = {_flag(p.name): p.name for p in by_flag_first}
    collected: dict[str, Any] = {}
    given: set[str] = set()
    out: list[str] = []
    rest = iter(words)
    for word in rest:
        if not re.match(r"--|-[A-Za-z]$", word):
            out.append(word)
            continue
        flag, has_value, value = word.partition("=")
        flag, _, key = _spelled_out(flag, known).partition(".")
        kinds = [typing.get_origin(o) for o in (typing.get_args(hints.get(known.get(flag, ""))))]
        if flag not in known or bool(key) != (dict in kinds):
            raise UserError(
                f"{_name(command)} has no flag {word.partition('=')[0]}"
                f"{_nearest(flag, list(known))}; see regzoo {_name(command)} --help"
            )
        name = known[flag]
        if not has_value:
            value = "true" if hints[name] is bool else next(rest, "--")
            if value.startswith("--"):
                raise UserError(f"{flag} needs a value; see regzoo {_name(command)} --help")
        if dict in kinds:
            collected.setdefault(name, {})[key] = value
        elif list in kinds:
            collected.setdefault(name, []).append(value)
        elif name in given:
            raise UserError(f"{flag} is given twice; give it once")
        else:
            out.append(f"--{name}={value}")
        given.add(name)
    return out, collected


def _flag(parameter: str) -> str:
    """Return a parameter's flag; a trailing underscore only keeps it from a Python word."""
    return "--" + parameter.rstrip("_").replace("_", "-")


def _spelled_out(flag: str, known: Iterable[str]) -> str:
    """Return the long form of `-o`: the flag that alone begins so, or the first that does."""
    if flag.startswith("--"):
        return flag.replace("_", "-")
    return next((long for long in known if long.startswith("-" + flag)), flag)


def _converted(command: Command, bound: dict[str, Any]) -> dict[str, Any]:
    """Turn the texts into the types that the command's annotations name."""
    hints = typing.get_type_hints(command)
    return {
        name: tuple(convert(v, hints[name], name) for v in value)
        if isinstance(value, tuple)
        else convert(value, hints[name], name)
        if isinstance(value, str)
        else value
        for name, value in bound.items()
    }


def convert(text: str, hint: Any, name: str) -> Any:
    """Turn one text into `hint`: str, int, float, bool, a Literal, or one of these or None."""
    flag = _flag(name)
    options = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        if text not in options:
            raise UserError(f"{flag} {text!r} is not allowed; use one of {', '.join(options)}")
        return text
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return convert(text, next(o for o in options if o is not type(None)), name)
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{flag} takes no value, or true or false; not {text!r}")
        return text.lower() == "true"
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            kind = "a whole number" if hint is int else "a number"
            raise UserError(f"{flag} takes {kind}, not {text!r}") from None
    return text


def overview() -> str:
    """Return the help of the whole command line."""
    width = max(map(len, names()))
    rows = [f"  {name:<{width}}  {_summary(find(name))}" for name in names()]
    return "\n".join(
        [
            "regzoo: universal 3-D medical image registration that configures itself",
            "",
            "Usage: regzoo COMMAND ...",
            "",
            *rows,
            "",
            "regzoo COMMAND --help tells more and shows an example; regzoo --version the version.",
        ]
    )


def help_text(command: Command) -> str:
    """Return the help of one command: usage, what it does, an example, its arguments."""
    parameters = inspect.signature(command).parameters.values()
    required = [_shown(p) for p in parameters if p.default is p.empty]
    usage = " ".join(["Usage: regzoo", _name(command), *required, "[--flags]"])
    lines = (inspect.getdoc(command) or "").splitlines()
    flags = {p.name.rstrip("_"): _flag(p.name) for p in parameters if p.kind is p.KEYWORD_ONLY}
    first = lines.index("Args:") if "Args:" in lines else len(lines)
    for k in range(first, len(lines)):
        name, colon, text = lines[k].strip().partition(": ")
        if colon and name in flags:
            lines[k] = f"    {flags[name]}: {text}"
    return "\n".join([usage, "", *lines])


def _shown(parameter: inspect.Parameter) -> str:
    """Return a required parameter as the usage line shows it."""
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"[{parameter.name.upper()} ...]"
    keyword = parameter.kind is parameter.KEYWORD_ONLY
    return (
        f"{_flag(parameter.name)} {parameter.name.upper()}" if keyword else parameter.name.upper()
    )


def _misuse(command: Command, words: list[str]) -> str:
    """Say why the words do not fit: an argument is missing, or one is too many."""
    parameters = inspect.signature(command).parameters.values()
    flags = {w[2:].partition("=")[0] for w in words if w.startswith("--")}
    loose = [w for w in words if not w.startswith("--")]
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind is not p.VAR_POSITIONAL and p.name not in flags
    ]
    see = f"see regzoo {_name(command)} --help"
    loose_parameters = [p for p in required if p.kind is not p.KEYWORD_ONLY]
    missing = loose_parameters[len(loose) :] + [p for p in required if p.kind is p.KEYWORD_ONLY]
    if missing:
        return f"{_name(command)} needs {', '.join(_shown(p) for p in missing)}; {see}"
    return f"{_name(command)} cannot take {loose[-1]!r}; {see}" if loose else see


def _name(command: Command) -> str:
    return command.__name__.replace("_", "-")


def _summary(command: Command) -> str:
    return (inspect.getdoc(command) or "").partition("\n")[0].rstrip(".")


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
