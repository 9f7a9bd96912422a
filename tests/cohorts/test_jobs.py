import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from benchmarks.cohorts import write_dataset, write_plan
from support.report_cases import needs_chromium, phantom_registration, screenshot

from zoo import UserError
from zoo.cohorts import jobs as cohorts
from zoo.cohorts import runner as cohort_run
from zoo.cohorts import summary as cohort_summary
from zoo.cohorts import worker as cohort_worker
from zoo.cohorts.disk_space import bytes_of, require_space
from zoo.cohorts.jobs import OWN, RESULT, Cohort, Job, content_of, digest_of_settings
from zoo.cohorts.worker import THUMBNAIL, Share, claim, claims, fail, let_go
from zoo.datasets.pairs import PairFiles, unique_pair_names
from zoo.evaluation.cases import summary
from zoo.geometry import Transform
from zoo.io.atomic import put_folder, write_json
from zoo.io.transforms import write_transform
from zoo.planning.plan import for_a_pair, read_plan
from zoo.reporting.panels import write_thumbnail
from zoo.runtime.signals import Stop, Stopped


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", 3, 16)
    write_plan(folder / "plan.json", folder / "data")
    return folder


@pytest.fixture
def cohort(study, tmp_path):
    """Three jobs with their files, none of them done."""
    shutil.copytree(study / "data", tmp_path / "data")
    plan, folder = cohorts.plan_of_run(study / "plan.json", None, tmp_path / "run")
    plan["dataset_dir"] = str(tmp_path / "data")
    jobs = cohorts.jobs_of(plan, folder)
    cohorts.begin(plan, folder)
    return Cohort(folder, plan, digest_of_settings(plan, None), jobs)


def finish(cohort, job, **figures):
    """Write a result as a worker does."""
    part = cohort.folder / OWN / "part"
    part.mkdir()
    result = {"content": content_of(job, cohort), "figures": figures, "seconds": {"all": 2.0}}
    write_json(part / RESULT, result)
    put_folder(part, job.folder)


def test_pairs_of_one_name_get_folders_of_their_own():
    files = [PairFiles(Path(f"{d}/a.nii.gz"), (Path(f"{d}/b.nii.gz"),)) for d in "xyz"]
    assert unique_pair_names(files) == ["a_b", "a_b-2", "a_b-3"]


def test_a_result_belongs_to_the_bytes_of_all_files(cohort):
    job = cohort.jobs[0]
    finish(cohort, job)
    roles = dict(cohorts._files(job.files))
    assert set(roles) == {
        "fixed", "moving.0", "fixed_labels", "moving_labels", "fixed_points", "moving_points"
    }  # fmt: skip
    for path in roles.values():
        assert cohorts.is_finished(job, cohort)
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        assert not cohorts.is_finished(job, cohort), path
        path.write_bytes(kept)
    assert cohorts.is_finished(job, cohort)
    roles["moving_points"].unlink()
    assert not cohorts.is_finished(job, cohort)


def test_a_file_that_was_only_touched_or_moved_is_still_the_same(cohort, tmp_path):
    job = cohort.jobs[0]
    known = content_of(job, cohort)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    plan = cohort.plan | {"dataset_dir": str(tmp_path / "elsewhere")}
    moved = Cohort(
        cohort.folder, plan, digest_of_settings(plan, None), cohorts.jobs_of(plan, cohort.folder)
    )
    os.utime(moved.jobs[0].files.fixed)
    assert content_of(moved.jobs[0], moved, known)["sha256"] == known["sha256"]


def test_a_file_that_is_as_it_was_is_not_read_again(cohort, monkeypatch):
    job = cohort.jobs[0]
    known = content_of(job, cohort)
    read = []
    digest = cohorts.sha256_of
    monkeypatch.setattr(cohorts, "sha256_of", lambda path: read.append(path) or digest(path))
    assert content_of(job, cohort, known) == known
    assert read == []
    os.utime(job.files.fixed)
    content_of(job, cohort, known)
    assert read == [job.files.fixed]


def test_a_changed_plan_or_other_weights_make_another_digest(cohort):
    plan = cohort.plan
    digest = digest_of_settings(plan, None)
    assert digest_of_settings(plan | {"mode": "paper"}, None) != digest
    assert digest_of_settings(plan, "1") != digest
    told = plan["plan"] | {"content": "another", "cautions": ["a word"]}
    same = plan | {"dataset_dir": "elsewhere", "split": "test", "plan": told}
    assert digest_of_settings(same, None) == digest


def test_another_affine_transform_under_the_same_name_makes_another_digest(cohort, tmp_path):
    def digest(shift, name):
        matrix = torch.eye(4)
        matrix[0, 3] = shift
        write_transform(tmp_path / name, Transform(matrix), None)
        return digest_of_settings(cohort.plan | {"affine": str(tmp_path / name)}, None)

    assert digest(1, "own.tfm") == digest(1, "moved.tfm") != digest(2, "own.tfm")


