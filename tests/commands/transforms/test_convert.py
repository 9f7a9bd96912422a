"""`regzoo convert` keeps the transform through all formats."""

from support.command_line import run

from zoo.io.transforms import read_transform


def test_convert_keeps_the_map(files, tmp_path):
    folder, pair = files
    images = ("--fixed", folder / "fixed.nii.gz", "--moving", folder / "moving.nii.gz")
    steps = [
        (folder / "t.nii.gz", tmp_path / "a.h5", ()),
        (tmp_path / "a.h5", tmp_path / "b.nii.gz", ("--to", "learn2reg", *images)),
        (tmp_path / "b.nii.gz", tmp_path / "c.nii.gz", images),
    ]
    for source, out, more in steps:
        assert run("convert", source, out, *more) == 0
    apart = read_transform(tmp_path / "c.nii.gz").field - pair.truth.field
    assert apart.abs().max() < 1e-3
