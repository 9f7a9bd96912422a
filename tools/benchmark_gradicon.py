"""Upstream's GradICON network beside ours: same weights, images and threads, in one run.

    make env-peers
    .venv-peers/bin/python tools/benchmark_gradicon.py --size 175 --threads 2 --rounds 2

One direction: the network and its map on the full grid. Every variant runs in a process of its own,
in turns, so that a busy machine treats all alike; the best wall time of all rounds counts. Peak
memory is the process's largest resident size, with interpreter, libraries and weights. Ours keeps
freed memory (zoo.runtime.memory); --keep-memory has upstream's process do the same.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VARIANTS = ("upstream", "float32", "bfloat16")
KEEP = str(2**33)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=175, help="voxels along each axis")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="processes a variant")
    parser.add_argument("--repeats", type=int, default=2, help="directions a process")
    parser.add_argument("--keep-memory", action="store_true", help="for upstream too")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--child", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.child, args.folder, args.threads, args.repeats)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), args.size)
        results = run_all(args, Path(folder))
        compare(results, Path(folder), args.size)
    report(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def prepare(folder, size):
    """Write random weights with lively displacements, and a pair of smooth images."""
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


def run_all(args, folder):
    """Run every variant in turns; return its figures by its name."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    if args.keep_memory:
        environment |= dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), KEEP)
    words = [sys.executable, __file__, "--folder", str(folder)]
    words += ["--threads", str(args.threads), "--repeats", str(args.repeats)]
    results = {name: {"wall_s": [], "cpu_s": [], "peak_gib": []} for name in VARIANTS}
    for _ in range(args.rounds):
        for name in VARIANTS:
            done = subprocess.run(
                [*words, "--child", name], env=environment, stdout=subprocess.PIPE, check=True
            )
            for key, values in json.loads(done.stdout.splitlines()[-1]).items():
                results[name][key] += values
    return results


def measure(name, folder, threads, repeats):
    """Time one variant in this process; leave its displacement in voxels in the folder."""
    import torch

    torch.set_num_threads(threads)
    state = torch.load(folder / "weights.pt", weights_only=True, mmap=True)
    image = torch.load(folder / "image.pt", weights_only=True)
    direction = (upstream if name == "upstream" else ours)(state, image, name)
    figures = {"wall_s": [], "cpu_s": []}
    with torch.no_grad():
        for _ in range(repeats):
            wall, cpu = time.perf_counter(), time.process_time()
            field = direction()
            figures["wall_s"].append(time.perf_counter() - wall)
            figures["cpu_s"].append(time.process_time() - cpu)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    torch.save(field, folder / f"{name}.pt")
    return {**figures, "peak_gib": [peak]}


def upstream(state, image, name):
    """Return a function that gives upstream's map on the full grid, unit cube."""
    import unigradicon

    network = unigradicon.make_network([1, 1, *image.shape[2:]], include_last_step=True).eval()
    network.regis_net.load_state_dict(state)
    network.identity_map.isIdentity = True
    moving, fixed = image[:, :1].clone(), image[:, 1:].clone()
    return lambda: network.regis_net(moving, fixed)(network.identity_map)


def ours(state, image, name):
    """Return a function that gives our displacement, voxels."""
    from zoo.networks import GradICON
    from zoo.runtime.memory import keep_freed_memory

    keep_freed_memory()
    network = GradICON(precision=name).eval()
    network.load_state_dict(state)
    return lambda: network(image)


def compare(results, folder, size):
    """Add how far our fields are from upstream's, in voxels."""
    import torch

    axis = torch.linspace(0, 1, size)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))[None]
    expected = (torch.load(folder / "upstream.pt", weights_only=True) - grid) * (size - 1)
    results["upstream"]["mean_displacement_voxels"] = float(expected.abs().mean())
    for name in VARIANTS[1:]:
        apart = (torch.load(folder / f"{name}.pt", weights_only=True) - expected).abs()
        results[name]["mean_difference_voxels"] = float(apart.mean())
        results[name]["largest_difference_voxels"] = float(apart.max())


def report(results):
    """Print the figures as a table, and how our variants stand to upstream."""
    print(
        "| variant | wall s | CPU s | peak GiB | faster | less memory | mean, max apart (voxel) |"
    )
    print("|---|---|---|---|---|---|---|")
    theirs = results["upstream"]
    for name, figures in results.items():
        wall, cpu, peak = (figures[key] for key in ("wall_s", "cpu_s", "peak_gib"))
        print(
            f"| {name} | {min(wall):.2f} | {min(cpu):.2f} | {max(peak):.2f} "
            f"| {min(theirs['wall_s']) / min(wall):.1f}x "
            f"| {max(theirs['peak_gib']) / max(peak):.1f}x "
            f"| {figures.get('mean_difference_voxels', 0):.1e}, "
            f"{figures.get('largest_difference_voxels', 0):.1e} |"
        )
    print(f"mean displacement {theirs['mean_displacement_voxels']:.1f} voxels")


if __name__ == "__main__":
    main()