def test_a_plan_for_one_pair_and_another_runs_folder_are_refused(study, cohort, tmp_path):
    write_json(tmp_path / "pair.json", for_a_pair(read_plan(study / "plan.json")))
    with pytest.raises(UserError, match="plan for one pair"):
        cohorts.plan_of_run(tmp_path / "pair.json", None, None)
    plan, folder = cohorts.plan_of_run(study / "plan.json", None, None)
    assert folder == study / "plan-val"
    with pytest.raises(UserError, match="holds the run of another dataset_dir"):
        cohorts.begin(plan, cohort.folder)
    cohorts.begin(cohort.plan | {"affine": "rigid"}, cohort.folder)
    assert json.loads((cohort.folder / "plan.json").read_text())["affine"] == "rigid"


def test_a_full_disk_is_told_before_the_start(cohort, monkeypatch):
    require_space(cohort.jobs, cohort.plan, cohort.folder)
    one = bytes_of(cohort.jobs[0], cohort.plan)
    assert one == 16**3 * (12 + 2 + 2) + (4 << 20) + (256 << 10)
    plan = cohort.plan | {"inverse": True, "format": "both", "learn2reg": True, "report": False}
    assert bytes_of(cohort.jobs[0], plan) == 16**3 * (12 * 5 + 2 + 2) + (256 << 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 3 * one - 1))
    with pytest.raises(UserError, match=r"3 pairs need up to 13\.\d MB"):
        require_space(cohort.jobs, cohort.plan, cohort.folder)
    require_space(cohort.jobs[:2], cohort.plan, cohort.folder)


def test_processes_begin_at_different_places_and_take_every_job_once(cohort):
    pending = cohorts.pending_jobs(cohort)
    one = claims(cohort, pending, Stop(), Share(0, 2))
    other = claims(cohort, pending, Stop(), Share(1, 2))
    taken = [next(one), next(other), next(one)]
    assert sorted(job.name for job, _ in taken) == [job.name for job in cohort.jobs]
    assert [job for job, _ in taken[:2]] == [cohort.jobs[0], cohort.jobs[1]]
    for job, lock in taken:
        finish(cohort, job)
        let_go(lock)
    assert next(one, None) is None
    assert next(other, None) is None


def test_what_a_process_died_at_is_taken_last(cohort):
    first, *others = cohort.jobs
    claim(first, cohort).release()  # as the system does when a process dies
    found = []
    for job, lock in claims(cohort, cohorts.pending_jobs(cohort), Stop(), Share()):
        found.append(job)
        finish(cohort, job)
        let_go(lock)
    assert found == [*others, first]


HOLD = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(cohort):
    job = cohort.jobs[0]
    claim(job, cohort).release()
    lock = cohort.folder / OWN / "locks" / f"{job.name}.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert claim(job, cohort) is None
        waiting = claims(cohort, {job: None}, Stop(), Share())
        holder.kill()
        began = time.monotonic()
        found, _ = next(waiting)
        assert found == job
        assert time.monotonic() - began < 5


def test_a_failure_settles_a_job_until_the_next_run(cohort):
    job = cohort.jobs[0]
    fail(cohort, job, UserError("the file\nis broken"))
    assert cohorts.failure_of(job)["reason"] == "the file is broken"
    assert "traceback" not in cohorts.failure_of(job)
    assert cohorts.is_settled(job, cohort, None)
    pending = cohorts.pending_jobs(cohort)
    assert list(pending) == list(cohort.jobs)
    assert not cohorts.is_settled(job, cohort, pending[job])
    fail(cohort, job, ZeroDivisionError("no"))
    assert cohorts.is_settled(job, cohort, pending[job])
    assert cohorts.failure_of(job)["reason"] == "ZeroDivisionError: no"
    finish(cohort, job)
    assert cohorts.failure_of(job) is None
    assert cohorts.is_finished(job, cohort)


def test_the_next_pair_is_read_and_the_last_one_saved_while_one_is_registered(cohort, monkeypatch):
    """Each step waits for what should go on beside it: one after the other they would not end."""
    names = [job.name for job in cohort.jobs]
    read, registering, saved = ({name: threading.Event() for name in names} for _ in range(3))
    most = []

    def load(files):
        most.append(
            sum(e.is_set() for e in read.values()) - sum(e.is_set() for e in saved.values())
        )
        read[files.name].set()
        return files

    def register_pair(_evaluator, files):
        place = names.index(files.name)
        registering[files.name].set()
        assert place == 2 or read[names[place + 1]].wait(10)
        return files

    def save(_cohort, loaded, _registration, _saver):
        place = names.index(loaded.job.name)
        assert place == 2 or registering[names[place + 1]].wait(10)
        finish(cohort, loaded.job)
        saved[loaded.job.name].set()
        let_go(loaded.lock)

    workflow = SimpleNamespace(evaluator=None)
    monkeypatch.setattr(cohort_worker, "open_workflow", lambda *_: contextlib.nullcontext(workflow))
    monkeypatch.setattr(cohort_worker, "saver_of", lambda _workflow: None)
    monkeypatch.setattr(cohort_worker, "register_pair", register_pair)
    monkeypatch.setattr(cohort_worker, "load_pair", load)
    monkeypatch.setattr(cohort_worker, "save", save)
    cohort_worker.work(cohort, cohorts.pending_jobs(cohort), Stop(), "cpu", Share())
    assert all(event.is_set() for event in saved.values())
    assert max(most) < 3


