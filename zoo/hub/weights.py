"""Weights on disk: find them, check a safetensors file before it is loaded, load it.

Nothing here uses the network, and no format but safetensors is ever read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.hub.cache import expand_user
from zoo.hub.catalogue import find_model, load_catalogue
from zoo.hub.lock import lock_path, read_lock
from zoo.hub.specs import ModelSpec

if TYPE_CHECKING:
    import torch

_MAX_HEADER_BYTES = 100_000_000  # as in the safetensors library
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file with weights of a model; `variant` is official, compact or own.

    `width` is the number of channels of the network, or None if it is unknown. `size` is the
    working grid that the weights were trained for, or None if they work on any. With `recolour`
    the network receives the moving image in the contrast of the fixed image.
    """

    path: Path
    variant: str
    sha256: str
    width: int | None
    size: tuple[int, int, int] | None = None
    recolour: bool = False


@dataclass(frozen=True)
class WeightsHeader:
    """The header of a safetensors file: its metadata, and the shape of every tensor by its name."""

    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]

    def width(self) -> int | None:
        """Return the width of the network: from the metadata, else from its first convolution."""
        if self.metadata.get("width", "").isdigit():
            return int(self.metadata["width"])
        known = (spec.architecture for spec in load_catalogue().values() if spec.architecture)
        shapes = (self.shapes.get(architecture.first_convolution) for architecture in known)
        return next((shape[0] for shape in shapes if shape), None)

    def size(self) -> tuple[int, int, int] | None:
        """Return the working grid that the weights were trained for, if the metadata names one."""
        match = re.fullmatch(r"\[(\d{1,3}), (\d{1,3}), (\d{1,3})\]", self.metadata.get("size", ""))
        return None if match is None else (int(match[1]), int(match[2]), int(match[3]))

    def recolour(self) -> bool:
        """Return whether the network receives the moving image in the fixed image's contrast."""
        return self.metadata.get("recolour") == "true"


def find_weights(
    model: str, wanted: str | None = None, bundle: str | Path | None = None
) -> WeightsFile:
    """Return the weights of a model on this computer; nothing is downloaded.

    `wanted` is None (official weights, else compact ones), the name of a variant, or the path of a
    .safetensors file. Weights in the folder `bundle` take precedence over pulled ones, and those
    over packaged ones. Without any, `UserError` says how to get them.
    """
    spec = find_model(model)
    folders = [Path(bundle)] if bundle is not None else []
    if wanted is None:
        candidates = (_find_variant(spec, variant, folders) for variant in spec.variants)
        weights = next((weights for weights in candidates if weights), None)
    elif wanted in spec.variants:
        weights = _find_variant(spec, wanted, folders)
    else:
        weights = _own_file(spec, expand_user(wanted))
    if weights is None:
        raise UserError(_how_to_get(spec, wanted))
    return weights


def models_here() -> dict[str, int]:
    """Return the models that can run on this computer, with the width of their weights.

    The width is 0 for a model without weights and for weights of unknown width.
    """
    widths = {}
    for name, spec in load_catalogue().items():
        try:
            widths[name] = (find_weights(name).width or 0) if spec.learned else 0
        except UserError:
            continue
    return widths


def models_to_choose() -> tuple[str, ...]:
    """Return the models that a plan chooses from: without weights, or with official ones here.

    Compact weights are used only on request, because MCBO is more accurate than they are.
    """
    names = []
    for name, spec in load_catalogue().items():
        try:
            if not spec.learned or find_weights(name).variant == "official":
                names.append(name)
        except UserError:
            continue
    return tuple(names)


def models_without_weights(*, several_moving: bool = False) -> tuple[str, ...]:
    """Return the models that need no weights, or only those that take several moving images."""
    return tuple(
        name
        for name, spec in load_catalogue().items()
        if not spec.learned and (spec.planning.several_moving or not several_moving)
    )


