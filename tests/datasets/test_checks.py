import io
import json
import pickle
import re
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from support.bad_inputs import make
from support.planning_data import nifti, write_document, write_learn2reg

from zoo.datasets.archives import archive_problems
from zoo.datasets.checks import all_problems
from zoo.datasets.problems import problem_from_error
from zoo.datasets.reading import read_dataset
from zoo.datasets.scan import decoding_workers, evenly_spaced, scan_dataset
from zoo.errors import UserError
from zoo.io.volume import read_header


def problems_of(folder, **more):
    return all_problems(scan_dataset(read_dataset(folder), **more))


@pytest.fixture(scope="module")
def bad_dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("bad ünput")
    return make(root), problems_of(root / "data")


with TemporaryDirectory() as _folder:
    NAMES = [case.name for case in make(Path(_folder))]


@pytest.mark.parametrize("name", NAMES)
def test_every_bad_input_of_one_dataset_is_found_in_one_run(bad_dataset, name):
    expected, problems = bad_dataset
    case = next(case for case in expected if case.name == name)
    of_file = [p for p in problems if p.file == case.file]
    assert any(p.id in case.id.split("|") for p in of_file), [str(p) for p in of_file]


def test_good_images_of_the_bad_dataset_have_no_problems(bad_dataset):
    expected, problems = bad_dataset
    assert len({case.name for case in expected}) >= 60
    assert [str(p) for p in problems if p.file.endswith("_0001.nii.gz")] == []


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "LPI", "ASR", "PIL", "SLA", "IRP"])
def test_clean_phantoms_of_any_orientation_have_no_problems(tmp_path, axes):
    write_learn2reg(
        tmp_path,
        axes=axes,
        tilt_degrees=17 if axes[0] in "LS" else 0,
        moving_axes="SAR",
        moving_shape=(26, 30, 33),
        spacing=(2.0, 1.5, 3.1),
        moving_spacing=(2.5, 2.5, 2.5),
    )
    problems = [p for p in problems_of(tmp_path, everything=True) if p.id != "case-in-two-splits"]
    assert [str(p) for p in problems] == []


def test_a_fourth_axis_of_length_one_is_accepted(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (24, 22, 20, 1)).astype(np.int16)
    for case in (1, 2):
        nifti(tmp_path / "imagesTr" / f"A_{case:04d}_0000.nii.gz", data + case)
    write_document(tmp_path, {"training": [f"imagesTr/A_{k:04d}_0000.nii.gz" for k in (1, 2)]})
    assert problems_of(tmp_path) == []


def test_worker_processes_give_the_same_facts(tmp_path):
    write_learn2reg(tmp_path, shape=(20, 22, 18))
    (tmp_path / "labelsTr" / "Ph_0001_0000.nii.gz").write_bytes(b"\x1f\x8bnothing")
    dataset = read_dataset(tmp_path)
    one, two = (scan_dataset(dataset, workers=n) for n in (1, 2))
    assert one.voxels == two.voxels
    assert [p.id for p in one.problems] == ["truncated"]


def test_the_number_of_workers_is_limited_by_cores_and_memory(monkeypatch):
    monkeypatch.setattr("zoo.datasets.scan.available_cores", lambda: 8)
    monkeypatch.setattr("zoo.datasets.scan.available_memory", lambda: 24 * 1000 * 3)
    assert [decoding_workers(voxels) for voxels in (1, 1000, 3001)] == [8, 3, 1]


def test_a_sample_covers_the_whole_range_of_names():
    assert evenly_spaced("abcdefgh", 4) == list("aceg")
    assert evenly_spaced("abc", 4) == list("abc")


def test_the_code_of_an_error_survives_the_way_from_a_worker_process():
    error = pickle.loads(pickle.dumps(UserError("x is too short; copy it", code="truncated")))
    problem = problem_from_error(error, "x", "x")
    assert (problem.id, problem.fix) == ("truncated", "copy it")
    assert problem_from_error(OSError("no space"), "x", "y").id == "unreadable"


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("d/x.nii is cut; copy it", "the file is cut", "copy it"),
        ("d/x.csv, line 3: 2 columns; add one", "line 3: 2 columns", "add one"),
        ("there is no file d/x.nii; check it", "there is no file", "check it"),
        ("cannot read d/x.nii (why): copy it", "cannot read (why)", "copy it"),
    ],
)
def test_a_problem_does_not_repeat_the_path_of_its_file(text, what, fix):
    path = "d/x.csv" if ".csv" in text else "d/x.nii"
    problem = problem_from_error(UserError(text), "x", path)
    assert (problem.what, problem.fix) == (what, fix)


def test_a_truncated_file_is_found_although_only_a_sample_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.datasets.scan.SAMPLE", 2)
    names = [f"imagesTr/A_{k:04d}_0000.nii.gz" for k in range(6)]
    for k, name in enumerate(names):
        data = np.random.default_rng(k).integers(0, 99, (24, 22, 20)).astype(np.int16)
        nifti(tmp_path / name, data)
    cut = (tmp_path / names[4]).read_bytes()
    (tmp_path / names[4]).write_bytes(cut[:-200])
    write_document(tmp_path, {"training": names})
    scan = scan_dataset(read_dataset(tmp_path))
    assert sorted(scan.voxels) == [names[0], names[3], names[4]]
    assert [(p.id, p.file) for p in all_problems(scan)] == [("truncated", names[4])]


def _zip(path, name, mode=0o100644, size=3):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("x")
        info.filename, info.external_attr = name, mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, b"0" * size)


def _tar(path, name, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        info.size = 3 if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(b"abc"))


