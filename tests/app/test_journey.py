"""From two uploads to the result: the same registration as the command and as Python."""

import json
import shlex

import numpy as np
import pytest
import torch
from support.app_client import client, error_of, upload_all, write_phantom
from support.command_line import run

from zoo.io.points import read_points
from zoo.io.transforms import read_transform
from zoo.io.volume import read_header

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

FACTS = {"effort": "fast", "anatomy": "brain", "pairing": "inter", "modality": {"0": "mr"}}


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """A finished registration: the server, the files, the request, and the job."""
    folder = tmp_path_factory.mktemp("files")
    files = write_phantom(folder)
    with client(tmp_path_factory.mktemp("server")) as server:
        request = upload_all(server, files) | FACTS
        id = server.post("/api/jobs", json=request).json()["id"]
        server.get("/api/events", params={"job": id})  # ends with the job
        job = server.get(f"/api/jobs/{id}").json()
        assert job["state"] == "done", job
        yield server, files, request, job


def result_of(journey):
    server, _, _, job = journey
    return server.get(f"/api/jobs/{job['id']}/result").json()


def test_the_plan_changes_with_the_request_without_reading_again(journey, monkeypatch):
    server, _, request, _ = journey
    plan = server.post("/api/plan", json=request | {"model": "multigradicon"}).json()
    beliefs = {belief["name"]: belief for belief in plan["beliefs"]}
    assert (beliefs["anatomy"]["value"], beliefs["anatomy"]["confidence"]) == ("brain", "declared")
    assert beliefs["modality.0"]["value"] == "mr"
    assert beliefs["modality.1"]["value"] is None
    assert plan["effort"] == "fast"
    monkeypatch.setattr("zoo.app.reading.planning.load_pair", None)
    monkeypatch.setattr("zoo.app.reading.planning.pair_fingerprint", None)
    changed = server.post("/api/plan", json=request | {"model": "unigradicon"}).json()
    assert (changed["model"], changed["title"]) == ("unigradicon", "uniGradICON")
    assert changed["because"] != plan["because"]
    normal = server.post("/api/plan", json=request | {"model": "unigradicon", "effort": "normal"})
    assert normal.json()["settings"] != changed["settings"]
    assert {setting["name"] for setting in changed["settings"]} > {"affine"}
    words = shlex.split(changed["command"]["shell"])
    assert words[words.index("--model") + 1] == "unigradicon"


def test_the_plan_is_that_of_the_command(journey, monkeypatch, capsys):
    server, files, request, _ = journey
    facts = {"model": "unigradicon", "effort": "fast"}
    pair = {role: request[role] for role in ("fixed", "moving")}
    plan = server.post("/api/plan", json=pair | facts).json()
    words = shlex.split(plan["command"]["shell"])[1:]
    monkeypatch.chdir(files["fixed"].parent)
    assert run(*words, "--dry-run", "--json") == 0
    section = json.loads(capsys.readouterr().out)["plan"]["plan"]
    choices = dict(section["choices"])
    assert plan["because"] == choices.pop("model")["because"]
    assert plan["settings"] == [{"name": name} | choice for name, choice in choices.items()]
    assert plan["cautions"] == section["cautions"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fixed_labels": "moving_points"}, "moving_points.csv"),
        ({"fixed": "fixed_points"}, "fixed_points.csv"),
        ({"model": "unireg", "anatomy": None}, "anatomy"),
        ({"modality": {"0": "ct", "1": "ct"}, "model": "unigradicon"}, "Hounsfield"),
    ],
)
def test_a_plan_that_cannot_be_made_is_explained_with_names(journey, change, words):
    server, _, request, _ = journey
    change = {role: request.get(value, value) if isinstance(value, str) else value
              for role, value in change.items()}  # fmt: skip
    message = error_of(server.post("/api/plan", json=request | change), 422)
    assert words in message
    assert str(server.state.folder) not in message


def test_the_result_has_verdict_figures_and_files(journey):
    server, _, _, job = journey
    result = result_of(journey)
    assert result["quality"] == job["quality"]
    assert (result["fixed"], result["moving"]) == ("fixed.nii.gz", "moving.nii.gz")
    figures = result["figures"]
    assert f"{figures['dice_after']:.3f}" in json.dumps(result["tables"])
    assert result["tiles"][0]["title"] == "Dice"
    for file in result["files"]:
        answer = server.get(file["url"])
        assert len(answer.content) == file["bytes"]
        shown = file["name"].endswith(".png")
        assert answer.headers["content-disposition"].startswith("inline" if shown else "attachment")
        assert "sandbox" in answer.headers["content-security-policy"]
    assert result["files"][0]["name"] == "report.html"
    assert {"warped.nii.gz", "warped_labels.nii.gz", "report.html"} <= {
        file["name"] for file in result["files"]
    }
    assert server.get(result["picture"]).headers["content-type"] == "image/png"


@pytest.mark.parametrize("name", ["../working", "nothing", "..%2f..%2finputs", "%00", "a/../../b"])
def test_other_files_are_not_given_away(journey, name):
    server, _, _, job = journey
    assert server.get(f"/api/jobs/{job['id']}/files/{name}").status_code == 404


def test_every_format_of_the_transform_maps_the_same(journey, tmp_path):
    server, files, _, job = journey
    fixed, moving = (read_header(files[side]).grid for side in ("fixed", "moving"))
    points = read_points(files["fixed_points"], "ras")
    mapped = {}
    for transform in result_of(journey)["transforms"]:
        answer = server.get(transform["url"])
        path = tmp_path / answer.headers["content-disposition"].split('"')[1]
        path.write_bytes(answer.content)
        mapped[transform["name"]] = read_transform(path, fixed, moving).map_points(points)
    assert set(mapped) == {"itk-nifti", "itk-hdf5", "x5", "learn2reg"}
    truth = read_transform(server.state.jobs[job["id"]].result / "transform.nii.gz")
    for name, there in mapped.items():
        assert torch.allclose(there, truth.map_points(points), atol=0.01), name
    assert not list(server.state.folder.glob("tmp*"))
    error_of(server.get(f"/api/jobs/{job['id']}/transform", params={"format": "lta"}), 422)
    error_of(server.get(f"/api/jobs/{job['id']}/transform"), 422)


def test_the_viewer_shows_the_registration(journey):
    server, _, _, job = journey
    url = f"/api/jobs/{job['id']}/viewer"
    document = server.get(url).json()
    assert document["shape"] == [24, 24, 24]
    assert {"fixed", "warped", "jacobian", "shift0", "warped_labels"} <= set(document["data"])
    after = np.mean([landmark["error_mm"][1] for landmark in document["landmarks"]])
    assert after == pytest.approx(result_of(journey)["figures"]["tre_mm_after"], abs=0.01)
    assert server.get(url).json() == document


def figures_in(folder):
    return json.loads((folder / "result" / "result.json").read_text())["figures"]


@pytest.mark.slow
def test_the_command_gives_the_same_figures(journey, tmp_path, monkeypatch):
    files = write_phantom(tmp_path)
    words = shlex.split(result_of(journey)["command"]["shell"])
    assert words[0] == "regzoo"
    monkeypatch.chdir(files["fixed"].parent)
    assert run(*words[1:]) == 0
    assert figures_in(tmp_path) == result_of(journey)["figures"]


@pytest.mark.slow
def test_the_python_gives_the_same_figures(journey, tmp_path, monkeypatch, capsys):
    write_phantom(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(result_of(journey)["command"]["python"], {})
    assert capsys.readouterr().out.startswith(result_of(journey)["quality"])
    assert figures_in(tmp_path) == result_of(journey)["figures"]
