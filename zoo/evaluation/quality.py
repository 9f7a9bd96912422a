"""The verdict on a registration: ok, check or failed, with a sentence for each sign of failure.

All decisions are made here, from measurements that other modules take. The thresholds are explained
in docs/reference/quality.md and calibrated in docs/experiments/quality.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo.evaluation.common_structure import CommonStructure
from zoo.evaluation.metrics import Figures

Quality = Literal["ok", "check", "failed"]
QUALITIES = get_args(Quality)
"""The verdicts, from the best to the worst."""

UNRELATED_RATIO, COMMON_RATIO = 1.2, 2.0
"""Agreement relative to that of unrelated images up to which a registration has failed, and from
which there is no warning."""
EMPTY_PERCENT = 20.0
"""Share of the common region that may be constant in the moving image without a warning."""
FOLDING_PERCENT, FAILED_FOLDING_PERCENT = 0.1, 5.0
OVERLAP_PERCENT, FAILED_OVERLAP_PERCENT = 70.0, 25.0
SIMILARITY_LOSS = 0.01
"""Largest loss of similarity without a warning, relative to the similarity before."""
SMALLEST_SIMILARITY_LOSS = 0.002
"""Loss of similarity below which there is never a warning."""
NMI_LOSS = 0.3
"""Largest loss of normalised mutual information without a warning, relative to the part above 1."""
SMALLEST_NMI_LOSS = 0.002
"""Loss of normalised mutual information below which there is never a warning."""
RELATIVE_CHANGE, FAILED_RELATIVE_CHANGE = 0.005, 0.1
"""Changes for the worse of Dice or the landmark error with a warning, and of a failure."""
NEAR_LIMIT = 0.9
"""Share of a model's search range from which displacements count as near its limit."""
SMALLEST_SCALE, LARGEST_SCALE = 0.4, 2.5
"""Changes of volume by the affine part between which there is no warning."""
LARGEST_ROTATION = 60.0
"""Rotation in degrees by the affine part up to which there is no warning."""
LARGEST_STRETCH = 1.6
"""Ratio of the largest to the smallest stretch of the affine part without a warning."""
SYMMETRIC = 0.3
"""Information that an image with left and right exchanged shares with the fixed image, relative to
that of the image itself, from which a mirrored header may go unnoticed."""
INVERSE_VOXELS = 2.0
"""Mean inverse consistency error in voxels of the fixed image without a warning."""


@dataclass(frozen=True)
class Sign:
    """A sign of failure: the worst verdict that it allows, and a sentence for the user."""

    quality: Quality
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The quality of a registration and the sentences that explain it, the most severe first.

    `limits` are sentences about faults that the measurements of this pair could not show.
    """

    quality: Quality
    warnings: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


def judge(
    figures: Figures,
    structure: CommonStructure | None,
    notes: Mapping[str, Any],
    *,
    affine: Tensor,
    voxel_mm: float,
) -> Verdict:
    """Return the verdict on a registration.

    Args:
        figures: The figures of the registration.
        structure: The agreement compared with that of unrelated images; None without overlap.
        notes: What the inferer noted: `affine_start`, `header_fault`, `two_contrasts` and
            `search_limit_mm`.
        affine: The affine part of the transform fixed -> moving, 4x4, RAS+ mm.
        voxel_mm: The side of a voxel of the fixed image in mm.
    """
    signs = [
        *_overlap(figures),
        *_common_structure(structure),
        *_similarity(figures),
        *_worse(figures, "dice", "the Dice overlap of the labels is lower", -1),
        *_worse(figures, "tre_mm", "the mean landmark error in mm is larger", +1),
        *_folding(figures),
        *_affine_part(affine),
        *_given_affine(notes),
        *_header_fault(notes),
        *_two_contrasts(notes),
        *_search_limit(figures, notes.get("search_limit_mm")),
        *_inverse(figures, voxel_mm),
    ]
    signs.sort(key=lambda sign: -QUALITIES.index(sign.quality))
    quality = signs[0].quality if signs else "ok"
    return Verdict(
        quality, tuple(sign.sentence for sign in signs), tuple(_limits(structure, notes))
    )


def _limits(structure: CommonStructure | None, notes: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if registered images look alike when one of them is mirrored."""
    if structure is None or structure.ratio < COMMON_RATIO or notes.get("header_fault"):
        return
    if structure.symmetry > SYMMETRIC:
        yield (
            "Left and right of these images look alike, so a header that exchanges them may go "
            "unnoticed: make sure that both headers are right."
        )


def _overlap(figures: Figures) -> Iterator[Sign]:
    percent = figures.get("overlap_percent_after")
    if percent is not None and percent < OVERLAP_PERCENT:
        yield Sign(
            "failed" if percent < FAILED_OVERLAP_PERCENT else "check",
            f"Only {percent:.0f} % of the fixed image's body is inside the moving image's field of "
            "view. Elsewhere the warped image is empty and the transform is extrapolated.",
        )


def _common_structure(structure: CommonStructure | None) -> Iterator[Sign]:
    if structure is None:
        yield Sign("failed", "The registered images have no region in common.")
        return
    if structure.ratio < COMMON_RATIO:
        failed = structure.ratio < UNRELATED_RATIO
        yield Sign(
            "failed" if failed else "check",
            f"The registered images agree {'no better' if failed else 'little better'} than "
            f"unrelated images would: {structure.ratio:.2g} times as well, and at least "
            f"{COMMON_RATIO:g} times is expected. The registration {_likelihood(failed)} failed: "
            "check that both files show the same anatomy and that their headers state the right "
            "orientation and voxel size.",
        )
    elif structure.misplaced_nmi > structure.nmi:
        yield Sign(
            "check",
            "A mirrored, rotated or shifted copy of the warped image agrees better with the fixed "
            "image than the warped image itself. Check the orientation in both headers.",
        )
    if structure.empty_percent > EMPTY_PERCENT:
        yield Sign(
            "check",
            f"The moving image is empty in {structure.empty_percent:.0f} % of the region that it "
            "shares with the fixed image's body. There the transform is extrapolated.",
        )


