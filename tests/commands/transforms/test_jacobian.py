"""`regzoo jacobian` writes the determinant and prints its statistics."""

from support.command_line import run

from zoo.io.volume import read_volume


def test_jacobian_prints_what_it_writes(files, tmp_path, capsys):
    folder, _ = files
    out = tmp_path / "j.nii.gz"
    assert run("jacobian", folder / "t.nii.gz", out) == 0
    assert "folding: 0 % of voxels" in capsys.readouterr().out
    assert 0.1 < read_volume(out).data.min() < read_volume(out).data.max() < 3
