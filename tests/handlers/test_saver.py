"""The files of a registration, and the entries of result.json."""

import json
from dataclasses import replace
from pathlib import Path

import monai
import pytest
import torch
from support.report_cases import phantom_registration

import zoo.handlers.saver
from zoo.datasets.pairs import Pair, PairFiles
from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.handlers.output_files import remove_previous_outputs, report_kind
from zoo.handlers.provenance import versions
from zoo.handlers.saver import RegistrationSaver, additional_files
from zoo.io.transforms import read_transform


@pytest.fixture(scope="module")
def registration():
    return phantom_registration(0)


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("nifti", {"transform.nii.gz"}),
        ("h5", {"transform.h5"}),
        ("both", {"transform.nii.gz", "transform.h5"}),
    ],
)
def test_the_transform_is_written_in_the_formats_of_the_option(
    registration, tmp_path, format, names
):
    RegistrationSaver(tmp_path, format=format, report=False).save(registration, tmp_path)
    assert {path.name for path in tmp_path.glob("transform.*")} == names
    points = registration.pair.fixed.grid.centre[None]
    for name in names:
        written = read_transform(tmp_path / name)
        expected = registration.transform.map_points(points)
        torch.testing.assert_close(written.map_points(points), expected, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("report", "files", "viewer"),
    [("full", 2, True), ("light", 2, False), ("none", 0, False)],
)
def test_a_report_is_full_light_or_none(registration, tmp_path, report, files, viewer):
    result = RegistrationSaver(tmp_path, report=report).save(registration, tmp_path)
    written = sorted(path.name for path in tmp_path.glob("report.*"))
    assert written == ["report.html", "report.png"][:files]
    assert set(written) <= set(result["files"])
    page = (tmp_path / "report.html").read_text() if files else ""
    assert ('id="viewer"' in page) == viewer


def test_another_kind_of_report_is_refused(tmp_path):
    assert [report_kind(value) for value in (True, False, "light")] == ["full", "none", "light"]
    with pytest.raises(
        UserError, match="report 'fancy' is not known; use one of full, light, none"
    ):
        RegistrationSaver(tmp_path, report="fancy")


def test_result_json_describes_the_model_and_is_returned(registration, tmp_path):
    saver = RegistrationSaver(
        tmp_path, report=False, model="mcbo", settings={"mode": "paper"}, record={"plan": "p"}
    )
    result = saver.save(registration, tmp_path)
    written = json.loads((tmp_path / "result.json").read_text())
    assert written == json.loads(json.dumps(result))
    assert written["model"] == "mcbo"
    assert written["settings"] == {"mode": "paper"}
    assert written["plan"] == "p"
    assert written["weights"] is None
    assert "Multilevel Correlation Balanced Optimization" in written["citation"][0]
    assert written["peak_memory_mib"] > 50


def test_the_versions_are_those_that_the_libraries_state():
    assert versions()["monai"] == monai.__version__
    assert versions()["torch"] == torch.__version__


def test_an_image_that_cannot_be_written_fails_the_registration(
    registration, tmp_path, monkeypatch
):
    def full_disk(*_):
        raise UserError("the disk is full")

    monkeypatch.setattr(zoo.handlers.saver, "write_volume", full_disk)
    with pytest.raises(UserError, match="the disk is full"):
        RegistrationSaver(tmp_path).save(registration, tmp_path)
    assert not (tmp_path / "result.json").exists()


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UserError, match="'nii' is not known; use one of nifti, h5, both"):
        RegistrationSaver(tmp_path, format="nii")


def test_only_the_files_of_an_earlier_registration_are_removed(tmp_path):
    for name in ("warped.nii.gz", "warped_2.nii.gz", "inverse.h5", "notes.txt"):
        (tmp_path / name).touch()
    remove_previous_outputs(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4  # without result.json nothing is ours
    (tmp_path / "result.json").touch()
    remove_previous_outputs(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_files_besides_the_images_are_recorded(registration):
    pair = registration.pair
    files = PairFiles(Path("a"), (Path("b"),), fixed_labels=Path("l"), moving_points=Path("p.csv"))
    with_files = Pair(pair.name, pair.fixed, pair.moving, files=files)
    assert additional_files(with_files) == {
        "fixed_labels": "l", "moving_points": "p.csv", "points_space": "ras"
    }  # fmt: skip
    unlabelled = Pair(pair.name, pair.fixed, pair.moving, files=PairFiles(Path("a"), (Path("b"),)))
    assert additional_files(unlabelled) == {}


def test_the_verdict_and_its_measurements_are_recorded(registration, tmp_path):
    result = RegistrationSaver(tmp_path, report=False).save(registration, tmp_path)
    assert (result["quality"], result["warnings"]) == ("ok", [])
    assert result["structure"]["ratio"] > 3
    far = torch.eye(4, dtype=torch.float64)
    far[0, 3] = 1e4
    away = replace(registration, transform=Transform(far))
    result = RegistrationSaver(tmp_path, report=False).save(away, tmp_path)
    assert result["quality"] == "failed"
    assert any("no region in common" in sentence for sentence in result["warnings"])
    assert result["structure"] is None
