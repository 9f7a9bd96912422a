"""`regzoo compose` writes one transform for several."""

import torch
from support.command_line import refusal, run
from support.io_cases import max_distance

from zoo.geometry import Transform, map_points_back
from zoo.io.transforms import read_transform, write_transform

SHIFT = torch.tensor([[1, 0, 0, 5.0], [0, 1, 0, -3], [0, 0, 1, 2], [0, 0, 0, 1]])
SCALE = torch.diag(torch.tensor([1.1, 0.9, 1.05, 1]))


def test_affines_give_an_affine_in_order(tmp_path):
    write_transform(tmp_path / "shift.tfm", Transform(SHIFT), None)
    write_transform(tmp_path / "scale.mat", Transform(SCALE), None)
    names = ("-t", tmp_path / "shift.tfm", "-t", tmp_path / "scale.mat")
    assert run("compose", tmp_path / "both.tfm", *names) == 0
    both = read_transform(tmp_path / "both.tfm")
    assert max_distance(both.map_points([[0.0, 0, 0]]), [[5.5, -2.7, 2.1]]) < 1e-6


def test_the_inverse_of_a_field_is_written_on_the_grid_of_the_moving_image(files, tmp_path):
    folder, pair = files
    out = tmp_path / "inverse.nii.gz"
    words = ("-t", f"inverse:{folder / 't.nii.gz'}", "--fixed", folder / "moving.nii.gz")
    assert run("compose", out, *words) == 0
    inverse = read_transform(out)
    assert inverse.grid.same_as(pair.moving_grid, 0.01)
    index = torch.tensor([[8.0, 12, 10], [12, 16, 14], [14, 20, 16]])
    points = pair.moving_grid.to_world(index)
    expected, _ = map_points_back(pair.truth, points)
    assert max_distance(inverse.map_points(points), expected) < 1e-2


def test_compose_needs_transforms_and_keeps_its_inputs(tmp_path, capsys):
    assert "add -t FILE" in refusal(capsys, "compose", tmp_path / "a.tfm")
    write_transform(tmp_path / "a.tfm", Transform(SHIFT), None)
    names = ("-t", f"inverse:{tmp_path / 'a.tfm'}", "-t", tmp_path / "a.tfm")
    assert "transform 1" in refusal(capsys, "compose", tmp_path / "a.tfm", *names)
