"""Everything that a server holds while it runs; all files are in its temporary folder."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from zoo.app.changes import Changes, Told
from zoo.app.data_folder import DataFolder
from zoo.app.inputs import Inputs
from zoo.app.jobs import Jobs
from zoo.app.reader import Reader
from zoo.app.reading.results import convert_transform, file_of_result, write_viewer_document
from zoo.app.registration_request import Chosen, RegistrationRequest
from zoo.app.run_watch import RunWatch

UNUSED_SECONDS = 3600.0
"""After so long a public server removes inputs and results that nobody asked for."""

TIDY_SECONDS = 60.0


def without_folders(text: str, folder: Path, data: DataFolder | None) -> str:
    """Return a message without the folders where the server keeps files, and that of `--data`."""
    inputs = (
        rf"{re.escape(str(folder))}[\\/](inputs|jobs)[\\/][^\\/]+[\\/]((unpacked|result)[\\/])?"
    )
    shorter = re.sub(inputs, "", text)
    return shorter if data is None else shorter.replace(f"{data.root}{os.sep}", "")


@dataclass(frozen=True)
class ServerState:
    """The parts of a server. `folder` is temporary; `public` means that visitors are strangers."""

    folder: Path
    inputs: Inputs
    jobs: Jobs
    reader: Reader
    changes: Changes
    run: RunWatch | None = None
    public: bool = False

    def chosen(self, request: RegistrationRequest) -> Chosen:
        """Return a request with its inputs, as they are now."""
        inputs = {role: self.inputs[id] for role, id in request.inputs.items()}
        moved = {role for role, i in inputs.items() if i.folder is not None}
        return Chosen(
            request,
            {role: input.path for role, input in inputs.items()},
            {role: input.name for role, input in inputs.items()},
            {role: i.path.name if role in moved else str(i.path) for role, i in inputs.items()},
            frozenset(moved),
        )

    def without_folders(self, text: str) -> str:
        """Return a message in which the names of files are those that the user knows."""
        return without_folders(text, self.folder, self.inputs.data)

    async def tidy(self) -> None:
        """Remove again and again what strangers left behind, until the task is cancelled."""
        while True:
            self.jobs.remove_unused(UNUSED_SECONDS)
            self.inputs.remove_unused(UNUSED_SECONDS, self.jobs.inputs_in_use())
            await asyncio.sleep(TIDY_SECONDS)

    def told(self, only: str | None) -> Told:
        """Return what a client is told: about everything, or about the job `only`."""
        documents = self.jobs.documents()
        shown = [job for job in reversed(documents) if only in (None, job["id"])]
        told = {job["id"]: ("job", job) for job in shown}
        told["queue"] = ("queue", self.jobs.counts())
        if self.run is not None and only is None:
            told["run"] = ("run", self.run.to_json())
        return told

    def has_told_all(self, only: str | None) -> bool:
        """Return whether nothing more can happen to the job `only`."""
        return only is not None and (only not in self.jobs or self.jobs[only].ended)

    async def viewer_answer(self, folder: Path, kept: Path) -> FileResponse:
        """Answer with the document of the viewer for the registration in `folder`.

        It is `kept` in a file, because making it takes seconds.
        """
        if not kept.exists():
            await self.reader.call(write_viewer_document, folder, kept)
        return FileResponse(kept, media_type="application/json")

    async def result_file(self, folder: Path, name: str) -> Path:
        """Return a file of the registration in `folder`."""
        return await self.reader.call(file_of_result, folder, name)

    async def transform(self, folder: Path, format: str) -> tuple[Path, BackgroundTask]:
        """Return the transform in another format, and what removes it after it was sent."""
        target = tempfile.TemporaryDirectory(dir=self.folder)
        try:
            path = await self.reader.call(convert_transform, folder, format, Path(target.name))
        except BaseException:
            target.cleanup()
            raise
        return path, BackgroundTask(target.cleanup)
