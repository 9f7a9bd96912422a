"""Time and peak memory of UniReg on the CPU: one process a measurement, one line a row.

    python tools/benchmark_unireg.py --threads 2 --runs 3 160x192x192 192x224x160

The weights are random: neither time nor memory depends on them in the variant "rpn". Seconds are
the best of `--runs` after one run that is not counted; CPU seconds are those of all threads
together in that run. Memory is the largest resident set of the process, and in brackets what it was
before the network ran. `--huge-pages` sets THP_MEM_ALLOC_ENABLE=1, with which torch asks Linux for
large pages.
"""

import argparse
import os
import resource
import subprocess
import sys
import time


def measure(size: str, channels: int, threads: int, runs: int) -> str:
    import torch

    from zoo.networks.unireg import UniReg

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = UniReg(channels, type="inter", region="abdomen").eval()
    image = torch.rand(1, 2, *map(int, size.split("x")))
    before = peak_mib()
    timings = []
    with torch.inference_mode():
        for _ in range(runs + 1):
            wall, cpu = time.perf_counter(), time.process_time()
            net(image)
            timings.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = min(timings[1:])
    return f"{size:>12} {threads:>7} {wall:>7.2f} {cpu:>7.2f} {peak_mib():>8.0f} ({before:.0f})"


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=["160x192x192", "192x224x160"])
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--threads", type=int, nargs="+", default=[2])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--huge-pages", action="store_true")
    parser.add_argument("--here", action="store_true", help="measure in this process")
    given = parser.parse_args()
    if given.here:
        print(measure(given.sizes[0], given.channels, given.threads[0], given.runs), flush=True)
        return
    print(f"{'size':>12} threads  wall s   CPU s peak MiB (before)", flush=True)
    environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": "1" if given.huge_pages else "0"}
    for size in given.sizes:
        for threads in given.threads:
            options = {"--channels": given.channels, "--threads": threads, "--runs": given.runs}
            words = [str(word) for pair in options.items() for word in pair]
            command = [sys.executable, __file__, "--here", size, *words]
            environment["OMP_NUM_THREADS"] = str(threads)
            subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
