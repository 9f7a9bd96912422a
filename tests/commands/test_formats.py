"""Every command takes every image format, with the result of the same volume in .nii.gz."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.command_line import refusal, run
from support.dicom_cases import series_of

from zoo.io.nifti import write_nifti
from zoo.io.transforms import read_affine
from zoo.io.volume import Volume, read_volume, write_volume
from zoo.synthesis.phantom import make_pair

FORMATS = (".nii", ".mha", ".mhd", ".nrrd", "")
"""The suffixes of the formats; the empty one is a folder with a DICOM series."""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A pair of CT phantoms on oblique, anisotropic grids in every format, and a 4-D file."""
    root = tmp_path_factory.mktemp("images")
    made = make_pair(
        5, shape=(22, 20, 18), spacing=(3, 3, 4), moving_shape=(20, 24, 17), axes="LPS",
        tilt_degrees=11, contrasts=("ct", "ct"),
    )  # fmt: skip
    for side in ("fixed", "moving"):
        grid = getattr(made, f"{side}_grid")
        data = getattr(made, side).round().clamp(-1024, 3071).to(torch.int16)
        for suffix in (".nii.gz", ".nii", ".mha", ".nrrd"):
            write_volume(root / f"{side}{suffix}", data, grid)
        sitk.WriteImage(sitk.ReadImage(str(root / f"{side}.mha")), str(root / f"{side}.mhd"))
        series_of(Volume(data, grid, root), root / side)
        frames = torch.stack([data * 0, data, data // 2, data], dim=-1)
        write_nifti(root / f"{side}_4d.nii.gz", frames.numpy(), grid)
    (root / "points.csv").write_text("x,y,z\n9,8,7\n10,12,9\n")
    assert run("align", root / "fixed.nii.gz", root / "moving.nii.gz", root / "truth.tfm") == 0
    return root


def same(one, other, largest=1.01):
    """Return whether two volumes have one grid and values that differ by `largest` on average."""
    a, b = read_volume(one), read_volume(other)
    difference = float((a.data.double() - b.data.double()).abs().mean())
    return a.grid.same_as(b.grid) and difference < largest


def distance_mm(one, other):
    """Return the largest distance of two affine maps at the corners of a cube of 80 mm."""
    corners = torch.cartesian_prod(*[torch.tensor([-40.0, 40.0], dtype=torch.float64)] * 3)
    difference = read_affine(one) - read_affine(other)
    moved = corners @ difference[:3, :3].T + difference[:3, 3]
    return float(moved.norm(dim=1).max())


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_commands_that_take_images(images, tmp_path, capsys, suffix):
    fixed, moving = (images / f"{side}{suffix}" for side in ("fixed", "moving"))
    plain = [images / f"{side}.nii.gz" for side in ("fixed", "moving")]
    assert run("info", fixed) == 0
    assert "22x20x18, 3x3x4 mm, LPS" in capsys.readouterr().out
    transform = tmp_path / "t.tfm"
    assert run("align", fixed, moving, transform) == 0
    assert distance_mm(transform, images / "truth.tfm") < 0.1
    transform = images / "truth.tfm"
    for name, pair in (("a", (fixed, moving)), ("b", plain)):
        sides = ["--fixed", pair[0], "--moving", pair[1]]
        assert run("warp", pair[1], transform, tmp_path / f"{name}.nii.gz", *sides[:2]) == 0
        assert run("jacobian", transform, tmp_path / f"{name}_j.nii.gz", *sides[:2]) == 0
        points = ["points", images / "points.csv", transform, tmp_path / f"{name}.csv"]
        assert run(*points, "--space", "voxel", *sides) == 0
        assert run("convert", transform, tmp_path / f"{name}.npz", *sides) == 0
    assert same(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    assert same(tmp_path / "a_j.nii.gz", tmp_path / "b_j.nii.gz", 1e-4)
    a, b = (np.genfromtxt(tmp_path / f"{name}.csv", delimiter=",")[1:] for name in "ab")
    np.testing.assert_allclose(a, b, atol=1e-3)
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        np.testing.assert_allclose(a[a.files[0]], b[b.files[0]], atol=1e-3)


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd"])
def test_the_volumes_that_commands_write(images, tmp_path, suffix):
    assert run("warp", images / "moving.nii.gz", images / "truth.tfm", tmp_path / f"w{suffix}",
               "--fixed", images / "fixed.nii.gz") == 0  # fmt: skip
    assert run("warp", images / "moving.nii.gz", images / "truth.tfm", tmp_path / "w.nii.gz",
               "--fixed", images / "fixed.nii.gz") == 0  # fmt: skip
    assert same(tmp_path / f"w{suffix}", tmp_path / "w.nii.gz")


def test_a_registration_of_two_formats_and_of_volumes_of_two_series(images, tmp_path):
    more = ["--report=false", "--modality.0", "ct", "--modality.1", "ct", "--anatomy", "lung"]
    assert run("register", images / "fixed.mhd", images / "moving.nrrd", "--out",
               tmp_path / "a", *more) == 0  # fmt: skip
    assert run("register", images / "fixed_4d.nii.gz", images / "moving_4d.nii.gz", "--out",
               tmp_path / "b", "--volume", 1, *more) == 0  # fmt: skip
    assert same(tmp_path / "a" / "warped.nii.gz", tmp_path / "b" / "warped.nii.gz", 25)
    assert json.loads((tmp_path / "b" / "result.json").read_text())["volume"] == 1


def test_one_volume_of_a_series(images, tmp_path, capsys):
    series, fixed = images / "moving_4d.nii.gz", images / "fixed.nii.gz"
    for words in (
        ["info", series],
        ["align", fixed, series, tmp_path / "t.tfm"],
        ["warp", series, images / "truth.tfm", tmp_path / "w.nii.gz", "--fixed", fixed],
        ["register", fixed, series, "--out", tmp_path / "out"],
    ):
        assert "--volume" in refusal(capsys, *words)
        assert "3" in refusal(capsys, *words, "--volume", 7)
    words = ["warp", series, images / "truth.tfm", tmp_path / "w.nii.gz", "--fixed", fixed]
    assert run(*words, "--volume", 1) == 0
    assert run("warp", images / "moving.mha", images / "truth.tfm", tmp_path / "v.nii.gz",
               "--fixed", fixed) == 0  # fmt: skip
    assert same(tmp_path / "w.nii.gz", tmp_path / "v.nii.gz")
    assert run("align", fixed, series, tmp_path / "t.tfm", "--volume", 1) == 0
    assert distance_mm(tmp_path / "t.tfm", images / "truth.tfm") < 1e-6
    capsys.readouterr()
    assert run("info", series, "--volume", 2) == 0
    assert "one of 4 volumes" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_dataset_of_the_format(images, tmp_path, suffix):
    import shutil

    for side in ("fixed", "moving"):
        source = images / f"{side}{suffix}"
        target = tmp_path / f"case1_{side}{suffix}"
        if source.is_dir():
            shutil.copytree(source, target)
            continue
        if suffix == ".mhd":
            shutil.copy(images / f"{side}.raw", tmp_path)
        shutil.copy(source, target)
    assert run("init", tmp_path, "--modality.0", "ct", "--anatomy", "lung",
               *([] if suffix else ["--modality.1", "ct"])) == 0  # fmt: skip
    assert run("check", tmp_path) == 0
    assert run("fingerprint", tmp_path, "--out", tmp_path / "fingerprint.json") == 0
