"""The weights on this computer: find them, load them, verify them.

Nothing here uses the network, and no format but safetensors is ever read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.hub.cache import expand_user
from zoo.hub.catalogue import find_model, load_catalogue
from zoo.hub.lock import UNVERIFIED, Installed, lock_path, read_lock
from zoo.hub.specs import ModelSpec
from zoo.hub.weights_header import read_weights_header as read_weights_header
from zoo.hub.weights_header import sha256_of as sha256_of

if TYPE_CHECKING:
    import torch


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
class WeightsCheck:
    """The result for one weights file; `problem` is None for a sound file.

    `verified` says whether its sha256 is known from somewhere else than the file itself.
    """

    weights: str
    path: Path
    sha256: str | None
    verified: bool
    problem: str | None


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


def weights_here() -> dict[str, WeightsFile | None]:
    """Return the models that can run on this computer with their weights, None if they need none.

    Every file of weights is read. The functions below take the result, so that it is read once.
    """
    found: dict[str, WeightsFile | None] = {}
    for name, spec in load_catalogue().items():
        try:
            found[name] = find_weights(name) if spec.learned else None
        except UserError:
            continue
    return found


def models_here(found: Mapping[str, WeightsFile | None]) -> dict[str, int]:
    """Return the models that can run on this computer, with the width of their weights.

    The width is 0 for a model without weights and for weights of unknown width.
    """
    return {n: 0 if weights is None else weights.width or 0 for n, weights in found.items()}


def variants_here(found: Mapping[str, WeightsFile | None]) -> dict[str, str]:
    """Return the variant of the weights that each learned model uses on this computer."""
    return {n: weights.variant for n, weights in found.items() if weights is not None}


def models_to_choose(found: Mapping[str, WeightsFile | None]) -> tuple[str, ...]:
    """Return the models that a plan chooses from: they need no weights or have official ones.

    Compact weights are used only on request, because MCBO is more accurate than they are.
    """
    return tuple(
        n for n, weights in found.items() if weights is None or weights.variant == "official"
    )


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


def verify_all() -> list[WeightsCheck]:
    """Check size, header and sha256 of every pulled and every packaged file."""
    catalogue = load_catalogue()
    checks = []
    for name, entry in read_lock().installed.items():
        known = entry.checked != UNVERIFIED
        check = _verify(name, Path(entry.path), entry.sha256, known)
        expected = _expected_sha256(catalogue, entry)
        if check.problem is None and expected not in (None, entry.sha256):
            problem = f"the catalogue lists the sha256 {expected} for it; pull it again"
            check = replace(check, problem=problem)
        checks.append(check)
    for model in catalogue.values():
        for variant in model.variants.values():
            path = model.folder / variant.file
            if path.is_file():
                name = f"{model.name}:{variant.name} (packaged)"
                checks.append(_verify(name, path, variant.sha256, variant.verified))
    return checks


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
    known = (name for name, variant in spec.variants.items() if variant.sha256 == sha256)
    variant = next(known, "own")  # a copy of known weights is what it is a copy of
    return WeightsFile(path, variant, sha256, header.width(), header.size(), header.recolour())


def _how_to_get(spec: ModelSpec, wanted: str | None) -> str:
    if not spec.variants:
        return f"{spec.name} has no weights and needs none; leave --weights out"
    weights = spec.name if wanted is None else f"{spec.name}:{wanted}"
    return (
        f"there are no weights of {weights} on this computer (neither in {lock_path()} nor in "
        f"{spec.folder}); run `regzoo pull {weights}` or name a file with --weights"
    )


def _expected_sha256(catalogue: Mapping[str, ModelSpec], entry: Installed) -> str | None:
    """Return the sha256 that the catalogue lists for a file from the Hub, if it lists one."""
    model = catalogue.get(entry.model)
    variant = model.variants.get(entry.variant) if model else None
    return variant.sha256 if variant and entry.source == "hub" else None


def _verify(name: str, path: Path, expected: str | None, verified: bool) -> WeightsCheck:
    """Check one file; without an expected sha256 only its header is checked."""
    if not path.is_file():
        return WeightsCheck(name, path, None, verified, "the file no longer exists; pull it again")
    sha256 = sha256_of(path)
    if expected is not None and sha256 != expected:
        problem = f"its sha256 is {sha256} and should be {expected}; delete it and pull it again"
        return WeightsCheck(name, path, sha256, verified, problem)
    try:
        read_weights_header(path)
    except UserError as error:
        return WeightsCheck(name, path, sha256, verified, str(error))
    return WeightsCheck(name, path, sha256, verified, None)
