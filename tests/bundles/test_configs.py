"""Bundle configs are data: what has to be computed is a component with named arguments."""

import pytest
import yaml

from zoo.hub.bundles import bundle_folder, bundle_names

LONGEST_EXPRESSION = 100

CONFIGS = sorted(
    path
    for name in bundle_names()
    for path in (bundle_folder(name) / "configs").glob("*.json")
    if path.name != "metadata.json"
)


def strings(value):
    """Yield every string in a document, keys included."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value


def faults(document):
    """Return the expressions that should be components."""
    expressions = [text for text in strings(document) if text.startswith("$")]
    return [text for text in expressions if len(text) > LONGEST_EXPRESSION or "dict(" in text]


def test_long_expressions_and_dictionaries_are_found_at_any_depth():
    document = {"a": [{"b": "$dict(x=1)"}, {"c": f"${'1 + ' * 30}1"}], "d": "dict(", "e": "$@a"}
    assert faults(document) == ["$dict(x=1)", f"${'1 + ' * 30}1"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_a_config_for_inference_has_short_expressions_only(path):
    assert faults(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize("name", bundle_names())
def test_a_config_names_packages_and_never_a_module_inside(name):
    for path in (bundle_folder(name) / "configs").glob("*.[jy]*"):  # JSON and YAML
        for text in strings(yaml.safe_load(path.read_text())):
            if text.startswith(("zoo.", "$from zoo.")):
                dotted = text.removeprefix("$from ").split()[0]
                parts = dotted.split(".")
                assert len(parts) == (2 if text.startswith("$") else 3), text
