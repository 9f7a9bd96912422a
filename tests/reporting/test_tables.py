import pytest

from zoo.reporting.tables import describe_affine, figure_tables, provenance_tables, tiles


@pytest.mark.parametrize(
    ("affine", "sentence"),
    [
        (None, ""),
        (
            {"kind": "none", "reason": "aligned already"},
            "No initial affine alignment was used: aligned already.",
        ),
        (
            {"kind": "rigid", "reason": "12 mm apart.", "shift_mm": 11.94},
            "The initial alignment was rigid (translation and rotation): 12 mm apart. It moves the "
            "body by 11.9 mm on average.",
        ),
    ],
)
def test_the_initial_alignment_is_described_in_sentences(affine, sentence):
    assert describe_affine({"affine_start": affine}) == sentence


def test_tiles_show_the_values_before_and_after_and_an_unknown_one_as_a_dash():
    figures = {"dice_before": 0.5, "dice_after": 0.75, "tre_mm_after": 1.5, "folding_percent": 0.0}
    assert tiles(figures) == [
        ("0.500 \N{RIGHTWARDS ARROW} 0.750", "Dice"),
        ("\N{EN DASH} \N{RIGHTWARDS ARROW} 1.50", "Landmark error, mean, mm"),
        ("0 %", "of the voxels fold"),
    ]


def test_tables_without_rows_are_left_out():
    result = {"figures": {"sd_log_jacobian": 0.1, "dice_after": None}, "labels": {}}
    (table,) = figure_tables(result)
    assert (table.heading, [row[1] for row in table.rows]) == ("Transform", ["0.100"])
    assert provenance_tables(result) == []


def test_the_figures_of_each_label_are_a_row():
    row = {"dice_before": 0.5, "dice_after": 0.75, "hd95_mm_before": 4.0, "hd95_mm_after": None}
    (table,) = figure_tables({"figures": {}, "labels": {"7": row}})
    assert table.rows == [("7", "0.500", "0.750", "4.00", "\N{EN DASH}")]


def test_settings_are_printed_with_their_reasons_and_units():
    result = {
        "model": "mcbo",
        "plan": {"affine": {"value": ["rigid", 2], "because": "far apart"}},
        "settings": {"use_masks": True, "step": 0.123456},
        "peak_memory_mib": 900,
    }
    rows = {table.heading: list(table.rows) for table in provenance_tables(result)}
    assert rows == {
        "Model": [("model", "mcbo")],
        "Plan": [("affine", "rigid, 2 (far apart)")],
        "Settings": [("use masks", "yes"), ("step", "0.1235")],
        "Memory": [("largest, MiB", "900")],
    }
