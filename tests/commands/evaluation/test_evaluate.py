"""`regzoo evaluate` measures the transforms of any program."""

import csv
import json
import zipfile

import pytest
import torch
from support.learn2reg_cases import write_dataset
from support.report_cases import SMALL, on_disk

from zoo.cli import run
from zoo.geometry import Transform
from zoo.io.transforms import write_transform
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    write_dataset(folder)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    return on_disk(folder, make_pair(3, **SMALL))


def flags(files, *names):
    return [f"--{name.replace('_', '-')}={files[name]}" for name in names]


def test_one_field_of_any_origin(pair, tmp_path, capsys):
    words = flags(pair, "field", "fixed", "moving", "fixed_labels", "moving_labels")
    words += flags(pair, "fixed_points", "moving_points")
    assert run(["evaluate", *words, "--out", str(tmp_path / "f.json")]) == 0
    result = json.loads((tmp_path / "f.json").read_text())
    figures = result["cases"][0]["figures"]
    assert figures["tre_mm_after"] < 0.1
    assert figures["dice_after"] > figures["dice_before"]
    assert {"l2r_dice", "l2r_hd95", "l2r_tre", "l2r_sdlogj"} <= set(figures)
    (row,) = csv.DictReader((tmp_path / "f.csv").open())
    assert float(row["tre_mm_after"]) == figures["tre_mm_after"]
    assert "tre_mm_after" in capsys.readouterr().out


def test_a_field_by_simple_itk_gives_the_same_figures(pair, tmp_path):
    import SimpleITK as sitk

    image = sitk.ReadImage(str(pair["field"]))
    sitk.WriteTransform(
        sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64)),
        str(tmp_path / "t.h5"),
    )
    found = []
    for field in (pair["field"], tmp_path / "t.h5"):
        words = flags(pair | {"field": field}, "field", "fixed", "moving")
        words += flags(pair, "fixed_points", "moving_points")
        assert run(["evaluate", *words, "--out", str(tmp_path / "f.json")]) == 0
        found.append(json.loads((tmp_path / "f.json").read_text())["cases"][0]["figures"])
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_a_folder_of_learn2reg_fields_and_a_submission(dataset, tmp_path, capsys):
    words = [str(dataset / "true"), "--pairs", str(dataset / "pairs.csv")]
    words += ["--out", str(tmp_path / "t.json"), "--submission", str(tmp_path / "s.zip"), "--half"]
    assert run(["evaluate", *words]) == 0
    assert "2 Learn2Reg fields" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "half")
    assert names == ["disp_0001_0000_0001_0001.npz", "disp_0002_0000_0002_0001.npz"]
    words = [str(tmp_path / "half"), "--pairs", str(dataset / "pairs.csv")]
    assert run(["evaluate", *words]) == 0
    full, half = (
        json.loads(path.read_text())["summary"]["tre_mm_after"]["mean"]
        for path in (tmp_path / "t.json", tmp_path / "half" / "figures.json")
    )
    assert full < half < 0.2


def test_a_field_that_is_not_finite_is_one_line_and_exit_2(pair, tmp_path, capsys):
    import nibabel as nib

    image = nib.load(pair["field"])
    data = image.get_fdata(dtype="float32")
    data[2, 3, 4] = float("nan")
    nib.save(nib.Nifti1Image(data, image.affine, image.header), tmp_path / "bad.nii.gz")
    words = flags(pair | {"field": tmp_path / "bad.nii.gz"}, "field", "fixed", "moving")
    assert run(["evaluate", *words, "--out", str(tmp_path / "f.json")]) == 2
    error = capsys.readouterr().err
    assert "bad.nii.gz" in error
    assert "NaN" in error
    assert not (tmp_path / "f.json").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give a folder of results, or --field"),
        (["somewhere", "--field", "x"], "--field is one transform and cannot be combined"),
        (["somewhere", "--fixed", "x"], "add that transform with --field"),
        (["--dataset", "x", "--out", "f.json"], "give that folder"),
        (["somewhere", "--dataset", "x", "--pairs", "y"], "leave --pairs out"),
        (["somewhere", "--split", "val"], "add --dataset"),
        (["--pairs", "pairs.csv"], "--out FILE.json"),
        (["nowhere"], "no result.json"),
        (["--field", "f", "--fixed", "a", "--moving", "b"], "--out FILE.json"),
    ],
)
def test_a_contradiction_is_named_with_its_remedy(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", *words]) == 2
    assert says in capsys.readouterr().err


def test_the_figures_go_to_a_json_file_only(pair, tmp_path, capsys):
    words = flags(pair, "field", "fixed", "moving")
    assert run(["evaluate", *words, "--out", str(tmp_path / "figures.txt")]) == 2
    assert ".json" in capsys.readouterr().err


def test_an_affine_file_is_evaluated_too(pair, tmp_path):
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[0, 3] = 4.0
    write_transform(tmp_path / "t.tfm", Transform(matrix), None)
    words = flags(pair | {"field": tmp_path / "t.tfm"}, "field", "fixed", "moving")
    assert run(["evaluate", *words, "--out", str(tmp_path / "f.json")]) == 0
    figures = json.loads((tmp_path / "f.json").read_text())["cases"][0]["figures"]
    assert figures["folding_percent"] == 0
    assert figures["sd_log_jacobian"] == pytest.approx(0, abs=1e-6)
