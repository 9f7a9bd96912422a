"""Tables are read row by row within limits, and texts are written so that none is a formula."""

import pytest
from support.limit_cases import refused

from zoo.io.csv_rows import cell_text, read_csv_rows


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_like_a_formula_becomes_text_for_spreadsheets(start):
    assert cell_text(f"{start}1+2") == f"'{start}1+2"
    assert cell_text(start) == f"'{start}"


@pytest.mark.parametrize("text", ["", "a", "1-2", " =1", "a@b", "'=1"])
def test_other_texts_are_written_as_they_are(text):
    assert cell_text(text) == text


def test_rows_have_the_numbers_of_their_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'x,y\n\n# one\n  # two\n1,"a,b"\r\n   \n2,#3\n , \n4,"5""6"')
    assert read_csv_rows(path, comment="#") == [
        (1, ["x", "y"]), (5, ["1", "a,b"]), (7, ["2", "#3"]), (8, [" ", " "]), (9, ["4", '5"6']),
    ]  # fmt: skip
    assert read_csv_rows(path)[1:3] == [(3, ["# one"]), (4, ["  # two"])]


def test_a_byte_order_mark_is_no_part_of_the_first_cell(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf\xc3\xbc,b\n")
    assert read_csv_rows(tmp_path / "a.csv") == [(1, ["ü", "b"])]


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"a\n1,\0b\n", r"is not a CSV table \(line 2 contains the character NUL\); correct it"),
        (b'a,"b\n', r"is not a CSV table \(unexpected end of data\); correct it"),
        (b'"a"b,c\n', r"is not a CSV table \('?,'? expected after '?\"'?\); correct it"),
        (b"a,b\n\xff\n", "is not text in UTF-8; give a CSV table"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, pattern):
    refused(tmp_path / "a.csv", content, pattern, read_csv_rows)


def test_a_table_has_at_most_half_a_million_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n" * 499_999 + b"a\n")
    assert read_csv_rows(path) == [(500_000, ["a"])]
    refused(path, b"\n" * 500_001, "it has more than 500000 rows", read_csv_rows)


def test_a_table_has_at_most_a_thousand_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"1" + b",1" * 999)
    assert read_csv_rows(path) == [(1, ["1"] * 1000)]
    for commas in (1000, 1500):
        content = b"a\n1" + b",1" * commas
        refused(path, content, "line 2 has more than 1000 columns", read_csv_rows)


def test_a_cell_has_at_most_4096_characters(tmp_path):
    path = tmp_path / "a.csv"
    long = b"\xc3\xbc" * 4096
    path.write_bytes(b"a," + long + b"\n" + b"1234," * 900 + b"5\n")
    first, second = read_csv_rows(path)
    assert first == (1, ["a", "ü" * 4096])
    assert len(second[1]) == 901
    for content in (b"x" + long, b"a," + long + b"x,b"):
        pattern = "line 2 has a cell of more than 4096 characters"
        refused(path, b"a\n" + content + b"\n", pattern, read_csv_rows)


def test_a_table_has_at_most_32_mib(tmp_path):
    path = tmp_path / "a.csv"
    for size, pattern in (
        (33_554_432, "NUL"), (33_554_433, "33554433 bytes; at most 33554432 are allowed: split"),
    ):  # fmt: skip
        path.write_bytes(b"\0\n")
        with path.open("r+b") as stream:
            stream.truncate(size)
        with pytest.raises(Exception, match=pattern):
            read_csv_rows(path)
