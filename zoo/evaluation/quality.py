"""What looks wrong in a registration, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FOLDING_PERCENT = 0.1
OVERLAP_PERCENT = 70.0
SIMILARITY_LOSS = 0.01  # of what it was, and no less than .002
NEAR_LIMIT = 0.9


def quality_warnings(result: Mapping[str, Any]) -> list[str]:
    """Return a sentence for everything in a result that asks for a second look."""
    figures: Mapping[str, Any] = result.get("figures", {})
    out = [_folding(figures), _similarity(figures), _overlap(figures)]
    out += [_worse(figures, "dice", "the overlap of the labels (Dice) fell", -1)]
    out += [_worse(figures, "tre_mm", "the landmark error grew (mm)", +1)]
    out += [_limit(figures, result.get("search_limit_mm")), _mirrored(result), _given(result)]
    return [sentence for sentence in out if sentence]


def _folding(figures: Mapping[str, Any]) -> str:
    share = figures.get("folding_percent") or 0.0
    if share < FOLDING_PERCENT:
        return ""
    return (
        f"The map folds in {share:.2g} % of the voxels: there it is not one to one. A stronger "
        "regularisation or a better affine start may help."
    )


def _similarity(figures: Mapping[str, Any]) -> str:
    before, after = figures.get("similarity_before"), figures.get("similarity_after")
    if before is None or after is None or before - after < max(0.002, SIMILARITY_LOSS * before):
        return ""
    return (
        f"The images are less alike after the registration than before ({before:.3f} -> "
        f"{after:.3f}): it has probably failed."
    )


def _overlap(figures: Mapping[str, Any]) -> str:
    share = figures.get("overlap_percent_after")
    if share is None or share >= OVERLAP_PERCENT:
        return ""
    return (
        f"Only {share:.0f} % of the fixed image's body lies in the moving image's field of view; "
        "the rest of the warped image is empty and its map a guess."
    )


def _worse(figures: Mapping[str, Any], name: str, words: str, sign: int) -> str:
    before, after = figures.get(f"{name}_before"), figures.get(f"{name}_after")
    if before is None or after is None or sign * (after - before) <= 0.005 * abs(before):
        return ""
    return f"After the registration {words}: {before:.3f} -> {after:.3f}."


def _limit(figures: Mapping[str, Any], limit: float | None) -> str:
    longest = figures.get("deformation_mm_p99")
    if limit is None or longest is None or longest < NEAR_LIMIT * limit:
        return ""
    return (
        f"The displacements reach {longest:.1f} mm, near the {limit:.1f} mm this model can search: "
        "the true ones may be larger. Try another affine start, or a model with a longer reach."
    )


def _given(result: Mapping[str, Any]) -> str:
    start = result.get("affine_start", {})
    if start.get("kind") != "given" or start["similarity"][1] >= start["similarity"][0]:
        return ""
    before, after = start["similarity"]
    return (
        f"The affine transform that was given makes the images less alike ({before:.3f} -> "
        f"{after:.3f}): it may be the inverse, or that of other images."
    )


def _mirrored(result: Mapping[str, Any]) -> str:
    matrix = result.get("affine_start", {}).get("matrix_ras")
    if not matrix:
        return ""
    (a, b, c, _), (d, e, f, _), (g, h, i, _) = matrix[:3]
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if 0.4 < determinant < 2.5:
        return ""
    words = "mirrors the image" if determinant < 0 else f"changes volumes {determinant:.2g} fold"
    return f"The affine start {words}, which anatomy rarely does: check it in the pictures."
