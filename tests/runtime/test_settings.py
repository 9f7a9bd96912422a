from pathlib import Path

import pytest

from zoo.errors import UserError
from zoo.runtime.settings import absolute_paths, parse_settings


def test_values_are_parsed_as_yaml():
    arguments = ["a=3", "b=[1, 2]", "c=no", "d={x: 1.5}", "e=x=y", "f="]
    assert parse_settings(arguments, ["a"]) == {
        "a": 3, "b": [1, 2], "c": False, "d": {"x": 1.5}, "e": "x=y", "f": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("refine", "must be KEY=VALUE, such as --set affine=VALUE"),
        ("=3", "must be KEY=VALUE"),
        ("a=[1", "is not valid YAML"),
        ("a=$print(1)", "must not be an expression"),
        ("a='@b'", "must not be an expression"),
        ("a={x: ['%file']}", "must not be an expression"),
    ],
)
def test_other_arguments_are_refused(argument, message):
    with pytest.raises(UserError, match=message):
        parse_settings([argument], ["affine"])


def test_paths_of_files_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_settings(["preset=p.json"], ["a"]) == {"preset": str(tmp_path / "p.json")}
    files = {"fixed": "$a.nii", "moving": "b.nii, c.nii", "fixed_labels": None}
    assert absolute_paths(files) == {
        "fixed": str(tmp_path / "$a.nii"),
        "moving": [str(tmp_path / "b.nii"), str(tmp_path / "c.nii")],
    }


def test_an_existing_file_with_a_comma_in_its_name_is_one_image(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("b, c.nii").touch()
    assert absolute_paths({"moving": "b, c.nii"}) == {"moving": str(tmp_path / "b, c.nii")}
