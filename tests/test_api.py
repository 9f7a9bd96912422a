"""The Python API: registration of images of every kind, and the options of the commands."""

from __future__ import annotations

import base64
import gc
import inspect
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from PIL import Image

import zoo
from zoo import UserError
from zoo.cli.commands import find_command
from zoo.evaluation import FIGURE_KEYS
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
def test_an_image_in_memory_keeps_its_voxels_and_its_grid(pair, kind):
    volume = as_volume(kind(pair.fixed, pair.fixed_grid))
    assert torch.equal(volume.data.float(), pair.fixed)
    assert volume.grid.same_as(pair.fixed_grid, tolerance=1e-4)


@pytest.mark.parametrize(("one", "other"), [(as_sitk, as_pair), (as_metatensor, as_nibabel)])
def test_images_in_memory_register_as_files_do(pair, from_files, one, other):
    registration = zoo.register(
        one(pair.fixed, pair.fixed_grid), other(pair.moving, pair.moving_grid), **QUICK
    )
    points = pair.fixed_points
    torch.testing.assert_close(
        registration.map_points(points), from_files.map_points(points), atol=1e-3, rtol=0
    )
    assert registration.figures["folding_percent"] == from_files.figures["folding_percent"]


def test_the_verdict_can_be_read(from_files):
    assert from_files.quality == from_files.result["quality"] == "ok"
    assert from_files.warnings == []


def test_the_result_and_the_plan_can_be_read(from_files):
    assert from_files.result["model"] == "mcbo"
    assert from_files.plan["plan"]["choices"]["model"]["because"]
    assert not (from_files.folder / "report.html").exists()


def test_warping_the_moving_image_again_gives_the_warped_image(pair, from_files):
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


def test_labels_in_memory_and_the_inverse(pair):
    fixed, moving = (
        as_pair(pair.fixed, pair.fixed_grid),
        as_sitk(pair.moving, pair.moving_grid),
    )
    registration = zoo.register(
        fixed,
        moving,
        fixed_labels=as_pair(pair.fixed_labels, pair.fixed_grid),
        moving_labels=as_nibabel(pair.moving_labels, pair.moving_grid),
        inverse=True,
        **QUICK,
    )
    assert 0 < registration.figures["dice_after"] <= 1
    points = pair.fixed_points
    back = registration.inverse.map_points(registration.map_points(points))
    assert float((back - points).norm(dim=1).mean()) < 0.5


def test_without_a_folder_only_saved_results_remain(pair, tmp_path):
    def register_and_save():
        registration = zoo.register(
            as_pair(pair.fixed, pair.fixed_grid), as_pair(pair.moving, pair.moving_grid), **QUICK
        )
        registration.save(tmp_path / "kept")
        return registration.folder, (registration.folder / "transform.nii.gz").read_bytes()

    folder, written = register_and_save()
    gc.collect()
    assert not folder.exists()
    assert (tmp_path / "kept" / "transform.nii.gz").read_bytes() == written
    assert (tmp_path / "kept" / "result.json").exists()


@pytest.mark.parametrize("as_name", [str, Path])
def test_the_initial_alignment_may_be_read_from_a_file(
    pair, from_files, tmp_path, monkeypatch, as_name
):
    far = torch.eye(4, dtype=torch.float64)
    far[:3, 3] = torch.tensor([90.0, -70.0, 40.0])
    monkeypatch.chdir(tmp_path)
    write_transform("own.mat", Transform(far), None)
    registration = zoo.register(
        as_pair(pair.fixed, pair.fixed_grid),
        as_pair(pair.moving, pair.moving_grid.moved(far)),
        model="mcbo",
        settings={"affine": as_name("own.mat")},
    )
    points = pair.fixed_points
    torch.testing.assert_close(
        registration.map_points(points) - far[:3, 3],
        from_files.map_points(points),
        atol=0.02,
        rtol=0,
    )
    assert registration.result["affine_start"]["reason"] == f"read from {tmp_path / 'own.mat'}"


def test_a_path_may_contain_commas(pair, from_files, tmp_path):
    place = tmp_path / "Doe, Jane"
    place.mkdir()
    write_volume(place / "fixed, T1.nii.gz", pair.fixed, pair.fixed_grid)
    write_volume(place / "moving, T1.nii.gz", pair.moving, pair.moving_grid)
    registration = zoo.register(
        place / "fixed, T1.nii.gz", [place / "moving, T1.nii.gz"], out=place / "out, 1", **QUICK
    )
    assert (place / "out, 1" / "transform.nii.gz").exists()
    points = pair.fixed_points
    assert torch.equal(registration.map_points(points), from_files.map_points(points))


