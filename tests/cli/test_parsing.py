"""Words on the command line become arguments of the annotated types, or one clear refusal."""

from __future__ import annotations

import pytest

from zoo import UserError
from zoo.cli.parsing import parse


def sample(
    first: str,
    second: str = "b",
    *,
    count: int = 1,
    ratio: float | None = None,
    switch: bool = False,
    set_: list[str] | None = None,
    part: dict[str, str] | None = None,
) -> None:
    """Stand in for a command."""


def several(first: str, *others: str, out: str | None = None) -> int:
    """Stand in for a command that takes any number of files."""
    return len(others) + 10 * (out is not None)


def bound(*words):
    return parse(sample, list(words)).arguments


def test_values_get_the_annotated_types():
    assert bound("a", "--count", "3", "--ratio=-0.5", "--switch") == {
        "first": "a",
        "count": 3,
        "ratio": -0.5,
        "switch": True,
    }


@pytest.mark.parametrize("words", [("007", "1e5"), ("a,b", "[1]"), ("-3", "None"), ("a=b", "c.d")])
def test_a_positional_argument_stays_text(words):
    assert bound(*words) == dict(zip(("first", "second"), words, strict=True))


@pytest.mark.parametrize(
    "words", [("--first", "a", "b"), ("a", "--second=b"), ("--second", "b", "a")]
)
def test_a_positional_argument_may_be_given_by_its_name(words):
    assert bound(*words) == {"first": "a", "second": "b"}


def test_a_switch_does_not_take_the_next_word():
    assert bound("--switch", "a") == {"first": "a", "switch": True}
    assert bound("--switch=false", "a") == {"first": "a", "switch": False}


def test_a_value_may_begin_with_a_minus_sign():
    assert bound("a", "--ratio", "-3")["ratio"] == -3


def test_a_command_may_take_any_number_of_words():
    assert parse(several, ["a"])() == 0
    assert parse(several, ["a", "b", "--out", "x", "c"])() == 12


def test_options_that_may_be_repeated_are_collected():
    assert bound("a", "--set", "x=1", "--set", "y=2")["set_"] == ["x=1", "y=2"]
    assert bound("a", "--part.0", "ct", "--part.1=mr")["part"] == {"0": "ct", "1": "mr"}


@pytest.mark.parametrize("words", [("-c", "4"), ("-c=4",)])
def test_one_letter_stands_for_the_option_that_begins_with_it(words):
    assert bound("a", *words)["count"] == 4


def test_one_letter_prefers_an_option_to_a_positional_argument():
    assert parse(several, ["a", "-o", "x"]).arguments["out"] == "x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "sample needs FIRST; see regzoo sample --help"),
        (("a", "--cuont", "3"), r"no option --cuont \(did you mean --count\?\)"),
        (("a", "--count"), "--count needs a value"),
        (("a", "--count", "--switch"), "--count needs a value"),
        (("a", "--count", "many"), "--count must be a whole number, not 'many'"),
        (("a", "--count", "1.5"), "--count must be a whole number"),
        (("a", "--ratio", "x"), "--ratio must be a number, not 'x'"),
        (("a", "--switch=maybe"), "--switch is a switch: write --switch or --switch=false"),
        (("a", "--count", "1", "--count", "2"), "--count is given twice"),
        (("a", "--part.0", "x", "--part.0", "y"), "--part.0 is given twice"),
        (("a", "b", "c"), "sample does not expect 'c'"),
        (("a", "b", "--first", "c"), "sample does not expect 'b'"),
        (("a", "--part", "x"), r"--part needs a slot: --part.0 \(fixed\) or --part.1 \(moving\)"),
        (("a", "--part.", "x"), "--part needs a slot"),
        (("a", "--prat.0", "x"), r"no option --prat.0 \(did you mean --part\?\)"),
        (("a", "--count.0", "x"), "--count has no slots; write --count VALUE, not --count.0"),
        (("a", "--", "--help"), "no option --;"),
        (("", "b"), "the value of FIRST is empty"),
        (("a", "--set="), "the value of --set is empty"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(words, message):
    with pytest.raises(UserError, match=message):
        bound(*words)
