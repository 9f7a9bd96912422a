"""Opening and running the workflow of a bundle, as `monai.bundle run` does."""

from __future__ import annotations

import difflib
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.hub.bundles import config_keys
from zoo.hub.safety import require_safe

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

CHATTY_LOGGERS = ("ignite", "monai", "monai.bundle.workflows")


def run_bundle(
    folder: Path,
    overrides: Mapping[str, Any],
    configs: Sequence[str | Path] = ("inference.json",),
    *,
    trust: bool = False,
) -> None:
    """Run the workflow of a bundle. The arguments are those of `open_bundle`."""
    with open_bundle(folder, overrides, configs, trust=trust) as workflow:
        workflow.run()
        workflow.finalize()


@contextmanager
def open_bundle(
    folder: Path,
    overrides: Mapping[str, Any],
    configs: Sequence[str | Path] = ("inference.json",),
    *,
    trust: bool = False,
) -> Iterator[ConfigWorkflow]:
    """Yield the initialised workflow of a bundle.

    A bundle that is not part of the package is checked before any expression in it is evaluated.

    Args:
        folder: The folder of the bundle.
        overrides: Settings that replace those of the configs. Each must be a top-level key of the
            first config.
        configs: The config files, merged in order. A bare name refers to the bundle's folder
            configs/. The first config defines the workflow: a training if its name is train.*.
        trust: Whether the check of a bundle from elsewhere is skipped.
    """
    from monai.bundle import ConfigWorkflow

    require_safe(folder, trust)
    main = str(configs[0])
    _require_known(overrides, config_keys(folder, main), folder)
    files = [str(c) if Path(c).is_absolute() else str(folder / "configs" / c) for c in configs]
    with quiet(), user_errors():
        workflow = ConfigWorkflow(
            config_file=files,
            meta_file=str(folder / "configs" / "metadata.json"),
            logging_file=False,
            workflow_type="train" if main.startswith("train.") else "infer",
            **overrides,
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