def load_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file, checked first; half precision becomes float32."""
    import torch
    from safetensors.torch import load_file

    read_weights_header(Path(path))
    halves = (torch.float16, torch.bfloat16)
    return {k: v.float() if v.dtype in halves else v for k, v in load_file(path).items()}


def read_weights_header(path: Path) -> WeightsHeader:
    """Return the header of a safetensors file, checked against the size of the file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            _check_start(path, start, size)
            text = file.read(length)
        content = json.loads(text)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a safetensors file: its header is not JSON") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a safetensors file: its header is not a JSON object")
    metadata = content.pop("__metadata__", {})
    _check_extents(path, content, size - 8 - length)
    shapes = {name: tuple(entry["shape"]) for name, entry in content.items()}
    return WeightsHeader(metadata if isinstance(metadata, dict) else {}, shapes)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_start(path: Path, start: bytes, size: int) -> None:
    """Refuse a pickle, a file without content, and a header that is longer than the file."""
    length = int.from_bytes(start, "little")
    if size >= 10 and length <= min(size - 8, _MAX_HEADER_BYTES):
        return
    if start.startswith(_PICKLE_STARTS):
        raise UserError(
            f"{path} is a pickle, which could run code when it is loaded; weights are read as "
            "safetensors only: convert it with `regzoo pull MODEL --source FILE`"
        )
    raise UserError(
        f"{path} is truncated or is not a safetensors file: it claims a header of {length} bytes "
        f"and has {size} bytes in total; pull it again"
    )


def _check_extents(path: Path, entries: dict[str, Any], available: int) -> None:
    """Refuse tensors whose extents overlap, leave gaps, or do not add up to the file's data."""
    extents = []
    for name, entry in entries.items():
        try:
            begin, end = entry["data_offsets"]
            count = math.prod(entry["shape"])
            wanted = count * _ITEM_BYTES[entry["dtype"]]
            whole = all(type(n) is int and n >= 0 for n in (begin, end, *entry["shape"]))
        except (TypeError, KeyError, ValueError):
            whole, begin, end, wanted = False, 0, 0, 0
        if not whole or end - begin != wanted:
            raise UserError(
                f"{path} is damaged: its header describes the tensor {name!r} inconsistently; "
                "pull it again"
            )
        extents.append((begin, end))
    position = 0
    for begin, end in sorted(extents):
        if begin != position:
            raise UserError(
                f"{path} is damaged: its tensors overlap or leave a gap at byte {begin}; pull it "
                "again"
            )
        position = end
    if position != available:
        raise UserError(
            f"{path} is truncated or has something appended: its header describes {position} bytes "
            f"of tensors, and the file holds {available}; pull it again"
        )


def _find_variant(spec: ModelSpec, variant: str, folders: list[Path]) -> WeightsFile | None:
    """Return a variant that is in one of `folders`, was pulled, or came with the package."""
    name = spec.variants[variant].file
    candidates = [folder / name for folder in folders]
    installed = read_lock().installed.get(f"{spec.name}:{variant}")
    if installed is not None and installed.in_place():
        candidates.append(Path(installed.path))
    candidates.append(spec.folder / name)
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        return None
    pulled = installed is not None and str(path) == installed.path
    sha256 = installed.sha256 if installed is not None and pulled else sha256_of(path)
    header = read_weights_header(path)
    return WeightsFile(path, variant, sha256, header.width(), header.size(), header.recolour())


def _own_file(spec: ModelSpec, path: Path) -> WeightsFile:
    """Return weights that the user names by their path."""
    if path.suffix != ".safetensors":
        variants = ", ".join(spec.variants)
        raise UserError(
            f"{path} is neither a variant of {spec.name} ({variants}) nor a .safetensors file; "
            f"convert a .trch or .pth file with `regzoo pull {spec.name} --source FILE`"
        )
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist; check the path")
    header = read_weights_header(path)
    sha256 = sha256_of(path)
    return WeightsFile(path, "own", sha256, header.width(), header.size(), header.recolour())


def _how_to_get(spec: ModelSpec, wanted: str | None) -> str:
    if not spec.variants:
        return f"{spec.name} has no weights and needs none; leave --weights out"
    weights = spec.name if wanted is None else f"{spec.name}:{wanted}"
    return (
        f"there are no weights of {weights} on this computer (neither in {lock_path()} nor in "
        f"{spec.folder}); run `regzoo pull {weights}` or name a file with --weights"
    )
