"""A cohort: the pairs of a plan's dataset, each with its own folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from zoo.cohorts.digests import pair_digest, settings_digest
from zoo.cohorts.scratch import RemoteFiles
from zoo.datasets.pairs import DatasetPairs, PairFiles, pair_files, unique_pair_names
from zoo.datasets.remote import remote_pairs
from zoo.errors import UserError
from zoo.handlers.output_files import Report, report_kind
from zoo.hub.own_models import find_own_model
from zoo.io.atomic import write_json
from zoo.io.files import AnyPath
from zoo.io.json_documents import read_json_object
from zoo.io.remote import RemoteFolder, checked_url, is_url
from zoo.planning.effort import with_effort
from zoo.planning.plan import Plan, read_plan
from zoo.planning.weights import record_weights, refuse_unsuitable_weights, with_own_model

PLAN = "plan.json"
STATE_FOLDER = ".cohort"
"""The folder inside a run's folder for its lock and for unfinished results."""


@dataclass(frozen=True)
class Job:
    """A pair to register and the folder for its results."""

    name: str
    files: PairFiles
    folder: Path


@dataclass(frozen=True)
class Cohort:
    """The jobs of a run in `folder`, and the digest of the settings that they have in common.

    `uncertainty` is the number of perturbed registrations of each pair, if it was requested.
    `remote` is the dataset if it is at a URL.
    """

    folder: Path
    plan: Plan
    settings: str
    jobs: tuple[Job, ...]
    uncertainty: int | None = None
    remote: RemoteFiles | None = None

    @property
    def model(self) -> str:
        """The model that the plan chose."""
        return str(self.plan["plan"]["model"])

    @property
    def split(self) -> str:
        """The split of the dataset that is registered."""
        return str(self.plan["split"])

    def digest(self, job: Job, known: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the digest of a job and of its files; see `pair_digest`."""
        digest = None if self.remote is None else self.remote.file_digest
        return pair_digest(job.files, self.settings, known, digest)


def report_of(plan: Plan) -> Report:
    """Return the kind of report for each pair of a run; without the setting in the plan, full."""
    return report_kind(plan.get("report", "full"))


def plan_of_run(
    source: AnyPath,
    split: str | None,
    folder: Path | None,
    model: AnyPath | None = None,
    effort: str | None = None,
    report: Report | None = None,
    data: str | None = None,
) -> tuple[Plan, Path]:
    """Return the plan of a run and the run's folder.

    By default the folder is beside the plan and is named after the plan and the split. With a
    `model` of one's own, its settings and weights replace those of the plan, and an `effort`
    replaces that of the plan; both are then part of the name. `report` replaces the plan's kind of
    report, and `data`, the URL of a dataset, the dataset of the plan.
    """
    plan = read_plan(source)
    if "dataset_dir" not in plan:
        raise UserError(
            f"{source} is a plan for one pair; make a plan for a dataset with regzoo plan DATASET"
        )
    plan = plan | {"split": split or plan["split"]} | ({"report": report} if report else {})
    folder_of_images = str(Path(plan["dataset_dir"]).absolute())
    plan["dataset_dir"] = folder_of_images if data is None else checked_url(data)
    stem = Path(source).stem
    if effort is not None:
        plan = with_effort(plan, effort)
        stem = f"{stem}-{effort}"
    if model is not None:
        own = find_own_model(model)
        if own is None:
            raise UserError(
                f"--model {model} is a model of regzoo; plan the dataset with it: regzoo plan "
                f"DATASET --model {model}"
            )
        plan = record_weights(with_own_model(plan, own))
        stem = f"{stem}-{own.name}"
    refuse_unsuitable_weights(plan["plan"], plan.get("weights"))
    return plan, folder or Path(source).with_name(f"{stem}-{plan['split']}")


def plan_cohort(
    plan: Plan, folder: Path, uncertainty: int | None = None, scratch: int = 0
) -> Cohort:
    """Return the cohort of a plan without writing anything.

    A dataset that has changed since it was planned for is refused, unless it is at a URL. Local
    copies of its files then take at most `scratch` bytes for each worker.
    """
    remote, location, split = None, plan["dataset_dir"], plan["split"]
    if is_url(location):
        pairs, root = remote_pairs(folder_at := RemoteFolder(location), split)
        remote = RemoteFiles(folder_at, root, scratch)
    else:
        pairs = DatasetPairs(location, split, plan["plan"]["content"]).pairs
    files = [pair_files(**mapping) for mapping in pairs]
    names = unique_pair_names(files)
    jobs = tuple(Job(n, pair, folder / n) for n, pair in zip(names, files, strict=True))
    return Cohort(folder, plan, settings_digest(plan, uncertainty), jobs, uncertainty, remote)


def refuse_other_run(cohort: Cohort) -> None:
    """Raise `UserError` if the folder of a run contains the run of another dataset or split.

    The plan of a group of images, which are registered to a template or a target, has neither.
    """
    folder, plan = cohort.folder, cohort.plan
    stored = folder / PLAN
    if stored.is_file():
        earlier = read_json_object(stored)
        for key in ("dataset_dir", "split"):
            if key in plan and earlier.get(key) != plan[key]:
                raise UserError(
                    f"{folder} contains the run of another {key} ({earlier.get(key)!r}, not "
                    f"{plan[key]!r}); choose another folder with --out"
                )


def create_run_folder(cohort: Cohort) -> None:
    """Create the folder of a run and write its plan; refuse the folder of another run."""
    refuse_other_run(cohort)
    folder = cohort.folder
    try:
        (folder / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot create {folder}: {error.strerror}; choose another folder with --out"
        ) from error
    write_json(folder / PLAN, cohort.plan)


@contextmanager
def locked_run_folder(folder: Path) -> Iterator[None]:
    """Refuse another command that registers pairs in the same folder during the block.

    Workers do not take this lock, so that only the file system of this process needs to have locks;
    without them nothing is checked.
    """
    lock = FileLock(folder / STATE_FOLDER / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"another process is running a cohort in {folder}; wait until it ends, or "
            "choose another folder with --out",
            code="busy",
        ) from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
