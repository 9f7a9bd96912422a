import io
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from support.report_cases import phantom_registration

from zoo.geometry import Transform
from zoo.registration.result import RegisteredPair
from zoo.reporting import contact_sheet, draw_panels, png_bytes, write_thumbnail


def test_a_pair_with_labels_has_all_panels_and_none_is_blank():
    panels = draw_panels(phantom_registration())
    titles = ["Images", "Overlay", "Checkerboard", "Difference", "Label outlines", "Deformation"]
    assert [panel.title for panel in panels] == titles
    for panel in panels:
        for strip in panel.strips:
            assert strip.pixels.std() > 10, (panel.title, strip.title)


def test_an_affine_map_and_unequal_fields_of_view_can_be_drawn():
    registration = phantom_registration(
        moving_shape=(20, 24, 30), moving_spacing=(1.5, 1.5, 1.5), moving_axes="SAR"
    )
    turn = torch.eye(4, dtype=torch.float64)
    turn[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    panels = draw_panels(RegisteredPair(registration.pair, Transform(turn)))
    assert all(strip.pixels.std() > 5 for panel in panels[:-1] for strip in panel.strips)


def test_a_pair_without_labels_has_no_outlines():
    registration = phantom_registration()
    pair = replace(registration.pair, moving_labels=None)
    panels = draw_panels(replace(registration, pair=pair))
    assert "Label outlines" not in [panel.title for panel in panels]
    assert panels[-1].title == "Deformation"


def test_a_contact_sheet_shows_every_strip_and_the_lines_of_text():
    panels = draw_panels(phantom_registration())
    sheet = contact_sheet("title", ["model: mcbo"], panels)
    rows = [row.tobytes() for row in sheet]
    for panel in panels:
        for strip in panel.strips:
            middle = strip.pixels[len(strip.pixels) // 2].tobytes()
            assert any(middle in row for row in rows), (panel.title, strip.title)
    without_text = contact_sheet("title", [], panels)
    assert sheet.shape == without_text.shape
    columns = np.nonzero((sheet != without_text).any(axis=(0, 2)))[0]
    assert columns.min() > panels[0].strips[0].pixels.shape[1]  # right of the single strip


def test_pixels_without_colour_are_stored_as_a_greyscale_png():
    grey = np.repeat(np.arange(48, dtype=np.uint8).reshape(6, 8, 1), 3, axis=2)
    image = Image.open(io.BytesIO(png_bytes(grey)))
    assert (image.mode, image.size) == ("L", (8, 6))
    assert np.array_equal(np.asarray(image), grey[..., 0])


def test_a_thumbnail_shows_before_above_after_and_is_deterministic(tmp_path):
    registration = phantom_registration()
    for name in "ab":
        write_thumbnail(registration, tmp_path / f"{name}.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "a.jpg")).astype(int)
    rows = pixels.shape[0] // 2
    before, after = pixels[: rows - 3], pixels[-rows + 3 :]
    orange_and_blue = [np.abs(p[..., 0] - p[..., 2]).mean() for p in (before, after)]
    assert orange_and_blue[1] < 0.9 * orange_and_blue[0]
    assert abs(pixels.shape[1] - 420) < 12
