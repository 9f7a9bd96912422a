"""The moving picture shows the real registration, from no deformation to all of it."""

import demo_picture
import numpy as np
import pytest
from PIL import Image
from support.report_cases import phantom_registration

from zoo.evaluation import measure

STEPS = 2


@pytest.fixture(scope="module")
def drawn():
    registration = phantom_registration()
    return registration, *demo_picture.draw(registration.pair, registration.transform, STEPS)


def test_the_right_half_changes_and_ends_beside_the_fixed_image(drawn):
    registration, frames, milliseconds = drawn
    assert len(frames) == len(milliseconds) == STEPS + 2
    middle = (frames[0].shape[1] + demo_picture.GAP) // 2
    assert all(
        np.array_equal(frame[:, : middle - 10], frames[0][:, : middle - 10]) for frame in frames
    )
    distances = [
        np.abs(frame[:-30, middle:].astype(float) - frames[0][:-30, :-middle]).mean()
        for frame in (frames[0], frames[STEPS])
    ]
    assert distances[1] < 0.95 * distances[0]
    figures = measure(registration.pair, registration.transform, None).figures
    assert figures["dice_after"] > figures["dice_before"]


def test_the_file_repeats_and_holds_each_picture_as_long_as_asked(drawn, tmp_path):
    _, frames, milliseconds = drawn
    demo_picture.write_gif(frames, milliseconds, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == len(frames)
        assert picture.info["loop"] == 0
        for k in (0, len(frames) - 1):
            picture.seek(k)
            assert picture.info["duration"] == milliseconds[k]
            difference = np.abs(np.asarray(picture.convert("RGB")).astype(int) - frames[k])
            assert difference.mean() < 4


def test_the_picture_of_the_readme_is_small():
    path = demo_picture.Path(demo_picture.__file__).parents[1] / "docs" / "images" / "demo.gif"
    assert path.stat().st_size < 1.5e6
    with Image.open(path) as picture:
        assert picture.n_frames == demo_picture.STEPS + 2
