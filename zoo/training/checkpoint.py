"""What a training saves: a checkpoint, from which it resumes without a difference, and weights.

Both are safetensors files that are written under a temporary name and then renamed. A run that is
killed while saving therefore leaves the previous file intact, and reading cannot execute code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.hub.weights import read_weights_header
from zoo.io.atomic import atomic_path
from zoo.training.dataset import EndlessSampler
from zoo.training.distributed import process_rank
from zoo.training.tables import Row

BEST = "best.safetensors"
RECORD = "validation"
"""The metadata key of the best weights that holds their validation, as JSON."""

_PLAIN = (str, int, float, bool, type(None))


class Checkpoint:
    """An ignite handler that saves a training after every epoch and resumes it when it starts.

    `parts` are the objects with a state dict (network, optimizer, schedule). `signature` holds the
    settings that must not change when a run is resumed. The state of the random number generators
    is not saved, because the random numbers of a step follow from the seed and the step's number.
    """

    def __init__(
        self,
        path: str | Path,
        parts: Mapping[str, Any],
        sampler: EndlessSampler,
        signature: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.parts = dict(parts)
        self.sampler = sampler
        self.signature = plain(signature)

    def attach(self, engine: Engine) -> None:
        """Load when the trainer starts, save after each epoch."""
        engine.add_event_handler(Events.STARTED, self.load)
        # Registering `save` only when the run starts makes it the last handler of an epoch: the
        # validation of the epoch must be complete before the epoch counts as done.
        engine.add_event_handler(
            Events.STARTED, lambda _: engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        )

    def save(self, engine: Engine) -> None:
        """Write the state; only the first process writes."""
        if process_rank():
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_state(
            self.path,
            state | {"iteration": engine.state.iteration},
            self.signature,
        )

    def load(self, engine: Engine) -> None:
        """Restore the parts, the trainer and the sampler from the checkpoint, if there is one."""
        if not self.path.exists():
            return
        state, signature = read_state(self.path)
        require_same(self.path, signature, self.signature)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        iteration: int = state["iteration"]
        engine.state.iteration = self.sampler.step = iteration
        # The length of an epoch may have changed, so the epoch is computed and not stored.
        engine.state.epoch = iteration // (engine.state.epoch_length or 1)


def plain(signature: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a signature as JSON would return it, with lists for tuples."""
    return dict(json.loads(json.dumps(dict(signature or {}))))


def require_same(path: Path, saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Refuse to resume from a file whose signature differs, and name the first difference."""
    for key in sorted({*saved, *current}):
        if saved.get(key) != current.get(key):
            raise UserError(
                f"{path} belongs to a training with {key} {saved.get(key)!r}, and this one has "
                f"{key} {current.get(key)!r}; choose another output folder, or delete the file to "
                "start again"
            )


def write_state(path: Path, state: Any, signature: Mapping[str, Any]) -> None:
    """Write nested dicts and lists of tensors and plain values to a safetensors file, atomically.

    The tensors are stored under running numbers; the structure around them is JSON in the header.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_without_tensors(state, tensors))
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"state": skeleton, "signature": json.dumps(signature)})


def read_state(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the state that `write_state` wrote, on the CPU, and its signature."""
    metadata = read_weights_header(path).metadata
    if "state" not in metadata:
        raise UserError(f"{path} is not a checkpoint of a training; it may hold weights only")
    with safe_open(path, framework="pt") as file:
        try:
            state = _with_tensors(json.loads(metadata["state"]), file)
            return state, dict(json.loads(metadata["signature"]))
        except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            raise UserError(
                f"{path} is not a checkpoint of a training ({error}); delete it to start again"
            ) from error


def _without_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return `value` as JSON; its tensors move to `tensors` and leave their names behind."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"items": [[key, _without_tensors(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_without_tensors(item, tensors) for item in value]
    if not isinstance(value, _PLAIN):
        raise TypeError(f"a checkpoint cannot store {type(value).__name__}")
    return value


def _with_tensors(value: Any, file: Any) -> Any:
    """Undo `_without_tensors` with the tensors of an open safetensors file."""
    if isinstance(value, list):
        return [_with_tensors(item, file) for item in value]
    if isinstance(value, dict) and "tensor" in value:
        return file.get_tensor(value["tensor"])
    if isinstance(value, dict):
        return {key: _with_tensors(item, file) for key, item in value["items"]}
    return value


def write_weights(path: Path, network: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write a network's state dict as safetensors, atomically.

    The header holds `metadata`, and the network's own `size` and `recolour` where it has them.
    """
    header = {"format": "pt", **metadata}
    if (size := getattr(network, "size", None)) is not None:
        header["size"] = str(list(size))
    if getattr(network, "recolour", False):
        header["recolour"] = "true"
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, header)


@dataclass(frozen=True)
class BestValidation:
    """The best validation: the figure that decided (None: the last one counts), and all figures."""

    figure: str | None
    figures: Row

    @property
    def step(self) -> int:
        """The training step after which the validation ran."""
        return int(self.figures["step"] or 0)


def write_best(folder: Path, network: nn.Module, best: BestValidation) -> None:
    """Write the weights of `network` as the best ones, together with their validation."""
    write_weights(folder / BEST, network, {RECORD: json.dumps(asdict(best))})


def read_best(folder: Path) -> BestValidation | None:
    """Return the validation of the best weights in `folder`; None if no validation has run."""
    path = folder / BEST
    if not path.is_file():
        return None
    record = read_weights_header(path).metadata.get(RECORD)
    if record is None:
        raise UserError(
            f"{path} does not record the validation that chose it, because another version wrote "
            f"it; delete {folder} to train again"
        )
    try:
        return BestValidation(**json.loads(record))
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} has a damaged record of its validation ({error}); delete {folder} to train "
            "again"
        ) from error
