"""Markdown tables, line by line, so that a row can be printed as soon as it is measured."""

from __future__ import annotations

from collections.abc import Sequence


def heading(texts: Sequence[str], numbers: Sequence[str] = ()) -> str:
    """Return the two lines of a heading: left-aligned text columns, then right-aligned numbers."""
    return row([*texts, *numbers]) + "\n|" + "---|" * len(texts) + "---:|" * len(numbers)


def row(cells: Sequence[str]) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(cells)} |"
