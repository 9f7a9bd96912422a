import pytest
import torch
from support.report_cases import phantom_registration

from zoo.evaluation import COMPARED, FIGURE_KEYS, FIGURES, PREFERRED, RANKED, key_figure, measure
from zoo.geometry import Transform


def test_the_registry_describes_exactly_the_figures_that_are_measured():
    registration = phantom_registration()
    inverse = Transform.identity()
    spread = torch.ones(registration.pair.fixed.grid.shape)
    measured = measure(registration.pair, registration.transform, inverse, spread).figures
    assert set(measured) == set(FIGURE_KEYS)
    assert len(set(FIGURE_KEYS)) == len(FIGURE_KEYS)


def test_every_compared_figure_has_a_direction_and_a_label_of_its_own():
    assert all(spec.better in (-1, 1) for spec in COMPARED.values())
    assert {*RANKED, *PREFERRED} <= set(COMPARED)
    assert len({spec.label for spec in FIGURES.values()}) == len(FIGURES)


def test_learn2reg_ranks_accuracy_and_smoothness_but_not_similarity():
    assert set(RANKED) == {"dice_after", "hd95_mm_after", "tre_mm_after", "sd_log_jacobian"}


def test_a_figure_is_described_and_printed_with_its_unit():
    assert FIGURES["hd95_mm"].description == (
        "HD95, mm: 95th percentile of the distance between label surfaces"
    )
    assert FIGURES["dice"].text(0.81234) == "0.812"
    assert FIGURES["dice"].text(None) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        ([{"dice_after": 0.5, "tre_mm_after": 1.0}], "dice_after"),
        ([{"dice_after": None, "tre_mm_after": 1.0}], "tre_mm_after"),
        ([{"dice_after": 0.5, "similarity_after": 0.2}, {"similarity_after": 0.3}],
         "similarity_after"),
        ([{"folding_percent": 0.0}], None),
        ([], None),
    ],
)  # fmt: skip
def test_the_key_figure_is_the_first_preferred_one_that_all_rows_have(rows, key):
    assert key_figure(*rows) == key
