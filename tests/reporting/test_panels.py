from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.grid_cases import ORIENTATIONS
from support.report_cases import phantom_registration

from zoo.geometry import Transform
from zoo.io.volume import Volume
from zoo.registration.result import RegisteredPair
from zoo.reporting import panels as pictures
from zoo.reporting import slices as planes
from zoo.synthesis.phantom import placed_grid

HELD = Transform.identity()


def marked(grid, direction, offset_mm=(0.0, 0.0, 0.0)):
    """Return a body with a bright ball towards `direction` (RAS mm) from its middle."""
    points = grid.to_world(torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]))
    points = points - torch.tensor(offset_mm).double()
    body = (points.norm(dim=1) < 14).float() * 100
    ball = (points - 9 * torch.tensor(direction).double()).norm(dim=1) < 6
    data = torch.where(ball, 400.0, body.double()).view(grid.shape).float()
    return Volume(data, grid, Path("marked.nii.gz"))


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize(
    ("direction", "plane", "place"),
    [
        ((1, 0, 0), 0, "left"),
        ((-1, 0, 0), 1, "right"),
        ((0, 1, 0), 0, "top"),
        ((0, 1, 0), 2, "left"),
        ((0, 0, 1), 1, "top"),
        ((0, 0, -1), 2, "bottom"),
    ],
)
def test_the_patient_is_seen_as_by_a_radiologist_on_any_grid(name, direction, plane, place):
    grid = placed_grid((36, 30, 20), (1.2, 1.5, 2.2), **ORIENTATIONS[name])
    volume = marked(grid, direction)
    chosen = planes.choose_planes(volume, width=300)
    picture = pictures.scaled(volume, chosen, HELD)[plane]
    rows, columns = np.nonzero(picture > 0.9)
    across, down = columns.mean() / picture.shape[1], rows.mean() / picture.shape[0]
    value = {"left": 1 - across, "right": across, "top": 1 - down, "bottom": down}[place]
    assert value > 0.6
    assert chosen[plane].letters == ("RLAP", "RLSI", "APSI")[plane]


def test_pixels_are_square_in_mm_whatever_the_spacing():
    volume = marked(placed_grid((40, 30, 12), (1.0, 1.4, 3.5), "SLA"), (1, 0, 0))
    for plane in planes.choose_planes(volume, width=400):
        assert plane.grid.spacing[0] == pytest.approx(plane.grid.spacing[1], rel=0.03)


def test_planes_go_through_the_body_and_not_the_middle_of_the_field_of_view():
    grid = placed_grid((48, 40, 40), (1.5, 1.5, 1.5), "LPS")
    offset = (14.0, -8.0, 5.0)
    volume = marked(grid, (1, 0, 0), offset)
    axial, coronal, sagittal = planes.choose_planes(volume)
    middle = torch.tensor([[0.0, 0, 0]])
    assert float(axial.grid.to_world(middle)[0, 2]) == pytest.approx(offset[2], abs=2)
    assert float(coronal.grid.to_world(middle)[0, 1]) == pytest.approx(offset[1], abs=2)
    assert float(sagittal.grid.to_world(middle)[0, 0]) == pytest.approx(offset[0], abs=4)


def test_a_constant_image_is_drawn_about_its_middle():
    grid = placed_grid((12, 14, 10), (2, 2, 2), "RAS")
    volume = Volume(torch.zeros(grid.shape), grid, Path("zero.nii.gz"))
    assert torch.allclose(planes.body_centre(volume), grid.centre)
    assert len(pictures.scaled(volume, planes.choose_planes(volume), HELD)) == 3


def test_overlay_is_yellow_where_the_images_agree_and_red_or_green_where_not():
    fixed, moving = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 1.0]])
    assert pictures.red_green(fixed, moving).tolist() == [[[1, 1, 0], [1, 0, 0], [0, 1, 0]]]


def test_checkerboard_shows_both_images_in_equal_parts():
    board = pictures.checkerboard(np.zeros((70, 70)), np.ones((70, 70)))
    assert board[0, 0] == 0
    assert board[0, 10] == board[10, 0] == 1
    assert board.mean() == pytest.approx(0.5, abs=0.02)


def test_the_difference_of_equal_images_is_black():
    image = np.linspace(0, 1, 12).reshape(3, 4)
    assert pictures.difference(image, image).max() < 0.02
    assert pictures.difference(image, 1 - image).max() > 0.9


