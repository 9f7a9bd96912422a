"""Records of runs: one JSON object per line, so that an interrupted benchmark can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness.pairs import BenchPair

Run = dict[str, Any]
"""What was run ("method", "pair", "repeat") and its figures, or why it "failed"."""


def read_runs(path: Path) -> list[Run]:
    """Return the runs in a file, an empty list if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append_run(path: Path, run: Run) -> None:
    """Append a run to a file, whose folder is created if needed, and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(run) + "\n")
    print(json.dumps(run), flush=True)


def missing_runs(
    runs: Iterable[Run], methods: list[str], pairs: list[BenchPair], repeats: int = 1
) -> Iterator[tuple[str, BenchPair, int]]:
    """Yield method, pair and repeat of the runs that are missing; the methods take turns."""
    recorded = {(run["method"], run["pair"], run["repeat"]) for run in runs}
    for repeat in range(repeats):
        for pair in pairs:
            for method in methods:
                if (method, pair.name, repeat) not in recorded:
                    yield method, pair, repeat
