"""The verdict on a registration: each sign of failure, and its severity."""

import pytest
import torch

from zoo.evaluation.common_structure import CommonStructure
from zoo.evaluation.quality import judge

GOOD = {
    "folding_percent": 0.0,
    "similarity_before": 0.3,
    "similarity_after": 0.5,
    "nmi_before": 1.05,
    "nmi_after": 1.2,
    "overlap_percent_after": 99.0,
    "dice_before": 0.6,
    "dice_after": 0.8,
    "tre_mm_before": 5.0,
    "tre_mm_after": 1.0,
    "deformation_mm_p99": 10.0,
    "inverse_consistency_mm": 0.1,
}
STRUCTURE = CommonStructure(
    similarity=0.5,
    unrelated_similarity=0.1,
    nmi=1.2,
    unrelated_nmi=1.02,
    misplaced_nmi=1.05,
    mirrored_nmi=1.02,
    empty_percent=0.0,
)


def verdict(figures=GOOD, structure=STRUCTURE, notes=None, linear=None):
    affine = torch.eye(4, dtype=torch.float64)
    if linear is not None:
        affine[:3, :3] = torch.tensor(linear, dtype=torch.float64)
    notes = {"search_limit_mm": 30.0} if notes is None else notes
    return judge(figures, structure, notes, affine=affine, voxel_mm=2.0)


def changed(**values):
    return CommonStructure(**{**vars(STRUCTURE), **values})


def test_a_good_registration_is_ok_and_has_no_warning():
    assert verdict().quality == "ok"
    assert verdict().warnings == ()


@pytest.mark.parametrize(
    ("change", "quality", "words"),
    [
        ({"folding_percent": 2.5}, "check", "folds in 2.5 %"),
        ({"folding_percent": 5.6}, "failed", "folds in 5.6 %"),
        ({"similarity_after": 0.2}, "check", "similarity 0.300 -> 0.200"),
        ({"nmi_after": 1.01}, "check", "information 1.050 -> 1.010. The registration may have"),
        ({"similarity_after": 0.2, "nmi_after": 1.01}, "failed", "less similar"),
        ({"overlap_percent_after": 40.0}, "check", "Only 40 %"),
        ({"overlap_percent_after": 4.0}, "failed", "Only 4 %"),
        ({"dice_after": 0.57}, "check", "Dice overlap of the labels is lower"),
        ({"dice_after": 0.5}, "failed", "Dice overlap of the labels is lower"),
        ({"tre_mm_after": 5.1}, "check", "landmark error in mm is larger"),
        ({"tre_mm_after": 7.0}, "failed", "landmark error in mm is larger"),
        ({"deformation_mm_p99": 28.5}, "check", "close to the 30.0 mm"),
        ({"inverse_consistency_mm": 4.5}, "check", "disagree by 4.5 mm"),
    ],
)
def test_each_figure_that_shows_a_failure_gives_one_warning(change, quality, words):
    result = verdict(GOOD | change)
    assert result.quality == quality
    (sentence,) = result.warnings
    assert words in sentence


@pytest.mark.parametrize(
    ("structure", "quality", "words"),
    [
        (None, "failed", "no region in common"),
        (changed(similarity=0.1, nmi=1.02), "failed", "agree no better than unrelated"),
        (changed(similarity=0.17, nmi=1.036), "check", "agree little better than unrelated"),
        (changed(misplaced_nmi=1.3), "check", "Check the orientation"),
        (changed(empty_percent=45.0), "check", "empty in 45 %"),
    ],
)
def test_images_without_common_structure_give_one_warning(structure, quality, words):
    result = verdict(structure=structure)
    assert result.quality == quality
    (sentence,) = result.warnings
    assert words in sentence


def test_a_symmetric_pair_is_ok_and_the_verdict_says_what_it_cannot_show():
    result = verdict(structure=changed(mirrored_nmi=1.12))
    assert (result.quality, result.warnings) == ("ok", ())
    (sentence,) = result.limits
    assert "Left and right" in sentence
    assert verdict().limits == ()


def test_a_suspected_fault_of_the_header_is_not_called_unnoticed():
    notes = {"header_fault": "the moving image is mirrored along the x axis"}
    assert verdict(structure=changed(mirrored_nmi=1.12), notes=notes).limits == ()


def test_images_without_common_structure_are_not_called_symmetric():
    noise = changed(similarity=0.1, nmi=1.02, mirrored_nmi=1.02)
    assert verdict(structure=noise).limits == ()


def rotation(degrees):
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    c, s = float(angle.cos()), float(angle.sin())
    return [[c, -s, 0], [s, c, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("linear", "words"),
    [
        ([[-1, 0, 0], [0, 1, 0], [0, 0, 1]], "mirrors"),
        ([[4, 0, 0], [0, 1, 0], [0, 0, 1]], "by a factor of 4"),
        (rotation(90.0), "rotates the image by 90 degrees"),
        (rotation(180.0), "rotates the image by 180 degrees"),
        ([[1, 0.8, 0], [0, 1, 0], [0, 0, 1]], "stretches one direction 2.2 times"),
    ],
)
def test_an_implausible_affine_part_gives_a_warning(linear, words):
    result = verdict(linear=linear)
    assert result.quality == "check"
    (sentence,) = result.warnings
    assert words in sentence


@pytest.mark.parametrize("linear", [rotation(50.0), [[1.2, 0, 0], [0, 1.1, 0], [0, 0, 1]]])
def test_a_plausible_affine_part_gives_no_warning(linear):
    assert verdict(linear=linear).quality == "ok"


@pytest.mark.parametrize(("after", "count"), [(1.1, 1), (1.3, 0)])
def test_a_given_affine_that_makes_the_images_less_similar_gives_a_warning(after, count):
    start = {"kind": "given", "similarity": [1.2, after]}
    warnings = verdict(notes={"affine_start": start}).warnings
    assert sum("may be the inverse" in sentence for sentence in warnings) == count
    assert not verdict(notes={"affine_start": start | {"kind": "affine"}}).warnings


def test_a_suspected_header_fault_gives_a_warning():
    notes = {"header_fault": "suspected header fault: the moving image is rotated by 90 degrees"}
    found = verdict(notes=notes)
    assert found.quality == "check"
    assert "Suspected header fault" in found.warnings[0]


def test_missing_figures_give_no_warning():
    assert verdict({}).quality == "ok"
    assert verdict({"similarity_before": None, "similarity_after": None}).warnings == ()


def test_the_most_severe_sign_comes_first_and_decides():
    result = verdict(GOOD | {"folding_percent": 1.0, "dice_after": 0.1})
    assert result.quality == "failed"
    assert "Dice" in result.warnings[0]
    assert "folds" in result.warnings[1]
