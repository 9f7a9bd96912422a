"""Where does the fluid refinement help pairs of two contrasts, and is it refused where it harms?

    PYTHONPATH=tools python -m benchmarks.two_contrasts --data FOLDER

Each pair is aligned and searched once; a row shows this result and the refined one. The pairs are
not those that `benchmarks.peers` measures:

- heads and brains of two persons, rendered from label maps in two of the contrasts T1, T2, FLAIR;
- brains of one person, rendered in two contrasts, one of them deformed;
- real brains of two persons, one of them with its intensities mapped by a curve as of T2 or FLAIR;
- CT of one person with a known deformation and of two persons, one image mapped by a curve with
  bright fat and dark bone.

A row of the Markdown table has the mean Dice, or the end-point error in mm where the truth is
known, with the SD of log J in brackets, the image that is shown in the contrast of the other one,
and what the criterion chose. `--region` sets the distance of the nodes that have a table of
values each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness.accuracy import accuracy
from benchmarks.harness.pairs import BenchPair, data_pairs
from benchmarks.harness.rendered_pairs import Rendering, rendered_pair
from benchmarks.harness.zoo_methods import dense_field
from zoo.datasets.pairs import load_pair, pair_files
from zoo.geometry.sampling import identity_index, sample
from zoo.io.volume import read_volume, write_volume
from zoo.registration import MCBOInferer, mcbo_frame
from zoo.registration.mcbo import refined
from zoo.solvers import MCBO
from zoo.solvers.fluid import contrast_transfer, unfold

Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Intensities, and the intensities that they become; linear between them."""

BRIGHT_FLUID: Curve = ((0, 0.15, 0.3, 0.55, 0.75, 1), (0.05, 1, 0.85, 0.55, 0.42, 0.5))
BRIGHT_CORTEX: Curve = ((0, 0.15, 0.3, 0.55, 0.75, 1), (0, 0.2, 0.35, 1, 0.7, 0.75))
BRIGHT_FAT: Curve = (
    (-1000, -200, -90, 0, 50, 120, 300, 1500),
    (0, 0.05, 0.9, 0.15, 0.45, 0.6, 0.15, 0.02),
)
"""The first two are curves of the share of the 99th percentile of the brain, the last one of HU."""

_SHIFT, _KNOTS, _NOISE = 3.5, 7, 2.0
"""SD in voxels and knots per axis of the deformations of one person, and the SD of the noise."""


def _brain(fixed: tuple[int, str], moving: tuple[int, str]) -> tuple[Rendering, Rendering]:
    return Rendering(*fixed, stripped=True), Rendering(*moving, stripped=True)  # type: ignore[arg-type]


TWO_PERSONS: dict[str, tuple[Rendering, Rendering]] = {
    "brain_t1_t2": _brain((2, "t1"), (9, "t2")),
    "brain_t2_t1": _brain((11, "t2"), (5, "t1")),
    "brain_t2_t1_b": _brain((1, "t2"), (2, "t1")),
    "brain_t1_flair": _brain((12, "t1"), (1, "flair")),
    "brain_flair_t1": _brain((5, "flair"), (6, "t1")),
    "brain_flair_t2": _brain((8, "flair"), (10, "t2")),
    "brain_t2_flair": _brain((3, "t2"), (4, "flair")),
    "head_t1_t2": (Rendering(7, "t1"), Rendering(8, "t2")),
    "head_t1_flair": (Rendering(11, "t1"), Rendering(12, "flair")),
    "head_t2_flair": (Rendering(3, "t2"), Rendering(6, "flair")),
    "head_t2_t1": (Rendering(4, "t2"), Rendering(5, "t1")),
    "head_flair_t1": (Rendering(1, "flair"), Rendering(8, "t1")),
    "head_flair_t2": (Rendering(10, "flair"), Rendering(12, "t2")),
    "head_t2_t1_cut": (Rendering(9, "t2", cut="neck"), Rendering(10, "t1", cut="skull")),
}
ONE_PERSON: dict[str, tuple[Rendering, Rendering]] = {
    "one_brain_t1_t2": _brain((10, "t1"), (10, "t2")),
    "one_brain_t1_flair": _brain((14, "t1"), (14, "flair")),
    "one_head_t2_t1": (Rendering(6, "t2"), Rendering(6, "t1")),
}


