"""Finding a bundle and running its workflow, as `monai.bundle run` does."""

from __future__ import annotations

import difflib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.hub.bundles import config_keys
from zoo.hub.safety import require_safe

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow


def run_bundle(
    folder: Path,
    overrides: Mapping[str, Any],
    configs: Sequence[str | Path] = ("inference.json",),
    *,
    trust: bool = False,
) -> None:
    """Run a bundle's workflow with some of its settings replaced.

    `configs` are merged in order; a bare name lies in the bundle's `configs` folder. The first one
    says what the workflow is and which settings there are.
    """
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
    """Yield a bundle's workflow, initialised, with some of its settings replaced.

    A bundle that did not come with the package is checked before anything in it is evaluated,
    unless it is trusted.
    """
    from monai.bundle import ConfigWorkflow

    require_safe(folder, trust)
    main = str(configs[0])
    top = config_keys(folder, main)
    for key in overrides:
        name = key.replace("#", "::").split("::")[0]
        if name not in top:
            close = difflib.get_close_matches(name, top, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UserError(f"the bundle {folder.name} has no setting {key!r}{hint}")
    files = [str(c) if Path(c).is_absolute() else str(folder / "configs" / c) for c in configs]
    for name in ("ignite", "monai", "monai.bundle.workflows"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), user_errors():
        warnings.simplefilter("ignore")
        workflow = ConfigWorkflow(
            config_file=files,
            meta_file=str(folder / "configs" / "metadata.json"),
            logging_file=False,
            workflow_type="train" if main.startswith("train.") else "infer",
            **overrides,
        )
        workflow.initialize()
        yield workflow


@contextmanager
def user_errors() -> Iterator[None]:
    """Let a `UserError` come through as itself: MONAI wraps what its components raise."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from error


def absolute(files: Mapping[str, str | Sequence[str] | None]) -> dict[str, Any]:
    """Return paths as absolute ones, without those that are None.

    The moving images may be several: a list, or one text with commas. A config evaluates what
    begins with $, @ or %, and a file may be called so.
    """
    out: dict[str, Any] = {}
    for name, given in files.items():
        if given is None:
            continue
        parts = [given] if isinstance(given, str) else list(given)
        if name == "moving" and isinstance(given, str) and not Path(given).exists():
            parts = [part.strip() for part in given.split(",")]
        paths = [str(Path(part).absolute()) for part in parts]
        out[name] = paths if len(paths) > 1 else paths[0]
    return out


def parse_settings(pairs: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """Turn KEY=VALUE texts into settings of a bundle; a value is read as YAML reads it."""
    import yaml

    out: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise UserError(f"--set {pair!r} must be KEY=VALUE, such as --set {known[0]}=VALUE")
        try:
            out[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--set {pair!r}: the value is not YAML; quote it") from error
        if _is_expression(value) or _is_expression(out[key]):
            raise UserError(
                f"--set {pair!r}: a value cannot be an expression; write it in a config"
            )
    return out


def _is_expression(value: Any) -> bool:
    """Say whether MONAI would evaluate a value or something in it."""
    if isinstance(value, Mapping):
        return any(_is_expression(part) for part in (*value.keys(), *value.values()))
    if isinstance(value, list):
        return any(map(_is_expression, value))
    return isinstance(value, str) and value.lstrip().startswith(("$", "@", "%"))
