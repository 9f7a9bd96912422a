"""The state of a training on disk: all that is needed to go on as if it had not been stopped.

A checkpoint is one safetensors file, written beside its place and renamed, so a kill leaves the
last whole one, and reading it can run nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo.errors import UserError
from zoo.hub.weights import read_weights_header
from zoo.io.atomic import atomic_path
from zoo.training.dataset import Endless
from zoo.training.distributed import rank

_PLAIN = (str, int, float, bool, type(None))


class Checkpoint:
    """An ignite handler that saves a training after every epoch and goes on from what it finds.

    `parts` are the objects with a state (network, optimizer, schedule); `signature` is what a run
    must have in common with the one that is continued. Random numbers need no saving: those of a
    step follow from the seed and its number.
    """

    def __init__(
        self,
        path: str | Path,
        parts: Mapping[str, Any],
        sampler: Endless,
        signature: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.parts = dict(parts)
        self.sampler = sampler
        self.signature = json.loads(json.dumps(dict(signature or {})))

    def attach(self, engine: Engine) -> None:
        """Load when the trainer starts, save after each epoch."""
        engine.add_event_handler(Events.STARTED, self.load)
        # Saved last of all: an epoch is done when its validation is.
        engine.add_event_handler(
            Events.STARTED, lambda _: engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        )

    def save(self, engine: Engine) -> None:
        """Write the state, from the first process only."""
        if rank():
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_state(
            self.path,
            state | {"iteration": engine.state.iteration},
            self.signature,
        )

    def load(self, engine: Engine) -> None:
        """Put the saved state into the parts, the trainer and the sampler, if there is one."""
        if not self.path.exists():
            return
        state, signature = read_state(self.path)
        require_same(self.path, signature, self.signature)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        done: int = state["iteration"]
        engine.state.iteration = self.sampler.step = done
        engine.state.epoch = done // (
            engine.state.epoch_length or 1
        )  # epochs may have a new length


def require_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with a file whose signature differs, and say in what."""
    for key in sorted({*found, *wanted}):
        if found.get(key) != wanted.get(key):
            raise UserError(
                f"{path} is of another training: its {key} is {found.get(key)!r}, this one's "
                f"{wanted.get(key)!r}; choose another output folder, or delete it to begin again"
            )


def write_state(path: Path, state: Any, signature: Mapping[str, Any]) -> None:
    """Write nested dicts and lists of tensors and plain values, atomically."""
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_taken_apart(state, tensors))
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"state": skeleton, "signature": json.dumps(signature)})


def read_state(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return what `write_state` wrote, on the CPU, and its signature."""
    metadata = read_weights_header(path).metadata
    if "state" not in metadata:
        raise UserError(f"{path} is no checkpoint of a training")
    with safe_open(path, framework="pt") as file:
        state = _put_together(json.loads(metadata["state"]), file)
    return state, json.loads(metadata["signature"])


def _taken_apart(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return `value` as JSON, its tensors replaced by their numbers in `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"items": [[key, _taken_apart(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_taken_apart(item, tensors) for item in value]
    if not isinstance(value, _PLAIN):
        raise TypeError(f"a checkpoint cannot hold {type(value).__name__}")
    return value


def _put_together(value: Any, file: Any) -> Any:
    if isinstance(value, list):
        return [_put_together(item, file) for item in value]
    if isinstance(value, dict) and "tensor" in value:
        return file.get_tensor(value["tensor"])
    if isinstance(value, dict):
        return {key: _put_together(item, file) for key, item in value["items"]}
    return value


def write_weights(path: Path, network: torch.nn.Module, metadata: Mapping[str, str]) -> None:
    """Write a network's state dict as safetensors, atomically; with how it sees a pair."""
    facts = {"format": "pt", **metadata}
    if (size := getattr(network, "size", None)) is not None:
        facts["size"] = str(list(size))
    if getattr(network, "recolour", False):
        facts["recolour"] = "true"
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, facts)