def main() -> None:
    """Measure every pair, or those that are named."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    contrast_transfer.REGION = args.region
    names = [name for name in args.pairs.split(",") if name]
    print("| pair | search | result | shown | chosen | criterion |")
    print("|---|---|---|---|---|---|")
    for pair in pairs(args.data, args.out):
        if not names or pair.name in names:
            print(f"| {pair.name} | {' | '.join(measure(pair))} |", flush=True)


def measure(pair: BenchPair) -> list[str]:
    """Return the cells of a row: before and after the refinement, and how it was chosen."""
    loaded = load_pair(pair_files(str(pair.fixed), [str(pair.moving)]))
    mcbo = MCBOInferer(mcbo_frame("accurate"), bar=False)
    work = mcbo.prepare(loaded, mcbo.initial_alignment(loaded))
    searched = unfold(MCBO()(work.image, masks=work.masks))[0]
    found, notes = refined(searched, work, lambda done, text: None)
    cells = []
    for displacement in (searched, found):
        figures = accuracy(pair, dense_field(work.transform(displacement), loaded.fixed))
        quality = f"{figures['epe_mm']:.3f} mm" if pair.truth else f"{figures['dice']:.3f}"
        cells.append(f"{quality} ({figures['sd_log_jacobian']:.2f})")
    choice = notes.get("contrast_transfer", {"shown": "", "chosen": "not tried", "values": {}})
    values = ", ".join(f"{name} {value:.4f}" for name, value in choice["values"].items())
    return [*cells, choice["shown"], choice["chosen"], values]


def pairs(data: Path, out: Path) -> Iterator[BenchPair]:
    """Yield the pairs of two contrasts, whose images are written to `out` unless they exist."""
    maps = data / "anatomy_synthseg"
    for name, images in TWO_PERSONS.items():
        yield replace(rendered_pair(name, *images, maps, out), name=name)
    for seed, (name, images) in enumerate(ONE_PERSON.items()):
        pair = replace(rendered_pair(name, *images, maps, out), name=name)
        files = out / f"{name}.nii.gz", out / f"{name}_labels.nii.gz"
        if not files[1].is_file():
            _deform(pair, seed, *files)
        yield replace(pair, moving=files[0], moving_labels=files[1])
    real = {pair.name: pair for pair in data_pairs(data)}
    for name, curve in (
        ("malf_1000_1001", BRIGHT_FLUID),
        ("malf_1000_1003", BRIGHT_CORTEX),
        *((name, BRIGHT_FAT) for name in ("abdomen_ct_syn", "aorta_ct_syn", "hn_203_204")),
        *((name, BRIGHT_FAT) for name in ("hn_206_207", "hn_208_209")),
    ):
        file = out / f"{name}_mapped.nii.gz"
        if not file.is_file():
            _map_intensities(real[name].moving, curve, file)
        yield replace(real[name], name=f"{name}_mapped", moving=file)


def _deform(pair: BenchPair, seed: int, image: Path, labels: Path) -> None:
    """Write the moving image and its labels, deformed smoothly, with new noise."""
    assert pair.moving_labels is not None
    volume, parts = read_volume(pair.moving), read_volume(pair.moving_labels)
    random = torch.Generator().manual_seed(seed)
    knots = _SHIFT * torch.randn(1, 3, *(_KNOTS,) * 3, generator=random)
    shape = volume.data.shape
    shift = F.interpolate(knots, shape, mode="trilinear", align_corners=True)
    index = identity_index(shape) + shift
    moved = sample(volume.data.float()[None, None], index)[0, 0]
    noise = _NOISE * torch.randn(shape, generator=random)
    moved = torch.where(moved > 0, (moved + noise).clamp_min(0), moved)
    write_volume(image, moved, volume.grid, torch.int16)
    write_volume(labels, _nearest(parts.data, index), volume.grid, torch.int16)


def _nearest(labels: Tensor, index: Tensor) -> Tensor:
    """Return the labels at the voxels nearest to `index` [1, 3, X, Y, Z], 0 outside the grid."""
    place = index[0].round().long()
    limit = torch.tensor(labels.shape).view(3, 1, 1, 1)
    inside = ((place >= 0) & (place < limit)).all(0)
    x, y, z = place.clamp_min(0).minimum(limit - 1)
    return torch.where(inside, labels[x, y, z], 0)


def _map_intensities(source: Path, curve: Curve, target: Path) -> None:
    """Write an image with its intensities mapped by a curve; the background of a brain stays 0."""
    volume = read_volume(source)
    values = volume.data.numpy().astype(np.float64)
    if curve is BRIGHT_FAT:
        mapped = np.interp(values, *curve)
    else:
        brain = values > 0
        share = values / np.percentile(values[brain], 99)
        mapped = np.where(brain, np.interp(share, *curve), 0)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_volume(target, torch.from_numpy(1000 * mapped), volume.grid, torch.int16)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the image pairs")
    parser.add_argument("--pairs", default="", help="names of pairs, comma-separated; default: all")
    out = Path("bench/two_contrasts")
    parser.add_argument("--out", type=Path, default=out, help="folder for the rendered images")
    parser.add_argument("--threads", type=int, default=2, help="threads")
    region = contrast_transfer.REGION
    parser.add_argument("--region", type=int, default=region, help="voxels between two nodes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
