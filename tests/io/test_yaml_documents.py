import time

import pytest
import yaml

from zoo.io.limits import MAX_DEPTH, MAX_YAML_BYTES
from zoo.io.yaml_documents import parse_yaml

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [x, 2.5, true, null]\nc: {d: e}\n",
        "- 1\n- {2: two}\n- []\n- {}\n",
        "1.0e-4",
        "",
        "text: |\n  two\n  lines\ndate: 2024-01-31\n",
        "[" * MAX_DEPTH + "]" * MAX_DEPTH,
    ],
)
def test_plain_values_are_read_like_pyyaml(text):
    assert parse_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (BOMB, r"the alias \*a is not allowed"),
        ("a: &a {b: *a}", "alias"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", "alias"),
        ("x" * (MAX_YAML_BYTES + 1), f"at most {MAX_YAML_BYTES} are allowed"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested too deeply"),
        ("- " * 5000, "nested too deeply"),
        ("a: 1\nb: 2\na: 3\n", "'a' occurs twice"),
        ("x: {a: 1, a: 1}", "'a' occurs twice"),
        ("? [1, 2]\n: 3", "a key must be text"),
        ("null: 1", "is not text"),
        ("!!python/object/apply:os.system [ls]", "python/object"),
        ("!!binary aGk=", "a bytes"),
        ("!!set {a, b}", "a set"),
        ("a: .nan", "only finite numbers"),
        ("a: -.inf", "only finite numbers"),
        ("2001-13-45", "month"),
        ("0x" + "f" * 17, "more than 64 bits"),
        ("9" * 5000, "digits|64 bits"),
        ("a: [1", "flow sequence"),
        ("a: \0", "special characters"),
        ("!!int x", "invalid literal"),
        ("!!timestamp x", "cannot be read"),
    ],
)
def test_everything_else_is_refused_in_one_line(text, pattern):
    with pytest.raises(ValueError, match=pattern) as refusal:
        parse_yaml(text)
    assert "\n" not in str(refusal.value)


def test_an_alias_bomb_is_refused_at_once():
    """The bomb stands for 9^9 texts; PyYAML alone needs many seconds to print its value."""
    start = time.process_time()
    with pytest.raises(ValueError, match="alias"):
        parse_yaml(BOMB)
    assert time.process_time() - start < 1
