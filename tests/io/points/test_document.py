"""The suffixes of the kinds of files with points, and the numbers in them."""

from pathlib import Path

import pytest
import torch

from zoo import UserError
from zoo.io.points.document import (
    PointDocument,
    is_number,
    no_points_error,
    parse_number,
)

SUFFIXES = {
    "csv": (".csv", ".txt"),
    "fcsv": (".fcsv",),
    "markups": (".mrk.json", ".json"),
    "vtk": (".vtk",),
    "vtp": (".vtp",),
}
FIRST = {"csv": ".csv", "fcsv": ".fcsv", "markups": ".json", "vtk": ".vtk", "vtp": ".vtp"}


def document(kind):
    return PointDocument(kind, torch.zeros(2, 3), False, lambda new: b"")


@pytest.mark.parametrize("other", SUFFIXES)
@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_suffix_of_another_kind_is_refused(kind, other):
    for suffix in SUFFIXES[other]:
        for name in (f"out/a{suffix}", Path(f"out/A{suffix.upper()}")):
            if kind == other:
                document(kind).check_name(name)
                continue
            with pytest.raises(UserError) as caught:
                document(kind).check_name(name)
            assert f"cannot write the points as {name}: " in str(caught.value)
            assert str(caught.value).endswith(f"the name must end in {FIRST[kind]}")


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("name", ["points", "points.dat", "a.vtk/points", "csv"])
def test_names_without_a_suffix_of_points_are_allowed(kind, name):
    document(kind).check_name(name)


def test_documents_are_compared_by_identity_and_cannot_be_changed():
    one, two = document("csv"), document("csv")
    assert one == one
    assert one != two
    with pytest.raises(AttributeError):
        one.kind = "vtk"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), (" -2.5 ", -2.5), ("+3e2", 300), (".5", 0.5), ("7.", 7), ("1e308", 1e308)],
)
def test_numbers_are_read(text, expected):
    assert is_number(text)
    assert parse_number(text, "a.csv, line 3") == expected


@pytest.mark.parametrize("text", ["x", "", " ", "1_000", "1 2", "0x10", "\u0661", "\uff11", "1,5"])
def test_other_texts_are_not_numbers(text):
    """Python would read 1_000, and digits of other scripts."""
    assert is_number(text) is False
    with pytest.raises(UserError) as caught:
        parse_number(f" {text} ", "a.csv, line 3")
    assert str(caught.value).startswith(f"a.csv, line 3: {text.strip()!r} is not a number")
    assert caught.value.code == "points-not-numbers"


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_numbers_that_are_not_finite_are_refused(text):
    assert is_number(text)
    with pytest.raises(UserError) as caught:
        parse_number(f" {text} ", "a.csv, line 3")
    assert str(caught.value).startswith(f"a.csv, line 3: {text} is not finite")
    assert caught.value.code == "not-finite"


def test_long_texts_are_quoted_in_part():
    text = "".join(map(chr, range(ord("0"), ord("0") + 60)))
    with pytest.raises(UserError) as caught:
        parse_number(text, "a.csv, line 3")
    assert f"a.csv, line 3: {text[:40]!r} is not a number" in str(caught.value)


def test_the_error_for_no_points_names_the_file():
    error = no_points_error(Path("folder/a.csv"))
    assert str(error).startswith("folder/a.csv has no points")
    assert error.code == "points-none"
