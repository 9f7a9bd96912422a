"""The registration of the pairs of a cohort by one process: load, register and save."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock, Semaphore
from typing import Any

from zoo.cohorts.disk_space import require_space
from zoo.cohorts.jobs import PLAN, Cohort, Job, report_of
from zoo.cohorts.record import Failure, describe_failure, is_finished, replaced_results
from zoo.cohorts.scratch import Scratch, open_scratch
from zoo.datasets.pairs import Pair, load_pair
from zoo.hub.bundles import bundle_folder
from zoo.hub.setting_rules import for_monai
from zoo.registration.result import RegisteredPair
from zoo.registration.uncertainty import with_uncertainty
from zoo.reporting.thumbnail import write_thumbnail
from zoo.runtime.registrar import Registrar, open_registrar

THUMBNAIL = "thumbnail.jpg"
THREADS = 2
"""The number of threads that call `PairWorker.run`: while one registers a pair, the other one saves
the previous pair and loads the next one."""


@dataclass(frozen=True)
class LoadedJob:
    """A job with its pair in memory and the digests of its files."""

    job: Job
    content: dict[str, Any]
    pair: Pair


class PairWorker:
    """Registers pairs of a cohort with one model, whose weights are loaded once."""

    def __init__(
        self, cohort: Cohort, registrar: Registrar, scratch: Scratch | None = None
    ) -> None:
        self.cohort = cohort
        self.registrar = registrar
        self.scratch = scratch
        self._in_memory = Semaphore(THREADS)
        self._registering, self._saving = Lock(), Lock()

    def run(self, job: Job) -> Failure | None:
        """Register a job; return why it failed, or None. May be called by several threads.

        Only one thread registers, and only one saves. A lack of disk space is raised, because it
        concerns all jobs.
        """
        with self._in_memory:
            if is_finished(job, self.cohort):
                return None
            self.require_space(job)
            try:
                loaded = self.load(job)
                with self._registering:
                    registration = self.register(loaded)
                with self._saving:
                    self.save(loaded, registration)
            except Exception as error:
                return describe_failure(error)
        return None

    def require_space(self, job: Job) -> None:
        """Raise `UserError` if the disk has no room for the results of a job."""
        require_space([job], self.cohort, self.cohort.folder)

    def load(self, job: Job) -> LoadedJob:
        """Read the pair of a job and compute the digests of its files."""
        if self.scratch is None:
            return LoadedJob(job, self.cohort.digest(job), load_pair(job.files))
        with self.scratch.holding(job.files, self.cohort.settings) as (files, content):
            return LoadedJob(job, content, load_pair(files))

    def register(self, loaded: LoadedJob) -> RegisteredPair:
        """Register a pair; the result holds the digests for result.json."""
        register, count = self.registrar.register, self.cohort.uncertainty
        registration = register(loaded.pair)
        if count is not None:
            registration = with_uncertainty(register, loaded.pair, registration, count)
        notes = registration.notes | {"content": loaded.content}
        if self.cohort.remote is not None:
            notes |= self.cohort.remote.urls(loaded.job.files)
        return replace(registration, notes=notes)

    def save(self, loaded: LoadedJob, registration: RegisteredPair) -> None:
        """Write the results of a job and move them into place."""
        with replaced_results(self.cohort, loaded.job) as folder:
            write_thumbnail(registration, folder / THUMBNAIL)
            self.registrar.saver.save(registration, folder)


@contextmanager
def open_worker(cohort: Cohort, device: str) -> Iterator[PairWorker]:
    """Open the model of a run's plan and load its weights."""
    bundle = bundle_folder(cohort.model)
    overrides = {
        "pairs": [],
        "handlers": [],
        "bar": False,
        "report": report_of(cohort.plan),
        "output_dir": for_monai(str(cohort.folder.absolute())),
        "bundle_root": for_monai(str(bundle.absolute())),
        "device": f"$torch.device({device!r})",
    }
    plan = (cohort.folder / PLAN).absolute()
    with (
        open_registrar(bundle, overrides, plan) as registrar,
        open_scratch(cohort.remote) as scratch,
    ):
        yield PairWorker(cohort, registrar, scratch)
