"""Plans, registrations, evaluations and comparisons through the Python API."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
import torch
from support.api_cases import QUICK, as_own, as_pair

import zoo
from zoo import UserError
from zoo.geometry import Transform, warp
from zoo.io.transforms import write_transform
from zoo.io.volume import write_volume

pytestmark = pytest.mark.usefixtures("symmetry_without_search")


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
