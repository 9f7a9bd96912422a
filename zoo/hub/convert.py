"""Convert the checkpoints that authors release to safetensors, checked against the architecture.

A checkpoint is a pickle. It is read by torch's restricted unpickler, which builds tensors and plain
containers and runs nothing else. A checkpoint that does not fit the architecture exactly is
refused.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue
from zoo.hub.specs import Architecture
from zoo.hub.weights_header import sha256_of
from zoo.io.atomic import atomic_path

Half = Literal["float32", "float16"]
Shapes = dict[str, tuple[int, ...]]

_WRAPPED_IN = ("model_state_dict", "state_dict", "model")
_NAMED_AT_MOST = 3


def architectures() -> dict[str, Architecture]:
    """Return the architectures of the packaged models by their names."""
    known = (spec.architecture for spec in load_catalogue().values())
    return {architecture.name: architecture for architecture in known if architecture}


def convert(
    source: str | Path,
    target: str | Path,
    *,
    architecture: str,
    width: int,
    licence: str,
    url: str | None = None,
    dtype: Half = "float32",
) -> str:
    """Write the checkpoint `source` as safetensors to `target`; return the sha256 of the result.

    `architecture` is a key of `architectures()`, `width` its number of channels (16 for the
    published GradICON networks, 8 for UniReg), `licence` that of the weights, `url` the address
    that `source` came from. "float16" halves the file; integers stay as they are. `target` is
    written completely or not at all, and the same input gives the same bytes.
    """
    source = Path(source)
    if dtype not in ("float32", "float16"):
        raise UserError(f"weights cannot be written as {dtype}; use float32 or float16")
    wanted = expected_shapes(architecture, width)
    state = _checked(
        read_checkpoint(source), wanted, f"{source}, read as {architecture} of width {width}"
    )
    metadata = {
        "format": "pt",
        "architecture": architecture,
        "width": str(width),
        "licence": licence,
        "source": url or source.name,
        "source_sha256": sha256_of(source),
    }
    kind = getattr(torch, dtype)
    tensors = {
        name: (state[name].to(kind) if state[name].is_floating_point() else state[name])
        .contiguous()
        .clone()
        for name in wanted
    }
    _check_range(tensors, source)
    with atomic_path(target) as temporary:
        save_file(tensors, temporary, metadata)
        settle_header(temporary)
    return sha256_of(Path(target))


def expected_shapes(architecture: str, width: int) -> Shapes:
    """Return name and shape of every tensor in a network's state dict, in the order of the dict."""
    known = architectures()
    if architecture not in known:
        raise UserError(
            f"the architecture {architecture!r} is not known; use one of {', '.join(sorted(known))}"
        )
    if width < 1:
        raise UserError(f"the width of a network is {width}, but it must be at least 1")
    with torch.device("meta"):
        network = known[architecture].build(width)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Return the state dict of a .trch, .pth or .pt file; only tensors and plain data are read."""
    if not path.is_file():
        raise UserError(f"the checkpoint {path} does not exist; check the path")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is refused: it holds more than tensors and plain data, or it is damaged; "
            f"nothing in it was run ({_first_line(error)})"
        ) from error
    except Exception as error:
        raise UserError(
            f"{path} is not a checkpoint that torch can read, or it is damaged "
            f"({_first_line(error)})"
        ) from error
    for key in _WRAPPED_IN:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path} holds a {type(content).__name__}, but it should hold the tensors of a "
            "network by their names"
        )
    return content


def _checked(found: Mapping[str, Any], wanted: Shapes, what: str) -> dict[str, Tensor]:
    """Return the tensors if they are exactly the wanted ones; raise `UserError` otherwise."""
    missing = [name for name in wanted if name not in found]
    extra = [str(name) for name in found if name not in wanted]
    wrong = [
        f"{name}: {_described(found[name])} instead of {shape}"
        for name, shape in wanted.items()
        if name in found and _described(found[name]) != str(shape)
    ]
    problems = [
        f"{len(names)} {problem} ({', '.join(names[:_NAMED_AT_MOST])}{', ...' * more})"
        for problem, names in (
            ("missing", missing),
            ("unknown", extra),
            ("of another shape", wrong),
        )
        if names
        for more in [len(names) > _NAMED_AT_MOST]
    ]
    if problems:
        raise UserError(
            f"{what}, does not fit: of {len(wanted)} tensors, {'; '.join(problems)}; name the "
            "checkpoint of this model"
        )
    return dict(found)


def _described(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _check_range(tensors: Mapping[str, Tensor], source: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError(
                f"{source}: the tensor {name} has values that are not finite as {tensor.dtype}; "
                "convert it as float32, or check the checkpoint"
            )


def settle_header(path: Path) -> None:
    """Sort the metadata in a safetensors header, which the library writes in random order."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        file.seek(8)
        assert len(text) <= length
        file.write(text.ljust(length))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
