"""Measure steps of instance optimisation: upstream, our weights mode, our field mode.

    python tools/benchmark_instance.py --size 175 --steps 2 --peers .venv-peers/bin/python
    python tools/benchmark_instance.py --fixed F.nii.gz --moving M.nii.gz --modality mr

Each method runs in a process of its own, on the same images and from the same weights (random ones
unless --weights names a safetensors file), so that the losses can be compared and the peak memory
belongs to the method alone. The field mode starts from the network's prediction. Without images a
smooth random texture and its shifted copy are used.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METHODS = ("upstream", "weights", "field")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=175)
    parser.add_argument("--steps", type=int, default=2, help="of upstream and the weights mode")
    parser.add_argument("--field-steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--similarity", default="lncc", choices=["lncc", "lncc2", "mind"])
    parser.add_argument("--fixed", type=Path)
    parser.add_argument("--moving", type=Path)
    parser.add_argument("--modality", default="mr", choices=["ct", "mr"])
    parser.add_argument("--weights", type=Path, help="of a GradICON network, safetensors")
    parser.add_argument("--peers", default=sys.executable, help="Python that has unigradicon")
    parser.add_argument("--only", default=",".join(METHODS))
    parser.add_argument("--worker", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def images(options):
    """Return moving and fixed, [1, 1, n, n, n] in [0, 1]."""
    import torch
    import torch.nn.functional as F

    size = (options.size,) * 3
    if options.fixed is None:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(1, 1, 40, 40, 40, generator=generator)
        pair = [coarse, coarse.roll((1, 1), (2, 3))]
    else:
        import nibabel

        pair = []
        for path in (options.moving, options.fixed):
            volume = torch.tensor(nibabel.load(path).get_fdata(dtype="float32"))[None, None]
            low, high = -1000.0, 1000.0
            if options.modality == "mr":
                low, high = volume.min(), volume.flatten().kthvalue(int(0.99 * volume.numel()))[0]
            pair.append(((volume - low) / (high - low)).clamp(0, 1))
    return [F.interpolate(x, size=size, mode="trilinear", align_corners=False) for x in pair]


def random_state():
    """Return a state dict of the full network whose last layers do something."""
    import torch

    from zoo.networks import GradICON

    torch.manual_seed(0)
    state = GradICON().state_dict()
    for name, value in state.items():
        if "lastConv" in name:
            value.normal_(std=0.002)
    return state


def tick():
    """Return the wall clock and the processor time of all threads, seconds."""
    return time.perf_counter(), time.process_time()


def upstream(options, moving, fixed):
    """Time the steps of upstream's own loop."""
    import torch
    import unigradicon

    network = unigradicon.make_network(
        [1, 1, *fixed.shape[2:]],
        include_last_step=True,
        loss_fn=unigradicon.make_sim(options.similarity),
    )
    network.regis_net.load_state_dict(torch.load(options.state, weights_only=True))
    network.eval()
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-5)
    ticks, losses = [tick()], []
    for _ in range(options.steps):
        optimiser.zero_grad()
        loss = network(moving, fixed)
        loss.all_loss.backward()
        optimiser.step()
        ticks.append(tick())
        losses.append(float(loss.all_loss.detach()))
    return {"ticks": ticks, "losses": losses}


def ours(options, moving, fixed):
    """Time the steps of the weights mode or of the field mode."""
    import torch

    from zoo.losses import LNCC, folded_share
    from zoo.networks import GradICON
    from zoo.solvers.instance import ImagePair, Misfit
    from zoo.solvers.instance_field import refine_field
    from zoo.solvers.instance_weights import refine_weights

    network = GradICON().eval()
    network.load_state_dict(torch.load(options.state, weights_only=True))
    pair = ImagePair(moving, fixed)
    ticks = []
    common = {
        "similarity": options.similarity,
        "generator": torch.Generator().manual_seed(0),
        "progress": lambda *_: ticks.append(tick()),
        "tolerance": 0.0,
    }
    if options.worker == "weights":
        ticks.append(tick())
        result = refine_weights(network, pair, steps=options.steps, **common)
    else:
        with torch.no_grad():
            forward = network(torch.cat([moving, fixed], dim=1))
            reverse = network(torch.cat([fixed, moving], dim=1))
        del network
        ticks.append(tick())
        result = refine_field(forward, pair, reverse=reverse, steps=options.field_steps, **common)
    with torch.no_grad():
        full = float(Misfit(pair, LNCC())(torch.cat([result.displacement, result.reverse])))
    return {
        "ticks": ticks,
        "losses": [step.loss for step in result.trace],
        "full-size LNCC misfit after": full,
        "folded percent after": 100 * folded_share(result.displacement),
    }


def work(options):
    import torch

    torch.set_num_threads(options.threads)
    method = upstream if options.worker == "upstream" else ours
    result = method(options, *images(options))
    result["peak GiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print("result " + json.dumps(result))


def main():
    options = arguments()
    if options.worker:
        work(options)
        return
    import torch

    if options.weights is None:
        state = random_state()
    else:
        from safetensors.torch import load_file

        state = {name: value.float() for name, value in load_file(options.weights).items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.pt"
        torch.save(state, path)
        for method in options.only.split(","):
            python = options.peers if method == "upstream" else sys.executable
            command = [python, __file__, *sys.argv[1:], "--worker", method, "--state", path]
            done = subprocess.run(command, capture_output=True, text=True)
            lines = [x for x in done.stdout.splitlines() if x.startswith("result ")]
            if not lines:
                print(f"{method}: failed\n{done.stderr[-2000:]}")
                continue
            result = json.loads(lines[-1].removeprefix("result "))
            pairs = list(itertools.pairwise(result.pop("ticks")))
            wall, processor = ([round(b[k] - a[k], 2) for a, b in pairs] for k in (0, 1))
            print(
                f"{method}: best step {min(wall)} s, processor {min(processor)} s, all {wall}",
                flush=True,
            )
            for name, value in result.items():
                print(f"    {name}: {value}", flush=True)


if __name__ == "__main__":
    main()
