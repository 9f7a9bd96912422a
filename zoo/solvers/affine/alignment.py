"""Initial affine alignment: a map that roughly aligns a moving image with a fixed one.

The search starts at the centres of mass, continues with a rigid map from several starting points,
and ends with an affine one, from coarse to fine, by mutual information. It then decides whether a
map is needed at all. If another orientation or size of the moving image fits much better, its
header is probably faulty, and the search is repeated without the fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast, get_args

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.grid import Grid
from zoo.measures.body import spacing_for_voxels
from zoo.solvers.affine.header_faults import correct_header
from zoo.solvers.affine.objective import AffineObjective, optimise
from zoo.solvers.affine.scan import Scan
from zoo.solvers.affine.starts import rigid_starts

AffineKind = Literal["none", "com", "rigid", "affine", "given"]

LEVELS = ((24, 5_000), (48, 15_000), (80, 30_000))  # voxels across the field of view, points
NEEDED_GAIN = 0.1  # fraction of the initial quality that a map must gain to be used
LEAST_GAIN = 0.02  # quality that a map must gain where the initial one is close to zero
STRETCH_LIMIT = 1.6  # an affine map that stretches or shrinks more is rejected


@dataclass(frozen=True)
class AffineAlignment:
    """An affine map, its kind and the reason for choosing it.

    `matrix` is 4x4 float64, RAS+ mm, from fixed to moving world points. `kind` is "given" for a map
    that was not searched for. `similarity` (normalised mutual information, 1 to 2) and `overlap` (0
    to 1) are (before, after). `shift` is the mean distance in mm by which the map moves the body of
    the fixed image. `header_fault` is a sentence about a suspected fault of a header, or "".
    """

    matrix: Tensor
    kind: AffineKind
    reason: str
    similarity: tuple[float, float]
    overlap: tuple[float, float]
    shift: float
    header_fault: str = ""


def align_affine(
    fixed: Tensor,
    fixed_grid: Grid,
    moving: Tensor,
    moving_grid: Grid,
    kind: Literal["auto", "com", "rigid", "affine", "none"] = "auto",
    *,
    fixed_mask: Tensor | None = None,
    moving_mask: Tensor | None = None,
    allow_mirror: bool = False,
) -> AffineAlignment:
    """Find the affine map that aligns `moving` [X, Y, Z] with `fixed` [X, Y, Z].

    `kind` is the largest family of maps to search: a shift of the centres of mass ("com"), rigid or
    affine maps. "auto" is "affine" unless the images are aligned already. A map that fits worse
    than one of a smaller family is never returned.

    Only voxels where the mask of an image, [X, Y, Z], is not 0 count. If the header of one image
    seems to be rotated by a multiple of 90 degrees or to be in other units, rigid and affine maps
    include the correction. A header that seems to be mirrored is reported; it is corrected only
    with `allow_mirror`.
    """
    if kind not in (allowed := ("auto", *get_args(AffineKind)[:-1])):
        raise UserError(
            f"initial affine alignment {kind!r} is unknown; choose one of {', '.join(allowed)}"
        )
    with _one_thread():
        scan = Scan(fixed, fixed_grid, _excluding(fixed_mask)).without_padding("fixed")
        other = Scan(moving, moving_grid, _excluding(moving_mask)).without_padding("moving")
        result = search(scan, other, kind)
        if kind not in ("com", "none"):
            largest = "affine" if kind == "auto" else kind
            result = correct_header(
                result, lambda fault: search(scan, other.without(fault), largest), allow_mirror
            )
        return result.alignment


def measure_given_affine(
    fixed: Tensor, fixed_grid: Grid, moving: Tensor, moving_grid: Grid, matrix: Tensor
) -> AffineAlignment:
    """Return a map from elsewhere (`matrix`, 4x4, RAS+ mm) with its similarity and overlap."""
    with _one_thread():
        scan = Scan(fixed, fixed_grid).without_padding("fixed")
        other = Scan(moving, moving_grid).without_padding("moving")
        finest = build_levels(scan, other)[-1]
        identity = torch.eye(4, dtype=torch.float64)
        return select_alignment(finest, {"none": identity, "given": matrix}, "given")


@dataclass(frozen=True)
class SearchResult:
    """The alignment that a search selects, with its objectives and the quality of the best map.

    `best` is the map with the best quality, even if "auto" finds that no map is needed.
    """

    alignment: AffineAlignment
    levels: list[AffineObjective]
    best: Tensor

    @cached_property
    def quality(self) -> float:
        """The quality of the best map at the finest level."""
        return self.levels[-1].quality(self.best)


def search(fixed: Scan, moving: Scan, kind: str) -> SearchResult:
    """Search all families of maps up to `kind` near the position that the headers state."""
    levels = build_levels(fixed, moving)
    maps = search_families(levels, cast(AffineKind, "affine" if kind == "auto" else kind))
    best = maps[_best_kind(levels[-1], maps)]
    return SearchResult(select_alignment(levels[-1], maps, kind), levels, best)


def build_levels(fixed: Scan, moving: Scan) -> list[AffineObjective]:
    """Return the objective of two images at each of the `LEVELS`, coarse to fine."""
    extent = min(spacing_for_voxels(scan.grid, 1) for scan in (fixed, moving))
    finest = extent / LEVELS[-1][0]
    fixed_body, moving_body = fixed.body(finest, "fixed"), moving.body(finest, "moving")
    # At lower resolutions every surface is a plane of a few voxels.
    is_cut = fixed_body.is_cut() or moving_body.is_cut()
    return [
        AffineObjective(
            fixed_body.at(extent / across), moving_body.at(extent / across), points, is_cut=is_cut
        )
        for across, points in LEVELS
    ]


def search_families(levels: list[AffineObjective], kind: AffineKind) -> dict[AffineKind, Tensor]:
    """Return the best map of every family up to `kind`: 4x4, RAS+ mm."""
    coarse, middle, fine = levels
    maps: dict[AffineKind, Tensor] = {"none": torch.eye(4, dtype=torch.float64)}
    if kind != "none":
        maps["com"] = coarse.matrix(torch.zeros(3, dtype=torch.float64))
    if kind in ("rigid", "affine"):
        candidates = [optimise(coarse, start) for start in rigid_starts(coarse)]
        rigid = max(candidates, key=lambda p: middle.information(middle.matrix(p)))
        rigid = optimise(middle, rigid)
        maps["rigid"] = fine.matrix(rigid if kind == "affine" else optimise(fine, rigid))
    if kind == "affine":
        affine = torch.cat([rigid, torch.zeros(6, dtype=torch.float64)])
        maps["affine"] = fine.matrix(optimise(fine, optimise(middle, affine)))
    return maps


def select_alignment(
    objective: AffineObjective, maps: dict[AffineKind, Tensor], kind: str
) -> AffineAlignment:
    """Return the map with the best quality, and the reason.

    The kinds "com", "none" and "given" are returned as requested, whatever their quality.
    """
    chosen = _best_kind(objective, maps)
    before = objective.compare(maps["none"])
    if kind in ("com", "none", "given"):
        chosen, reason = cast(AffineKind, kind), "requested"
    elif chosen == "none":
        reason = "no map fits better than the headers alone"
    else:
        initial = objective.quality(maps["none"])
        gain = objective.quality(maps[chosen]) - initial
        needed = max(LEAST_GAIN, NEEDED_GAIN * initial)
        if kind == "auto" and gain < needed:
            reason = (
                f"the images are aligned already: the {chosen} map gains only {gain:.3f} of "
                f"mutual information, and at least {needed:.3f} is required"
            )
            chosen = "none"
        else:
            after = objective.compare(maps[chosen])
            reason = (
                f"normalised mutual information changes from {before[0]:.3f} to {after[0]:.3f}, "
                f"overlap from {before[1]:.0%} to {after[1]:.0%}"
            )
            if chosen != list(maps)[-1]:
                reason += (
                    "; a larger family of maps fits no better or stretches by more than a factor "
                    f"of {STRETCH_LIMIT}"
                )
    after = objective.compare(maps[chosen])
    return AffineAlignment(
        matrix=maps[chosen],
        kind=chosen,
        reason=reason,
        similarity=(before[0], after[0]),
        overlap=(before[1], after[1]),
        shift=objective.motion(maps[chosen]),
    )


def _best_kind(objective: AffineObjective, maps: dict[AffineKind, Tensor]) -> AffineKind:
    """Return the kind of the map with the best quality among those within the stretch limit."""
    allowed = [kind for kind, matrix in maps.items() if _stretch(matrix) <= STRETCH_LIMIT]
    return max(allowed, key=lambda kind: objective.quality(maps[kind]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread, because waking threads takes longer than reading a few points."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _excluding(mask: Tensor | None) -> Tensor | None:
    """Return a mask that excludes at least one voxel; None for one that excludes none."""
    return None if mask is None or bool((mask > 0).all()) else mask


def _stretch(matrix: Tensor) -> float:
    """Return the largest factor by which a 4x4 map lengthens or shortens a line."""
    factors = torch.linalg.svdvals(matrix[:3, :3])
    return float(torch.maximum(factors, 1 / factors).max())
