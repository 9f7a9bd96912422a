import time

import pytest
import yaml
from support.limit_cases import refused

from zoo.io.limits import MAX_DEPTH, MAX_YAML_BYTES
from zoo.io.yaml_documents import parse_yaml, read_yaml_mapping

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
        "a: {a: {a: a, b: a}, b: [a, a]}\nb: {a: a}\n",
        "[{a: 1, b: 1}, {a: 1, b: 1}]",
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
        ("a: {b: 1}\na: 2", "'a' occurs twice"),
        ("x: [1]\ny: {z: []}\na: 1\na: 2", "'a' occurs twice"),
        ("- [{b: 1, c: 2, b: 3}]", "'b' occurs twice"),
        (f"{'k' * 99}: 1\n{'k' * 99}: 2", f"the key '{'k' * 60}' occurs twice"),
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
        ("a: !!bool x", "cannot be read: 'x'"),
        ("a: !!int ''", "cannot be read: string index out of range"),
        ("1" + ":1" * 200 + ".5", "cannot be read: int too large to convert to float"),
    ],
)
def test_everything_else_is_refused_in_one_line(text, pattern):
    with pytest.raises(ValueError, match=pattern) as refusal:
        parse_yaml(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("length", [65_535, 65_536, 65_537])
def test_a_text_has_at_most_64_kib(length):
    text = "a: 1  # " + "ü" + "x" * (length - 10)
    assert len(text.encode()) == length
    if length <= 65_536:
        assert parse_yaml(text) == {"a": 1}
    else:
        with pytest.raises(ValueError, match="it has 65537 bytes; at most 65536 are allowed"):
            parse_yaml(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_mapping_is_read_from_a_file(tmp_path, encoding):
    (tmp_path / "a.yaml").write_text("ä: [1, 2]\nb:\n", encoding=encoding)
    assert read_yaml_mapping(tmp_path / "a.yaml") == {"ä": [1, 2], "b": None}


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"- 1\n", "contains a list; write keys with values"),
        (b"# nothing\n", "contains a NoneType; write keys"),
        (b"a: 1\na: 2\n", r"is not valid YAML \(the key 'a' occurs twice: keep one\); correct it"),
        (b"a: \xff", "is not valid YAML"),
        (b"#" * 65_537, "has 65537 bytes; at most 65536 are allowed: leave out what is not needed"),
        (b"", "is empty"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_files_without_a_mapping_are_refused(tmp_path, content, pattern):
    refused(tmp_path / "a.yaml", content, pattern, read_yaml_mapping)


def test_an_alias_bomb_is_refused_at_once():
    """The bomb stands for 9^9 texts; PyYAML alone needs many seconds to print its value."""
    start = time.process_time()
    with pytest.raises(ValueError, match="alias"):
        parse_yaml(BOMB)
    assert time.process_time() - start < 1
