"""`regzoo run`: several processes, killed, stopped and resumed, give what one process gives."""

import json
import shutil
import signal
import time

import pytest
from benchmarks.cohorts import (
    finished,
    outputs,
    process_tree,
    start,
    worker_processes,
    write_dataset,
    write_plan,
)

from zoo.cli import run

PAIRS, SIZE = 6, 24
NAMES = [f"Phantom_{k:04d}_0000_Phantom_{k:04d}_0001" for k in range(1, PAIRS + 1)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A dataset with its plan, and what one process makes of it."""
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", PAIRS, SIZE)
    write_plan(folder / "plan.json", folder / "data", affine="none", report=False, fluid="never")
    assert run(["run", str(folder / "plan.json"), "--out", str(folder / "whole")]) == 0
    return folder


def until(ready, process, seconds=300):
    end = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_every_pair_has_its_folder_and_all_a_summary(study):
    told = json.loads((study / "whole" / "summary.json").read_text())
    assert [case["name"] for case in told["cases"]] == NAMES
    assert told["finished"] == told["pairs"] == PAIRS
    for name in NAMES:
        result = json.loads((study / "whole" / name / "result.json").read_text())
        assert result["figures"]["dice_after"] > result["figures"]["dice_before"]
        assert {p.name for p in (study / "whole" / name).iterdir()} == {
            "result.json", "thumbnail.jpg", "transform.nii.gz", "warped.nii.gz",
            "warped_labels.nii.gz",
        }  # fmt: skip
    assert (study / "whole" / "report.html").read_text().count("<img") == PAIRS


def test_a_pair_of_a_run_is_what_register_makes_of_it(study, tmp_path):
    data = study / "data"
    words = [str(data / "imagesTr" / f"Phantom_0002_000{k}.nii.gz") for k in (0, 1)]
    words += ["--plan", str(study / "plan.json"), "--out", str(tmp_path)]
    assert run(["register", *words]) == 0
    for name in ("transform.nii.gz", "warped.nii.gz"):
        one = (tmp_path / name).read_bytes()
        assert one == (study / "whole" / NAMES[1] / name).read_bytes()


@pytest.mark.slow
def test_killed_then_stopped_then_finished(study, tmp_path):
    folder = tmp_path / "run"
    process = start(study / "plan.json", folder)
    until(lambda: len(finished(folder)) >= 1, process)
    process.kill()
    process.wait()
    killed = finished(folder)
    assert not (folder / "summary.json").exists()

    process = start(study / "plan.json", folder)
    until(lambda: len(finished(folder)) > len(killed), process)
    process.terminate()
    _, errors = process.communicate()
    stopped = finished(folder)
    assert process.returncode == 143
    assert "run the same command again to resume" in errors.decode()
    told = json.loads((folder / "summary.json").read_text())
    assert told["finished"] == len(stopped) == PAIRS - len(told["missing"])
    assert killed.items() <= stopped.items()
    assert sorted(p.name for p in folder.glob("Phantom*")) == sorted(stopped)

    assert run(["run", str(study / "plan.json"), "--out", str(folder)]) == 0
    assert stopped.items() <= finished(folder).items()
    assert outputs(folder) == outputs(study / "whole")


@pytest.mark.slow
def test_workers_survive_a_killed_worker_and_end_with_a_killed_client(study, tmp_path):
    folder = tmp_path / "run"
    process = start(study / "plan.json", folder, "--workers", "2")
    until(lambda: len(finished(folder)) >= 1, process)
    first = finished(folder)
    workers = worker_processes(process)
    assert len(workers) == 2
    workers[0].kill()
    until(lambda: len(finished(folder)) >= 3, process)
    remaining = process_tree(process)[1:]
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    for worker in remaining:
        worker.wait(60)
    lines = errors.decode().splitlines()
    assert lines[0].startswith("regzoo: dashboard: http://127.0.0.1:")
    assert sum("has left; others take over its pairs" in line for line in lines) == 1
    assert not [line for line in lines if "distributed" in line or "Traceback" in line]
    before = finished(folder)
    assert first.items() <= before.items()
    assert run(["run", str(study / "plan.json"), "--out", str(folder)]) == 0
    assert before.items() <= finished(folder).items()
    assert outputs(folder) == outputs(study / "whole")


def test_what_changed_is_done_again_and_a_failing_pair_stops_nothing(study, tmp_path, capsys):
    shutil.copytree(study / "data", tmp_path / "data")
    shutil.copytree(study / "whole", tmp_path / "plan-val", ignore=shutil.ignore_patterns(".c*"))
    (tmp_path / "plan-val" / "plan.json").unlink()
    before = finished(tmp_path / "plan-val")
    image = tmp_path / "data" / "imagesTr" / "Phantom_0002_0000.nii.gz"
    whole = image.read_bytes()
    for content, code in ((whole[:2000], 1), (whole, 0)):
        image.write_bytes(content)
        write_plan(
            tmp_path / "plan.json", tmp_path / "data", affine="none", report=False, fluid="never"
        )
        assert run(["run", str(tmp_path / "plan.json")]) == code
        after = finished(tmp_path / "plan-val")
        changed = [name for name in NAMES if after.get(name) != before[name]]
        assert changed == [NAMES[1]]
        told = json.loads((tmp_path / "plan-val" / "summary.json").read_text())
        assert [row["name"] for row in told["errors"]] == changed * code
        assert (f"error: {NAMES[1]}" in capsys.readouterr().out) == bool(code)
    assert "truncated or damaged" not in str(told)
    for name in ("transform.nii.gz", "warped.nii.gz"):
        again = (tmp_path / "plan-val" / NAMES[1] / name).read_bytes()
        assert again == (study / "whole" / NAMES[1] / name).read_bytes()


def test_a_run_is_evaluated_and_compared(study, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(study / "whole", folder)
    assert run(["evaluate", str(folder)]) == 0
    by_run = json.loads((folder / "figures.json").read_text())
    out = tmp_path / "fields.json"
    words = ["--dataset", str(study / "data" / "dataset.json"), "--out", str(out)]
    assert run(["evaluate", str(folder), *words]) == 0
    assert json.loads(out.read_text())["summary"] == by_run["summary"]
    capsys.readouterr()
    assert run(["compare", str(folder), str(study / "whole")]) == 0
    assert f"{PAIRS} pairs in common" in capsys.readouterr().out


def contents(folder):
    """The bytes and times of all files below a folder."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def test_a_dry_run_tells_what_is_pending_and_writes_nothing(study, tmp_path, capsys):
    words = ["run", str(study / "plan.json"), "--dry-run", "--out"]
    assert run([*words, str(tmp_path / "new" / "run")]) == 0
    told = capsys.readouterr().out
    assert f"{PAIRS} pairs of the split val: 0 finished, {PAIRS} pending" in told
    assert not (tmp_path / "new").exists()

    shutil.copytree(study / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / NAMES[3])
    before = contents(tmp_path)
    assert run([*words, str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pending"] == [NAMES[3]]
    assert told["finished"] == [name for name in NAMES if name != NAMES[3]]
    assert told["unreadable"] == []
    voxels = SIZE**3
    assert told["needed_bytes"] == voxels * (12 + 2 + 2) + (256 << 10)  # field, image and labels
    assert contents(tmp_path) == before


def test_a_dry_run_refuses_what_the_run_would(study, tmp_path, capsys):
    shutil.copytree(study / "data", tmp_path / "data")
    image = tmp_path / "data" / "imagesTr" / "Phantom_0002_0000.nii.gz"
    image.write_bytes(b"not an image")
    write_plan(
        tmp_path / "plan.json", tmp_path / "data", affine="none", report=False, fluid="never"
    )
    words = ["run", str(tmp_path / "plan.json"), "--dry-run", "--quiet", "--out"]
    assert run([*words, str(tmp_path / "run")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"regzoo: {NAMES[1]} cannot be registered: ")
    assert run([*words, str(study / "whole")]) == 2
    assert "contains the run of another dataset_dir" in capsys.readouterr().err
    assert run([*words, str(tmp_path / "plan.json" / "run")]) == 2
    assert "plan.json is a file" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_json_is_all_of_stdout_and_quiet_prints_errors_only(study, tmp_path, capsys):
    shutil.copytree(study / "whole", tmp_path / "run")
    words = ["run", str(study / "plan.json"), "--out", str(tmp_path / "run")]
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("folder") == str(tmp_path / "run")
    assert told == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert run([*words, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    warned = [case["name"] for case in told["cases"] for _ in case["warnings"]]
    assert [line.split(": ")[1] for line in err.splitlines()] == warned
    assert run([*words, "--quiet", "--json"]) == 2
    assert "--json and --quiet exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--split", "vall"], "--split must be train, val, test or all"),
        (["--split", "test"], "no pairs in the split 'test'; the splits with pairs are val"),
        (["--workers", "0"], "--workers 0 must be 1 or more, or auto"),
        (["--cluster", "slurm"], "--cluster-config FILE.yaml belong together"),
        (["--device", "gpu"], "use cpu, cuda"),
        (["--wrokers", "2"], "did you mean --workers"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_begun(study, tmp_path, capsys, words, says):
    assert run(["run", str(study / "plan.json"), "--out", str(tmp_path / "run"), *words]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("run/Phantom*"))
