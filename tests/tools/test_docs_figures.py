"""The figures of the pages are those of the tables beside them."""

import re

import docs_figures
import pytest
from docs_figures import FIGURES, IMAGES, PAGES, digest, error, table

PAGE = """
| pair | s |
|---|---|
| other | 1 |

| pair | method | s |
|---|---:|---|
| a | `one` (best) | 1 |
| | two | (2) |

| pair | method | s |
|---|---|---|
| b | three | 3 |
"""


def test_a_table_is_found_by_its_columns_and_empty_first_cells_repeat(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert table(page, "method", "s") == [
        {"pair": "a", "method": "one (best)", "s": "1"},
        {"pair": "a", "method": "two", "s": "(2)"},
    ]
    with pytest.raises(ValueError, match="no table with the columns Dice"):
        table(page, "Dice")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("Dice .75", 0.25),
        (".592 (.007)", 0.408),
        ("2.345 (0.782) mm", 2.345),
        ("1.45 (0) mm", 1.45),
        ("-", None),
        ("", None),
    ],
)
def test_an_error_is_a_distance_or_what_lacks_in_dice(cell, expected):
    assert error(cell) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_that_of_its_table_and_stands_on_a_page(name):
    """If this fails after a change of a table: `python tools/docs_figures.py NAME`."""
    drawn = (IMAGES / f"{name}.svg").read_text()
    assert re.search(r"data ([0-9a-f]{64})", drawn)[1] == digest(FIGURES[name][0]())
    assert any(f"../images/{name}.svg" in page.read_text() for page in PAGES.glob("*.md"))


def test_a_figure_is_drawn_again_alike(tmp_path):
    one, other = (docs_figures.draw("effort", tmp_path).read_bytes() for _ in range(2))
    assert one == other
