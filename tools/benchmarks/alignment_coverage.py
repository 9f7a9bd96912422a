"""Does the initial affine alignment find the right place if the images cover different parts?

    PYTHONPATH=tools python -m benchmarks.alignment_coverage DATA

DATA holds `hn_openkbp_val`, CTs whose voxels outside the irradiated region are padding, and
`anatomy_synthseg`, from which cut heads are rendered. An alignment is judged by the distances of
the centroids of the structures that both images have, and on the CTs by the Dice of all organs.
Figures are appended to OUT/runs.jsonl; run the same command again to resume. OUT/table.md shows
them. `--only TEXT` restricts the run to pairs whose names contain the text.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from benchmarks.harness.rendered_heads import Cut, label_map, render
from benchmarks.harness.runs import Run, append_run, read_runs
from benchmarks.harness.tables import heading, row
from zoo.geometry import Grid, Transform, warp
from zoo.io.volume import read_volume
from zoo.measures import dice_per_label, shared_labels
from zoo.solvers.affine import align_affine

KINDS = ("com", "affine")
ORGANS = (1, 3, 4, 6, 7)
"""Brainstem, parotids, larynx and mandible; the length of cord and oesophagus depends on the
field of view."""
STEPS = (1, 5)
"""Distances in the list of patients between the two patients of a pair."""
CT_PAIRS, HEADS = 30, 12
CUTS: tuple[Cut, ...] = ("neck", "skull", "left", "right")
RIGHT_PLACE = {"ct": 20.0, "head": 10.0}
"""Mean distance of the centroids in mm up to which a pair is in the right place. Structures of
rigidly aligned patients are up to 18 mm apart on the CTs, because necks bend, and 4 mm in heads."""
MARGIN = 0.01
"""Dice by which an alignment may be below that of the centres of mass and count as no worse."""


@dataclass(frozen=True)
class Case:
    """A pair of images, and of structures [X, Y, Z] on grids of their own, fixed and moving."""

    images: tuple[Tensor, Tensor]
    grids: tuple[Grid, Grid]
    structures: tuple[Tensor, Tensor]
    structure_grids: tuple[Grid, Grid]


def main() -> None:
    """Align what is missing and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the image pairs")
    parser.add_argument("--only", default="", help="part of the names of the pairs to align")
    parser.add_argument("--out", type=Path, default=Path("bench/alignment_coverage"))
    args = parser.parse_args()
    log = args.out / "runs.jsonl"
    done = {run["pair"] for run in read_runs(log)}
    for name, load in [*ct_pairs(args.data), *head_pairs(args.data)]:
        if name not in done and args.only in name:
            append_run(log, measure(name, load()))
    (args.out / "table.md").write_text(markdown(read_runs(log)))


def ct_pairs(data: Path) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yield the name of each head-and-neck pair and a function that loads it."""
    files = sorted((data / "hn_openkbp_val").glob("*_ct.nii.gz"))
    pairs = [(k, (k + step) % len(files)) for step in STEPS for k in range(len(files))]
    for a, b in pairs[:CT_PAIRS]:
        name = "ct_" + "_".join(files[k].name.split("_")[1] for k in (a, b))
        yield name, lambda a=files[a], b=files[b]: _load_ct(a, b)  # type: ignore[misc]


def _load_ct(fixed: Path, moving: Path) -> Case:
    images = [read_volume(path) for path in (fixed, moving)]
    organs = [
        read_volume(path.with_name(path.name.replace("_ct", "_oars"))) for path in (fixed, moving)
    ]
    grids = images[0].grid, images[1].grid
    return Case(
        (images[0].data.float(), images[1].data.float()),
        grids,
        (organs[0].data.float(), organs[1].data.float()),
        grids,
    )


def head_pairs(data: Path, cuts: Sequence[Cut] = CUTS) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yield the name of each pair of rendered heads and a function that renders it.

    One head of each pair is cut, by each of `cuts` in turn. The voxels beyond the cut are padding
    in the first pair of each kind of cut, the grid ends there in the second, and so on.
    """
    folder = data / "anatomy_synthseg"
    for k in range(HEADS):
        cut, padded, side = cuts[k % len(cuts)], k // len(cuts) % 2 == 0, k % 3 % 2
        persons = (k + 1, (k + 3) % 16 + 1)
        name = f"head_{persons[0]:02d}_{persons[1]:02d}_{cut}_{'padded' if padded else 'cropped'}"
        yield (
            f"{name}_{('fixed', 'moving')[side]}",
            lambda k=k, p=persons, c=cut, q=padded, s=side: _render(folder, k, p, c, q, s),  # type: ignore[misc]
        )


def _render(
    folder: Path, seed: int, persons: tuple[int, int], cut: Cut, padded: bool, side: int
) -> Case:
    """Render two heads, each moved by a random rigid motion; the one on `side` is cut."""
    images, grids, structures, structure_grids = [], [], [], []
    for k, person in enumerate(persons):
        volume = label_map(folder, person)
        motion = _random_motion(np.random.default_rng(100 * seed + k))
        whole = render(volume, "t1", 2 * seed + k)
        shown = render(volume, "t1", 2 * seed + k, cut=cut, padded=padded) if k == side else whole
        images.append(torch.from_numpy(shown.image))
        grids.append(shown.grid.moved(motion))
        structures.append(torch.from_numpy(whole.structures).float())
        structure_grids.append(whole.grid.moved(motion))
    return Case(
        (images[0], images[1]),
        (grids[0], grids[1]),
        (structures[0], structures[1]),
        (structure_grids[0], structure_grids[1]),
    )


