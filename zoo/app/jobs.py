"""The queue of registrations: one runs at a time, the others wait in the order of their arrival."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zoo.app.changes import Changes
from zoo.app.job_process import UNEXPECTED, JobProcess, why_it_failed
from zoo.app.registration_request import RESULT_FOLDER, Chosen, job_words
from zoo.app.request_error import RequestError
from zoo.errors import UserError
from zoo.io.json_documents import read_json_object

State = Literal["waiting", "running", "done", "failed", "cancelled"]
MOST_WAITING = 20

log = logging.getLogger("regzoo.app")


@dataclass
class Job:
    """A registration that waits, runs or has ended; `folder` holds its result."""

    id: str
    chosen: Chosen
    folder: Path
    state: State = "waiting"
    percent: float | None = None
    stage: str = ""
    quality: str | None = None
    error: str | None = None
    started: float | None = None
    seconds: float = 0.0
    cancelled: bool = False
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    process: JobProcess | None = None
    used: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> bool:
        """Whether the job neither waits nor runs."""
        return self.state not in ("waiting", "running")

    @property
    def result(self) -> Path:
        """The folder of the result, which exists once the job is done."""
        return self.folder / RESULT_FOLDER

    def to_json(self, ahead: int) -> dict[str, Any]:
        """Return the document of the job, before which `ahead` jobs are waiting or running."""
        seconds = self.seconds
        if self.state == "running" and self.started is not None:
            seconds = time.monotonic() - self.started
        return {
            "id": self.id,
            "name": self.chosen.name,
            "state": self.state,
            "ahead": ahead,
            "percent": self.percent,
            "stage": self.stage,
            "seconds": round(seconds, 1),
            "quality": self.quality,
            "error": self.error,
            "request": self.chosen.request.to_json(),
            "inputs": dict(self.chosen.names),
        }


class Jobs:
    """All jobs of a server, the oldest first."""

    def __init__(
        self, folder: Path, changes: Changes, without_folders: Callable[[str], str]
    ) -> None:
        self.folder = folder
        self.changes = changes
        self.without_folders = without_folders
        self._jobs: dict[str, Job] = {}
        self._added = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    def __getitem__(self, id: str) -> Job:
        job = self._jobs.get(id)
        if job is None:
            raise RequestError("there is no such registration on the server; it was removed", 404)
        job.used = time.monotonic()
        return job

    def __contains__(self, id: str) -> bool:
        return id in self._jobs

    def start(self) -> None:
        """Begin to run jobs, in the loop that runs now."""
        self._runner = asyncio.create_task(self._run_all())

    async def stop(self) -> None:
        """Cancel all jobs, the last first, and wait until none runs."""
        for job in [*reversed(self._jobs.values())]:
            await self.cancel(job)
        if self._runner is not None:
            self._runner.cancel()

    def add(self, chosen: Chosen) -> Job:
        """Add a job for a request with its inputs."""
        if self.counts()["waiting"] >= MOST_WAITING:
            raise RequestError(f"{MOST_WAITING} registrations are waiting; try again later", 429)
        id = secrets.token_urlsafe(12)
        job = self._jobs[id] = Job(id, chosen, self.folder / id)
        self._added.set()
        self.changes.announce()
        return job

    async def cancel(self, job: Job) -> None:
        """Cancel a job and wait until it has ended; nothing happens if it had ended before."""
        if job.state == "waiting":
            job.state = "cancelled"
            job.finished.set()
            self.changes.announce()
        elif job.state == "running":
            job.cancelled = True
            if job.process is not None:
                await job.process.stop()
            await job.finished.wait()

    def remove(self, job: Job) -> None:
        """Remove an ended job with its files."""
        if not job.ended:
            raise RequestError("the registration has not ended; cancel it first", 409)
        del self._jobs[job.id]
        shutil.rmtree(job.folder, ignore_errors=True)
        self.changes.announce()

    def remove_unused(self, seconds: float) -> None:
        """Remove the ended jobs that nobody asked for for so long."""
        limit = time.monotonic() - seconds
        for job in [job for job in self._jobs.values() if job.ended and job.used < limit]:
            self.remove(job)

    def counts(self) -> dict[str, int]:
        """Return how many jobs are running and waiting."""
        states = [job.state for job in self._jobs.values()]
        return {state: states.count(state) for state in ("running", "waiting")}

    def documents(self) -> list[dict[str, Any]]:
        """Return the documents of all jobs, the newest first."""
        return [self.document(job) for job in reversed(self._jobs.values())]

    def document(self, job: Job) -> dict[str, Any]:
        """Return the document of one job."""
        ahead = 0
        if job.state == "waiting":
            before = list(self._jobs.values())[: list(self._jobs).index(job.id)]
            ahead = sum(not other.ended for other in before)
        return job.to_json(ahead)

    def inputs_in_use(self) -> set[str]:
        """Return the ids of the inputs of jobs that have not ended, or whose viewer may be shown.

        The viewer of a result is made from the images when it is opened.
        """
        return {
            id
            for job in self._jobs.values()
            if job.state in ("waiting", "running", "done")
            for id in job.chosen.request.inputs.values()
        }

    async def _run_all(self) -> None:
        while True:
            job = next((job for job in self._jobs.values() if job.state == "waiting"), None)
            if job is None:
                self._added.clear()
                await self._added.wait()
            else:
                await self._run(job)

    async def _run(self, job: Job) -> None:
        """Run one job to its end and record how it ended."""
        job.state, job.started, job.stage = "running", time.monotonic(), "reading the images"
        self.changes.announce()
        try:
            await self._register(job)
            job.state = "cancelled" if job.cancelled else "done"
        except UserError as error:
            job.state = "cancelled" if job.cancelled else "failed"
            job.error = None if job.cancelled else self.without_folders(str(error))
        except Exception:
            log.exception("the registration %s could not be run", job.id)
            job.state, job.error = "failed", "a mistake in regzoo; see the log of the server"
        finally:
            job.seconds = time.monotonic() - job.started
            job.process = None
            if job.state != "done":
                shutil.rmtree(job.folder, ignore_errors=True)
            job.finished.set()
            self.changes.announce()

    async def _register(self, job: Job) -> None:
        """Register in a process of its own; raise `UserError` with the reason if that fails."""

        def report(percent: float, stage: str) -> None:
            job.percent, job.stage = percent, stage
            self.changes.announce()

        working = job.folder / "working"
        working.mkdir(parents=True)
        words = job_words(job.chosen, job.result)
        job.process = await JobProcess.start(words, working)
        if job.cancelled:
            await job.process.stop()
        code = await job.process.wait(report)
        if code != 0:
            reason = why_it_failed(code, job.process.lines)
            if reason.status == UNEXPECTED and not job.cancelled:
                log.error("a registration failed:\n%s", "\n".join(job.process.lines))
            raise reason
        job.quality = read_json_object(job.result / "result.json").get("quality")
