"""Explain the conditions of a conditional network: register one pair under several of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.datasets.pairs import Pair, load_pair, pair_files
from zoo.errors import UserError
from zoo.evaluation.metrics import measure
from zoo.geometry import Grid, warp
from zoo.hub.bundles import bundle_folder
from zoo.hub.catalogue import load_catalogue
from zoo.hub.own_models import find_own_model
from zoo.hub.setting_rules import for_monai
from zoo.io.atomic import atomic_path, write_json
from zoo.io.json_documents import read_json_object
from zoo.io.transforms import write_transform
from zoo.io.volume import write_volume
from zoo.pipelines.settings import resolve_settings
from zoo.registration.inferer import PairInferer
from zoo.registration.result import RegisteredPair
from zoo.reporting import Panel, Pixels, contact_sheet, draw_panels, png_bytes
from zoo.runtime.bundle import load_selected_weights, open_bundle
from zoo.runtime.device import choose_device, use_threads
from zoo.runtime.output_folder import staged_outputs
from zoo.runtime.overwriting import refuse_overwriting

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

Condition = tuple[str, str]
"""Type and region, such as ("inter", "abdomen")."""

RESULT, PICTURE = "conditions.json", "conditions.png"
FIELD, WARPED = "transform.nii.gz", "warped.nii.gz"


def explain_conditions(
    fixed: str,
    moving: str,
    conditions: Sequence[str],
    *,
    out: str | PathLike[str],
    model: str = "unireg",
    weights: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Register a pair with UniReg under `conditions` (TYPE:REGION) and write the comparison.

    `model` is unireg, or a fine-tuned UniReg by its name or its folder.
    The files of an earlier comparison in the folder `out` are replaced together after all
    registrations have succeeded.
    """
    parsed = [parse_condition(text) for text in conditions]
    if len(parsed) < 2:
        raise UserError(
            "at least two conditions are needed for a comparison, such as "
            "--condition inter:abdomen --condition intra:liver"
        )
    use_threads(threads)
    folder = Path(out).absolute()
    names = {RESULT, PICTURE, *condition_files(conditions), *previous_comparison(folder)}
    inputs = {"the fixed image": fixed, "the moving image": moving, "--weights": weights}
    refuse_overwriting(inputs, [folder / name for name in names])
    bundle = conditional_bundle(model)
    overrides = {
        "pairs": [],
        **({} if weights is None else {"weights": for_monai(weights)}),
        "type": for_monai(parsed[0][0]),
        "region": for_monai(parsed[0][1]),
        "device": f"$torch.device({str(choose_device(device))!r})",
    }
    with staged_outputs(folder, previous_comparison, marker=RESULT) as staged:
        with open_bundle(bundle, overrides, settings=resolve_settings(settings)) as workflow:
            load_selected_weights(workflow)
            registered = register_under(workflow, load_pair(pair_files(fixed, moving)), parsed)
        result = compare_conditions(registered)
        save_conditions(registered, result, staged)
    return result


def conditional_bundle(model: str) -> Path:
    """Return the folder of a model that takes conditions, one of the package or one's own."""
    own = find_own_model(model)
    name, folder = (model, bundle_folder(model)) if own is None else (own.model, own.folder)
    conditional = [m for m, spec in load_catalogue().items() if spec.planning.conditions]
    if name not in conditional:
        raise UserError(
            f"--model {model}: a {name} takes no conditions to compare; use "
            f"{' or '.join(conditional)}, or a fine-tuned one"
        )
    return folder


def condition_files(conditions: Iterable[str]) -> set[str]:
    """Return the files of `conditions` (TYPE:REGION), relative to the output folder."""
    folders = [condition.replace(":", "_") for condition in conditions]
    return {f"{folder}/{name}" for folder in folders for name in (FIELD, WARPED)}


def previous_comparison(folder: Path) -> set[str]:
    """Return the names of the files in `folder` that an earlier comparison wrote."""
    try:
        conditions = read_json_object(folder / RESULT)
    except UserError:  # there is no earlier comparison, or its record is damaged
        return set()
    known = [name for name in conditions if re.fullmatch(r"\w+:[\w-]+", name)]
    names = {RESULT, PICTURE, *condition_files(known)}
    return {name for name in names if (folder / name).is_file()}


def parse_condition(text: str) -> Condition:
    """Turn "intra:liver" into type and region."""
    type_, colon, region = text.partition(":")
    if not colon or not type_ or not region:
        raise UserError(f"the condition {text!r} must be TYPE:REGION, such as inter:abdomen")
    return type_, region


def register_under(
    workflow: ConfigWorkflow, pair: Pair, conditions: Sequence[Condition]
) -> dict[str, RegisteredPair]:
    """Register a pair under each condition with the network of a bundle; keys are TYPE:REGION."""
    network: nn.Module = workflow.network_def
    inferer: PairInferer = workflow.inferer
    registered = {}
    for type_, region in conditions:
        network.default_type, network.default_region = type_, region  # type: ignore[assignment]
        with torch.no_grad():
            registered[f"{type_}:{region}"] = inferer(pair, network)
    return registered


def compare_conditions(registered: Mapping[str, RegisteredPair]) -> dict[str, Any]:
    """Return the figures and kernel norms of each condition.

    `mm_from_first_mean` and `mm_from_first_max` are the distance of its displacement field from
    that of the first condition, over the fixed grid.
    """
    first = next(iter(registered.values()))
    grid = first.pair.fixed.grid
    reference = _displacement(first, grid)
    result: dict[str, Any] = {}
    for name, registration in registered.items():
        distance = (_displacement(registration, grid) - reference).norm(dim=0)
        result[name] = {
            "figures": measure(registration.pair, registration.transform).figures,
            "kernel_norms": registration.notes.get("kernel_norms"),
            "mm_from_first_mean": float(distance.mean()),
            "mm_from_first_max": float(distance.max()),
        }
    return result


def _displacement(registration: RegisteredPair, grid: Grid) -> Tensor:
    """Return the displacement [3, X, Y, Z] of a registration on `grid`, mm."""
    field = registration.transform.dense_on(grid).field
    assert field is not None
    return field


def save_conditions(
    registered: Mapping[str, RegisteredPair], result: Mapping[str, Any], folder: Path
) -> None:
    """Write conditions.json, conditions.png, and the field and warped image of each condition."""
    for name, registration in registered.items():
        target = folder / name.replace(":", "_")
        target.mkdir(parents=True, exist_ok=True)
        pair, transform = registration.pair, registration.transform
        grid, moving = pair.fixed.grid, pair.moving[0]
        fill = min(0.0, float(moving.data.min()))
        write_transform(target / FIELD, transform, grid)
        data = warp(moving.data[None], moving.grid, grid, transform, fill=fill)[0]
        write_volume(target / WARPED, data, grid, moving.data.dtype)
    with atomic_path(folder / PICTURE) as path:
        path.write_bytes(png_bytes(side_by_side(registered, result)))
    write_json(folder / RESULT, result)


def side_by_side(registered: Mapping[str, RegisteredPair], result: Mapping[str, Any]) -> Pixels:
    """Draw the deformation grid and the Jacobian of each condition below one another."""
    panels = [
        Panel(name, "", next(p.strips for p in draw_panels(r) if p.title == "Deformation"))
        for name, r in registered.items()
    ]
    lines = [
        f"{name}: {row['mm_from_first_mean']:.2f} mm from the first on average, "
        f"{row['mm_from_first_max']:.2f} mm at most"
        for name, row in result.items()
    ]
    return contact_sheet("One pair under several conditions", lines, panels)
