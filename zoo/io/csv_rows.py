"""Tables (CSV) with content from outside: limited when they are read, no formulas when written."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from zoo.errors import UserError
from zoo.io.files import AnyPath, existing_file
from zoo.io.limits import (
    MAX_CSV_BYTES,
    MAX_CSV_CELL,
    MAX_CSV_COLUMNS,
    MAX_CSV_ROWS,
    check_file_size,
)

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def cell_text(text: str) -> str:
    """Return a text from outside, such as a name, as a cell that spreadsheets show as text.

    Spreadsheets evaluate a cell that begins like a formula; an apostrophe before it prevents that.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def read_csv_rows(path: AnyPath, *, comment: str | None = None) -> list[tuple[int, list[str]]]:
    """Return the line number, from 1, and the cells of each row of a UTF-8 table.

    Empty lines are skipped, and so are lines that begin with `comment`. A row is one line.
    """
    file = existing_file(path)
    check_file_size(file, MAX_CSV_BYTES, "split the table")
    try:
        with file.open(encoding="utf-8-sig") as stream:
            return list(_rows(stream, comment))
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not text in UTF-8; give a CSV table") from error
    except (csv.Error, ValueError) as error:
        raise UserError(f"{file} is not a CSV table ({error}); correct it") from error


def _rows(lines: Iterable[str], comment: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows; ValueError says which limit one of them exceeds."""
    for number, line in enumerate(lines, start=1):
        if number > MAX_CSV_ROWS:
            raise ValueError(f"it has more than {MAX_CSV_ROWS} rows")
        if "\0" in line:
            raise ValueError(f"line {number} contains the character NUL")
        if line.count(",") >= MAX_CSV_COLUMNS:
            raise ValueError(f"line {number} has more than {MAX_CSV_COLUMNS} columns")
        content = line.strip()
        if not content or (comment and content.startswith(comment)):
            continue
        cells = next(csv.reader([line], strict=True))
        if len(line) > MAX_CSV_CELL and max(map(len, cells)) > MAX_CSV_CELL:
            raise ValueError(f"line {number} has a cell of more than {MAX_CSV_CELL} characters")
        yield number, cells
