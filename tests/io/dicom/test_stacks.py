"""The limits within which slices are a stack: their distances and directions."""

import numpy as np
import pytest
from support.dicom_cases import OBLIQUE, analytic_slices, small_slices, write_slices

from zoo.errors import UserError
from zoo.io.dicom.image import read_dicom_header
from zoo.io.dicom.series import find_series
from zoo.io.dicom.stack import stack_slices

ROW, COLUMN, NORMAL = np.eye(3)


def opened(folder, slices):
    """Write slices and return their header as read."""
    return read_dicom_header(write_slices(folder, slices))


def refusal(folder, slices, code=None):
    """Return the message with which slices are refused."""
    with pytest.raises(UserError) as raised:
        opened(folder, slices)
    assert raised.value.code == code
    assert str(folder) in str(raised.value)
    return str(raised.value)


def test_two_slices_are_a_volume_and_one_is_not(tmp_path):
    assert opened(tmp_path / "two", small_slices(2)).grid.shape == (4, 3, 2)
    assert "has 1 slice; a volume needs at least two" in refusal(
        tmp_path / "one", small_slices(1), "not-3d"
    )


@pytest.mark.parametrize("shift", [0.09, -0.09])
def test_a_small_shift_sideways_is_accepted(tmp_path, shift):
    slices = small_slices(4)
    slices[2].ImagePositionPatient = ["-20", str(14 + shift), "-29"]
    assert opened(tmp_path / "ct", slices).grid.shape == (4, 3, 4)


@pytest.mark.parametrize("shift", [0.11, -0.11])
def test_a_larger_shift_sideways_is_refused_with_its_size(tmp_path, shift):
    slices = small_slices(4)
    slices[2].ImagePositionPatient = ["-20", str(14 + shift), "-29"]
    text = refusal(tmp_path / "ct", slices, "gantry-tilt")
    assert "gantry tilt of 0.0 degrees" in text  # the last slice is not shifted
    assert "by up to 0.11 mm" in text


@pytest.mark.parametrize(
    ("distances", "warned"),
    [
        ([0, 2, 4.019, 6, 8], None),
        ([0, 2, 4.021, 6, 8], "vary from 1.979 to 2.021 mm; 2.000 mm is used, which misplaces "
         "slices by up to 0.021 mm"),
        ([0, 2, 3.979, 6, 8], "by up to 0.021 mm"),
        ([0, 2, 4.199, 6, 8], "vary from 1.801 to 2.199 mm"),
        ([0, 0.5, 1.009, 1.5, 2], None),  # 2 % of the distance, and below .01 mm
        ([0, 0.5, 1.011, 1.5, 2], "by up to 0.011 mm"),
    ],
)  # fmt: skip
def test_a_small_unevenness_is_noted_from_its_limit_on(tmp_path, distances, warned):
    warnings = opened(tmp_path / "ct", small_slices(distances=distances)).warnings
    assert len(warnings) == (0 if warned is None else 1)
    assert all(warned in warning for warning in warnings)


@pytest.mark.parametrize(
    ("distances", "code", "said"),
    [
        ([0, 2, 4.201, 6, 8], "uneven-slices", "an error of 0.201 mm, allowed is 0.200 mm"),
        ([0, 2, 3.799, 6, 8], "uneven-slices", "an error of 0.201 mm, allowed is 0.200 mm"),
        ([0, 2, 4, 7, 9], "uneven-slices", "vary from 2.000 to 3.000 mm"),  # 1.5 times as far
        ([0, 2, 4, 7.01, 9], "missing-slices", "lacks about 1 slices"),
        ([0, 2, 4, 8, 10], "missing-slices", "lacks about 1 slices"),
        ([0, 2, 4, 8.9, 11, 13], "missing-slices", "(4.90 mm between -29.00 and -24.10 mm, along"),
        ([0, 2, 4, 12, 14, 16, 20], "missing-slices", "lacks about 4 slices"),
    ],
)
def test_uneven_and_missing_slices_are_told_apart(tmp_path, distances, code, said):
    assert said in refusal(tmp_path / "ct", small_slices(distances=distances), code)


