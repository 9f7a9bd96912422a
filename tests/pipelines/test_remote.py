"""Inputs at URLs give what local files give, and their URLs are in the results."""

import json
import os
from tempfile import gettempdir

import fsspec
import pytest
from benchmarks.cohorts import finished, write_dataset, write_plan
from support.command_line import refusal
from support.dask_clusters import cluster_in_this_process
from support.quick_registrations import SETTINGS

import zoo
from zoo.cli import run
from zoo.cohorts.clusters import quiet_dask

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

MEMORY = fsspec.filesystem("memory")
NAMES = [f"Phantom_000{k}_0000_Phantom_000{k}_0001" for k in (1, 2)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two pairs on the disk and at a URL, the plan, and a run with the files on the disk.

    The plan `plain.json` is the same without reports.
    """
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", 2, 16)
    write_plan(folder / "plan.json", folder / "data", affine="none", report="light", **SETTINGS)
    plain = json.loads((folder / "plan.json").read_text()) | {"report": False}
    (folder / "plain.json").write_text(json.dumps(plain))
    assert zoo.run(folder / "plan.json", out=folder / "local", threads=1).complete
    MEMORY.put(str(folder / "data") + "/", "/bucket/study/", recursive=True)
    yield folder
    MEMORY.rm("/bucket", recursive=True)


def mentions_of_copies(folder):
    """The text files of a result that mention a temporary copy."""
    texts = [path for path in folder.rglob("*") if path.suffix in (".json", ".html", ".csv")]
    return [path for path in texts if f"{gettempdir()}/regzoo-" in path.read_text()]


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_run_of_a_dataset_at_a_url(study, tmp_path, scheme, capsys):
    url = "memory://bucket/study" if scheme == "memory" else f"file://{study}/data"
    folder = tmp_path / "run"
    words = ["run", str(study / "plan.json"), "--out", str(folder), "--data", url]
    words += ["--threads", "1", "--quiet"]
    assert run([*words, "--dry-run"]) == 0
    assert run(words) == 0
    for name in NAMES:
        for file in ("transform.nii.gz", "warped.nii.gz", "warped_labels.nii.gz"):
            assert (folder / name / file).read_bytes() == (
                study / "local" / name / file
            ).read_bytes()
        result = json.loads((folder / name / "result.json").read_text())
        case = name[8:12]
        images = f"{url}/imagesTr/Phantom_{case}_000"
        assert (result["fixed"], result["moving"]) == (f"{images}0.nii.gz", [f"{images}1.nii.gz"])
        assert result["fixed_labels"] == f"{url}/labelsTr/Phantom_{case}_0000.nii.gz"
        local = json.loads((study / "local" / name / "result.json").read_text())
        hashes = [
            {role: part["sha256"] for role, part in r["content"]["files"].items()}
            for r in (result, local)
        ]
        assert hashes[0] == hashes[1]
        assert result["figures"] == local["figures"]
    assert json.loads((folder / "summary.json").read_text())["dataset"] == url
    assert not mentions_of_copies(folder)
    before = finished(folder)
    assert run(words) == 0
    assert finished(folder) == before


def test_a_changed_file_is_registered_again(study, tmp_path):
    MEMORY.put(str(study / "data") + "/", "/bucket/other/", recursive=True)
    options = {"out": tmp_path / "run", "threads": 1, "data": "memory://bucket/other"}
    zoo.run(study / "plain.json", **options)
    before = finished(tmp_path / "run")
    source = study / "data/imagesTr/Phantom_0001_0001.nii.gz"
    MEMORY.put(str(source), "/bucket/other/imagesTr/Phantom_0002_0001.nii.gz")
    zoo.run(study / "plain.json", **options)
    after = finished(tmp_path / "run")
    assert [name for name in NAMES if after[name] != before[name]] == [NAMES[1]]


def test_workers_download_by_themselves(study, tmp_path):
    folder = tmp_path / "run"
    words = ["run", str(study / "plain.json"), "--out", str(folder), "--quiet", "--scratch", "1MB"]
    words += ["--data", f"file://{study}/data", "--threads", "1", "--scheduler"]
    with quiet_dask(), cluster_in_this_process() as cluster:
        assert run([*words, cluster.scheduler_address]) == 0
    for name in NAMES:
        local = study / "local" / name
        for file in ("transform.nii.gz", "warped.nii.gz"):
            assert (folder / name / file).read_bytes() == (local / file).read_bytes()


def test_what_a_url_does_not_allow_is_refused(study, tmp_path, capsys):
    words = ["run", study / "plan.json", "--out", tmp_path / "run", "--data"]
    assert "leave them out" in refusal(capsys, *words, "s3://key:secret@bucket/study")
    assert "neither dataset.json nor pairs.csv" in refusal(capsys, *words, "memory://bucket")
    MEMORY.pipe(
        "/bucket/bad/dataset.json", b'{"registration_val": [{"fixed": "../a", "moving": "b"}]}'
    )
    told = refusal(capsys, *words, "memory://bucket/bad")
    assert "memory://bucket/bad/dataset.json" in told
    assert "leads out of a folder with .." in told
    assert not (tmp_path / "run").exists()
    assert "--scratch 'x' is not a number" in refusal(
        capsys, *words, "memory://bucket/study", "--scratch", "x"
    )


def test_a_pair_that_does_not_fit_into_the_scratch_folder_is_an_error_of_the_pair(study, tmp_path):
    options = {"data": "memory://bucket/study", "scratch": "1KB", "threads": 1}
    result = zoo.run(study / "plan.json", out=tmp_path / "run", **options)
    reasons = [row["reason"] for row in result.summary["errors"]]
    assert len(reasons) == 2
    assert all("--scratch allows" in reason for reason in reasons)


def test_a_registration_of_files_at_urls(study, tmp_path):
    url = "memory://bucket/study"
    images = [f"{url}/imagesTr/Phantom_0001_000{k}.nii.gz" for k in (0, 1)]
    registration = zoo.register(
        *images,
        plan=study / "plan.json",
        fixed_labels=f"{url}/labelsTr/Phantom_0001_0000.nii.gz",
        moving_labels=study / "data/labelsTr/Phantom_0001_0001.nii.gz",
        out=tmp_path / "out",
        report="light",
        threads=1,
    )
    for file in ("transform.nii.gz", "warped_labels.nii.gz"):
        local = study / "local" / NAMES[0] / file
        assert (tmp_path / "out" / file).read_bytes() == local.read_bytes()
    assert [registration.result["fixed"], *registration.result["moving"]] == images
    assert registration.result["fixed_labels"] == f"{url}/labelsTr/Phantom_0001_0000.nii.gz"
    assert registration.result["moving_labels"] == os.fspath(
        study / "data/labelsTr/Phantom_0001_0001.nii.gz"
    )
    assert not mentions_of_copies(tmp_path / "out")


def test_a_url_that_cannot_be_read_is_one_line(study, tmp_path, capsys):
    local = study / "data/imagesTr/Phantom_0001_0000.nii.gz"
    words = ["register", local, "memory://bucket/none.nii.gz", "--out", tmp_path / "out"]
    assert "there is no memory://bucket/none.nii.gz" in refusal(capsys, *words)
    assert not (tmp_path / "out").exists()


def test_a_report_of_files_at_urls_says_to_download_them(study, tmp_path, capsys):
    options = {"data": "memory://bucket/study", "threads": 1}
    zoo.run(study / "plain.json", out=tmp_path / "run", **options)
    told = refusal(capsys, "report", tmp_path / "run" / NAMES[0])
    assert "memory://bucket/study/imagesTr" in told
    assert "download" in told
