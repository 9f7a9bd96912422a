"""How much time and memory does the UniReg network need on the CPU?

    PYTHONPATH=tools python -m benchmarks.unireg --threads 2 --runs 3 160x192x192 192x224x160

The weights are random: neither time nor memory depends on them in the variant "rpn". Each row is
measured in a process of its own. The seconds are the best of `--runs`, after one run that is not
counted; the CPU seconds are those of all threads in the same run. The memory is the largest
resident memory of the process, and in brackets what it was before the network ran. `--huge-pages`
sets THP_MEM_ALLOC_ENABLE=1, with which torch asks Linux for huge pages.
"""

from __future__ import annotations

import argparse

from benchmarks.harness.measurement import Timer, peak_mib
from benchmarks.harness.processes import call
from benchmarks.harness.tables import heading, row


def main() -> None:
    """Print one row per size and number of threads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sizes", nargs="*", default=["160x192x192", "192x224x160"], help="voxels, as XxYxZ"
    )
    parser.add_argument("--channels", type=int, default=8, help="width of the network")
    parser.add_argument("--threads", type=int, nargs="+", default=[2], help="one or several")
    parser.add_argument("--runs", type=int, default=3, help="timed runs per row")
    parser.add_argument("--huge-pages", action="store_true", help="ask Linux for huge pages")
    args = parser.parse_args()
    columns = ["threads", "wall s", "CPU s", "peak MiB (before the network ran)"]
    print(heading(["size"], columns), flush=True)
    for size in args.sizes:
        for threads in args.threads:
            shape = [int(side) for side in size.split("x")]
            figures = call(
                "benchmarks.unireg:measure",
                {"shape": shape, "channels": args.channels, "threads": threads, "runs": args.runs},
                threads=threads,
                variables={"THP_MEM_ALLOC_ENABLE": "1" if args.huge_pages else "0"},
            )
            memory = f"{figures['peak_mib']:.0f} ({figures['idle_mib']:.0f})"
            times = [f"{figures[name]:.2f}" for name in ("seconds", "cpu_seconds")]
            print(row([size, str(threads), *times, memory]), flush=True)


def measure(shape: list[int], channels: int, threads: int, runs: int) -> dict[str, float]:
    """Return seconds and CPU seconds of the fastest run, and the memory of this process in MiB."""
    import torch

    from zoo.networks.unireg import UniReg

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = UniReg(channels, type="inter", region="abdomen").eval()
    image = torch.rand(1, 2, *shape)
    idle = peak_mib()
    times = []
    with torch.inference_mode():
        for _ in range(runs + 1):
            with Timer() as timer:
                network(image)
            times.append((timer.seconds, timer.cpu_seconds))
    seconds, cpu_seconds = min(times[1:])
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mib": peak_mib(),
        "idle_mib": idle,
    }


if __name__ == "__main__":
    main()
