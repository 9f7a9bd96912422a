"""Can two images tell whether a header exchanges left and right, and does the verdict say so?

    PYTHONPATH=tools python -m benchmarks.mirrored_headers DATA

The pairs are brains, heads that are rendered from the label maps in DATA, the pairs of the demo, CT
of necks and trunks, and phantoms. MCBO registers each pair at 3 mm with the right header of the
moving image and with one that exchanges left and right. Positive differences of the two results
would tell the right header. Figures are appended to OUT/runs.jsonl; run the same command again to
resume. OUT/table.md shows them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path

import torch
from demo import DATA, HEADS, NECK

from benchmarks.harness.pairs import data_pairs
from benchmarks.harness.registrars import mcbo_registrar
from benchmarks.harness.rendered_heads import Contrast, label_map, render
from benchmarks.harness.runs import Run, append_run, read_runs
from benchmarks.harness.tables import heading, row
from zoo.datasets.pairs import Pair
from zoo.geometry import Grid, Transform, warp
from zoo.io.volume import Volume, read_volume
from zoo.runtime.registrar import Registrar
from zoo.synthesis.phantom import make_pair

SPACING = 3.0
"""Voxel size of the working grid in mm."""
FINEST = 2.0
"""Voxel size in mm to which finer images are sampled first."""
BRAINS = ("1000", "1001", "1003")
PHANTOMS = 6
PERSONS = 16
"""Number of label maps of heads."""

Load = Callable[[], Volume]


def main() -> None:
    """Register the pairs that are missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the brains and the label maps")
    parser.add_argument("--heads", type=int, default=6, help="number of pairs of rendered heads")
    parser.add_argument("--out", type=Path, default=Path("bench/mirrored_headers"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = args.out / "runs.jsonl"
    done = {run["pair"] for run in read_runs(log)}
    with mcbo_registrar(spacing=SPACING) as registrar:
        pairs = [
            *real_pairs(args.data),
            *head_pairs(args.data, args.heads),
            *demo_pairs(),
            *ct_pairs(args.data),
            *phantoms(),
        ]
        for name, fixed, moving in pairs:
            if name not in done:
                append_run(log, {"pair": name, **measure(registrar, fixed(), moving())})
    (args.out / "table.md").write_text(markdown(read_runs(log)))


def real_pairs(data: Path) -> Iterator[tuple[str, Load, Load]]:
    """Yield the name and the images of each ordered pair of real brains."""
    for names in permutations(BRAINS, 2):
        files = (data / "brain_malf_oasis" / f"{name}_t1.nii.gz" for name in names)
        fixed, moving = (partial(read_volume, file) for file in files)
        yield f"brains {', '.join(names)}", fixed, moving


def head_pairs(data: Path, count: int) -> Iterator[tuple[str, Load, Load]]:
    """Yield the name and the rendered images of pairs of persons, without and with the skull."""
    for k in range(count):
        persons = (k + 1, (k + 3) % PERSONS + 1)
        for kind in ("brains", "heads"):
            fixed, moving = (
                partial(rendered, data, person, "t1", 2 * k + side, kind == "brains")
                for side, person in enumerate(persons)
            )
            yield f"rendered {kind} {persons[0]}, {persons[1]}", fixed, moving


def demo_pairs() -> Iterator[tuple[str, Load, Load]]:
    """Yield the tilted heads and the necks of the demo."""
    for pair in (HEADS, NECK):
        files = (DATA / f"{image}.nii.gz" for image in pair.images)
        fixed, moving = (partial(read_volume, file) for file in files)
        yield f"demo {pair.name}", fixed, moving


def ct_pairs(data: Path) -> Iterator[tuple[str, Load, Load]]:
    """Yield the CT of necks and trunks."""
    for pair in data_pairs(data):
        if pair.modality == ("ct", "ct"):
            yield pair.name, partial(read_volume, pair.fixed), partial(read_volume, pair.moving)


def phantoms() -> Iterator[tuple[str, Load, Load]]:
    """Yield phantoms, whose halves differ."""
    for seed in range(1, PHANTOMS + 1):
        pair = make_pair(seed, shape=(48, 48, 48), spacing=(4, 4, 5), contrasts=("t1", "t2"))
        fixed = Volume(pair.fixed, pair.fixed_grid, Path("fixed.nii.gz"))
        moving = Volume(pair.moving, pair.moving_grid, Path("moving.nii.gz"))
        yield f"phantom {seed}", partial(_same, fixed), partial(_same, moving)


def _same(volume: Volume) -> Volume:
    return volume


def rendered(data: Path, person: int, contrast: Contrast, seed: int, stripped: bool) -> Volume:
    """Return the rendered head of a person."""
    head = render(label_map(data / "anatomy_synthseg", person), contrast, seed, stripped)
    return Volume(torch.from_numpy(head.image), head.grid, Path(f"{person}.nii.gz"))


def measure(registrar: Registrar, fixed: Volume, moving: Volume) -> Run:
    """Return the figures with the right and with the mirrored header of the moving image."""
    fixed, moving = coarser(fixed), coarser(moving)
    run: Run = {}
    for header, image in (("right", moving), ("mirrored", mirrored(moving))):
        found = registrar.register(Pair(name="pair", fixed=fixed, moving=(image,)))
        figures = found.measured.figures
        run[header] = {
            "affine_nmi": found.notes["affine_start"]["similarity"][1],
            "similarity": figures["similarity_after"],
            "nmi": figures["nmi_after"],
            "sd_log_jacobian": figures["sd_log_jacobian"],
            "deformation_mm": figures["deformation_mm_mean"],
            "fault": found.notes.get("header_fault", ""),
            "quality": found.verdict.quality,
            "limits": len(found.verdict.limits),
        }
        assert found.structure is not None
        run[header]["symmetry"] = found.structure.symmetry
    return run


def coarser(volume: Volume) -> Volume:
    """Return a volume with voxels of `FINEST`, or as it is if its voxels are larger."""
    if min(volume.grid.spacing) >= FINEST:
        return volume
    grid = volume.grid.with_spacing((FINEST,) * 3)
    data = warp(volume.data.float()[None], volume.grid, grid, Transform.identity())[0]
    return replace(volume, data=data, grid=grid)


def mirrored(volume: Volume) -> Volume:
    """Return a volume whose header exchanges left and right."""
    mirror = torch.diag(torch.tensor([-1, 1, 1, 1], dtype=torch.float64))
    return replace(volume, grid=Grid(volume.grid.shape, mirror @ volume.grid.affine))


def markdown(runs: list[Run]) -> str:
    """Return a table of the differences between the right and the mirrored header."""
    figures = {
        "affine_nmi": ("affine NMI", 4),
        "similarity": ("similarity", 4),
        "nmi": ("NMI", 4),
        "sd_log_jacobian": ("SD of log J", 3),
        "deformation_mm": ("deformation mm", 2),
    }
    titles = [*(title for title, _ in figures.values()), "symmetry", "sentence", "mirrored header"]
    lines = [heading(["pair"], titles)]
    for run in runs:
        cells = [
            f"{run['right'][name] - run['mirrored'][name]:+.{digits}f}"
            for name, (_, digits) in figures.items()
        ]
        right, wrong = run["right"], run["mirrored"]
        seen = "mirrored" if "mirrored" in wrong["fault"] else wrong["quality"]
        sentence = "yes" if right["limits"] else "no"
        lines.append(row([run["pair"], *cells, f"{right['symmetry']:.2f}", sentence, seen]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
