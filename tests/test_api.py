"""`zoo.register`: every kind of image gives one registration; what the object then does."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor

import zoo
from zoo import UserError
from zoo.geometry import Transform, warp
from zoo.io.images import as_volume
from zoo.io.lps import grid_to_itk
from zoo.io.transforms import write_transform
from zoo.io.volume import Volume, write_volume
from zoo.synthesis.phantom import make_pair

QUICK = {"model": "mcbo", "settings": {"affine": "none"}}


@pytest.fixture(scope="module")
def pair():
    return make_pair(
        3, shape=(34, 28, 30), spacing=(2, 2.5, 2), axes="LPS", tilt_degrees=12, moving_axes="SAR"
    )


def as_nibabel(data, grid):
    return nib.Nifti1Image(data.numpy(), grid.affine.numpy())


def as_pair(data, grid):
    return data.numpy(), grid.affine.numpy()


def as_metatensor(data, grid):
    return MetaTensor(data[None], affine=grid.affine)


def as_lps_metatensor(data, grid):
    flip = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))
    return MetaTensor(data[None], affine=flip @ grid.affine, meta={"space": "LPS"})


def as_sitk(data, grid):
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.numpy().transpose(2, 1, 0)))
    origin, spacing, direction = grid_to_itk(grid)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.flatten().tolist())
    return image


def as_own(data, grid):
    return Volume(data, grid, "anywhere")


KINDS = [as_nibabel, as_pair, as_metatensor, as_lps_metatensor, as_sitk, as_own]


@pytest.fixture(scope="module")
def from_files(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files with ümlaut")
    write_volume(folder / "fixed.nii.gz", pair.fixed, pair.fixed_grid)
    write_volume(folder / "moving.nii.gz", pair.moving, pair.moving_grid)
    return zoo.register(folder / "fixed.nii.gz", str(folder / "moving.nii.gz"), **QUICK)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_in_memory_keeps_its_voxels_and_its_place(pair, kind):
    volume = as_volume(kind(pair.fixed, pair.fixed_grid))
    assert torch.equal(volume.data.float(), pair.fixed)
    assert volume.grid.same_as(pair.fixed_grid, tolerance=1e-4)


@pytest.mark.parametrize(("one", "other"), [(as_sitk, as_pair), (as_metatensor, as_nibabel)])
def test_images_in_memory_register_as_files_do(pair, from_files, one, other):
    found = zoo.register(
        one(pair.fixed, pair.fixed_grid), other(pair.moving, pair.moving_grid), **QUICK
    )
    points = pair.fixed_points
    torch.testing.assert_close(
        found.map_points(points), from_files.map_points(points), atol=1e-3, rtol=0
    )
    assert found.figures["folding_percent"] == from_files.figures["folding_percent"]


def test_the_result_says_what_was_done_and_why(from_files):
    assert from_files.result["model"] == "mcbo"
    assert from_files.plan["plan"]["choices"]["model"]["because"]
    assert not (from_files.folder / "report.html").exists()


def test_warping_another_image_is_what_the_registration_did(pair, from_files):
    again = from_files.warp(as_pair(pair.moving, pair.moving_grid))
    torch.testing.assert_close(again.data, from_files.warped.data, atol=1e-2, rtol=1e-4)
    labels = from_files.warp(as_own(pair.moving_labels, pair.moving_grid), labels=True)
    expected = warp(
        pair.moving_labels[None],
        pair.moving_grid,
        from_files.warped.grid,
        from_files.transform,
        interpolation="nearest",
    )[0]
    assert torch.equal(labels.data, expected)
    assert labels.data.dtype == torch.uint8


def test_labels_masks_and_the_inverse_go_along(pair):
    fixed, moving = (
        as_pair(pair.fixed, pair.fixed_grid),
        as_sitk(pair.moving, pair.moving_grid),
    )
    found = zoo.register(
        fixed,
        moving,
        fixed_labels=as_pair(pair.fixed_labels, pair.fixed_grid),
        moving_labels=as_nibabel(pair.moving_labels, pair.moving_grid),
        inverse=True,
        **QUICK,
    )
    assert 0 < found.figures["dice_after"] <= 1
    points = pair.fixed_points
    back = found.inverse.map_points(found.map_points(points))
    assert float((back - points).norm(dim=1).mean()) < 0.5


def test_without_a_folder_nothing_stays_but_what_is_saved(pair, tmp_path):
    def come_and_gone():
        found = zoo.register(
            as_pair(pair.fixed, pair.fixed_grid), as_pair(pair.moving, pair.moving_grid), **QUICK
        )
        found.save(tmp_path / "kept")
        return found.folder, (found.folder / "transform.nii.gz").read_bytes()

    folder, written = come_and_gone()
    gc.collect()
    assert not folder.exists()
    assert (tmp_path / "kept" / "transform.nii.gz").read_bytes() == written
    assert (tmp_path / "kept" / "result.json").exists()


@pytest.mark.parametrize("as_name", [str, Path])
def test_a_transform_of_ones_own_may_come_first(pair, from_files, tmp_path, monkeypatch, as_name):
    far = torch.eye(4, dtype=torch.float64)
    far[:3, 3] = torch.tensor([90.0, -70.0, 40.0])
    monkeypatch.chdir(tmp_path)
    write_transform("own.mat", Transform(far), None)
    found = zoo.register(
        as_pair(pair.fixed, pair.fixed_grid),
        as_pair(pair.moving, pair.moving_grid.moved(far)),
        model="mcbo",
        settings={"affine": as_name("own.mat")},
    )
    points = pair.fixed_points
    torch.testing.assert_close(
        found.map_points(points) - far[:3, 3], from_files.map_points(points), atol=0.02, rtol=0
    )
    assert found.result["affine_start"]["reason"] == f"read from {tmp_path / 'own.mat'}"


def test_a_comma_in_a_path_is_a_letter_like_any_other(pair, from_files, tmp_path):
    place = tmp_path / "Doe, Jane"
    place.mkdir()
    write_volume(place / "fixed, T1.nii.gz", pair.fixed, pair.fixed_grid)
    write_volume(place / "moving, T1.nii.gz", pair.moving, pair.moving_grid)
    found = zoo.register(
        place / "fixed, T1.nii.gz", [place / "moving, T1.nii.gz"], out=place / "out, 1", **QUICK
    )
    assert (place / "out, 1" / "transform.nii.gz").exists()
    points = pair.fixed_points
    assert torch.equal(found.map_points(points), from_files.map_points(points))


def test_with_a_folder_it_is_used(pair, tmp_path):
    found = zoo.register(
        as_pair(pair.fixed, pair.fixed_grid),
        as_pair(pair.moving, pair.moving_grid),
        out=tmp_path / "out",
        **QUICK,
    )
    assert found.folder == tmp_path / "out"
    with pytest.raises(UserError, match="inverse=True"):
        _ = found.inverse


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ([1, 2, 3], "is a list; give a path"),
        (np.zeros((8, 8, 8)), "is a ndarray; give a path"),
        ((np.zeros((8, 8)), np.eye(4)), r"shape \(8, 8\)"),
        ((np.zeros((8, 8, 8, 3)), np.eye(4)), "shape"),
        ((np.zeros((8, 8, 8)), np.eye(3)), "4x4"),
        ((np.zeros((8, 8, 8)), np.zeros((4, 4))), "invertible"),
        ((np.zeros((8, 8, 8), complex), np.eye(4)), "complex128"),
        ((np.full((8, 8, 8), np.nan), np.eye(4)), "NaN"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is(image, says):
    with pytest.raises(UserError, match=says):
        as_volume(image, "fixed")


def test_importing_the_zoo_is_quick_and_leaves_torch_alone():
    code = "import sys, zoo; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


SQUARE = np.zeros((4, 5, 6), np.float32)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ((np.full((3, 3, 3), 2**63 + 5, np.uint64), np.eye(4)), "at most 9223372036854775807"),
        ((np.zeros((0, 4, 4)), np.eye(4)), "at least two voxels per axis"),
        ((np.zeros((64, 64, 1)), np.eye(4)), "at least two voxels per axis"),
        ((SQUARE, "x"), "cannot be read"),
        ((SQUARE, np.zeros((4, 4))), "must be an invertible"),
        (sitk.Image((4, 4), sitk.sitkVectorFloat32, 3), "3 axes and one number"),
    ],
)
def test_an_image_in_memory_that_is_no_volume_is_refused_in_words(image, says):
    with pytest.raises(UserError, match=says):
        as_volume(image, "fixed")


@pytest.mark.parametrize("change", [lambda t: t.requires_grad_(), lambda t: t.bfloat16()])
def test_any_tensor_will_do(change):
    found = as_volume((change(torch.ones(3, 4, 5)), np.diag([1e-5, 1e-5, 1e-5, 1])))
    assert found.data.dtype == torch.float32
    assert found.grid.spacing == pytest.approx((1e-5,) * 3)
