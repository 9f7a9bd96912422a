"""`regzoo info` describes files of every kind."""

from support.command_line import run


def test_info_tells_volumes_transforms_and_points_apart(files, tmp_path, capsys):
    folder, _ = files
    fiducials = "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n1,2,3,4\n"
    (tmp_path / "a.fcsv").write_text(fiducials)
    assert run("info", tmp_path / "a.fcsv") == 0
    assert "1 point (fcsv), x -2 to -2" in capsys.readouterr().out
    for name in ("moving.nii.gz", "t.nii.gz", "points.csv"):
        assert run("info", folder / name) == 0
    out = capsys.readouterr().out
    assert "volume, 24x32x28, 3x2x2.2 mm, SAR" in out
    assert "transform (itk-nifti), fixed -> moving" in out
    assert "77 points" in out
