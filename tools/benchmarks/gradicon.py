"""How fast is the GradICON network beside upstream's, and how close are their results?

    make env-peers
    PYTHONPATH=tools .venv-peers/bin/python -m benchmarks.gradicon --size 175 --threads 2

One direction is measured: the network and its map on the full grid, with the same weights, images
and threads. Each variant runs in a process of its own and the variants take turns, so that other
load on the machine affects all alike; the best wall time of all rounds counts. The peak memory is
the largest resident memory of the process, with interpreter, libraries and weights. Our variants
keep freed memory (`zoo.runtime.memory`); `--keep-memory` makes the process of upstream do the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness.measurement import Timer, peak_mib
from benchmarks.harness.processes import call
from benchmarks.harness.tables import heading, row

VARIANTS = ("upstream", "float32", "bfloat16")
KEEP_MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**33))
"""Variables with which glibc keeps the memory of freed tensors."""

Figures = dict[str, Any]


def main() -> None:
    """Measure all variants and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=175, help="voxels along each axis")
    parser.add_argument("--threads", type=int, default=2, help="threads per process")
    parser.add_argument("--rounds", type=int, default=2, help="processes per variant")
    parser.add_argument("--repeats", type=int, default=2, help="directions per process")
    parser.add_argument("--keep-memory", action="store_true", help="upstream keeps freed memory")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, args.size)
        results = measure_all(args, folder)
        add_differences(results, folder, args.size)
    print_table(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def prepare(folder: Path, size: int) -> None:
    """Write random weights that give non-trivial displacements, and a pair of smooth images."""
    import torch
    import torch.nn.functional as F

    from zoo.networks import GradICON

    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    state = GradICON().state_dict()
    for name, tensor in state.items():
        noise = torch.randn(tensor.shape, generator=generator)
        if "batchNorms" in name and tensor.is_floating_point():
            tensor.copy_(noise * 0.1 + name.endswith(("weight", "var")))
        elif "lastConv" in name:
            tensor.copy_(noise * 0.02)
    torch.save(state, folder / "weights.pt")
    coarse = torch.rand(1, 2, *[size // 8] * 3, generator=generator)
    torch.save(F.interpolate(coarse, size=[size] * 3, mode="trilinear"), folder / "image.pt")


def measure_all(args: argparse.Namespace, folder: Path) -> dict[str, Figures]:
    """Run the variants in turns and return the figures of each."""
    variables = KEEP_MEMORY if args.keep_memory else {}
    results: dict[str, Figures] = {
        name: {"wall_s": [], "cpu_s": [], "peak_gib": []} for name in VARIANTS
    }
    for _ in range(args.rounds):
        for name in VARIANTS:
            arguments = {
                "variant": name,
                "folder": str(folder),
                "threads": args.threads,
                "repeats": args.repeats,
            }
            figures = call(
                "benchmarks.gradicon:measure", arguments, threads=args.threads, variables=variables
            )
            for key, values in figures.items():
                results[name][key] += values
    return results


def measure(variant: str, folder: str, threads: int, repeats: int) -> Figures:
    """Time one variant in this process and save its last result in the folder."""
    import torch

    torch.set_num_threads(threads)
    state = torch.load(Path(folder) / "weights.pt", weights_only=True, mmap=True)
    image = torch.load(Path(folder) / "image.pt", weights_only=True)
    if variant == "upstream":
        direction = upstream_direction(state, image)
    else:
        direction = our_direction(state, image, variant)
    figures: Figures = {"wall_s": [], "cpu_s": []}
    with torch.no_grad():
        for _ in range(repeats):
            with Timer() as timer:
                field = direction()
            figures["wall_s"].append(timer.seconds)
            figures["cpu_s"].append(timer.cpu_seconds)
    peak = peak_mib() / 1024
    torch.save(field, Path(folder) / f"{variant}.pt")
    return {**figures, "peak_gib": [peak]}


def upstream_direction(state: dict[str, Any], image: Any) -> Callable[[], Any]:
    """Return a function that computes upstream's map on the full grid, in the unit cube."""
    import unigradicon

    network = unigradicon.make_network([1, 1, *image.shape[2:]], include_last_step=True).eval()
    network.regis_net.load_state_dict(state)
    network.identity_map.isIdentity = True
    moving, fixed = image[:, :1].clone(), image[:, 1:].clone()
    return lambda: network.regis_net(moving, fixed)(network.identity_map)


def our_direction(state: dict[str, Any], image: Any, precision: Any) -> Callable[[], Any]:
    """Return a function that computes our displacement, in voxels."""
    from zoo.networks import GradICON
    from zoo.runtime.memory import keep_freed_memory

    keep_freed_memory()
    network = GradICON(precision=precision).eval()
    network.load_state_dict(state)
    return lambda: network(image)


def add_differences(results: dict[str, Figures], folder: Path, size: int) -> None:
    """Add the differences of our displacements from upstream's, in voxels."""
    import torch

    axis = torch.linspace(0, 1, size)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))[None]
    expected = (torch.load(folder / "upstream.pt", weights_only=True) - grid) * (size - 1)
    results["upstream"]["mean_displacement_voxels"] = float(expected.abs().mean())
    for name in VARIANTS[1:]:
        difference = (torch.load(folder / f"{name}.pt", weights_only=True) - expected).abs()
        results[name]["mean_difference_voxels"] = float(difference.mean())
        results[name]["largest_difference_voxels"] = float(difference.max())


def print_table(results: dict[str, Figures]) -> None:
    """Print the figures, and the ratios of our variants to upstream."""
    columns = ["wall s", "CPU s", "peak GiB", "speed-up", "memory saving"]
    print(heading(["variant"], [*columns, "mean and largest difference (voxels)"]))
    theirs = results["upstream"]
    for name, figures in results.items():
        wall, cpu, peak = (figures[key] for key in ("wall_s", "cpu_s", "peak_gib"))
        cells = [f"{min(wall):.2f}", f"{min(cpu):.2f}", f"{max(peak):.2f}"]
        cells.append(f"{min(theirs['wall_s']) / min(wall):.1f}x")
        cells.append(f"{max(theirs['peak_gib']) / max(peak):.1f}x")
        mean = figures.get("mean_difference_voxels", 0)
        largest = figures.get("largest_difference_voxels", 0)
        print(row([name, *cells, f"{mean:.1e}, {largest:.1e}"]))
    print(f"The mean displacement is {theirs['mean_displacement_voxels']:.1f} voxels.")


if __name__ == "__main__":
    main()
