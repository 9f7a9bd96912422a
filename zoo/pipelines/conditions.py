"""What a condition does: one pair, one conditional network, several conditions, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow
from torch import nn

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.evaluation.metrics import measure
from zoo.geometry import warp
from zoo.io.atomic import atomic_path, write_json
from zoo.io.transforms import write_transform
from zoo.io.volume import write_volume
from zoo.registration.inferer import PairInferer
from zoo.registration.result import RegisteredPair
from zoo.reporting import Panel, Pixels, contact_sheet, draw_panels, png_bytes


def parse_condition(text: str) -> tuple[str, str]:
    """Turn "intra:liver" into type and region."""
    type_, colon, region = text.partition(":")
    if not colon or not type_ or not region:
        raise UserError(f"condition {text!r} must be TYPE:REGION, such as inter:abdomen")
    return type_, region


def register_under(
    workflow: ConfigWorkflow, conditions: Sequence[tuple[str, str]]
) -> dict[str, RegisteredPair]:
    """Register a bundle's pair under each condition, with one network."""
    network: nn.Module = workflow.network_def
    inferer: PairInferer = workflow.inferer
    pair: Pair = workflow.dataset[0]
    found = {}
    for type_, region in conditions:
        network.default_type, network.default_region = type_, region  # type: ignore[assignment]
        with torch.no_grad():
            found[f"{type_}:{region}"] = inferer(pair, network)
    return found


def compare_conditions(found: dict[str, RegisteredPair]) -> dict[str, Any]:
    """Return each condition's figures and kernels, and how far its field is from the first's."""
    first = next(iter(found.values()))
    grid = first.pair.fixed.grid
    base = first.transform.dense_on(grid).field
    assert base is not None
    out: dict[str, Any] = {}
    for name, registration in found.items():
        field = registration.transform.dense_on(grid).field
        assert field is not None
        apart = (field - base).norm(dim=0)
        out[name] = {
            "figures": measure(registration.pair, registration.transform).figures,
            "kernel_norms": registration.notes.get("kernel_norms"),
            "mm_from_first_mean": float(apart.mean()),
            "mm_from_first_max": float(apart.max()),
        }
    return out


def save_conditions(found: dict[str, RegisteredPair], result: dict[str, Any], folder: Path) -> None:
    """Write conditions.json, and for each condition its field, warped image and picture."""
    for name, registration in found.items():
        place = folder / name.replace(":", "_")
        place.mkdir(parents=True, exist_ok=True)
        pair, transform = registration.pair, registration.transform
        grid, moving = pair.fixed.grid, pair.moving[0]
        fill = min(0.0, float(moving.data.min()))
        write_transform(place / "transform.nii.gz", transform, grid)
        data = warp(moving.data[None], moving.grid, grid, transform, fill=fill)[0]
        write_volume(place / "warped.nii.gz", data, grid, moving.data.dtype)
    with atomic_path(folder / "conditions.png") as path:
        path.write_bytes(png_bytes(side_by_side(found, result)))
    write_json(folder / "conditions.json", result)


def side_by_side(found: dict[str, RegisteredPair], result: dict[str, Any]) -> Pixels:
    """Draw deformation grid and Jacobian of each condition under one another."""
    panels = [
        Panel(name, "", next(p.strips for p in draw_panels(r) if p.title == "Deformation"))
        for name, r in found.items()
    ]
    lines = [
        f"{name}: {row['mm_from_first_mean']:.2f} mm from the first on average, "
        f"{row['mm_from_first_max']:.2f} mm at most"
        for name, row in result.items()
    ]
    return contact_sheet("One pair under several conditions", lines, panels)
