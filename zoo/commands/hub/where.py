"""`regzoo where`: the paths of a model's bundle and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.hub.own_models import OwnModel


def where(model: str, *, json: bool = False) -> None:
    """Show where the bundle and the weights of a model are, and what to cite.

    MODEL is a model of the zoo, or one of your own by its name or its folder. Weights that are not
    on this computer are listed without a path; `regzoo pull MODEL` downloads them.

    Examples:
        regzoo where unigradicon
        regzoo where my_model --json

    Args:
        model: The model, such as unigradicon.
        json: Print the paths as JSON.
    """
    from zoo.hub.own_models import find_own_model

    own = find_own_model(model)
    found = _paths(model) if own is None else _own_paths(own)
    if json:
        from zoo.commands._shared import print_json

        print_json(found)
        return
    print(f"bundle: {found['bundle']}")
    for name, path in found["weights"].items():
        print(f"weights {name}: {path or 'not on this computer'}")
    if not found["weights"]:
        print("weights: none needed")
    for reference in found["citation"]:
        print(f"cite: {reference}")


def _paths(model: str) -> dict[str, Any]:
    """Return the bundle, the weights by variant, and the references of a model of the zoo."""
    from zoo.errors import UserError
    from zoo.hub.catalogue import citations, find_model
    from zoo.hub.weights import find_weights

    spec = find_model(model)
    weights: dict[str, str | None] = {}
    for variant in spec.variants:
        try:
            weights[variant] = str(find_weights(model, variant).path)
        except UserError:
            weights[variant] = None
    return {
        "model": model,
        "bundle": str(spec.folder),
        "weights": weights,
        "citation": citations(model),
    }


def _own_paths(own: OwnModel) -> dict[str, Any]:
    """Return the bundle, the weights, and the references of a model of one's own."""
    from zoo.hub.catalogue import citations

    weights = own.settings.get("weights")
    return {
        "model": own.model,
        "bundle": str(own.folder),
        "weights": {} if weights is None else {"own": str(weights)},
        "citation": citations(own.model),
    }
