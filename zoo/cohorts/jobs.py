"""A cohort: the pairs of a plan's dataset, each with a folder of its own, and which are finished.

A pair is finished if its result.json holds the digest of all that its result depends on: the bytes
of its files, the settings of the plan, the model and its weights, and this version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zoo import __version__
from zoo.datasets.pairs import DatasetPairs, PairFiles, pair_files, unique_pair_names
from zoo.errors import UserError
from zoo.hub.weights import sha256_of
from zoo.io.atomic import write_json
from zoo.io.files import AnyPath, existing_file
from zoo.io.json_documents import read_json_object
from zoo.planning.plan import Plan, for_a_pair, read_plan

RESULT, FAILURE, PLAN = "result.json", "failure.json", "plan.json"
OWN = ".cohort"
"""The folder of locks and unfinished pairs in a run's folder."""
PARTS = f"{OWN}/parts"


@dataclass(frozen=True)
class Job:
    """A pair to register, and the folder that will hold its results."""

    name: str
    files: PairFiles
    folder: Path


@dataclass(frozen=True)
class Cohort:
    """The jobs of a run in `folder`; `settings` is the digest of all that they have in common."""

    folder: Path
    plan: Plan
    settings: str
    jobs: tuple[Job, ...]

    @property
    def model(self) -> str:
        """The model that the plan chose."""
        return str(self.plan["plan"]["model"])

    @property
    def split(self) -> str:
        """The part of the dataset that is registered."""
        return str(self.plan["split"])


def plan_of_run(source: AnyPath, split: str | None, folder: Path | None) -> tuple[Plan, Path]:
    """Return the plan of a run and its folder: by default beside the plan, named after both."""
    plan = read_plan(source)
    if "dataset_dir" not in plan:
        raise UserError(f"{source} is a plan for one pair; make one with regzoo plan DATASET")
    plan = plan | {"split": split or plan["split"]}
    plan["dataset_dir"] = str(Path(plan["dataset_dir"]).absolute())
    file = Path(source)
    return plan, folder or file.with_name(f"{file.stem}-{plan['split']}")


def begin(plan: Plan, folder: Path) -> None:
    """Make the folder of a run and write the plan into it; another run's folder is refused."""
    kept = folder / PLAN
    if kept.is_file():
        before = read_json_object(kept)
        for key in ("dataset_dir", "split"):
            if before.get(key) != plan[key]:
                raise UserError(
                    f"{folder} holds the run of another {key} ({before.get(key)!r}, not "
                    f"{plan[key]!r}); name another folder with --out"
                )
    try:
        (folder / OWN).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}; write elsewhere") from error
    write_json(kept, plan)


def jobs_of(plan: Plan, folder: Path) -> tuple[Job, ...]:
    """Return the jobs of a plan; a dataset that is no longer the one planned for is refused."""
    listed = DatasetPairs(plan["dataset_dir"], plan["split"], plan["plan"]["content"])
    files = [pair_files(**mapping) for mapping in listed.pairs]
    names = unique_pair_names(files)
    return tuple(Job(n, pair, folder / n) for n, pair in zip(names, files, strict=True))


def digest_of_settings(plan: Plan, weights_sha256: str | None) -> str:
    """Return the digest of what all pairs of a run have in common, wherever the files lie."""
    settings = {k: v for k, v in for_a_pair(plan).items() if k != "plan"}
    if Path(str(settings.get("affine"))).is_file():
        settings["affine"] = sha256_of(Path(settings["affine"]))
    told = {
        "regzoo": __version__,
        "model": plan["plan"]["model"],
        "weights": weights_sha256,
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def content_of(job: Job, cohort: Cohort, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the digest of a job and of each of its files, as result.json keeps it.

    `known` is what was returned before: a file whose size and times are still the same is not read
    again.
    """
    before = (known or {}).get("files", {})
    parts = {role: file_content(path, before.get(role)) for role, path in _files(job.files)}
    told = [cohort.settings, job.files.points_space, {k: v["sha256"] for k, v in parts.items()}]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return {"sha256": digest, "files": parts}


def file_content(path: Path, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a file's sha256, size and times of change; the sha256 of `known` if these agree."""
    state = existing_file(path).stat()
    now = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "ctime_ns": state.st_ctime_ns}
    if known is not None and "sha256" in known and all(known.get(k) == v for k, v in now.items()):
        return {"sha256": known["sha256"], **now}
    return {"sha256": sha256_of(path), **now}


def is_finished(job: Job, cohort: Cohort) -> bool:
    """Say whether a job's result is there and belongs to its files and settings as they are now."""
    found = read_record(job.folder / RESULT)
    known = None if found is None else found.get("content")
    if not isinstance(known, dict):
        return False
    try:
        return bool(content_of(job, cohort, known)["sha256"] == known.get("sha256"))
    except (UserError, OSError):
        return False  # a file went: registering will say which


def failure_of(job: Job) -> dict[str, Any] | None:
    """Return what failure.json says of a job, None if it did not fail."""
    return read_record(job.folder / FAILURE)


def pending_jobs(cohort: Cohort) -> dict[Job, str | None]:
    """Return the jobs that are not finished, with the token of the failure each had before.

    What failed in an earlier run is tried again.
    """
    out = {}
    for job in cohort.jobs:
        if not is_finished(job, cohort):
            out[job] = (failure_of(job) or {}).get("token")
    return out


def is_settled(job: Job, cohort: Cohort, old_failure: str | None) -> bool:
    """Say whether a job is finished, or has failed since `old_failure`."""
    failed = failure_of(job)
    if failed is not None:
        return failed.get("token") != old_failure
    return is_finished(job, cohort)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, None if there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _files(files: PairFiles) -> list[tuple[str, Path]]:
    """Return a pair's files with what each is for; several moving images are numbered."""
    out: list[tuple[str, Path]] = []
    for field in fields(PairFiles):
        value = getattr(files, field.name)
        if isinstance(value, Path):
            out.append((field.name, value))
        elif isinstance(value, tuple):
            out += [(f"{field.name}.{k}", path) for k, path in enumerate(value)]
    return out
