"""Opening and running the workflow of a bundle, as `monai.bundle run` does."""

from __future__ import annotations

import difflib
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.hub.bundles import config_keys
from zoo.hub.setting_rules import for_monai
from zoo.planning.plan import read_plan
from zoo.planning.plan_checks import plan_settings
from zoo.runtime.workflow_source import WorkflowSource, workflow_source

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

CHATTY_LOGGERS = ("ignite", "monai", "monai.bundle.workflows")


@dataclass(frozen=True)
class MergedSettings:
    """The configs of a workflow and the values that replace those of the configs."""

    source: WorkflowSource
    configs: tuple[Path, ...]
    values: Mapping[str, Any]
    training: bool


def run_bundle(
    folder: Path,
    overrides: Mapping[str, Any],
    configs: Sequence[str | Path] = ("inference.json",),
    *,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Run the workflow of a bundle. The arguments are those of `open_bundle`."""
    with open_bundle(folder, overrides, configs, settings=settings) as workflow:
        workflow.run()
        workflow.finalize()


@contextmanager
def open_bundle(
    folder: Path,
    overrides: Mapping[str, Any],
    configs: Sequence[str | Path] = ("inference.json",),
    *,
    settings: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Iterator[ConfigWorkflow]:
    """Yield the initialised workflow of a bundle.

    A bundle that is not part of the package is read as data: the package's own workflow of its
    model runs, with the settings and the weights of the bundle. Values take precedence in the order
    bundle, plan, `overrides`, `settings`.

    Args:
        folder: The folder of the bundle.
        overrides: Values that replace those of the configs. Each must be a top-level key of the
            first config. They are passed to MONAI as they are, so no value from outside is among
            them.
        configs: The first one, a name in the bundle's folder configs/, defines the workflow: a
            training if it is train.*. Other names are merged over it. An absolute path is that of a
            plan, of which only validated values are used.
        settings: Settings from outside, which are validated.
        trust: Whether the workflow of a bundle that is more than data may run.
    """
    merged = merge_settings(folder, overrides, configs, settings=settings, trust=trust)
    with open_workflow(merged) as workflow:
        yield workflow


def merge_settings(
    folder: Path,
    overrides: Mapping[str, Any],
    configs: Sequence[str | Path] = ("inference.json",),
    *,
    settings: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> MergedSettings:
    """Return the configs and the values with which `open_bundle` opens a bundle."""
    main, *others = configs
    training = str(main).startswith("train.")
    source = workflow_source(folder, trust=trust)
    if training and source.folder != folder:
        raise UserError(f"{folder} cannot be trained, because only its inference is read as data")
    plans = [plan_settings(read_plan(path)) for path in others if Path(path).is_absolute()]
    names = [str(main), *(str(name) for name in others if not Path(name).is_absolute())]
    own = source.checked(settings or {}, training=training)
    known = config_keys(source.folder, str(main))
    _require_known([*overrides, *own], known, source.folder)
    values: dict[str, Any] = dict(source.settings)
    for plan in plans:
        values |= plan
    values |= {**overrides, **own}
    if "bundle_root" in known and source.folder != folder:
        values["bundle_root"] = for_monai(str(source.folder))
    files = tuple(source.folder / "configs" / name for name in names)
    return MergedSettings(source, files, values, training)


@contextmanager
def open_workflow(merged: MergedSettings) -> Iterator[ConfigWorkflow]:
    """Yield the initialised MONAI workflow of merged settings."""
    from monai.bundle import ConfigWorkflow

    with quiet(), user_errors():
        workflow = ConfigWorkflow(
            config_file=[str(path) for path in merged.configs],
            meta_file=str(merged.source.folder / "configs" / "metadata.json"),
            logging_file=False,
            workflow_type="train" if merged.training else "infer",
            **merged.values,
        )
        workflow.initialize()
        yield workflow


def load_selected_weights(workflow: ConfigWorkflow) -> None:
    """Load the weights of a bundle's component `selected_weights` into its network.

    The list `run` of a config does this for `monai.bundle run`. Opening a bundle does not, so that
    it can be inspected without weights. A bundle without this component needs no weights.
    """
    if "selected_weights" in workflow.parser:
        weights = workflow.parser.get_parsed_content("selected_weights")
        weights.load_into(workflow.network_def)


def _require_known(overrides: Iterable[str], known: Sequence[str], folder: Path) -> None:
    """Refuse an override that is not a setting of the bundle."""
    for key in overrides:
        name = key.replace("#", "::").split("::")[0]
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UserError(f"the bundle {folder.name} has no setting {key!r}{hint}")


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings and the log of MONAI and ignite.

    Everything that concerns a user is raised as a `UserError` or shown by the command.
    """
    loggers = [logging.getLogger(name) for name in CHATTY_LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def user_errors() -> Iterator[None]:
    """Raise the `UserError` in an exception's chain of causes itself.

    MONAI wraps the exceptions of components that it instantiates.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from error
