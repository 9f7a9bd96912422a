"""Whether a registered pair suits weights that are for pairs of one contrast.

A plan refuses such weights for pairs of two contrasts. `monai.bundle run` without a plan and
--force get past that, so the writer of the results measures the pair once more.
"""

from __future__ import annotations

from dataclasses import replace

from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.hub.catalogue import find_model
from zoo.planning.alignment import TRUSTED_LNCC2, inside_similarity
from zoo.planning.rules import TWO_CONTRASTS
from zoo.registration.intensity import looks_like_hounsfield
from zoo.registration.result import RegisteredPair
from zoo.registration.weights import SelectedWeights


def with_contrast_note(
    registration: RegisteredPair, weights: SelectedWeights | None
) -> RegisteredPair:
    """Return a registration with the note `two_contrasts` if its weights do not suit the pair.

    The images are compared as the affine part of the transform aligns them: the deformation of
    unsuitable weights cannot be relied on. Two CT images are of one contrast whatever their
    correlations.
    """
    variant = None if weights is None else _one_contrast_variant(weights)
    if weights is None or variant is None:
        return registration
    fixed, moving = registration.pair.fixed, registration.pair.moving[0]
    if looks_like_hounsfield(fixed.data) and looks_like_hounsfield(moving.data):
        return registration
    try:
        figures = inside_similarity(fixed, moving, Transform(registration.transform.affine))
    except UserError:  # there is no body; the verdict reports that on its own
        return registration
    sign, lncc2 = figures["sign"], figures["lncc2"]
    if sign is None or lncc2 < TRUSTED_LNCC2 or sign >= TWO_CONTRASTS:
        return registration
    note = (
        f"the {variant} weights of {weights.model} are for pairs of one contrast, and this pair "
        f"seems to be of two: local correlations differ in sign ({sign:.2f})"
    )
    return replace(registration, notes=registration.notes | {"two_contrasts": note})


def _one_contrast_variant(weights: SelectedWeights) -> str | None:
    """Return the variant of selected weights if it is for pairs of one contrast; else None."""
    try:
        variant = find_model(weights.model).variants.get(weights.find().variant)
    except UserError:
        return None
    return None if variant is None or variant.contrasts == "any" else variant.name