def test_a_folder_is_replaced_whole(tmp_path):
    for name, text in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(text)
    put_folder(tmp_path / "new", tmp_path / "old")
    assert [p.name for p in tmp_path.rglob("*.txt")] == ["new.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_the_summary_has_every_pair_the_worst_first(cohort):
    one, two, three = cohort.jobs
    finish(cohort, one, dice_before=0.5, dice_after=0.9)
    finish(cohort, two, dice_before=0.5, dice_after=0.7)
    told = cohort_summary.write_summary(cohort)
    assert told["missing"] == [three.name]
    fail(cohort, three, UserError("it is <broken>"))
    told = cohort_summary.write_summary(cohort)
    assert told["failed"] == [{"name": three.name, "reason": "it is <broken>"}]
    assert told["summary"] == summary([c["figures"] for c in told["cases"]])
    assert told["summary"]["dice_after"]["mean"] == pytest.approx(0.8)
    page = (cohort.folder / "report.html").read_text()
    assert page.index(three.name) < page.index(f"<h3>{two.name}") < page.index(f"<h3>{one.name}")
    assert "it is &lt;broken&gt;" in page
    rows = list(csv.DictReader((cohort.folder / "summary.csv").open()))
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"]
    assert float(rows[1]["dice_after"]) == 0.7
    text = cohort_summary.words(told, cohort.folder)
    assert text.startswith("2 of 3 pairs are registered\nfailed: ")


@needs_chromium
@pytest.mark.parametrize("width", [1200, 390])
def test_chromium_shows_the_cohort_with_its_thumbnails(cohort, tmp_path, width):
    for k, job in enumerate(cohort.jobs[:2]):
        finish(cohort, job, dice_before=0.5, dice_after=0.9 - k / 2, folding_percent=3.0)
        write_thumbnail(phantom_registration(k), job.folder / THUMBNAIL)
    fail(cohort, cohort.jobs[2], UserError(f"/a/{'long' * 50}/path"))
    cohort_summary.write_summary(cohort)
    page = screenshot(cohort.folder / "report.html", tmp_path, width)
    coloured = page.max(axis=2) - page.min(axis=2) > 60
    assert (page.max(axis=2) < 12).mean() > 0.002  # grounds of the thumbnails
    assert coloured.mean() > 0.01
    assert (page[:, :4] == 255).all()
    assert (page[:, width - 4 :] == 255).all()


def test_doubts_come_before_low_figures():
    cases = [
        {"name": "low", "warnings": [], "figures": {"tre_mm_after": 5.0, "dice_after": None}},
        {"name": "lower", "warnings": [], "figures": {"tre_mm_after": 9.0}},
        {"name": "doubtful", "warnings": ["it folds"], "figures": {"tre_mm_after": 1.0}},
    ]
    found = [case["name"] for case in cohort_summary.worst_first(cases)]
    assert found == ["doubtful", "lower", "low"]


def test_a_signal_stops_at_once_only_where_that_is_allowed():
    before = signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wanted
        assert stop.exit_code == 143
        with pytest.raises(Stopped), stop.at_once():
            pytest.fail("it should not begin")
    reached = []
    with Stop() as stop, contextlib.suppress(Stopped), stop.at_once():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the end")
    assert reached == []
    assert stop.exit_code == 130
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("rank", "world", "words"), [("2", "2", "RANK=2"), ("-1", "2", "RANK=-1"), ("a", "2", "whole")]
)
def test_a_rank_that_cannot_be_is_told(monkeypatch, rank, world, words):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(UserError, match=words):
        cohort_run.share_of_environment()


def test_processors_are_shared_unless_something_is_said(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [cohort_run.threads_of(None, n) for n in (1, 3, 20)] == [8, 2, 1]
    assert cohort_run.threads_of(5, 2) == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert cohort_run.threads_of(None, 2) is None


def test_times_are_told_in_the_size_that_matters():
    assert [cohort_run.duration(s) for s in (9, 600, 12000)] == ["9 s", "10 min", "3 h 20 min"]


def test_progress_counts_what_others_settle(cohort, capsys):
    pending = cohorts.pending_jobs(cohort)
    progress = cohort_run.CohortProgress(cohort, pending)
    finish(cohort, cohort.jobs[1])
    progress.look()
    fail(cohort, cohort.jobs[0], UserError("broken"))
    progress.look()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"[1/3] {cohort.jobs[1].name}: done; about ")
    assert lines[1].startswith(f"[2/3] {cohort.jobs[0].name}: failed: broken; about ")


def test_a_job_is_a_key():
    files = PairFiles(Path("a"), (Path("b"),))
    assert {Job("x", files, Path("f")): 1}[Job("x", files, Path("f"))] == 1