@pytest.mark.parametrize(
    ("id", "write"),
    [
        (None, lambda path: _zip(path, "imagesTr/a.nii.gz")),
        ("archive-path-parent", lambda path: _zip(path, "../a.nii.gz")),
        ("archive-path-absolute", lambda path: _zip(path, "/a.nii.gz")),
        ("archive-path-backslash", lambda path: _zip(path, "a\\..\\b")),
        ("archive-link", lambda path: _zip(path, "a.nii.gz", mode=0o120777)),
        ("archive-broken", lambda path: path.write_bytes(b"PK nothing")),
    ],
)
def test_a_zip_is_checked_without_unpacking(tmp_path, id, write):
    write(tmp_path / "data.zip")
    problems = archive_problems(tmp_path / "data.zip")
    assert {problem.id for problem in problems} == ({id} if id else set())
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


@pytest.mark.parametrize(
    ("id", "write"),
    [
        (None, lambda path: _tar(path, "imagesTr/a.nii.gz")),
        ("archive-path-parent", lambda path: _tar(path, "a/../../b.nii.gz")),
        ("archive-link", lambda path: _tar(path, "a.nii.gz", tarfile.SYMTYPE)),
        ("archive-link", lambda path: _tar(path, "a.nii.gz", tarfile.LNKTYPE)),
        ("archive-link", lambda path: _tar(path, "a.nii.gz", tarfile.FIFOTYPE)),
        ("archive-broken", lambda path: path.write_bytes(b"\x1f\x8bnothing")),
    ],
)
def test_a_tar_is_checked_without_unpacking(tmp_path, id, write):
    write(tmp_path / "data.tar.gz")
    problems = archive_problems(tmp_path / "data.tar.gz")
    assert {problem.id for problem in problems} == ({id} if id else set())


def test_an_archive_bomb_is_recognised_by_its_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.datasets.archives.UNCHECKED_BYTES", 1 << 16)
    _zip(tmp_path / "data.zip", "a.nii.gz", size=1 << 22)
    assert [p.id for p in archive_problems(tmp_path / "data.zip")] == ["archive-bomb"]


def test_problems_have_a_stable_id_a_description_and_a_remedy(bad_dataset):
    for problem in bad_dataset[1]:
        assert re.fullmatch(r"[a-z0-9-]+", problem.id)
        assert len(problem.what) > 5
        assert len(problem.fix) > 5


def write_slot(folder, modality, images):
    """Write one case per image, all of slot 0 and one modality."""
    entries = []
    for case, data in enumerate(images):
        name = f"imagesTr/M_{case:04d}_0000.nii.gz"
        nifti(folder / name, data.astype(np.int16))
        entries.append({"image": f"./{name}"})
    modalities = {} if modality is None else {"modality": {"0": modality}}
    write_document(folder, {"name": "M", "training": entries, **modalities})


def image_of(kind, seed):
    low, high = (-1024, 1500) if kind == "ct" else (0, 900)
    return np.random.default_rng(seed).integers(low, high, (14, 12, 13))


@pytest.mark.parametrize(
    ("modality", "kinds", "id", "odd"),
    [
        ("MR", ("mr", "mr", "ct", "mr"), "modality-hounsfield", [2]),
        ("MR", ("ct", "ct", "ct", "mr"), "modality-hounsfield", [0, 1, 2]),
        ("MR", ("ct",), "modality-hounsfield", [0]),
        ("CT", ("ct", "mr", "ct"), "units-mixed", [1]),
        ("CT", ("ct", "mr", "mr"), "units-mixed", [1, 2]),
        (None, ("mr", "ct"), "units-mixed", [1]),
        (None, ("ct", "ct", "mr"), "units-mixed", [2]),
        ("MR", ("mr", "mr"), None, []),
        ("CT", ("ct", "ct"), None, []),
    ],
)
def test_each_image_that_contradicts_its_slot_is_an_error(tmp_path, modality, kinds, id, odd):
    write_slot(tmp_path, modality, [image_of(kind, k) for k, kind in enumerate(kinds)])
    problems = [p for p in problems_of(tmp_path) if p.id in ("modality-hounsfield", "units-mixed")]
    expected = [f"imagesTr/M_{case:04d}_0000.nii.gz" for case in odd]
    assert sorted(problem.file for problem in problems) == expected
    assert {(problem.id, problem.level) for problem in problems} <= {(id, "error")}


@pytest.mark.parametrize("far", [False, True])
def test_landmarks_of_slicer_are_checked_in_the_space_that_they_record(tmp_path, far):
    write_learn2reg(tmp_path, cases=(1, 2))
    dataset = read_dataset(tmp_path)
    assert dataset.points_space == "voxel"
    image = dataset.named_pairs[0].fixed
    (tmp_path / "landmarksTr").mkdir()
    name = f"landmarksTr/{Path(image).name.removesuffix('.nii.gz')}.mrk.json"
    grid = read_header(tmp_path / image).grid
    centre = grid.centre + torch.tensor([1e3 if far else 0, 0, 0])
    position = (centre * torch.tensor([-1, -1, 1])).tolist()
    markup = {"type": "Fiducial", "coordinateSystem": "LPS"}
    markup["controlPoints"] = [{"label": "A", "position": position}]
    for csv in tmp_path.glob(f"*/{Path(image).name.removesuffix('.nii.gz')}.csv"):
        csv.unlink()
    (tmp_path / name).write_text(json.dumps({"markups": [markup]}))
    found = {item.image: item.points for item in read_dataset(tmp_path).by_image.values()}
    assert found[image] == name
    problems = [p.id for p in problems_of(tmp_path) if p.file == name]
    assert problems == (["points-outside"] if far else [])
