"""Files of a training: the state to resume from, and the weights to publish."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from compact.recipes import SHAPES
from compact.training import Training
from zoo.io.atomic import atomic_path


def save_state(training: Training, path: Path) -> None:
    """Write everything that is needed to resume; an interrupted write leaves the old file."""
    with atomic_path(path) as temporary:
        torch.save(training.state(), temporary)


def read_state(path: Path, device: str) -> dict[str, Any]:
    """Return the state in a file, with its tensors on a device."""
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def read_network(path: Path, device: str) -> dict[str, Tensor]:
    """Return the network in the state of a training, or in a published weights file."""
    if path.suffix == ".safetensors":
        return load_file(path, device)
    network: dict[str, Tensor] = read_state(path, device)["network"]
    return network


def export(training: Training, path: Path) -> None:
    """Write the weights so far in half precision, with the recipe in the metadata."""
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in training.weights().items()
    }
    metadata = {
        "model": training.recipe.model,
        "variant": "compact",
        "licence": "Apache-2.0",
        "data": _data(training),
        "recipe": json.dumps(asdict(training.recipe)),
        "subjects": str(training.drawn),
        "stage": _position(training),
        **training.metadata(),
    }
    with atomic_path(path) as temporary:
        save_file(half, temporary, metadata)


def _data(training: Training) -> str:
    """Return what the subjects were made from, with the sources that its licences ask to name."""
    mixture = training.recipe.mixture
    if mixture == SHAPES:
        return "synthetic subjects only (zoo.synthesis.subjects)"
    sources = ["random shapes (zoo.synthesis.subjects)"]
    if mixture.heads or mixture.two_heads:
        sources.append("label maps of heads from SynthSeg (BBillot/SynthSeg, Apache-2.0)")
    if mixture.ct or mixture.two_cts:
        sources.append("head-and-neck CT from OpenKBP (ababier/open-kbp, MIT)")
    return "synthetic subjects from " + ", ".join(sources)


def _position(training: Training) -> str:
    stages = training.recipe.stages
    if training.stage == len(stages):
        return f"all {len(stages)}"
    return f"{training.stage + 1} of {len(stages)}, step {training.step}"
