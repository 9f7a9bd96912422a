"""Weights on disk: finding them, checking a safetensors file before it is loaded, loading it.

Nothing here touches the network, and nothing but safetensors is ever read.
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
from zoo.hub.catalogue import Model, find_model, load_catalogue
from zoo.hub.lock import lock_path, read_lock
from zoo.hub.places import at_home, packaged_bundles

if TYPE_CHECKING:
    import torch

_MAX_HEADER_BYTES = 100_000_000  # as in the safetensors library
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
# The first convolution of each architecture: its output channels are the network's width.
_FIRST_CONVOLUTIONS = ("netPsi.net.downConvs.0.weight", "encoder.block1.main.weight")


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file for a model; `variant` is official, compact or own.

    `width` is the network's, if known; `size` the grid that the weights see every pair on, if they
    were made for one; with `recolour` they see the moving image in the fixed one's contrast.
    """

    path: Path
    variant: str
    sha256: str
    width: int | None
    size: tuple[int, int, int] | None = None
    recolour: bool = False


@dataclass(frozen=True)
class WeightsHeader:
    """A safetensors header: metadata and the shape of every tensor by its name."""

    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]

    def width(self) -> int | None:
        """The width of the network these weights fit, from the metadata or the first layer."""
        if self.metadata.get("width", "").isdigit():
            return int(self.metadata["width"])
        shapes = (self.shapes.get(name) for name in _FIRST_CONVOLUTIONS)
        return next((shape[0] for shape in shapes if shape), None)

    def size(self) -> tuple[int, int, int] | None:
        """The grid that the weights see every pair on, if the metadata names one."""
        found = re.fullmatch(r"\[(\d{1,3}), (\d{1,3}), (\d{1,3})\]", self.metadata.get("size", ""))
        return None if found is None else (int(found[1]), int(found[2]), int(found[3]))

    def recolour(self) -> bool:
        """Whether the weights see the moving image in the contrast of the fixed one."""
        return self.metadata.get("recolour") == "true"


def find_weights(
    model: str, wanted: str | None = None, bundle: str | Path | None = None
) -> WeightsFile:
    """The weights on this computer for a model; never downloads.

    `wanted` is None (official if there, else compact), a variant's name, or the path of a
    .safetensors file. Weights in the folder `bundle` (published ones lie in its models/) come
    before pulled ones, and those before packaged ones. UserError says what to do without any.
    """
    entry = find_model(model)
    folders = [Path(bundle)] if bundle is not None else []
    if wanted is None:
        found = (_find_variant(entry, variant, folders) for variant in entry.variants)
        weights = next((weights for weights in found if weights), None)
    elif wanted in entry.variants:
        weights = _find_variant(entry, wanted, folders)
    else:
        weights = _own_file(entry, at_home(wanted))
    if weights is None:
        raise UserError(_how_to_get(entry, wanted))
    return weights


def models_here() -> dict[str, int]:
    """The models that can run on this computer and the width of their weights.

    A model without weights of its own has the width 0, and so have weights that do not tell it.
    """
    found = {}
    for name, model in load_catalogue().items():
        try:
            found[name] = (find_weights(name).width or 0) if model.variants else 0
        except UserError:
            continue
    return found


def models_to_choose() -> tuple[str, ...]:
    """The models among which a plan chooses: those that need no weights or have the official ones.

    Compact weights are there to be asked for: MCBO is more accurate than they are.
    """
    found = []
    for name, model in load_catalogue().items():
        try:
            if not model.variants or find_weights(name).variant == "official":
                found.append(name)
        except UserError:
            continue
    return tuple(found)


def load_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, checked first; half precision becomes float32."""
    import torch
    from safetensors.torch import load_file

    read_weights_header(Path(path))
    halves = (torch.float16, torch.bfloat16)
    return {k: v.float() if v.dtype in halves else v for k, v in load_file(path).items()}


def read_weights_header(path: Path) -> WeightsHeader:
    """The header of a safetensors file, with every claim in it held against the file's size."""
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
        raise UserError(f"{path} is not a safetensors file: its header is not a table")
    metadata = content.pop("__metadata__", {})
    _check_extents(path, content, size - 8 - length)
    shapes = {name: tuple(entry["shape"]) for name, entry in content.items()}
    return WeightsHeader(metadata if isinstance(metadata, dict) else {}, shapes)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_start(path: Path, start: bytes, size: int) -> None:
    """Refuse a pickle, a stub, and a header that claims to be longer than the file."""
    length = int.from_bytes(start, "little")
    if size >= 10 and length <= min(size - 8, _MAX_HEADER_BYTES):
        return
    if start.startswith(_PICKLE_STARTS):
        raise UserError(
            f"{path} is a pickle, which could run code; weights are read as safetensors only: "
            "convert it with `regzoo pull MODEL --source FILE` or tools/convert.py"
        )
    raise UserError(
        f"{path} is truncated or not a safetensors file: it claims a header of {length} bytes but "
        f"has {size} bytes in all"
    )


def _check_extents(path: Path, entries: dict[str, Any], available: int) -> None:
    """Refuse tensors whose extents overlap, leave holes, or do not add up to the file's data."""
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
            raise UserError(f"{path}: the header's entry for tensor {name!r} makes no sense")
        extents.append((begin, end))
    position = 0
    for begin, end in sorted(extents):
        if begin != position:
            raise UserError(f"{path}: the header's tensors overlap or leave holes at byte {begin}")
        position = end
    if position != available:
        raise UserError(
            f"{path} is truncated or has something appended: its header describes {position} bytes "
            f"of tensors, {available} are there; pull it again"
        )


def _find_variant(model: Model, variant: str, folders: list[Path]) -> WeightsFile | None:
    """A variant that lies in one of `folders`, that was pulled, or that came with the package."""
    name = model.variants[variant].file
    places = [folder / name for folder in folders]
    installed = read_lock().installed.get(f"{model.name}:{variant}")
    if installed is not None and installed.in_place():
        places.append(Path(installed.path))
    places.append(packaged_bundles() / model.name / name)
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        return None
    known = installed is not None and str(path) == installed.path
    sha256 = installed.sha256 if installed is not None and known else sha256_of(path)
    header = read_weights_header(path)
    return WeightsFile(path, variant, sha256, header.width(), header.size(), header.recolour())


def _own_file(model: Model, path: Path) -> WeightsFile:
    """Weights the user names by path."""
    if path.suffix != ".safetensors":
        variants = ", ".join(model.variants)
        raise UserError(
            f"{path} is neither a variant of {model.name} ({variants}) nor a .safetensors file; "
            "a .trch or .pth file is converted by "
            f"`regzoo pull {model.name} --source FILE` or tools/convert.py"
        )
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    header = read_weights_header(path)
    sha256 = sha256_of(path)
    return WeightsFile(path, "own", sha256, header.width(), header.size(), header.recolour())


def _how_to_get(model: Model, wanted: str | None) -> str:
    if not model.variants:
        return f"{model.name} has no weights and needs none"
    spec = model.name if wanted is None else f"{model.name}:{wanted}"
    return (
        f"no weights for {spec} on this computer (looked in {lock_path()} and "
        f"{packaged_bundles() / model.name}); run `regzoo pull {spec}` or give `--weights PATH`"
    )
