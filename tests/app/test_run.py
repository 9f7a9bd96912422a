"""The pairs of a run: finished, failed and missing ones, also while the run is in progress."""

import json
import shutil
import time

import pytest
from support.app_client import client, error_of
from support.run_cases import finished_run

from zoo.app.run_watch import RunWatch
from zoo.errors import UserError
from zoo.io.atomic import write_json

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

NAMES = ("a1_a2", "b1_b2", "c1_c2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("cohort"))


@pytest.fixture
def server(finished, tmp_path):
    with client(tmp_path, run=finished) as made:
        yield made


def test_the_table_has_the_figures_of_the_results(server, finished):
    table = server.get("/api/run").json()
    assert (table["name"], table["model"], table["pairs"]) == ("run", "mcbo", 3)
    assert (table["finished"], table["missing"]) == (2, [])
    assert table["errors"] == [{"name": "c1_c2", "reason": "c1 is damaged"}]
    cases = {case["name"]: case for case in table["cases"]}
    assert set(cases) == set(NAMES[:2])
    for name, case in cases.items():
        result = json.loads((finished / name / "result.json").read_text())
        assert case["figures"] == result["figures"]
        assert (case["quality"], case["warnings"]) == (result["quality"], result["warnings"])
        assert case["seconds"] == pytest.approx(sum(result["seconds"].values()))
        assert server.get(case["thumbnail"]).headers["content-type"] == "image/jpeg"
    assert sum(table["quality"].values()) == 2
    assert len(table["columns"]) == len(table["rows"][0])


def test_the_worst_pair_is_first(server, finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    result = json.loads((copy / "b1_b2" / "result.json").read_text())
    write_json(copy / "b1_b2" / "result.json", result | {"quality": "failed", "warnings": ["w"]})
    (tmp_path / "other").mkdir()
    other = client(tmp_path / "other", run=copy)
    assert [case["name"] for case in other.get("/api/run").json()["cases"]] == ["b1_b2", "a1_a2"]


def test_a_pair_opens_like_a_job(server):
    case = server.get("/api/run").json()["cases"][0]
    result = server.get(case["url"]).json()
    assert result["name"] == case["name"]
    assert result["figures"] == case["figures"]
    assert result["command"] is None
    assert server.get(result["picture"]).headers["content-type"] == "image/png"
    assert server.get(f"{case['url']}/viewer").json()["shape"] == [20, 20, 20]
    for link in (*result["files"], *result["transforms"]):
        assert server.get(link["url"]).status_code == 200
    report = next(file for file in result["files"] if file["name"] == "report.html")
    answer = server.get(report["url"])
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["c1_c2", "nothing", ".cohort", "a1_a2%2f..", "%00"])
def test_other_folders_are_not_opened(server, name):
    for rest in ("", "/viewer", "/thumbnail", "/files/result.json", "/files/../../plan.json"):
        assert server.get(f"/api/run/pairs/{name}{rest}").status_code == 404


def test_a_result_that_lists_other_files_does_not_give_them_away(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    result = json.loads((copy / "a1_a2" / "result.json").read_text())
    (copy / "a1_a2" / "link.txt").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text("secret")
    names = ["../plan.json", "link.txt", "/etc/passwd"]
    write_json(copy / "a1_a2" / "result.json", result | {"files": names})
    (tmp_path / "server").mkdir()
    server = client(tmp_path / "server", run=copy)
    for name in names:
        url = f"/api/run/pairs/a1_a2/files/{name.replace('/', '%2f')}"
        assert server.get(url).status_code == 404


def test_a_live_run_is_announced_and_fills_the_table(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.app.run_watch.PAUSE", 0.05)
    live = tmp_path / "live"
    live.mkdir()
    shutil.copy(finished / "plan.json", live)
    (tmp_path / "server").mkdir()
    with client(tmp_path / "server", run=live) as server:
        assert server.state.run.to_json() == {
            "finished": 0, "errors": 0, "pairs": 3, "changed": 0,
        }  # fmt: skip
        assert server.get("/api/run").json()["missing"] == list(NAMES)
        shutil.copytree(finished / "a1_a2", live / "a1_a2")
        until = time.monotonic() + 20
        while server.state.run.to_json()["finished"] == 0:
            assert time.monotonic() < until
            time.sleep(0.02)
        table = server.get("/api/run").json()
        assert ([case["name"] for case in table["cases"]], table["missing"]) == (
            ["a1_a2"],
            ["b1_b2", "c1_c2"],
        )
        assert server.state.told(None)["run"] == ("run", server.state.run.to_json())


def test_a_run_whose_dataset_is_gone_is_still_shown(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    plan = json.loads((copy / "plan.json").read_text())
    write_json(copy / "plan.json", plan | {"dataset_dir": str(tmp_path / "gone")})
    assert RunWatch.open(copy).to_json()["pairs"] == 3  # from the summary
    (copy / "summary.json").unlink()
    (tmp_path / "server").mkdir()
    server = client(tmp_path / "server", run=copy)
    table = server.get("/api/run").json()
    assert (table["pairs"], table["missing"], table["finished"]) == (None, None, 2)


def test_a_damaged_result_is_left_out(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    (copy / "a1_a2" / "result.json").write_text("{")
    (tmp_path / "server").mkdir()
    server = client(tmp_path / "server", run=copy)
    assert [case["name"] for case in server.get("/api/run").json()["cases"]] == ["b1_b2"]
    error_of(server.get("/api/run/pairs/a1_a2"), 422)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="--run"):
        RunWatch.open(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        RunWatch.open(tmp_path / "nothing")


def test_without_the_option_there_is_no_run(tmp_path):
    assert "--run" in error_of(client(tmp_path).get("/api/run"), 404)
