"""`regzoo info` describes files of every kind."""

from support.command_line import run


def test_info_tells_volumes_transforms_and_points_apart(files, capsys):
    folder, _ = files
    for name in ("moving.nii.gz", "t.nii.gz", "points.csv"):
        assert run("info", folder / name) == 0
    out = capsys.readouterr().out
    assert "volume, 24x32x28, 3x2x2.2 mm, SAR" in out
    assert "transform (itk-nifti), fixed -> moving" in out
    assert "77 points" in out
