"""Putting weights that are on this computer into a bundle's network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from zoo.errors import UserError
from zoo.hub.weights import find_weights, load_weights


def weights_width(model: str, wanted: str | None, bundle: str | Path, default: int) -> int:
    """Return the width of the weights that `load_into` would load; `default` if there are none.

    So a bundle can be looked at without weights; running it is another matter.
    """
    try:
        return find_weights(model, wanted, bundle).width or default
    except UserError:
        return default


def load_into(
    network: nn.Module, model: str, wanted: str | None = None, bundle: str | Path | None = None
) -> nn.Module:
    """Load the weights of `model` into `network`, strictly, and switch it to evaluation.

    `wanted` is None (the best on disk), "official", "compact" or the path of a .safetensors file.
    Weights in the folder `bundle` come first: a downloaded bundle brings its own.
    Without weights there is an error that says how to get them: a network is never run untrained.
    The grid that the weights see every pair on, if they were made for one, becomes the network's
    `size`, and so does `recolour`: they belong to the weights, not to the config.
    """
    found = find_weights(model, wanted, bundle)
    try:
        network.load_state_dict(load_weights(found.path), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{found.path} does not fit the network of {model}: {reason}") from None
    if found.size is not None:
        network.size = found.size  # type: ignore[assignment]
    if found.recolour:
        network.recolour = True  # type: ignore[assignment]
    return network.eval()


def weights_facts(
    model: str, wanted: str | None = None, bundle: str | Path | None = None
) -> dict[str, Any]:
    """Return what result.json says of the weights: path, variant, sha256."""
    found = find_weights(model, wanted, bundle)
    return {
        "path": str(Path(found.path)),
        "variant": found.variant,
        "sha256": found.sha256,
        "width": found.width,
    }
