"""One run of one method in a process of its own: `python -m bench.child JOB.json`.

The job names method, pair and threads; the field is saved as .npy and what was measured is printed
as the last line, in JSON. The clock runs from opening the files to having the field in memory.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path


def peak_mib() -> float:
    """Return the most memory this process has held, MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would carry over what the parent held
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def main(path: str) -> None:
    """Run the job in a file."""
    job = json.loads(Path(path).read_text())
    import numpy as np
    import torch

    from bench.methods import METHODS
    from bench.pairs import FILES, BenchPair

    torch.set_num_threads(job["threads"])
    method = METHODS[job["method"]]
    for module in method.modules:
        importlib.import_module(module)
    pair = BenchPair(
        **{k: Path(v) if v is not None and k in FILES else v for k, v in job["pair"].items()}
    )
    idle = peak_mib()
    wall, cpu = time.perf_counter(), time.process_time()
    field = method.run(pair)
    found = {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mib": peak_mib(),
        "idle_mib": idle,
    }
    np.save(job["field"], np.asarray(field, dtype=np.float32))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
