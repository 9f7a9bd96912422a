"""The registrations that a template or a propagation needs, on the engine of `regzoo run`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from zoo.cohorts.digests import settings_digest
from zoo.cohorts.distribution import Distribution
from zoo.cohorts.jobs import Cohort, Job, create_run_folder
from zoo.cohorts.progress import Report
from zoo.cohorts.record import RESULT, failure_of, is_finished, read_json
from zoo.cohorts.registration import register_pending
from zoo.datasets.pairs import PairFiles
from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.hub.own_models import find_own_model
from zoo.io.transforms import read_transform
from zoo.pipelines.groups.members import Group
from zoo.pipelines.groups.options import RegistrationChoices
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.plan_pair import plan_pair
from zoo.pipelines.settings import resolve_settings
from zoo.planning.plan import Plan
from zoo.runtime.signals import Stopped, StopSignal

Item = TypeVar("Item")


@dataclass(frozen=True)
class Registered:
    """A pair that was registered: its folder, and the content of its result.json."""

    folder: Path
    result: Mapping[str, Any]

    @property
    def transform(self) -> Transform:
        """The transform from the fixed to the moving image."""
        return read_transform(self.folder / "transform.nii.gz")

    def entry(self) -> dict[str, Any]:
        """Return the figures for a summary of the group."""
        figures = self.result["figures"]
        names = ("similarity_after", "deformation_mm_mean", "folding_percent")
        return {"quality": self.result["quality"]} | {n: figures.get(n) for n in names}


@dataclass(frozen=True)
class Outcome:
    """The pairs by name: those that are registered, and why the others are left out."""

    registered: dict[str, Registered]
    left_out: dict[str, str]


@dataclass(frozen=True)
class GroupResult:
    """The outcome of `regzoo template` or `regzoo propagate`.

    Attributes:
        folder: The folder of the results.
        document: The content of template.json or propagate.json; empty if the command was stopped.
        stop_signal: The number of the signal that stopped the command; None without one.
    """

    folder: Path
    document: dict[str, Any]
    stop_signal: int | None = None


@dataclass(frozen=True)
class Engine:
    """Registers pairs with one plan; `stop` and `report` are those of the command."""

    plan: Plan
    distribution: Distribution
    stop: StopSignal
    report: Report | None

    @property
    def settings(self) -> str:
        """The digest of the model, its weights and its settings."""
        return settings_digest(self.plan)

    def say(self, line: str) -> None:
        """Report a line of text."""
        if self.report is not None:
            self.report(line)

    def check(self) -> None:
        """Raise `Stopped` if a stop is requested."""
        if self.stop.requested:
            raise Stopped

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items one by one, until a stop is requested, which raises `Stopped`."""
        for item in items:
            self.check()
            yield item

    def register(self, pairs: Mapping[str, PairFiles], folder: Path) -> Outcome:
        """Register pairs into folders of their names; those with valid results are kept.

        A registration whose quality is failed is left out like one that was not possible. `Stopped`
        is raised if a stop is requested before all pairs are settled.
        """
        jobs = tuple(Job(name, files, folder / name) for name, files in pairs.items())
        cohort = Cohort(folder, self.plan, self.settings, jobs)
        create_run_folder(cohort)
        register_pending(cohort, self.distribution, self.stop, self.report)
        self.check()
        registered, left_out = {}, {}
        for job in jobs:
            reason = _reason_to_leave_out(job, cohort)
            if reason is None:
                registered[job.name] = Registered(job.folder, read_json(job.folder / RESULT) or {})
            else:
                left_out[job.name] = reason
        return Outcome(registered, left_out)


def _reason_to_leave_out(job: Job, cohort: Cohort) -> str | None:
    """Return why the registration of a job cannot be used; None if it can."""
    failure = failure_of(job)
    if failure is not None:
        return f"it could not be registered: {failure.get('reason', '')}"
    result = read_json(job.folder / RESULT)
    if result is None or not is_finished(job, cohort):
        return "it could not be registered: its files changed meanwhile"
    if result["quality"] == "failed":
        return f"its registration failed: {' '.join(result['warnings'])}"
    return None


def plan_of_group(choices: RegistrationChoices, group: Group, example: PairFiles) -> Plan:
    """Return the plan for all registrations of a group, made as `regzoo register` does for one.

    The initial alignment is decided for each pair, unless the user set it.
    """
    modality = choices.modality or group.modality
    options = RegistrationOptions(
        example.fixed,
        list(example.moving),
        model=choices.model,
        effort=choices.effort,
        anatomy=choices.anatomy or group.anatomy,
        modality=None if modality is None else {"0": modality, "1": modality},
        pairing="inter",
        settings={"affine": "auto"} | dict(choices.settings or {}),
    )
    own = None if choices.model == "auto" else find_own_model(choices.model)
    plan = plan_pair(options, example, resolve_settings(options.bundle_settings()), own)
    assert plan is not None  # only the option `bundle` makes no plan
    return plan | {"report": "none", "inverse": False}


def distribution_of(choices: RegistrationChoices) -> Distribution:
    """Return the workers that the options ask for."""
    return Distribution(
        choices.workers,
        choices.threads,
        choices.device,
        choices.scheduler,
        choices.cluster,
        None if choices.cluster_config is None else Path(choices.cluster_config),
    )


def output_folder(out: Any) -> Path:
    """Return the absolute path of the folder for the results; it is required."""
    if out is None:
        raise UserError("the folder for the results is missing; add --out FOLDER")
    return Path(out).absolute()


def left_out_text(left_out: Mapping[str, str]) -> list[str]:
    """Return a line for each image that was left out."""
    return [f"{name} is left out: {reason}" for name, reason in left_out.items()]


def require_some(outcome: Outcome, least: int, what: str) -> None:
    """Raise `UserError` if fewer than `least` registrations can be used."""
    if len(outcome.registered) >= least:
        return
    reasons: Sequence[str] = left_out_text(outcome.left_out)[:5]
    raise UserError(
        f"{what} needs at least {least} registration{'s' if least > 1 else ''} that succeed, and "
        f"there {'is' if len(outcome.registered) == 1 else 'are'} {len(outcome.registered)}: "
        + "; ".join(reasons)
    )