def _likelihood(failed: bool) -> str:
    return "has probably" if failed else "may have"


def _similarity(figures: Figures) -> Iterator[Sign]:
    """Yield a warning if one measure of similarity fell, and a failure if both did."""
    losses = []
    for name, offset, relative, smallest in (
        ("similarity", 0.0, SIMILARITY_LOSS, SMALLEST_SIMILARITY_LOSS),
        ("nmi", 1.0, NMI_LOSS, SMALLEST_NMI_LOSS),
    ):
        before, after = figures.get(f"{name}_before"), figures.get(f"{name}_after")
        if before is None or after is None:
            continue
        if before - after >= max(smallest, relative * (before - offset)):
            title = "normalised mutual information" if name == "nmi" else name
            losses.append(f"{title} {before:.3f} -> {after:.3f}")
    if losses:
        yield Sign(
            "failed" if len(losses) == 2 else "check",
            "The images are less similar after the registration than before: "
            f"{', '.join(losses)}. The registration {_likelihood(len(losses) == 2)} failed.",
        )


def _worse(figures: Figures, name: str, statement: str, sign: int) -> Iterator[Sign]:
    """Yield a sign if a figure rose (`sign` 1) or fell (`sign` -1) by more than a tolerance."""
    before, after = figures.get(f"{name}_before"), figures.get(f"{name}_after")
    if before is None or after is None or sign * (after - before) <= RELATIVE_CHANGE * abs(before):
        return
    yield Sign(
        "failed" if sign * (after - before) > FAILED_RELATIVE_CHANGE * abs(before) else "check",
        f"After the registration {statement} than before: {before:.3f} -> {after:.3f}.",
    )


def _folding(figures: Figures) -> Iterator[Sign]:
    percent = figures.get("folding_percent") or 0.0
    if percent >= FOLDING_PERCENT:
        yield Sign(
            "failed" if percent >= FAILED_FOLDING_PERCENT else "check",
            f"The transform folds in {percent:.2g} % of the voxels, where it is not invertible. "
            "Stronger regularisation or a better initial affine alignment may help.",
        )


def _affine_part(affine: Tensor) -> Iterator[Sign]:
    """Yield a warning if the affine part of the transform mirrors, rotates, scales or shears much.

    The linear part is a rotation times a symmetric stretch, which a singular value decomposition
    separates.
    """
    linear = affine[:3, :3].double()
    left, stretches, right = torch.linalg.svd(linear)
    rotation = left @ right
    determinant = float(torch.linalg.det(linear))
    cosine = (float(rotation.trace()) - 1) / 2
    degrees = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
    stretch = float(stretches.max() / stretches.min().clamp_min(1e-9))
    if determinant < 0:
        change = "mirrors the image"
    elif not SMALLEST_SCALE < determinant < LARGEST_SCALE:
        change = f"scales volumes by a factor of {determinant:.2g}"
    elif degrees > LARGEST_ROTATION:
        change = f"rotates the image by {degrees:.0f} degrees"
    elif stretch > LARGEST_STRETCH:
        change = f"stretches one direction {stretch:.2g} times as much as another"
    else:
        return
    yield Sign(
        "check",
        f"The affine part of the transform {change}, which is rarely right for anatomy. The "
        "orientation or the voxel size in a header may be wrong; check the result in the pictures.",
    )


def _given_affine(notes: Mapping[str, Any]) -> Iterator[Sign]:
    start = notes.get("affine_start", {})
    if start.get("kind") != "given" or start["similarity"][1] >= start["similarity"][0]:
        return
    before, after = start["similarity"]
    yield Sign(
        "check",
        f"The given affine transform makes the images less similar ({before:.3f} -> {after:.3f}). "
        "It may be the inverse of the right one, or belong to other images.",
    )


def _header_fault(notes: Mapping[str, Any]) -> Iterator[Sign]:
    fault = notes.get("header_fault")
    if fault:
        yield Sign("check", f"{fault[0].upper()}{fault[1:]}. Check the headers of both images.")


def _two_contrasts(notes: Mapping[str, Any]) -> Iterator[Sign]:
    text = notes.get("two_contrasts")
    if text:
        yield Sign(
            "check",
            f"{text[0].upper()}{text[1:]}. Such weights make pairs of two contrasts worse: use "
            "another model.",
        )


def _search_limit(figures: Figures, limit: float | None) -> Iterator[Sign]:
    longest = figures.get("deformation_mm_p99")
    if limit is not None and longest is not None and longest >= NEAR_LIMIT * limit:
        yield Sign(
            "check",
            f"The displacements reach {longest:.1f} mm, close to the {limit:.1f} mm that this "
            "model can find. The true displacements may be larger: try another initial affine "
            "alignment, or a model with a larger search range.",
        )


def _inverse(figures: Figures, voxel_mm: float) -> Iterator[Sign]:
    error = figures.get("inverse_consistency_mm")
    if error is not None and error > INVERSE_VOXELS * voxel_mm:
        yield Sign(
            "check",
            f"The transform and its inverse disagree by {error:.2g} mm on average, and at most "
            f"{INVERSE_VOXELS * voxel_mm:.2g} mm ({INVERSE_VOXELS:g} voxels) is expected.",
        )