def test_three_gaps_are_all_named(tmp_path):
    slices = small_slices(20)
    text = refusal(tmp_path / "ct", [s for k, s in enumerate(slices) if k not in (3, 7, 11)],
                   "missing-slices")  # fmt: skip
    assert text.count(" mm between ") == 3
    assert "..." not in text


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (ROW * 1.0008, COLUMN),
        (ROW * 0.9992, COLUMN),
        (ROW, COLUMN * 1.0008),
        (ROW, COLUMN * 0.9992),
        (ROW, COLUMN + 0.0008 * ROW),
        (ROW, COLUMN - 0.0008 * ROW),
    ],
)
def test_inexact_directions_are_made_exact(tmp_path, row, column):
    slices = small_slices(3)
    for dataset in slices:
        dataset.ImageOrientationPatient = [f"{v:.10g}" for v in (*row, *column)]
    grid = opened(tmp_path / "ct", slices).grid
    axes = grid.linear.numpy() / [0.75, 1.5, 2]
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(axes, np.diag([-1.0, -1, 1]), atol=2e-3)
    np.testing.assert_allclose(grid.affine[:3, 3], [20, -14, -33], atol=1e-9)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (ROW * 1.002, COLUMN),
        (ROW * 0.998, COLUMN),
        (ROW, COLUMN * 1.002),
        (ROW, COLUMN * 0.5),
        (ROW, COLUMN + 0.0013 * ROW),
        (ROW, COLUMN - 0.0013 * ROW),
    ],
)
def test_directions_that_are_not_at_right_angles_are_refused(tmp_path, row, column):
    slices = small_slices(3)
    for dataset in slices:
        dataset.ImageOrientationPatient = [f"{v:.10g}" for v in (*row, *column)]
    text = refusal(tmp_path / "ct", slices, "header")
    assert "must be unit vectors at a right angle" in text
    assert f"orientation [{row[0]}" in text


@pytest.mark.parametrize("turn", [0.0005, -0.0005])
def test_orientations_that_hardly_differ_are_one(tmp_path, turn):
    slices = small_slices(3)
    slices[1].ImageOrientationPatient = ["1", str(turn), "0", str(-turn), "1", "0"]
    assert opened(tmp_path / "ct", slices).grid.shape == (4, 3, 3)


@pytest.mark.parametrize("turn", [0.002, -0.002])
def test_orientations_that_differ_are_counted(tmp_path, turn):
    slices = small_slices(5)
    for k in (1, 3):
        slices[k].ImageOrientationPatient = ["1", str(turn), "0", str(-turn), "1", "0"]
    text = refusal(tmp_path / "ct", slices, "mixed-orientations")
    assert "slices of 2 orientations (" in text
    assert "3 slices along 1, 0, 0, 0, 1, 0" in text
    assert f"2 slices along 1, {turn}, 0, {-turn}, 1, 0" in text


def test_at_most_eleven_orientations_are_listed(tmp_path):
    slices = small_slices(14)
    for k, dataset in enumerate(slices):
        turn = 0.01 * k
        dataset.ImageOrientationPatient = [
            f"{v:.8f}" for v in (np.cos(turn), np.sin(turn), 0, -np.sin(turn), np.cos(turn), 0)
        ]
    text = refusal(tmp_path / "ct", slices, "mixed-orientations")
    assert "slices of 11 orientations" in text
    assert text.count("1 slices along") == 11


@pytest.mark.parametrize("spacing", [["0", "0.75"], ["0.75", "0"], ["-1", "0.75"]])
def test_distances_between_pixels_must_be_positive(tmp_path, spacing):
    slices = small_slices(3)
    for dataset in slices:
        dataset.PixelSpacing = spacing
    assert "of its pixels in space (PixelSpacing)" in refusal(tmp_path / "a", slices, "header")


def test_distances_between_pixels_that_are_too_small_for_a_grid_are_refused(tmp_path):
    slices = small_slices(3)
    for dataset in slices:
        dataset.PixelSpacing = ["1e-200", "0.75"]
    text = refusal(tmp_path / "a", slices, "header")
    assert "the affine of a grid must be invertible" in text
    assert "correct its header" in text


def test_all_attributes_without_which_a_slice_has_no_position_are_named(tmp_path):
    slices = small_slices(3)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(slices[1], keyword)
    write_slices(tmp_path / "ct", [slices[1]])
    text = refusal(tmp_path / "ct", [], "header")
    assert "(ImagePositionPatient and ImageOrientationPatient and PixelSpacing)" in text


def test_a_stack_holds_its_slices_in_the_order_of_their_positions_and_cannot_be_changed(tmp_path):
    slices, _ = analytic_slices(shape=(4, 3, 5), direction=OBLIQUE)
    series = find_series(write_slices(tmp_path / "ct", slices[::-1]))
    stack = stack_slices(series)
    expected = [np.array(dataset.ImagePositionPatient, float) for dataset in slices]
    np.testing.assert_allclose([frame.position for frame in stack.frames], expected)
    header = read_dicom_header(series.path)
    things = [(stack, "grid"), (series, "path"), (series.first, "rows"), (header, "dtype")]
    for thing, name in [*things, (stack.frames[0], "slope")]:
        with pytest.raises(AttributeError):
            setattr(thing, name, None)
