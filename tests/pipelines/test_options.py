"""The options of a registration are declared once; command and Python API follow from them."""

import inspect
import typing
from dataclasses import fields

import pytest

import zoo
from zoo import UserError
from zoo.cli.commands import find_command, flag_of
from zoo.cli.parsing import parse
from zoo.pipelines import RegistrationOptions
from zoo.pipelines.options import modality_by_slot

NAMES = [field.name for field in fields(RegistrationOptions)]
VALUES = {
    "format": "both",
    "guide": "points",
    "pairing": "intra",
    "effort": "fast",
    "points_space": "lps",
    "precision": "bfloat16",
    "refine_mode": "weights",
    "report": "light",
    "similarity": "mind",
}


def parameters(function):
    return inspect.signature(function).parameters


@pytest.mark.parametrize("name", NAMES)
def test_the_api_has_and_explains_every_option(name):
    parameter = parameters(zoo.register)[name]
    assert parameter.annotation is not parameter.empty
    assert f"    {name}: " in (inspect.getdoc(zoo.register) or "")


def typed(name):
    """Return words that set one option, and the value that they stand for."""
    parameter = parameters(find_command("register"))["set_" if name == "settings" else name]
    flag, kinds = flag_of(parameter.name), typing.get_args(parameter.annotation)
    if name in VALUES:
        return [flag, VALUES[name]], VALUES[name]
    if name == "modality":
        return ["--modality.0", "ct", "--modality.1", "mr"], {"0": "ct", "1": "mr"}
    if name == "settings":
        return [flag, "mode=paper", flag, "size=[4, 5, 6]"], {"mode": "paper", "size": [4, 5, 6]}
    if parameter.annotation is bool:
        return [f"{flag}={str(not parameter.default).lower()}"], not parameter.default
    return ([flag, "3"], 3) if int in kinds else ([flag, "some text"], "some text")


@pytest.mark.parametrize("name", NAMES)
def test_the_command_hands_every_option_to_the_pipeline(name, monkeypatch):
    received = []
    monkeypatch.setattr(
        "zoo.pipelines.register.register_files",
        lambda options, **_: received.append(options) or _Registered(),
    )
    words = {"fixed": ["f"], "moving": ["m"], "out": ["--out", "o"]}
    words[name], value = typed(name)
    assert (
        parse(find_command("register"), [w for several in words.values() for w in several])() == 0
    )
    (options,) = received
    assert getattr(options, name) == value
    expected = RegistrationOptions("f", "m", out="o", report="full", settings={})
    for other in set(NAMES) - {name}:
        assert getattr(options, other) == getattr(expected, other), other


class _Registered:
    result = {  # noqa: RUF012
        "quality": "ok",
        "warnings": [],
        "quality_limits": [],
        "affine_start": {"kind": "none", "reason": ""},
        "figures": {},
        "wall_seconds": 1.0,
        "peak_memory_mib": 0,
    }


def test_a_wrong_option_is_a_type_error_in_python():
    with pytest.raises(TypeError, match="colour"):
        zoo.register("a", "b", colour="red")


@pytest.mark.parametrize(
    ("modality", "by_slot"),
    [
        (None, {}),
        (("ct", "mr"), {"0": "ct", "1": "mr"}),
        (["ct"], {"0": "ct"}),
        ({1: "mr"}, {"1": "mr"}),
        ({"0": "us"}, {"0": "us"}),
    ],
)
def test_modalities_are_given_by_slot(modality, by_slot):
    assert modality_by_slot(modality) == by_slot


def test_one_modality_for_both_images_is_refused():
    with pytest.raises(UserError, match="one value per slot"):
        modality_by_slot("ct")


def test_settings_win_over_options_and_none_leaves_the_plan_alone():
    options = RegistrationOptions(
        "f", "m", refine=3, affine=None, settings={"refine": 5, "x": None}
    )
    assert options.bundle_settings() == {"refine": 5}
