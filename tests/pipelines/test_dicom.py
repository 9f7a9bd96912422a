"""Registration of DICOM series: the plan uses their headers, and patient data stay behind."""

import gzip
import json

import pytest
import torch
from support.command_line import refusal, run
from support.dicom_cases import NAME, PATIENT, series_of
from support.quick_registrations import WORDS

from zoo.io.volume import Volume, read_volume, write_volume
from zoo.planning.plan import explain
from zoo.synthesis.phantom import make_pair

pytestmark = pytest.mark.usefixtures("symmetry_without_search")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two CT series of one patient, and the same volumes as NIfTI."""
    root = tmp_path_factory.mktemp("study")
    made = make_pair(3, shape=(28, 32, 26), axes="LPS", tilt_degrees=9, contrasts=("ct", "ct"))
    for side in ("fixed", "moving"):
        volume = Volume(
            getattr(made, side).round().clamp_min(-1024), getattr(made, f"{side}_grid"), root
        )
        series_of(volume, root / side, SeriesDescription=f"{side} scan")
        write_volume(root / f"{side}.nii.gz", volume.data, volume.grid, torch.int16)
    return root


@pytest.fixture(scope="module")
def registered(study):
    out = study / "result"
    assert run("register", study / "fixed", study / "moving", "--out", out, *WORDS) == 0
    return out


def test_a_series_is_registered_like_the_same_volume_in_nifti(study, registered):
    assert run("register", study / "fixed.nii.gz", study / "moving.nii.gz", "--out",
               study / "other", "--modality.0", "ct", "--modality.1", "ct", "--anatomy", "lung",
               "--report=false", *WORDS) == 0  # fmt: skip
    one, other = (read_volume(study / name / "warped.nii.gz") for name in ("result", "other"))
    assert one.grid.same_as(other.grid)
    assert float((one.data - other.data).float().abs().mean()) < 2


def test_the_plan_takes_modality_anatomy_and_patient_from_the_headers(registered):
    plan = json.loads((registered / "plan.json").read_text())
    beliefs = plan["plan"]["beliefs"]
    assert beliefs["modality.0 (fixed)"]["source"] == "header"
    assert beliefs["anatomy"]["value"] == "lung"
    assert beliefs["anatomy"]["confidence"] == "declared"
    assert beliefs["pairing"]["value"] == "intra"
    text = explain(plan)
    assert "the DICOM header has Modality CT" in text
    assert "Body Part Examined CHEST" in text


def test_no_output_contains_the_name_or_the_id_of_the_patient(registered, capsys):
    for path in registered.iterdir():
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        for secret in (NAME, NAME.split("^")[0], PATIENT, "19700101"):
            assert secret.encode() not in content, path
    assert run("info", registered.parent / "fixed") == 0
    shown = capsys.readouterr().out
    assert "DICOM: modality CT, body part CHEST" in shown
    assert PATIENT not in shown


def test_two_series_in_one_folder_are_listed_on_one_line(study, capsys):
    error = refusal(capsys, "align", study, study / "moving", study / "a.tfm")
    assert "has 2 DICOM series; choose one by its UID" in error
    assert "'fixed scan'" in error
    assert PATIENT not in error
