"""Hypotheses about a faulty header: the moving image is rotated, mirrored or in other units.

A search near the identity cannot repair such a fault. The orientations of the cube are compared
without optimisation, which takes a few hundredths of a second, and only those that fit about as
well as the optimised alignment are examined further.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.solvers.affine.objective import AffineObjective, optimise

if TYPE_CHECKING:
    from zoo.solvers.affine.alignment import SearchResult

    Search = Callable[[Tensor], SearchResult]

SCALES = (10.0, 0.1, 3.0, 1 / 3)
"""Sizes of the moving image, relative to the right one, that are tried if its body differs."""
SAME_SIZE = 2.0
"""Ratio of the radii of the two bodies up to which the sizes count as plausible."""
PROMISING = 0.9
"""Quality without optimisation, relative to that of the alignment, from which a fault is tried."""
TRIED = 3
"""Hypotheses of each kind that are optimised."""
FAULT_GAIN = 0.3
"""Fraction of the quality that the correction of a fault must gain."""
MIRROR_GAIN = 0.1
"""The same for a mirrored header."""
LEAST_GAIN = 0.02
"""Quality that a correction must gain where the initial one is close to zero."""
AS_GOOD = 0.97
"""Fraction of a quality from which another one is as good."""
DISTINCT = 1.2
"""Ratio of the qualities of the best two orientations that confirms a scale."""
_POINTS = 2_000  # at which all orientations are compared


@dataclass(frozen=True)
class HeaderFault:
    """A suspected fault of the moving image's header, relative to that of the fixed image.

    The header places the image as the right one would, then rotated by `orientation` (3x3, a signed
    permutation of the world axes) and enlarged by `scale` about its centre of mass.
    """

    orientation: Tensor
    scale: float = 1.0

    @property
    def mirrored(self) -> bool:
        """Whether the header mirrors the image."""
        return bool(torch.linalg.det(self.orientation) < 0)

    def matrix(self, objective: AffineObjective) -> Tensor:
        """Return the fault as a 4x4 map, RAS+ mm, that also aligns the centres of mass."""
        fixed, moving = objective.fixed.centre, objective.moving.centre
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, :3] = self.scale * self.orientation
        matrix[:3, 3] = moving - matrix[:3, :3] @ fixed
        return matrix

    def without(self, objective: AffineObjective) -> AffineObjective:
        """Return the objective of the same images with the fault removed."""
        moving = objective.moving
        back = torch.linalg.inv(self.matrix(objective))
        corrected = replace(moving, grid=moving.grid.moved(back), centre=objective.fixed.centre)
        return AffineObjective(objective.fixed, corrected, len(objective.forward.points))

    def __str__(self) -> str:
        facts = []
        if self.mirrored:
            axis = _mirrored_axis(self.orientation)
            facts.append(f"mirrored along the {'xyz'[axis]} axis")
            mirror = torch.eye(3, dtype=torch.float64)
            mirror[axis, axis] = -1
            turn = _describe_rotation(self.orientation @ mirror)
        else:
            turn = _describe_rotation(self.orientation)
        if turn:
            facts.append(turn)
        if self.scale != 1:
            facts.append(
                f"too large by a factor of {self.scale:.0f}"
                if self.scale > 1
                else f"too small by a factor of {1 / self.scale:.0f}"
            )
        return " and ".join(facts)


def suspected_faults(objective: AffineObjective, matrix: Tensor) -> list[HeaderFault]:
    """Return the wrong orientations that fit about as well as the alignment `matrix` (4x4).

    The list is empty for an ordinary pair. Rotations and mirrored orientations are judged alone;
    the best `TRIED` of each are returned, the best first.
    """
    quick = AffineObjective(objective.fixed, objective.moving, _POINTS)
    quality = {k: _quality(quick, HeaderFault(r)) for k, r in enumerate(_ORIENTATIONS)}
    least = PROMISING * quick.quality(matrix)
    rotations = [k for k in range(1, 24) if quality[k] >= least]
    mirrors = [k for k in range(24, 48) if quality[k] >= max(least, quality[0])]
    best = [sorted(group, key=lambda k: -quality[k])[:TRIED] for group in (rotations, mirrors)]
    if best[0] and not best[1]:  # a rotation may be told apart from a mirror image only by trying
        best[1] = sorted(range(24, 48), key=lambda k: -quality[k])[:1]
    return [HeaderFault(_ORIENTATIONS[k]) for group in best for k in group]


def suspected_scales(objective: AffineObjective) -> list[float]:
    """Return the `SCALES` that would explain the sizes of the two bodies; none if they agree."""
    ratio = objective.moving_radius / objective.radius
    if 1 / SAME_SIZE <= ratio <= SAME_SIZE:
        return []
    return [scale for scale in SCALES if 1 / SAME_SIZE <= ratio / scale <= SAME_SIZE]


def scaled_faults(objective: AffineObjective, scale: float) -> list[HeaderFault]:
    """Return the `TRIED` rotations that fit best; `objective` is that without the `scale`."""
    quick = AffineObjective(objective.fixed, objective.moving, _POINTS)
    rotations = sorted(_ORIENTATIONS[:24], key=lambda r: -_quality(quick, HeaderFault(r)))
    return [HeaderFault(rotation, scale) for rotation in rotations[:TRIED]]


def correct_header(plain: SearchResult, search_without: Search, allow_mirror: bool) -> SearchResult:
    """Return `plain`, or the result without a suspected header fault if that fits much better.

    `search_without` takes a fault as a 4x4 map, RAS+ mm, and searches with the moving image placed
    as without it.
    """
    wrong_scale = _scale_fault(search_without, plain)
    if wrong_scale:
        return _corrected(plain, wrong_scale)
    coarse = plain.levels[0]
    faults = suspected_faults(coarse, plain.best)
    rotation = _best_fault(search_without, coarse, [f for f in faults if not f.mirrored])
    mirror = _best_fault(search_without, coarse, [f for f in faults if f.mirrored])
    if rotation and rotation.result.quality < _with_gain(plain.quality, FAULT_GAIN):
        rotation = None
    proper = rotation.result if rotation else plain
    if mirror is None:
        return _corrected(plain, rotation) if rotation else plain
    clear = mirror.result.quality >= _with_gain(proper.quality, MIRROR_GAIN)
    possible = rotation is not None and mirror.result.quality >= AS_GOOD * proper.quality
    if allow_mirror and (clear or (possible and mirror.result.quality > proper.quality)):
        return _corrected(plain, mirror)
    if clear:
        sentence = f"{_SUSPECTED} {mirror.fault}; it is mirrored back only with --allow-mirror"
        base = _corrected(plain, rotation) if rotation else plain
        return _with_fault(base, sentence)
    if rotation is None:
        return plain
    alternative = f", or {mirror.fault}, which fits as well" if possible else ""
    return _corrected(plain, rotation, alternative)


_SUSPECTED = "suspected header fault: relative to the fixed image, the moving image is"


@dataclass(frozen=True)
class _Correction:
    """A fault, the map that it stands for (4x4, RAS+ mm), and the search without it."""

    fault: HeaderFault
    matrix: Tensor
    result: SearchResult


def _best_fault(
    search_without: Search, coarse: AffineObjective, faults: list[HeaderFault]
) -> _Correction | None:
    """Return the fault whose removal gives the best coarse alignment, with a full search."""
    if not faults:
        return None
    fault = max(faults, key=lambda fault: _coarse_quality(fault.without(coarse)))
    matrix = fault.matrix(coarse)
    return _Correction(fault, matrix, search_without(matrix))


def _scale_fault(search_without: Search, plain: SearchResult) -> _Correction | None:
    """Return a fault of the scale of the moving image if it explains the pair much better.

    Mutual information of the few points that two bodies of different sizes share is unreliable.
    Hence it is weighted by the overlap, and one orientation must fit better than all others.
    """
    coarse = plain.levels[0]
    for scale in suspected_scales(coarse):
        resized = HeaderFault(torch.eye(3, dtype=torch.float64), scale)
        same_orientation = search_without(resized.matrix(coarse))
        objective = same_orientation.levels[0]
        faults = scaled_faults(objective, scale)
        turns = [replace(fault, scale=1.0) for fault in faults]
        qualities = [_coarse_quality(turn.without(objective)) for turn in turns]
        best, second = sorted(range(len(faults)), key=lambda k: -qualities[k])[:2]
        if qualities[best] < DISTINCT * qualities[second]:
            continue
        matrix = faults[best].matrix(coarse)
        turned = not torch.equal(faults[best].orientation, resized.orientation)
        result = search_without(matrix) if turned else same_orientation
        before, after = (
            search.quality * search.levels[-1].smaller_overlap(search.best)
            for search in (plain, result)
        )
        if after >= _with_gain(before, FAULT_GAIN):
            return _Correction(faults[best], matrix, result)
    return None


def _coarse_quality(objective: AffineObjective) -> float:
    start = torch.zeros(6, dtype=torch.float64)
    return objective.quality(objective.matrix(optimise(objective, start)))


def _with_gain(quality: float, gain: float) -> float:
    return quality + max(LEAST_GAIN, gain * quality)


def _corrected(plain: SearchResult, correction: _Correction, alternative: str = "") -> SearchResult:
    """Return the result of a search without a fault, as a map between the actual headers."""
    corrected = correction.result.alignment
    matrix = correction.matrix @ corrected.matrix
    rigid = not correction.fault.mirrored and correction.fault.scale == 1
    alignment = replace(
        corrected,
        matrix=matrix,
        kind="rigid" if rigid and corrected.kind != "affine" else "affine",
        reason=f"with the fault corrected, {corrected.reason}",
        similarity=(plain.alignment.similarity[0], corrected.similarity[1]),
        overlap=(plain.alignment.overlap[0], corrected.overlap[1]),
        shift=plain.levels[-1].motion(matrix),
    )
    result = replace(correction.result, alignment=alignment)
    return _with_fault(result, f"{_SUSPECTED} {correction.fault}{alternative}")


def _with_fault(result: SearchResult, sentence: str) -> SearchResult:
    """Return a result whose alignment reports a suspected header fault."""
    alignment = result.alignment
    reported = "; ".join(filter(None, (alignment.header_fault, sentence)))
    reason = f"{sentence}; {alignment.reason}"
    return replace(result, alignment=replace(alignment, header_fault=reported, reason=reason))


def _quality(objective: AffineObjective, fault: HeaderFault) -> float:
    return objective.quality(fault.matrix(objective))


def _cube_orientations() -> list[Tensor]:
    """Return the 24 rotations of the cube, the identity first, then the 24 mirrored ones."""
    matrices = [
        torch.eye(3, dtype=torch.float64)[list(order)] * torch.tensor(signs, dtype=torch.float64)
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    ]
    return sorted(matrices, key=lambda matrix: -round(float(torch.linalg.det(matrix))))


_ORIENTATIONS = _cube_orientations()


def _mirrored_axis(orientation: Tensor) -> int:
    """Return the axis whose reflection leaves the smallest rotation of a mirrored orientation."""

    def trace(axis: int) -> float:
        return float(orientation.trace() - 2 * orientation[axis, axis])

    return max(range(3), key=trace)


def _describe_rotation(rotation: Tensor) -> str:
    """Return the angle and the axis of a rotation of the cube as text; "" for the identity."""
    angle = round(math.degrees(math.acos(max(-1.0, min(1.0, (float(rotation.trace()) - 1) / 2)))))
    if angle == 0:
        return ""
    if angle == 180:
        # (R + I) / 2 is the projection on the axis.
        projection = (rotation + torch.eye(3, dtype=torch.float64)) / 2
        axis = projection[:, int(projection.diagonal().argmax())]
    else:
        axis = torch.stack([
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ])  # fmt: skip
    signs = [round(float(value)) for value in axis.sign()]
    if signs.count(0) == 2:
        k = next(k for k in range(3) if signs[k])
        angle = angle * signs[k] if angle != 180 else angle
        return f"rotated by {angle} degrees about the {'xyz'[k]} axis"
    return f"rotated by {angle} degrees about the direction ({', '.join(map(str, signs))})"
