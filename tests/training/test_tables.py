"""The tables of a training: means, the best row, and files."""

from zoo.evaluation.figures import key_figure
from zoo.training.tables import best_row, means_of, read_rows, write_rows


def test_means_are_over_the_pairs_that_have_the_figure():
    assert means_of([{"a": 1.0, "b": None}, {"a": 3.0, "b": 5.0}, {"c": None}]) == {"a": 2, "b": 5}


def test_the_best_row_has_the_largest_dice_or_the_smallest_error_and_is_the_first_of_equals():
    rows = [
        {"dice_after": None, "tre_mm_after": 3.0},
        {"dice_after": 0.7, "tre_mm_after": 2.0},
        {"dice_after": 0.7, "tre_mm_after": 1.0},
    ]
    assert best_row(rows, "dice_after") is rows[1]
    assert best_row(rows, "tre_mm_after") is rows[2]
    assert best_row(rows[:1], "dice_after") is None


def test_without_a_figure_the_last_row_is_the_best():
    rows = [{"step": 1.0}, {"step": 2.0}]
    assert best_row(rows, None) is rows[1]


def test_dice_is_preferred_to_errors_and_errors_to_similarity():
    row = {"similarity_after": 0.3, "tre_mm_after": 2.0, "dice_after": None}
    assert key_figure(row | {"dice_after": 0.5}) == "dice_after"
    assert key_figure(row) == "tre_mm_after"
    assert key_figure({"folding_percent": 0.0}) is None


def test_a_table_is_read_as_it_was_written(tmp_path):
    rows = [{"step": 1, "loss": 0.1 + 0.2}, {"step": 2, "loss": None, "late": 3.5}]
    write_rows(tmp_path / "t.csv", rows)
    assert read_rows(tmp_path / "t.csv") == [
        {"step": 1.0, "loss": 0.1 + 0.2, "late": None},
        {"step": 2.0, "loss": None, "late": 3.5},
    ]
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith("1,0.3000")
    assert read_rows(tmp_path / "missing.csv") == []
