import pytest

from zoo.evaluation.quality import quality_warnings

GOOD = {
    "folding_percent": 0.0,
    "similarity_before": 0.3,
    "similarity_after": 0.5,
    "overlap_percent_after": 99.0,
    "dice_before": 0.6,
    "dice_after": 0.8,
    "tre_mm_before": 5.0,
    "tre_mm_after": 1.0,
    "deformation_mm_p99": 10.0,
}


@pytest.mark.parametrize(("after", "count"), [(1.1, 1), (1.3, 0)])
def test_a_given_affine_that_makes_the_images_less_similar_gives_a_warning(after, count):
    start = {"kind": "given", "similarity": [1.2, after]}
    warnings = quality_warnings({"figures": GOOD, "affine_start": start})
    assert sum("may be the inverse" in sentence for sentence in warnings) == count
    assert not quality_warnings({"figures": GOOD, "affine_start": start | {"kind": "affine"}})


def test_a_good_registration_gives_no_warning():
    assert quality_warnings({"figures": GOOD, "search_limit_mm": 30.0}) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"folding_percent": 2.5}, "folds in 2.5 %"),
        ({"similarity_after": 0.2}, "less similar"),
        ({"overlap_percent_after": 40.0}, "Only 40 %"),
        ({"dice_after": 0.5}, "Dice overlap of the labels is lower"),
        ({"tre_mm_after": 7.0}, "landmark error in mm is larger"),
        ({"deformation_mm_p99": 28.5}, "close to the 30.0 mm"),
    ],
)
def test_each_sign_of_failure_gives_one_warning(change, words):
    (sentence,) = quality_warnings({"figures": GOOD | change, "search_limit_mm": 30.0})
    assert words in sentence


@pytest.mark.parametrize(("scale", "words"), [(-1.0, "mirrors"), (4.0, "by a factor of 4")])
def test_an_initial_affine_that_mirrors_or_scales_gives_a_warning(scale, words):
    matrix = [[scale, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    (sentence,) = quality_warnings({"figures": GOOD, "affine_start": {"matrix_ras": matrix}})
    assert words in sentence


def test_missing_figures_give_no_warning():
    assert quality_warnings({"figures": {}}) == []
    assert (
        quality_warnings({"figures": {"similarity_before": None, "similarity_after": None}}) == []
    )
