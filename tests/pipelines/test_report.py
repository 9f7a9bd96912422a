"""The report of a finished registration, written again from its files, shows the same."""

import json
import shutil

import numpy as np
import pytest
import torch
from support.command_line import refusal, run
from support.report_cases import in_memory, on_disk

from zoo.evaluation.documents import read_result
from zoo.geometry import Grid, Transform
from zoo.handlers.saver import RegistrationSaver
from zoo.io.volume import read_volume, write_volume
from zoo.pipelines.report import finished_registration, split_affine
from zoo.registration.result import RegisteredPair
from zoo.reporting.viewer import viewer_document
from zoo.synthesis.phantom import make_pair

AFFINE = torch.tensor(
    [[0.96, 0.21, -0.05, 4.0], [-0.19, 0.98, 0.1, -7.0], [0.07, -0.08, 1.02, 3.0], [0, 0, 0, 1]],
    dtype=torch.float64,
)
VIEWER = 'type="importmap"'


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A registration on unequal oblique grids in files, with its value in memory."""
    folder = tmp_path_factory.mktemp("registered")
    phantom = make_pair(
        4, shape=(26, 22, 20), spacing=(3, 3.5, 4), axes="LPS", tilt_degrees=20,
        moving_axes="SAR", moving_shape=(24, 30, 22), moving_spacing=(4, 3, 3.2),
    )  # fmt: skip
    files = on_disk(folder / "data", phantom)
    transform = Transform(
        AFFINE, 8 * torch.randn(3, *phantom.fixed_grid.shape).tanh(), phantom.fixed_grid
    )
    notes = {
        "affine_start": {
            "kind": "affine",
            "reason": "r",
            "shift_mm": 8.0,
            "matrix_ras": AFFINE.tolist(),
        }
    }
    pair = in_memory(phantom)
    registration = RegisteredPair(pair, transform, notes=notes)
    RegistrationSaver(folder / "result", report="none", model="mcbo").save(
        registration, folder / "result"
    )
    given = {name: str(path) for name, path in files.items() if name != "field"}
    path = folder / "result" / "result.json"
    result = json.loads(path.read_text()) | given | {"moving": [given["moving"]]}
    path.write_text(json.dumps(result))
    return folder, registration


def copied(registered, tmp_path):
    return shutil.copytree(registered[0] / "result", tmp_path / "result")


def test_the_affine_is_split_off_and_the_map_stays(registered):
    _, registration = registered
    grid, transform = registration.pair.fixed.grid, registration.transform
    split = split_affine(transform.dense_on(grid), AFFINE, grid)
    assert torch.equal(split.affine, AFFINE)
    assert (split.field - transform.field).abs().max() < 1e-4
    points = registration.pair.fixed_points
    assert (split.map_points(points) - transform.map_points(points)).abs().max() < 1e-4


def test_the_viewer_shows_what_it_showed_after_the_registration(registered, tmp_path):
    folder, registration = registered
    result = read_result(folder / "result" / "result.json")
    one = viewer_document(registration, result, 4 << 20)
    two = viewer_document(finished_registration(folder / "result", result), result, 4 << 20)
    for key in ("shape", "labels", "jacobian_limit"):
        assert one[key] == two[key], key
    for key in ("spacing", "affine", "centre"):
        assert np.allclose(one[key], two[key], atol=0.01), key  # images are rounded in files
    assert two["shift"]["step_mm"] == pytest.approx(one["shift"]["step_mm"], rel=1e-4)
    for mark, other in zip(one["landmarks"], two["landmarks"], strict=True):
        assert mark["fixed"] == other["fixed"]
        assert mark["error_mm"] == pytest.approx(other["error_mm"], abs=0.01)


def test_the_command_adds_the_viewer_and_lists_the_files(registered, tmp_path, capsys):
    folder = copied(registered, tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run("report", folder, "--kind", "light") == 0
    assert VIEWER not in (folder / "report.html").read_text()
    assert run("report", folder) == 0
    assert capsys.readouterr().out.splitlines() == 2 * [f"Report written to {folder}/report.html"]
    page = (folder / "report.html").read_text()
    assert VIEWER in page
    result = json.loads((folder / "result.json").read_text())
    assert set(result["files"]) == {path.name for path in folder.iterdir()}
    written = {"report.html", "report.png", "result.json"}
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in written} == {
        name: content for name, content in before.items() if name not in written
    }


def test_every_pair_of_a_run_gets_a_report(registered, tmp_path, capsys):
    for name in ("a", "b"):
        shutil.copytree(registered[0] / "result", tmp_path / "run" / name)
    assert run("report", tmp_path / "run", "--kind", "light") == 0
    assert [len(list(tmp_path.glob(f"run/{n}/report.*"))) for n in "ab"] == [2, 2]


def test_transforms_with_bids_names_are_found(registered, tmp_path):
    folder = copied(registered, tmp_path)
    name = "sub-01/anat/sub-01_from-T2w_to-T1w_mode-image_xfm.nii.gz"
    (folder / "sub-01/anat").mkdir(parents=True)
    (folder / "transform.nii.gz").rename(folder / name)
    result = json.loads((folder / "result.json").read_text())
    result["bids"] = {"transform.nii.gz": name}
    (folder / "result.json").write_text(json.dumps(result))
    assert run("report", folder, "--kind", "light") == 0
    result["bids"] = {"transform.nii.gz": "../" + name}
    (folder / "result.json").write_text(json.dumps(result))
    assert run("report", folder) == 2


def test_what_cannot_be_shown_is_refused(registered, tmp_path, capsys):
    assert "there is no result.json" in refusal(capsys, "report", tmp_path)
    folder = copied(registered, tmp_path)
    file = folder / "result.json"
    result = json.loads(file.read_text())
    moved = tmp_path / "moved.nii.gz"
    volume = read_volume(result["fixed"])
    write_volume(moved, volume.data[:-1], Grid((25, 22, 20), volume.grid.affine))
    for change, message in (
        ({"fixed": str(moved), "fixed_labels": None}, "it has changed since the registration"),
        ({"fixed": str(tmp_path / "gone.nii.gz")}, "gone.nii.gz"),
        ({"affine_start": {"matrix_ras": [[0.0] * 4] * 4}}, "not an invertible 4x4 matrix"),
        ({"affine_start": {"matrix_ras": "x"}}, "not an invertible 4x4 matrix"),
        ({"affine_start": [1]}, "incomplete or was edited by hand"),
    ):
        file.write_text(json.dumps(result | change))
        assert message in refusal(capsys, "report", folder)
        assert not (folder / "report.html").exists()