def _random_motion(random: np.random.Generator) -> Tensor:
    """Return a rotation of up to 10 degrees and a shift of up to 20 mm per axis: 4x4, RAS+ mm."""
    axis = random.standard_normal(3)
    x, y, z = axis / np.linalg.norm(axis) * np.deg2rad(random.uniform(0, 10))
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3] = torch.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
    motion[:3, 3] = torch.from_numpy(random.uniform(-20, 20, 3))
    return motion


def measure(name: str, case: Case) -> Run:
    """Return the figures of a pair for each kind of alignment, and the CPU time."""
    run: Run = {"pair": name}
    fixed, moving = _shared_centroids(case, ORGANS if name.startswith("ct") else None)
    run["best_mm"] = _distance(_least_squares_rigid(fixed, moving), fixed, moving)
    for kind in KINDS:
        start = time.process_time()
        found = align_affine(case.images[0], case.grids[0], case.images[1], case.grids[1], kind)  # type: ignore[arg-type]
        run[f"{kind}_seconds"] = time.process_time() - start
        run[f"{kind}_mm"] = _distance(found.matrix, fixed, moving)
        run[f"{kind}_dice"] = dice(case, Transform(found.matrix))
        run[f"{kind}_overlap"] = found.overlap[1]
        run[f"{kind}_fault"] = found.header_fault
    return run


def _shared_centroids(case: Case, labels: tuple[int, ...] | None) -> tuple[Tensor, Tensor]:
    """Return the centroids (n, 3), RAS+ mm, of the labels that both images have."""
    shared = [int(v) for v in shared_labels(*case.structures)]
    shared = [v for v in shared if labels is None or v in labels]
    fixed, moving = (
        grid.to_world(torch.tensor(ndimage.center_of_mass(data > 0, data, shared)).double())
        for data, grid in (
            (structures.numpy(), grid)
            for structures, grid in zip(case.structures, case.structure_grids, strict=True)
        )
    )
    return fixed, moving


def _least_squares_rigid(fixed: Tensor, moving: Tensor) -> Tensor:
    """Return the rigid map (4x4) of points (n, 3) with the smallest squared distances."""
    centres = fixed.mean(0), moving.mean(0)
    u, _, v = torch.linalg.svd((fixed - centres[0]).T @ (moving - centres[1]))
    proper = torch.diag(torch.tensor([1, 1, float(torch.linalg.det(u @ v))], dtype=torch.float64))
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = v.T @ proper @ u.T
    matrix[:3, 3] = centres[1] - matrix[:3, :3] @ centres[0]
    return matrix


def _distance(matrix: Tensor, fixed: Tensor, moving: Tensor) -> float:
    return float((fixed @ matrix[:3, :3].T + matrix[:3, 3] - moving).norm(dim=1).mean())


def dice(case: Case, transform: Transform) -> float:
    """Return the mean Dice of all structures that both images have, with a transform."""
    fixed, moving = case.structures
    warped = warp(
        moving[None],
        case.structure_grids[1],
        case.structure_grids[0],
        transform,
        interpolation="nearest",
    )[0]
    return float(
        np.mean(list(dice_per_label(fixed, warped, shared_labels(fixed, moving)).values()))
    )


def markdown(runs: list[Run]) -> str:
    """Return a table of all pairs and two lines of summary."""
    columns = ["best rigid mm", "com mm", "affine mm", "com Dice", "affine Dice", "CPU s"]
    lines = [heading(["pair"], columns)]
    names = ("best_mm", "com_mm", "affine_mm", "com_dice", "affine_dice", "affine_seconds")
    for run in runs:
        digits = (1, 1, 1, 3, 3, 1)
        figures = [f"{run[n]:.{k}f}" for n, k in zip(names, digits, strict=True)]
        lines.append(row([run["pair"], *figures]))
    for group, limit in RIGHT_PLACE.items():
        group_runs = [run for run in runs if run["pair"].startswith(group)]
        if group_runs:
            lines += ["", f"{group}: {_summary(group_runs, limit)}"]
    return "\n".join(lines) + "\n"


def _summary(runs: list[Run], limit: float) -> str:
    means = {name: np.mean([run[name] for run in runs]) for name in ("com_dice", "affine_dice")}
    placed = {kind: sum(run[f"{kind}_mm"] < limit for run in runs) for kind in KINDS}
    worse = [r["pair"] for r in runs if r["affine_dice"] < r["com_dice"] - MARGIN]
    return (
        f"{len(runs)} pairs; in the right place (less than {limit:g} mm): {placed['com']} by the "
        f"centres of mass, {placed['affine']} by the affine alignment; mean Dice "
        f"{means['com_dice']:.3f} and {means['affine_dice']:.3f}; worse than the centres of mass: "
        f"{', '.join(worse) or 'none'}."
    )


if __name__ == "__main__":
    main()