def test_outlines_are_white_where_both_labels_end():
    labels = np.zeros((10, 10))
    labels[3:7, 3:7] = 2
    other = np.roll(labels, 2, axis=1)
    same = pictures.outlined(np.zeros((10, 10)), labels, labels)
    assert {tuple(c) for c in same.reshape(-1, 3)} == {(0, 0, 0), (1, 1, 1)}
    moved = pictures.outlined(np.zeros((10, 10)), labels, other)
    colours = {tuple(np.round(c, 2)) for c in moved.reshape(-1, 3)}
    assert {pictures.FIXED_COLOUR, pictures.MOVED_COLOUR} <= colours


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_folded_voxels_are_marked_where_they_are(name):
    grid = placed_grid((24, 22, 20), (1.5, 1.5, 2.0), **ORIENTATIONS[name])
    volume = marked(grid, (1, 0, 0))
    x = grid.to_world(torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]))[:, 0]
    step = torch.where((x > 3) & (x < 9), -2.5 * (x - 6), 0.0)  # dT/dx = -1.5 on the right
    field = torch.zeros(3, grid.voxels)
    field[0] = step.float()
    transform = Transform(torch.eye(4), field.view(3, *grid.shape), grid)
    axial = planes.choose_planes(volume, width=300)[0]
    picture = pictures.volume_change(transform, axial)
    folded = np.all(np.isclose(picture, pictures.FOLD_COLOUR), axis=-1)
    columns = np.nonzero(folded)[1] / folded.shape[1]
    assert 0.02 < folded.mean() < 0.3
    assert columns.mean() < 0.5  # the patient's right is on the left


def test_the_grid_bends_with_the_map_and_letters_are_drawn():
    registration = phantom_registration()
    panel = pictures.draw_panels(registration)[-1]
    held = RegisteredPair(registration.pair, HELD)
    straight = pictures.draw_panels(held)[-1]
    bent_lines, lines = panel.strips[0].pixels, straight.strips[0].pixels
    assert (bent_lines > 180).mean() > 0.05
    assert (np.abs(bent_lines.astype(int) - lines) > 60).mean() > 0.05
    chosen = planes.choose_planes(registration.pair.fixed)
    blank = pictures.paint(chosen, [np.zeros(p.grid.shape[1::-1]) for p in chosen])
    assert (blank > 200).sum() > 100


def test_every_panel_is_there_and_none_is_blank():
    panels = pictures.draw_panels(phantom_registration())
    titles = ["Images", "Overlay", "Checkerboard", "Difference", "Label outlines", "Deformation"]
    assert [panel.title for panel in panels] == titles
    for panel in panels:
        for strip in panel.strips:
            assert strip.pixels.std() > 10, (panel.title, strip.title)
    sheet = pictures.contact_sheet("title", ["a line"], panels)
    assert sheet.shape[1] > 2 * panels[0].strips[0].pixels.shape[1]


def test_an_affine_map_and_unequal_fields_of_view_can_be_drawn():
    registration = phantom_registration(
        moving_shape=(20, 24, 30), moving_spacing=(1.5, 1.5, 1.5), moving_axes="SAR"
    )
    turn = torch.eye(4, dtype=torch.float64)
    turn[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    panels = pictures.draw_panels(RegisteredPair(registration.pair, Transform(turn)))
    assert all(strip.pixels.std() > 5 for panel in panels[:-1] for strip in panel.strips)


def test_a_grey_strip_is_stored_as_a_grey_png():
    import io

    from PIL import Image

    grey = np.repeat(np.arange(48, dtype=np.uint8).reshape(6, 8, 1), 3, axis=2)
    image = Image.open(io.BytesIO(pictures.png_bytes(grey)))
    assert (image.mode, image.size) == ("L", (8, 6))
    assert np.array_equal(np.asarray(image), grey[..., 0])


def test_a_thumbnail_shows_before_above_after_and_is_the_same_every_time(tmp_path):
    registration = phantom_registration()
    for name in "ab":
        pictures.write_thumbnail(registration, tmp_path / f"{name}.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "a.jpg")).astype(int)
    rows = pixels.shape[0] // 2
    before, after = pixels[: rows - 3], pixels[-rows + 3 :]
    red_and_green = [np.abs(p[..., 0] - p[..., 1]).mean() for p in (before, after)]
    assert red_and_green[1] < 0.9 * red_and_green[0]
    assert abs(pixels.shape[1] - 420) < 12
