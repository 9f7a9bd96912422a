"""`regzoo convert` keeps the transform through all formats."""

import nibabel
import nitransforms
import numpy as np
import torch
from support.command_line import refusal, run

from zoo.geometry import Transform
from zoo.io.transforms import read_transform, write_transform


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


def test_matrices_of_fsl_and_freesurfer_go_through_all_formats(files, tmp_path, capsys):
    folder, pair = files
    images = ("--fixed", folder / "fixed.nii.gz", "--moving", folder / "moving.nii.gz")
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] += torch.tensor([[0.02, 0.1, 0, 3], [-0.1, 0, 0.05, -4], [0, 0.04, -0.03, 2]])
    write_transform(tmp_path / "a.tfm", Transform(matrix), None)
    steps = [
        ("a.tfm", "b.mat", ("--to", "fsl")),
        ("fsl:b.mat", "c.lta", ()),
        ("c.lta", "d.x5", ()),
        ("d.x5", "e.txt", ("--to", "world")),
        ("world:e.txt", "f.mat", ()),
    ]
    for source, out, more in steps:
        marker, _, name = source.rpartition(":")
        named = f"{marker}:{tmp_path / name}" if marker else tmp_path / name
        assert run("convert", named, tmp_path / out, *more, *images) == 0
    assert (read_transform(tmp_path / "f.mat").affine - matrix).abs().max() < 1e-6
    theirs = nitransforms.linear.load(
        tmp_path / "b.mat",
        fmt="fsl",
        reference=nibabel.load(folder / "fixed.nii.gz"),
        moving=nibabel.load(folder / "moving.nii.gz"),
    )
    points = pair.fixed_points.numpy()
    expected = Transform(matrix).map_points(pair.fixed_points).numpy()
    assert np.abs(theirs.map(points) - expected).max() < 1e-3
    assert "fsl:" in refusal(capsys, "convert", tmp_path / "b.mat", tmp_path / "g.tfm")
