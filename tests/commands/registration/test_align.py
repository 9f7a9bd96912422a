"""`regzoo align` finds an affine transform."""

import torch
from support.command_line import run

from zoo.io.transforms import read_transform
from zoo.io.volume import write_volume


def test_align_finds_a_shift(files, tmp_path, capsys):
    folder, pair = files
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor([12.0, -9.0, 6.0])
    write_volume(tmp_path / "far.nii.gz", pair.moving, pair.moving_grid.moved(shift))
    out = tmp_path / "a.tfm"
    assert (
        run("align", folder / "moving.nii.gz", tmp_path / "far.nii.gz", out, "--affine", "rigid")
        == 0
    )
    found = read_transform(out).affine
    assert (found - shift).abs()[:3, 3].max() < 1