def test_results_are_written_to_the_given_folder(pair, tmp_path):
    registration = zoo.register(
        as_pair(pair.fixed, pair.fixed_grid),
        as_pair(pair.moving, pair.moving_grid),
        out=tmp_path / "out",
        **QUICK,
    )
    assert registration.folder == tmp_path / "out"
    with pytest.raises(UserError, match="inverse=True"):
        _ = registration.inverse


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
def test_an_object_that_is_not_an_image_is_refused(image, says):
    with pytest.raises(UserError, match=says):
        as_volume(image, "fixed")


def test_importing_zoo_does_not_import_torch():
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
def test_an_image_that_is_not_a_volume_is_refused(image, says):
    with pytest.raises(UserError, match=says):
        as_volume(image, "fixed")


@pytest.mark.parametrize("change", [lambda t: t.requires_grad_(), lambda t: t.bfloat16()])
def test_tensors_with_gradients_and_of_half_precision_are_accepted(change):
    volume = as_volume((change(torch.ones(3, 4, 5)), np.diag([1e-5, 1e-5, 1e-5, 1])))
    assert volume.data.dtype == torch.float32
    assert volume.grid.spacing == pytest.approx((1e-5,) * 3)


FUNCTIONS = ["plan", "finetune", "evaluate", "compare", "register", "run", "template", "propagate"]
PRINTING = {
    "plan": {"second", "explain", "diff"},
    "register": {"dry_run", "json", "quiet", "verbose"},
    "run": {"dry_run", "json", "quiet"},
    "template": {"json", "quiet"},
    "propagate": {"json", "quiet"},
}
"""Arguments of a command that only select what it prints."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_options_of_its_command(name):
    command = set(inspect.signature(find_command(name)).parameters)
    function = set(inspect.signature(getattr(zoo, name)).parameters)
    as_in_python = {"settings" if p == "set_" else p for p in command}
    assert function == as_in_python - PRINTING.get(name, set())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_docstring_of_a_function_explains_every_argument(name):
    function = getattr(zoo, name)
    arguments = (inspect.getdoc(function) or "").partition("Args:")[2]
    for parameter in inspect.signature(function).parameters:
        assert f"    {parameter}: " in arguments, parameter


def test_docstrings_name_only_figures_that_exist():
    named = set(re.findall(r"`(\w+)`", zoo.Registration.figures.__doc__))
    assert named
    assert named <= set(FIGURE_KEYS)


def test_every_name_of_the_api_is_there():
    assert set(zoo.__all__) <= set(dir(zoo))
    assert all(getattr(zoo, name) is not None for name in zoo.__all__)
    with pytest.raises(AttributeError, match="regsiter"):
        _ = zoo.regsiter


@pytest.fixture(scope="module")
def dataset(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    for name in ("fixed", "moving"):
        grid = getattr(pair, f"{name}_grid")
        write_volume(folder / f"{name}.nii.gz", getattr(pair, name), grid)
    listed = [{"fixed": "fixed.nii.gz", "moving": "moving.nii.gz"}]
    document = {"modality": {"0": "MR", "1": "MR"}, "registration_val": listed}
    (folder / "dataset.json").write_text(json.dumps(document))
    return folder


def test_a_plan_is_returned_and_written_and_used(dataset, pair, from_files, tmp_path):
    plan = zoo.plan(
        dataset,
        out=tmp_path / "plan.json",
        modality={1: "mr"},
        model="mcbo",
        settings={"affine": "none"},
        accept_guess=True,
    )
    assert plan == json.loads((tmp_path / "plan.json").read_text())
    assert (plan["plan"]["model"], plan["affine"]) == ("mcbo", "none")
    assert zoo.plan(dataset, modality=("mr", "mr"), accept_guess=True)["plan"]["name"] == "default"
    registration = zoo.register(
        dataset / "fixed.nii.gz",
        dataset / "moving.nii.gz",
        plan=tmp_path / "plan.json",
        format="h5",
        inverse=True,
    )
    points = pair.fixed_points
    torch.testing.assert_close(
        registration.map_points(points), from_files.map_points(points), atol=1e-3, rtol=0
    )
    assert not (registration.folder / "transform.nii.gz").exists()
    back = registration.inverse.map_points(registration.map_points(points))
    assert float((back - points).norm(dim=1).mean()) < 0.5


def test_registrations_are_evaluated_and_compared(from_files, tmp_path):
    for name in ("one", "two"):
        from_files.save(tmp_path / name / "pair")
    evaluations = [zoo.evaluate(tmp_path / name) for name in ("one", "two")]
    (case,) = evaluations[0].cases
    for name, value in from_files.figures.items():
        assert case["figures"][name] == pytest.approx(value, rel=5e-3, abs=1e-3), name
    assert evaluations[0].file == tmp_path / "one" / "figures.json"
    assert evaluations[0].summary["sd_log_jacobian"]["n"] == 1
    comparison = zoo.compare(tmp_path / "one", tmp_path / "two", out=tmp_path / "comparison")
    assert comparison["cases"] == ["pair"]
    assert (tmp_path / "comparison" / "comparison.json").exists()


def test_a_figure_file_is_written_only_if_it_has_a_place(pair, from_files, tmp_path):
    write_volume(tmp_path / "f.nii.gz", pair.fixed, pair.fixed_grid)
    evaluation = zoo.evaluate(
        field=from_files.folder / "transform.nii.gz",
        fixed=tmp_path / "f.nii.gz",
        moving=from_files.result["moving"][0],
    )
    assert evaluation.file is None
    assert evaluation.cases[0]["figures"]["similarity_after"] > 0


def test_a_plan_for_one_pair_cannot_be_fine_tuned(from_files, tmp_path):
    with pytest.raises(UserError, match="training needs a dataset"):
        zoo.finetune(from_files.folder / "plan.json", out=tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()


def test_the_warped_image_becomes_an_image_of_nibabel_and_of_simpleitk(from_files):
    """Both have the voxels of warped.nii.gz at the same places, as each library reads the file."""
    path = str(from_files.folder / "warped.nii.gz")
    ours, read = from_files.to_nibabel(), nib.load(path)
    assert np.array_equal(np.asarray(ours.dataobj), np.asarray(read.dataobj))
    np.testing.assert_allclose(ours.affine, read.affine, atol=1e-4)
    assert ours.get_data_dtype() == read.get_data_dtype()
    image, expected = from_files.to_sitk(), sitk.ReadImage(path)
    assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    corner = (0, 0, 0), tuple(n - 1 for n in image.GetSize())
    for index in corner:
        np.testing.assert_allclose(
            image.TransformIndexToPhysicalPoint(index),
            expected.TransformIndexToPhysicalPoint(index),
            atol=1e-3,
        )


def test_the_representation_is_one_line_with_model_verdict_and_figure(from_files, tmp_path):
    text = repr(from_files)
    figures = from_files.figures
    assert text.startswith(f"<Registration: mcbo, quality {from_files.quality}, Similarity ")
    assert f"{figures['similarity_before']:.3f} -> {figures['similarity_after']:.3f}" in text
    assert str(from_files.folder) in text
    assert "\n" not in text
    assert repr(zoo.Registration(tmp_path)) == f"<Registration: no result in {tmp_path}>"


def test_a_notebook_shows_verdict_figures_and_the_overlays(pair, from_files):
    html = from_files._repr_html_()
    assert f"quality <b>{from_files.quality}</b>" in html
    assert f"{from_files.figures['similarity_after']:.3f}" in html
    encoded = re.search(r"data:image/jpeg;base64,([^\"]+)", html)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))).astype(int)
    before, after = np.array_split(pixels, 2)
    apart = [np.abs(half[..., 0] - half[..., 1]).mean() for half in (before, after)]
    assert apart[1] < apart[0]  # red and green agree better


def test_without_its_images_a_registration_is_shown_without_a_picture(from_files, tmp_path):
    from_files.save(tmp_path / "kept")
    result = json.loads((tmp_path / "kept" / "result.json").read_text())
    result |= {"fixed": str(tmp_path / "gone.nii.gz"), "warnings": ["<b>tears</b>"]}
    (tmp_path / "kept" / "result.json").write_text(json.dumps(result))
    html = zoo.Registration(tmp_path / "kept")._repr_html_()
    assert "<img" not in html
    assert "&lt;b&gt;tears&lt;/b&gt;" in html
