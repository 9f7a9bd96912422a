"""The threads of a worker share its model, and two pairs at most are in memory."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from zoo import UserError
from zoo.cohorts import worker as module
from zoo.cohorts.record import RESULT, is_finished
from zoo.cohorts.worker import PairWorker, open_worker
from zoo.io.atomic import write_json

pytestmark = pytest.mark.usefixtures("symmetry_without_search")


class Gauge:
    """Counts how many threads are inside, and remembers the largest number."""

    def __init__(self):
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self.lock:
            self.now -= 1


class StubWorker(PairWorker):
    """Registers nothing, and measures which steps run at the same time."""

    def __init__(self, cohort, release):
        super().__init__(cohort, registrar=None)
        self.release = release
        self.gauges = {name: Gauge() for name in ("load", "register", "save")}
        self.overlapped = threading.Event()

    def load(self, job):
        with self.gauges["load"]:
            if self.gauges["register"].now:
                self.overlapped.set()
            return SimpleNamespace(job=job)

    def register(self, loaded):
        with self.gauges["register"]:
            if loaded.job is self.cohort.jobs[0]:
                raise UserError("no overlap\nat all")
            self.release.wait(10)
            return None

    def save(self, loaded, registration):
        with self.gauges["save"]:
            pass


def test_one_thread_registers_while_another_one_loads(cohort):
    release = threading.Event()
    worker = StubWorker(cohort, release)
    with ThreadPoolExecutor(8) as threads:
        outcomes = [threads.submit(worker.run, job) for job in (*cohort.jobs, *cohort.jobs)]
        assert worker.overlapped.wait(10)
        release.set()
    failures = [outcome.result() for outcome in outcomes]
    assert failures[0] == failures[3] == {"reason": "no overlap at all"}
    assert failures[1:3] == failures[4:] == [None, None]
    assert worker.gauges["register"].most == worker.gauges["save"].most == 1
    assert worker.gauges["load"].most <= module.THREADS


def test_a_full_disk_concerns_the_run_and_a_finished_pair_is_left_alone(cohort, monkeypatch):
    worker = StubWorker(cohort, threading.Event())
    finished, pending = cohort.jobs[:2]
    finished.folder.mkdir()
    (finished.folder / RESULT).write_text(json.dumps({"content": cohort.digest(finished)}))
    full = shutil._ntuple_diskusage(0, 0, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert is_finished(finished, cohort)
    assert worker.run(finished) is None
    with pytest.raises(UserError, match="free some space"):
        worker.run(pending)


def test_the_report_of_a_pair_is_full_if_the_run_asks_for_it(cohort):
    full = replace(cohort, plan=cohort.plan | {"report": "full"}, jobs=cohort.jobs[:1])
    write_json(full.folder / "plan.json", full.plan)
    with open_worker(full, "cpu") as worker:
        assert worker.run(full.jobs[0]) is None
    assert 'id="viewer"' in (full.jobs[0].folder / "report.html").read_text()
