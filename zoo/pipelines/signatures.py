"""Functions whose arguments are the fields of a dataclass of options.

The fields are declared once, with type, default and help text. From them follow the signature and
the docstring of a Python function and those of a command. Static type checkers and editors see the
arguments of the dataclass, because the decorator carries them over as a ParamSpec.
"""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Options = TypeVar("Options")
Result = TypeVar("Result")

REQUIRED = inspect.Parameter.empty
_AS_IN_PYTHON: Any = object()
_WIDTH = 100


@dataclass(frozen=True)
class Flag:
    """How an option is given on the command line, where that differs from Python.

    `type` is that of its text, `name` that of its flag, and `parse` turns the text into the value
    of the field. A default of `REQUIRED` makes the option mandatory.
    """

    type: Any = _AS_IN_PYTHON
    default: Any = _AS_IN_PYTHON
    help: str | None = None
    name: str | None = None
    parse: Callable[[Any], Any] | None = None


def about(help: str, flag: Flag | None = None) -> Mapping[str, Any]:
    """Return the metadata of a field of options: its help text and its flag."""
    return {"help": help, "flag": flag or Flag()}


def takes(
    options: Callable[P, Options],
) -> Callable[[Callable[[Options], Result]], Callable[P, Result]]:
    """Turn a function of an options object into a function of its fields."""

    def decorate(function: Callable[[Options], Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            return function(options(*args, **kwargs))

        described = fields(typing.cast(Any, options))
        types = field_types(options)
        parameters = [_parameter(f, f.name, types[f.name], _default(f)) for f in described]
        lines = [(f.name, f.metadata["help"]) for f in described]
        return _documented(call, function, parameters, lines)

    return decorate


def command_taking(
    options: type[Options],
) -> Callable[[Callable[[Options], Result]], Callable[..., Result]]:
    """Turn a function of an options object into a command, whose flags are the fields."""

    def decorate(function: Callable[[Options], Result]) -> Callable[..., Result]:
        described = fields(typing.cast(Any, options))
        by_name = {_flag(f).name or f.name: f for f in described}

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Result:
            bound = inspect.signature(call).bind(*args, **kwargs)
            bound.apply_defaults()
            given = [(by_name[name], text) for name, text in bound.arguments.items()]
            return function(options(**{option.name: _value(option, t) for option, t in given}))

        types = field_types(options)
        parameters = [
            _parameter(
                f,
                name,
                _first_given(_flag(f).type, types[f.name]),
                _first_given(_flag(f).default, _default(f)),
            )
            for name, f in by_name.items()
        ]
        lines = [
            (name.rstrip("_"), _flag(f).help or f.metadata["help"]) for name, f in by_name.items()
        ]
        return _documented(call, function, parameters, lines)

    return decorate


def field_types(options: Any) -> dict[str, Any]:
    """Return the types of the fields of a dataclass by name.

    They are resolved one by one: Python 3.10 refuses the mark `_: KW_ONLY` among the annotations.
    """
    namespace: dict[str, Any] = {}
    for base in reversed(options.__mro__):  # a field is written with the names of its own module
        namespace |= vars(sys.modules[base.__module__])
    annotated = SimpleNamespace(__annotations__={f.name: f.type for f in fields(options)})
    return typing.get_type_hints(annotated, namespace)


def _flag(option: Field[Any]) -> Flag:
    flag: Flag = option.metadata["flag"]
    return flag


def _value(option: Field[Any], text: Any) -> Any:
    parse = _flag(option).parse
    return text if parse is None else parse(text)


def _first_given(value: Any, otherwise: Any) -> Any:
    return otherwise if value is _AS_IN_PYTHON else value


def _default(option: Field[Any]) -> Any:
    return REQUIRED if option.default is MISSING else option.default


def _parameter(option: Field[Any], name: str, type: Any, default: Any) -> inspect.Parameter:
    kind = (
        inspect.Parameter.KEYWORD_ONLY
        if option.kw_only
        else inspect.Parameter.POSITIONAL_OR_KEYWORD
    )
    return inspect.Parameter(name, kind, annotation=type, default=default)


def _documented(
    call: Callable[..., Any],
    function: Callable[..., Any],
    parameters: list[inspect.Parameter],
    lines: Iterable[tuple[str, str]],
) -> Callable[..., Any]:
    """Give `call` the signature of the options, and an "Args:" section in its docstring."""
    returned = typing.get_type_hints(function).get("return")
    signature = inspect.Signature(parameters, return_annotation=returned)
    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": returned}
    section = ["Args:", *(_wrapped(name, text) for name, text in lines)]
    call.__doc__ = inspect.cleandoc(function.__doc__ or "") + "\n\n" + "\n".join(section)
    return call


def _wrapped(name: str, text: str) -> str:
    return textwrap.fill(
        f"{name}: {text}",
        _WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
