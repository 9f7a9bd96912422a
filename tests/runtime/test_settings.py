import pytest

from zoo.errors import UserError
from zoo.runtime.settings import parse_settings


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
        ("a=[&x 1, *x]", r"is not valid YAML \(the alias \*x is not allowed"),
        ("a=.nan", "only finite numbers"),
        ("a=$print(1)", "must not be an expression"),
        ("a='@b'", "must not be an expression"),
        ("a={x: ['%file']}", "must not be an expression"),
        ("a={x: &y [1], z: *y}", "alias .* is not allowed"),
        ("a=" + "[" * 70 + "]" * 70, "nested too deeply"),
        ("a=" + "x" * 70_000, "at most 65536 are allowed"),
        ("a=" + "9" * 5000, "is not valid YAML"),
    ],
)
def test_other_arguments_are_refused(argument, message):
    with pytest.raises(UserError, match=message):
        parse_settings([argument], ["affine"])
