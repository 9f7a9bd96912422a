"""`regzoo align` finds an affine transform."""

import json

import numpy as np
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


def test_the_alignment_is_printed_as_json_or_not_at_all(files, tmp_path, capsys):
    folder, _ = files
    words = ["align", folder / "fixed.nii.gz", folder / "moving.nii.gz"]
    out = tmp_path / "a.tfm"
    assert run(*words, out, "--affine", "com", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["kind"] == "com"
    assert record["files"] == [str(out)]
    np.testing.assert_allclose(record["matrix_ras"], read_transform(out).affine, atol=1e-6)
    assert run(*words, tmp_path / "b.tfm", "--affine", "com", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
