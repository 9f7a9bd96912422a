import numpy as np
import pytest
from matplotlib import colormaps

from zoo.reporting.overlays import (
    BLUE_WHITE_RED,
    FIXED_COLOUR,
    INFERNO,
    MOVING_COLOUR,
    checkerboard,
    coloured,
    difference,
    orange_blue,
    outlined,
)


def test_overlay_is_grey_where_the_images_agree_and_orange_or_blue_where_not():
    fixed, moving = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 1.0]])
    assert orange_blue(fixed, moving) == pytest.approx(
        np.array([[[1, 1, 1], [1, 0.55, 0], [0, 0.45, 1]]])
    )


def test_checkerboard_shows_both_images_in_equal_parts():
    board = checkerboard(np.zeros((70, 70)), np.ones((70, 70)))
    assert board[0, 0] == 0
    assert board[0, 10] == board[10, 0] == 1
    assert board.mean() == pytest.approx(0.5, abs=0.02)


def test_the_difference_of_equal_images_is_black():
    image = np.linspace(0, 1, 12).reshape(3, 4)
    assert difference(image, image).max() < 0.02
    assert difference(image, 1 - image).max() > 0.9


@pytest.mark.parametrize(("colours", "name"), [(INFERNO, "inferno"), (BLUE_WHITE_RED, "RdBu_r")])
def test_the_colours_are_nearly_those_of_matplotlibs_map(colours, name):
    values = np.linspace(0, 1, 301).reshape(7, 43)
    np.testing.assert_allclose(
        coloured(values, colours), colormaps[name](values)[..., :3], atol=10 / 255
    )


def test_outlines_are_white_where_both_labels_have_an_edge():
    labels = np.zeros((10, 10))
    labels[3:7, 3:7] = 2
    other = np.roll(labels, 2, axis=1)
    same = outlined(np.zeros((10, 10)), labels, labels)
    assert {tuple(c) for c in same.reshape(-1, 3)} == {(0, 0, 0), (1, 1, 1)}
    moved = outlined(np.zeros((10, 10)), labels, other)
    colours = {tuple(np.round(c, 2)) for c in moved.reshape(-1, 3)}
    assert {FIXED_COLOUR, MOVING_COLOUR} <= colours
