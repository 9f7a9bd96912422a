"""Quality warnings: sentences about a registration that needs a second look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FOLDING_PERCENT = 0.1
OVERLAP_PERCENT = 70.0
SIMILARITY_LOSS = 0.01
"""Largest loss of similarity without a warning, relative to the similarity before."""
SMALLEST_SIMILARITY_LOSS = 0.002
"""Loss of similarity below which there is never a warning."""
RELATIVE_CHANGE = 0.005
"""Largest change for the worse of Dice or the landmark error without a warning."""
NEAR_LIMIT = 0.9
"""Share of a model's search range from which displacements count as near its limit."""
SMALLEST_SCALE, LARGEST_SCALE = 0.4, 2.5
"""Changes of volume by the initial affine alignment between which there is no warning."""


def quality_warnings(result: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each sign in a result.json that the registration may have failed."""
    figures: Mapping[str, Any] = result.get("figures", {})
    sentences = [
        _folding(figures),
        _similarity(figures),
        _overlap(figures),
        _worse(figures, "dice", "the Dice overlap of the labels is lower", -1),
        _worse(figures, "tre_mm", "the mean landmark error in mm is larger", +1),
        _search_limit(figures, result.get("search_limit_mm")),
        _implausible_affine(result),
        _given_affine(result),
    ]
    return [sentence for sentence in sentences if sentence]


def _folding(figures: Mapping[str, Any]) -> str:
    percent = figures.get("folding_percent") or 0.0
    if percent < FOLDING_PERCENT:
        return ""
    return (
        f"The transform folds in {percent:.2g} % of the voxels, where it is not invertible. "
        "Stronger regularisation or a better initial affine alignment may help."
    )


def _similarity(figures: Mapping[str, Any]) -> str:
    before, after = figures.get("similarity_before"), figures.get("similarity_after")
    if before is None or after is None:
        return ""
    if before - after < max(SMALLEST_SIMILARITY_LOSS, SIMILARITY_LOSS * before):
        return ""
    return (
        f"The images are less similar after the registration than before ({before:.3f} -> "
        f"{after:.3f}). It has probably failed."
    )


def _overlap(figures: Mapping[str, Any]) -> str:
    percent = figures.get("overlap_percent_after")
    if percent is None or percent >= OVERLAP_PERCENT:
        return ""
    return (
        f"Only {percent:.0f} % of the fixed image's body is inside the moving image's field of "
        "view. Elsewhere the warped image is empty and the transform is extrapolated."
    )


def _worse(figures: Mapping[str, Any], name: str, statement: str, sign: int) -> str:
    """Return a warning if a figure rose (`sign` 1) or fell (`sign` -1) by more than a tolerance."""
    before, after = figures.get(f"{name}_before"), figures.get(f"{name}_after")
    if before is None or after is None or sign * (after - before) <= RELATIVE_CHANGE * abs(before):
        return ""
    return f"After the registration {statement} than before: {before:.3f} -> {after:.3f}."


def _search_limit(figures: Mapping[str, Any], limit: float | None) -> str:
    longest = figures.get("deformation_mm_p99")
    if limit is None or longest is None or longest < NEAR_LIMIT * limit:
        return ""
    return (
        f"The displacements reach {longest:.1f} mm, close to the {limit:.1f} mm that this model "
        "can find. The true displacements may be larger: try another initial affine alignment, or "
        "a model with a larger search range."
    )


def _implausible_affine(result: Mapping[str, Any]) -> str:
    matrix = result.get("affine_start", {}).get("matrix_ras")
    if not matrix:
        return ""
    (a, b, c, _), (d, e, f, _), (g, h, i, _) = matrix[:3]
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if SMALLEST_SCALE < determinant < LARGEST_SCALE:
        return ""
    change = (
        "mirrors the image"
        if determinant < 0
        else f"scales volumes by a factor of {determinant:.2g}"
    )
    return (
        f"The initial affine alignment {change}, which is rarely right for anatomy. Check it in "
        "the pictures."
    )


def _given_affine(result: Mapping[str, Any]) -> str:
    start = result.get("affine_start", {})
    if start.get("kind") != "given" or start["similarity"][1] >= start["similarity"][0]:
        return ""
    before, after = start["similarity"]
    return (
        f"The given affine transform makes the images less similar ({before:.3f} -> {after:.3f}). "
        "It may be the inverse of the right one, or belong to other images."
    )
