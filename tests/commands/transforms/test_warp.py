"""`regzoo warp` writes images and labels on the fixed grid."""

import ants
import nibabel
import numpy as np
import pytest
import torch
from support.command_line import refusal, run

from zoo.geometry import Transform
from zoo.io.transforms import write_transform
from zoo.io.volume import read_volume, write_volume


def test_warp_writes_the_image_on_the_fixed_grid(files, tmp_path):
    folder, pair = files
    out = tmp_path / "warped.nii.gz"
    assert run("warp", folder / "moving.nii.gz", folder / "t.nii.gz", out) == 0
    warped = read_volume(out)
    assert warped.grid.same_as(pair.fixed_grid)
    assert warped.data.dtype == torch.int16
    inside = pair.fixed_labels > 0
    before = (pair.fixed - pair.fixed[inside].mean())[inside].abs().mean()
    assert (warped.data - pair.fixed)[inside].abs().median() < 0.5 * before


def test_warp_keeps_labels_whole(files, tmp_path):
    folder, pair = files
    out = tmp_path / "labels.nii.gz"
    code = run(
        "warp",
        folder / "labels.nii.gz",
        folder / "t.nii.gz",
        out,
        "--labels",
        "--fixed",
        folder / "moving.nii.gz",
    )
    assert code == 0
    assert nibabel.load(out).get_data_dtype() == np.uint8
    assert read_volume(out).grid.same_as(pair.moving_grid)


def test_an_affine_transform_asks_for_the_fixed_image(files, tmp_path, capsys):
    folder, _ = files
    write_transform(tmp_path / "a.tfm", Transform.identity(), None)
    out = tmp_path / "w.nii.gz"
    assert run("warp", folder / "moving.nii.gz", tmp_path / "a.tfm", out) == 2
    assert "--fixed" in capsys.readouterr().err
    assert not out.exists()
    assert (
        run(
            "warp",
            folder / "moving.nii.gz",
            tmp_path / "a.tfm",
            out,
            "--fixed",
            folder / "fixed.nii.gz",
        )
        == 0
    )


def test_outside_the_image_a_ct_is_air_and_labels_are_background(files, tmp_path):
    """As in warped.nii.gz of a registration. The shift moves the image out of its field of view."""
    folder, pair = files
    shift = torch.eye(4, dtype=torch.float64)
    shift[0, 3] = 1e4
    write_transform(tmp_path / "far.tfm", Transform(shift), None)
    write_volume(tmp_path / "ct.nii.gz", pair.moving - 1024, pair.moving_grid)
    air = float(pair.moving.min()) - 1024
    for more, expected in (([], air), (["--fill", "7"], 7.0)):
        out = tmp_path / "out.nii.gz"
        inputs = (tmp_path / "ct.nii.gz", tmp_path / "far.tfm", out)
        assert run("warp", *inputs, "--fixed", folder / "fixed.nii.gz", *more) == 0
        assert read_volume(out).data.float().unique().tolist() == pytest.approx([expected])
    inputs = (folder / "labels.nii.gz", tmp_path / "far.tfm", tmp_path / "labels.nii.gz")
    assert run("warp", *inputs, "--labels", "--fixed", folder / "fixed.nii.gz") == 0
    assert not read_volume(tmp_path / "labels.nii.gz").data.any()


def turned(tmp_path):
    """Write a small affine transform and return its file."""
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] += torch.tensor([[0.02, 0.1, 0, 3], [-0.1, 0, 0.05, -4], [0, 0.04, -0.03, 2]])
    write_transform(tmp_path / "turned.mat", Transform(matrix), None)
    return tmp_path / "turned.mat"


def test_several_transforms_are_applied_in_the_order_of_ants(files, tmp_path):
    """One interpolation only: two would differ from ANTs by the blur of the second."""
    folder, pair = files
    affine, field, out = turned(tmp_path), folder / "t.nii.gz", tmp_path / "out.nii.gz"
    write_volume(tmp_path / "moving.nii.gz", pair.moving, pair.moving_grid)
    fixed = ants.image_read(str(folder / "fixed.nii.gz"))
    moving = ants.image_read(str(tmp_path / "moving.nii.gz"))
    for chain, inverted in (([field, affine], [0, 0]), ([affine, field], [1, 0])):
        names = [f"inverse:{f}" if i else f for f, i in zip(chain, inverted, strict=True)]
        words = [word for name in names for word in ("-t", name)]
        inputs = ("warp", tmp_path / "moving.nii.gz", out, *words)
        assert run(*inputs, "--fixed", folder / "fixed.nii.gz") == 0
        theirs = ants.apply_transforms(
            fixed, moving, [str(f) for f in chain], whichtoinvert=[bool(i) for i in inverted]
        )
        ours = read_volume(out).data.numpy()
        # Voxels whose neighbours lie outside the moving image are treated differently.
        inner = (slice(4, -4),) * 3
        apart = np.abs(ours - theirs.numpy())[inner]
        assert np.quantile(apart, 0.99) < 1e-3 * np.ptp(theirs.numpy())
        assert np.ptp(ours) > 0


def test_a_field_and_its_inverse_give_the_image_back(files, tmp_path):
    folder, _ = files
    out, field = tmp_path / "same.nii.gz", folder / "t.nii.gz"
    words = ("-t", field, "-t", f"inverse:{field}", "--fixed", folder / "fixed.nii.gz")
    assert run("warp", folder / "fixed.nii.gz", out, *words) == 0
    same, original = read_volume(out).data, read_volume(folder / "fixed.nii.gz").data
    inner = (slice(4, -4),) * 3
    assert (same - original)[inner].abs().max() < 0.02 * (original.max() - original.min())


def test_a_chain_that_begins_without_a_grid_asks_for_the_fixed_image(files, tmp_path, capsys):
    folder, _ = files
    field = folder / "t.nii.gz"
    for words in (("-t", turned(tmp_path), "-t", field), ("-t", f"inverse:{field}")):
        inputs = ("warp", folder / "moving.nii.gz", tmp_path / "w.nii.gz", *words)
        assert "--fixed" in refusal(capsys, *inputs)


def test_a_label_map_without_the_flag_is_reported(files, tmp_path, capsys):
    folder, _ = files
    words = ["warp", folder / "labels.nii.gz", folder / "t.nii.gz", tmp_path / "o.nii.gz"]
    assert run(*words) == 0
    assert "seems to be a label map by its name" in capsys.readouterr().err
    for more in (["--labels"], ["--interpolation", "nearest"]):
        assert run(*words, *more) == 0
        assert capsys.readouterr().err == ""
