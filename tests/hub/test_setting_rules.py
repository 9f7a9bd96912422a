"""Values of settings: what the rules of a model allow, and what MONAI's parser makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder, config_keys
from zoo.hub.catalogue import load_catalogue
from zoo.hub.setting_rules import check_settings, for_monai, plain_value
from zoo.io.json_documents import read_json_object

MODELS = ["mcbo", "unigradicon", "multigradicon", "unireg"]


def checked(model, **values):
    return check_settings(values, load_catalogue()[model].setting_rules(), model, "--set")


@given(st.text(st.characters(codec="utf-8"), max_size=30))
@example("$open('x')")
@example("@run")
@example("%file.json::x")
@example("/data/a#b")
@example("a @::b %## c")
@example("/é/'\"\\\n{}")
@settings(deadline=None)
def test_monai_yields_every_text_unchanged(text):
    parser = ConfigParser({"run": 1, "a": {"b": [for_monai(text)]}})
    assert parser.get_parsed_content("a") == {"b": [text]}


@pytest.mark.parametrize("model", MODELS)
def test_the_plain_values_of_the_packaged_configs_are_allowed(model):
    spec = load_catalogue()[model]
    config = read_json_object(bundle_folder(model) / "configs" / "inference.json")
    rules = spec.setting_rules()
    plain = {k: v for k, v in config.items() if k in rules and not isinstance(v, dict)}
    assert check_settings(plain, rules, model, "") == plain
    assert check_settings(spec.planning.defaults, rules, model, "") == spec.planning.defaults


@pytest.mark.parametrize("model", MODELS)
def test_every_rule_is_of_a_setting_of_the_configs(model):
    spec, folder = load_catalogue()[model], bundle_folder(model)
    assert set(spec.setting_rules()) <= set(config_keys(folder))
    assert set(spec.training) <= set(config_keys(folder, "train.yaml"))


@pytest.mark.parametrize(
    ("model", "key", "value", "words"),
    [
        ("mcbo", "mod", "paper", r"--set mod: mcbo has no such setting \(did you mean mode\?\)"),
        ("mcbo", "mode", "$x", "use one of accurate, paper, convexadam"),
        ("mcbo", "report", "fancy", "use one of full, light, none, or true or false"),
        ("mcbo", "spacing", 0, "a number from 0.001 to 1000, or null"),
        ("mcbo", "spacing", True, "True is not allowed"),
        ("mcbo", "spacing", float("nan"), "nan is not allowed"),
        ("mcbo", "rigid", 1, "use true or false"),
        ("mcbo", "solver_settings", {"smoth": 1}, r"no 'smoth' \(did you mean smooth"),
        ("mcbo", "solver_settings", {"levels": [6, "$x"]}, r"levels: '\$x' is not allowed"),
        ("mcbo", "preset", "$x.json", "write ./ before"),
        ("unigradicon", "refine", 2.0, "2.0 is not allowed; use a whole number from 0"),
        ("unigradicon", "size", [32, 32], "a list .3 values"),
        ("unigradicon", "size", [32, 32, 2000], "a whole number from 1 to 1024"),
        ("unireg", "region", {"chest": -1}, "-1 is not allowed; use a number of at least 0"),
        ("unireg", "region", {"_target_": 1}, "would read as a command"),
        ("unireg", "region", "@run", "begins with"),
    ],
)
def test_other_values_are_refused_with_what_is_allowed(model, key, value, words):
    with pytest.raises(UserError, match=words):
        checked(model, **{key: value})


def test_good_values_become_plain_data():
    mixture = {"chest": 0.5, "abdomen": 0.5}
    assert checked("unireg", region=mixture, size=(1, 2, 3)) == {
        "region": mixture,
        "size": [1, 2, 3],
    }
    assert checked("mcbo", affine="none", preset=Path("a.json")) == {
        "affine": "none",
        "preset": str(Path("a.json").absolute()),
    }


@pytest.mark.parametrize(
    "value", ["@x", [["%x"]], {"_target_": 1}, {"a": {"b#c": 1}}, {1: 2}, [print], 3 * [[" $x"]]]
)
def test_a_value_without_a_rule_must_be_plain_at_every_depth(value):
    with pytest.raises(ValueError, match=r"is not (allowed|a text|plain data)"):
        plain_value(value)
