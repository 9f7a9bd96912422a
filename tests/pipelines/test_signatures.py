"""Functions whose arguments are the fields of a dataclass."""

import inspect
import typing
from dataclasses import KW_ONLY, dataclass, field, fields

import pytest

from zoo.commands.registration.register import RegisterOptions
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.signatures import REQUIRED, Flag, about, command_taking, field_types, takes


@dataclass(frozen=True)
class Options:
    image: object = field(metadata=about("The image.", Flag(type=str)))
    _: KW_ONLY
    out: str | None = field(
        default=None, metadata=about("The folder.", Flag(type=str, default=REQUIRED))
    )
    pairs: dict[str, int] | None = field(
        default=None,
        metadata=about(
            "Numbers by name.",
            Flag(
                type=list[str] | None,
                name="pair_",
                help="NAME=NUMBER.",
                parse=lambda texts: {k: int(v) for k, v in (t.split("=") for t in texts or [])},
            ),
        ),
    )


@takes(Options)
def function(options: Options) -> Options:
    """Do it.

    With care.
    """
    return options


@command_taking(Options)
def command(options: Options) -> Options:
    """Do it."""
    return options


def test_a_function_takes_the_fields():
    signature = inspect.signature(function)
    assert str(signature).startswith(
        "(image: object, *, out: str | None = None, pairs: dict[str, int] | None = None) ->"
    )
    assert signature.return_annotation is Options
    assert function(3, pairs={"a": 1}) == Options(3, pairs={"a": 1})
    with pytest.raises(TypeError, match="image"):
        function()


def test_a_command_takes_texts():
    parameters = inspect.signature(command).parameters
    assert list(parameters) == ["image", "out", "pair_"]
    assert parameters["out"].default is REQUIRED
    assert typing.get_type_hints(command)["pair_"] == list[str] | None
    assert command("i", out="o", pair_=["a=1"]) == Options("i", out="o", pairs={"a": 1})
    assert command("i", out="o") == Options("i", out="o", pairs={})


def test_docstrings_end_with_the_help_of_every_argument():
    assert inspect.getdoc(function) == (
        "Do it.\n\nWith care.\n\nArgs:\n    image: The image.\n    out: The folder.\n"
        "    pairs: Numbers by name."
    )
    assert inspect.getdoc(command).endswith("    out: The folder.\n    pair: NAME=NUMBER.")


def test_the_mark_of_keyword_only_fields_has_no_type():
    """Python 3.10 cannot resolve its annotation, if annotations are texts."""
    assert set(field_types(RegistrationOptions)) == {f.name for f in fields(RegistrationOptions)}
    assert field_types(Options)["out"] == str | None
    inherited = field_types(RegisterOptions)
    assert inherited["dry_run"] is bool
    assert {name: inherited[name] for name in field_types(RegistrationOptions)} == field_types(
        RegistrationOptions
    )
