import json

import pytest

from zoo import UserError
from zoo.io.json_documents import read_json_object, report_missing_keys
from zoo.io.limits import MAX_JSON_BYTES


def test_objects_are_read_with_and_without_a_byte_order_mark(tmp_path):
    document = {"name": "Über", "pairs": [[1, 2.5], None, True]}
    for encoding in ("utf-8", "utf-8-sig"):
        path = tmp_path / f"{encoding}.json"
        path.write_text(json.dumps(document, ensure_ascii=False), encoding=encoding)
        assert read_json_object(path) == document


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"[1, 2]", "a JSON array, not an object"),
        (b"3.5", "a JSON number, not an object"),
        (b'"a"', "a JSON string, not an object"),
        (b"null", "a JSON null, not an object"),
        (b"true", "a JSON boolean, not an object"),
        (b"12", "a JSON number, not an object"),
        (b'{"' + b"k" * 99 + b'": 1, "' + b"k" * 99 + b'": 1}', f"the key '{'k' * 60}' occurs"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' occurs twice"),
        (b'{"x": {"a": 1, "a": 1}}', "'a' occurs twice"),
        (b'{"a": NaN}', "NaN is not allowed"),
        (b'{"a": -Infinity}', "-Infinity is not allowed"),
        (b'{"a": 1', "not valid JSON"),
        (b"\x80\x04K\x01.", r"not valid JSON \(it is not a text file\); give a JSON file"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"", "is empty"),
    ],
)
def test_unsuitable_files_are_refused(tmp_path, content, pattern):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=pattern) as refusal:
        read_json_object(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_large_files_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as stream:
        stream.truncate(MAX_JSON_BYTES + 1)
    with pytest.raises(UserError, match=f"at most {MAX_JSON_BYTES} are allowed"):
        read_json_object(path)
    path.write_bytes(b'{"a": 1}')
    assert read_json_object(path, 8) == {"a": 1}
    with pytest.raises(UserError, match="has 8 bytes; at most 7 are allowed: leave out what"):
        read_json_object(path, 7)


@pytest.mark.parametrize(
    "look_up", [lambda d: d["b"], lambda d: d["a"]["b"], lambda d: d["list"][3], lambda d: d.b]
)
def test_missing_keys_are_reported_with_the_file(look_up):
    with (
        pytest.raises(UserError, match=r"plan\.json is incomplete or was edited by hand"),
        report_missing_keys("plan.json"),
    ):
        look_up({"a": 1, "list": []})


def test_other_errors_are_not_reported_as_missing_keys():
    with pytest.raises(ZeroDivisionError), report_missing_keys("plan.json"):
        _ = 1 / 0
