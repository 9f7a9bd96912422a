"""The run that a model of one's own stands for, where a folder of results is expected."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from zoo.errors import UserError
from zoo.hub.own_models import OwnModel, find_own_model, is_bundle, recorded_folders

SUMMARY = "summary.json"


def results_of(wanted: str | PathLike[str]) -> Path:
    """Return the folder or file of results that `wanted` names.

    The folder or the name of a model of one's own stands for the run in the model's folder, where
    `regzoo run MODEL/plan.json` writes it by default. Any other path is returned as it is.
    """
    path = Path(wanted)
    known = any(folder.name == fspath(wanted) for folder in recorded_folders())
    if not is_bundle(path) and (path.exists() or not known):
        return path
    own = find_own_model(wanted)
    return path if own is None else _run_in(own)


def _run_in(own: OwnModel) -> Path:
    runs = sorted(summary.parent for summary in own.folder.glob(f"*/{SUMMARY}"))
    if len(runs) == 1:
        return runs[0]
    if not runs:
        raise UserError(
            f"the model {own.name} has no run in {own.folder}; make one with regzoo run "
            f"{own.folder / 'plan.json'}, or give the folder of a run"
        )
    raise UserError(
        f"the model {own.name} has {len(runs)} runs in {own.folder}: "
        f"{', '.join(run.name for run in runs)}; give the folder of one of them"
    )
