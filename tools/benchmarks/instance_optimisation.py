"""How much time and memory does instance optimisation need, upstream's and ours?

    PYTHONPATH=tools python -m benchmarks.instance_optimisation --size 175 --steps 2 \\
        --peers .venv-peers/bin/python
    PYTHONPATH=tools python -m benchmarks.instance_optimisation --fixed F.nii.gz --moving M.nii.gz

Three methods are measured: upstream, our mode "weights" and our mode "field". Each runs in a
process of its own, on the same images and from the same weights, so that the losses can be compared
and the peak memory is that of the method alone. The weights are random unless `--weights` names a
safetensors file. The mode "field" starts from the prediction of the network. Without images, a
smooth random texture and a shifted copy of it are registered.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness.measurement import peak_mib
from benchmarks.harness.processes import ChildError, call

METHODS = ("upstream", "weights", "field")

Clocks = tuple[float, float]


def main() -> None:
    """Measure the methods and print their figures."""
    args = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.pt"
        write_state(args.weights, state)
        for method in args.only.split(","):
            arguments = {
                "method": method,
                "state": str(state),
                "size": args.size,
                "paths": [str(p.resolve()) for p in (args.moving, args.fixed)]
                if args.fixed
                else [],
                "modality": args.modality,
                "similarity": args.similarity,
                "steps": args.field_steps if method == "field" else args.steps,
                "threads": args.threads,
            }
            try:
                figures = call(
                    "benchmarks.instance_optimisation:measure",
                    arguments,
                    threads=args.threads,
                    python=args.peers if method == "upstream" else sys.executable,
                )
            except ChildError as error:
                print(f"{method}: failed, {error}", flush=True)
                continue
            print_figures(method, figures)


def write_state(weights: Path | None, path: Path) -> None:
    """Write the state dict of a network, of random weights or of those in a safetensors file."""
    import torch

    if weights is None:
        state = random_state()
    else:
        from safetensors.torch import load_file

        state = {name: value.float() for name, value in load_file(weights).items()}
    torch.save(state, path)


def random_state() -> dict[str, Any]:
    """Return the state dict of a network whose last layers give non-zero displacements."""
    import torch

    from zoo.networks import GradICON

    torch.manual_seed(0)
    state = GradICON().state_dict()
    for name, value in state.items():
        if "lastConv" in name:
            value.normal_(std=0.002)
    return state


def measure(
    method: str,
    state: str,
    size: int,
    paths: list[str],
    modality: str,
    similarity: str,
    steps: int,
    threads: int,
) -> dict[str, Any]:
    """Optimise in this process; return the clocks before and after each step, losses and memory."""
    import torch

    torch.set_num_threads(threads)
    weights = torch.load(state, weights_only=True)
    moving, fixed = images(size, paths, modality)
    if method == "upstream":
        figures = upstream(weights, moving, fixed, similarity, steps)
    else:
        figures = ours(method, weights, moving, fixed, similarity, steps)
    return {**figures, "peak GiB": peak_mib() / 1024}


def images(size: int, paths: list[str], modality: str) -> list[Any]:
    """Return moving and fixed image, [1, 1, n, n, n] in [0, 1]; a texture if there are no paths."""
    import torch
    import torch.nn.functional as F

    if not paths:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(1, 1, 40, 40, 40, generator=generator)
        pair = [coarse, coarse.roll((1, 1), (2, 3))]
    else:
        pair = [_normalised(path, modality) for path in paths]
    return [F.interpolate(x, size=(size,) * 3, mode="trilinear", align_corners=False) for x in pair]


def upstream(weights: Any, moving: Any, fixed: Any, similarity: str, steps: int) -> dict[str, Any]:
    """Run the optimisation loop of upstream."""
    import torch
    import unigradicon

    network = unigradicon.make_network(
        [1, 1, *fixed.shape[2:]],
        include_last_step=True,
        loss_fn=unigradicon.make_sim(similarity),
    )
    network.regis_net.load_state_dict(weights)
    network.eval()
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-5)
    clocks, losses = [_clocks()], []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = network(moving, fixed)
        loss.all_loss.backward()
        optimiser.step()
        clocks.append(_clocks())
        losses.append(float(loss.all_loss.detach()))
    return {"clocks": clocks, "losses": losses}


def ours(
    mode: str, weights: Any, moving: Any, fixed: Any, similarity: str, steps: int
) -> dict[str, Any]:
    """Run the mode "weights" or "field" of this zoo."""
    import torch

    from zoo.losses import LNCC, folded_share
    from zoo.networks import GradICON
    from zoo.solvers.instance import ImagePair, Misfit
    from zoo.solvers.instance_field import refine_field
    from zoo.solvers.instance_weights import refine_weights

    network = GradICON().eval()
    network.load_state_dict(weights)
    pair = ImagePair(moving, fixed)
    clocks: list[Clocks] = []
    common: dict[str, Any] = {
        "steps": steps,
        "similarity": similarity,
        "generator": torch.Generator().manual_seed(0),
        "progress": lambda *_: clocks.append(_clocks()),
        "tolerance": 0.0,
    }
    if mode == "weights":
        clocks.append(_clocks())
        result = refine_weights(network, pair, **common)
    else:
        with torch.no_grad():
            forward = network(torch.cat([moving, fixed], dim=1))
            reverse = network(torch.cat([fixed, moving], dim=1))
        del network
        clocks.append(_clocks())
        result = refine_field(forward, pair, reverse=reverse, **common)
    assert result.reverse is not None
    with torch.no_grad():
        misfit = float(Misfit(pair, LNCC())(torch.cat([result.displacement, result.reverse])))
    return {
        "clocks": clocks,
        "losses": [step.loss for step in result.trace],
        "LNCC misfit at full size after optimisation": misfit,
        "folded voxels after optimisation, percent": 100 * folded_share(result.displacement),
    }


def print_figures(method: str, figures: dict[str, Any]) -> None:
    """Print the best step, all steps and the other figures."""
    pairs = list(itertools.pairwise(figures.pop("clocks")))
    wall, cpu = ([round(after[k] - before[k], 2) for before, after in pairs] for k in (0, 1))
    print(f"{method}: best step {min(wall)} s wall, {min(cpu)} s CPU; all steps {wall} s")
    for name, value in figures.items():
        print(f"    {name}: {value}", flush=True)


def _normalised(path: str, modality: str) -> Any:
    import nibabel
    import torch

    image: Any = nibabel.load(path)
    volume = torch.tensor(image.get_fdata(dtype="float32"))[None, None]
    low, high = -1000.0, 1000.0
    if modality == "mr":
        low = float(volume.min())
        high = float(volume.flatten().kthvalue(int(0.99 * volume.numel()))[0])
    return ((volume - low) / (high - low)).clamp(0, 1)


def _clocks() -> Clocks:
    """Return the wall clock and the CPU time of all threads, in seconds."""
    return time.perf_counter(), time.process_time()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=175, help="voxels along each axis")
    parser.add_argument("--steps", type=int, default=2, help='of upstream and mode "weights"')
    parser.add_argument("--field-steps", type=int, default=10, help='of mode "field"')
    parser.add_argument("--threads", type=int, default=2, help="threads per process")
    parser.add_argument("--similarity", default="lncc", choices=["lncc", "lncc2", "mind"])
    parser.add_argument("--fixed", type=Path, help="NIfTI file of the fixed image")
    parser.add_argument("--moving", type=Path, help="NIfTI file of the moving image")
    parser.add_argument("--modality", default="mr", choices=["ct", "mr"], help="of both images")
    parser.add_argument("--weights", type=Path, help="safetensors file of a GradICON network")
    parser.add_argument(
        "--peers", default=sys.executable, help="Python interpreter with unigradicon installed"
    )
    parser.add_argument("--only", default=",".join(METHODS), help="methods, comma-separated")
    args = parser.parse_args()
    if (args.fixed is None) != (args.moving is None):
        parser.error("--fixed and --moving must be given together")
    return args


if __name__ == "__main__":
    main()
