"""Fuzz the readers with mutations of valid files, in child processes with limits.

    python tools/fuzz.py --count 10000 --seed 0
    python tools/fuzz.py --largest

Every case is one mutated file, determined by the seed and the number of the case. Reading it must
return a correct value or raise a UserError, within 5 seconds of processor time and 1 GiB of
additional memory. The program lists all other outcomes, keeps their files if --keep names a folder,
and then exits with 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

SECONDS = 5.0
"""Largest processor time to read one file; a child that takes four times as long is stopped."""

MEMORY_BYTES = 1 << 30
"""Largest additional memory of the process that reads a file."""

_START_SECONDS = 120.0  # for the imports of a child process


@dataclass(frozen=True)
class Outcome:
    """The outcome of one case: accepted, refused, or a finding with its description."""

    number: int
    name: str
    kind: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def is_finding(self) -> bool:
        """Whether the case shows a fault of a reader."""
        return self.kind not in ("accepted", "refused")


def make_case(seed: int, number: int) -> tuple[str, bytes]:
    """Return the name and the content of a case."""
    from fuzzing.mutations import mutate
    from fuzzing.samples import SAMPLES

    rng = random.Random(f"{seed} {number}")
    name = list(SAMPLES)[number % len(SAMPLES)]
    return name, mutate(rng, name, SAMPLES[name]())


def read_case(seed: int, number: int, folder: Path) -> Outcome:
    """Write a case to `folder` and read it in this process."""
    from fuzzing.readers import READERS, WrongAcceptance

    from zoo.errors import UserError

    name, content = make_case(seed, number)
    path = folder / name
    path.write_bytes(content)
    start = time.process_time()
    try:
        detail, kind = READERS[name](path), "accepted"
    except UserError as error:
        detail, kind = str(error), "refused"
        if "\n" in detail or len(detail) > 2000 or str(path) not in detail:
            kind = "bad message"
    except WrongAcceptance as error:
        detail, kind = str(error), "wrong acceptance"
    except Exception:
        detail, kind = traceback.format_exc(), "traceback"
    seconds = time.process_time() - start
    if seconds > SECONDS:
        kind = "too slow"
    return Outcome(number, name, kind, detail, seconds)


def fuzz(seed: int, numbers: Iterable[int], folder: Path) -> Iterator[Outcome]:
    """Yield the outcome of each case, read in a child process that is replaced if it dies."""
    child = None
    for number in numbers:
        if child is None:
            child = _Child(seed, folder)
        outcome = child.read(number)
        yield outcome
        if outcome.kind in ("crash", "hang"):
            child = None
    if child is not None:
        child.stop()


class _Child:
    """A process that reads cases on request."""

    def __init__(self, seed: int, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.seed = seed
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, seed, folder), daemon=True)
        self.process.start()
        theirs.close()
        if not self.connection.poll(_START_SECONDS) or self.connection.recv() != "ready":
            raise RuntimeError("a child process could not be started")

    def read(self, number: int) -> Outcome:
        """Return the outcome of a case; stop the process if it does not answer in time."""
        self.connection.send(number)
        try:
            if self.connection.poll(4 * SECONDS):
                outcome: Outcome = self.connection.recv()
                return outcome
        except EOFError:
            self.process.join()
            name = make_case(self.seed, number)[0]
            return Outcome(number, name, "crash", f"exit code {self.process.exitcode}")
        self.process.kill()
        self.stop()
        return Outcome(number, make_case(self.seed, number)[0], "hang")

    def stop(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.join()


def _serve(connection: Connection, seed: int, folder: Path) -> None:
    """Read the cases whose numbers arrive, with a limit of memory."""
    warnings.simplefilter("ignore")
    read_case(seed, 0, folder)  # import everything before the limit is set
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with closing(connection):
        connection.send("ready")
        while True:
            try:
                number = connection.recv()
            except EOFError:
                return
            connection.send(read_case(seed, number, folder))


def _numbers(first: int, count: int, kind: str | None) -> range:
    """Return the numbers of the cases; the kinds of files take turns."""
    from fuzzing.samples import SAMPLES

    if kind is None:
        return range(first, first + count)
    names = list(SAMPLES)
    if kind not in names:
        raise SystemExit(f"--kind {kind!r} is not known; use one of {', '.join(names)}")
    begin = first - first % len(names) + names.index(kind)
    return range(begin, begin + count * len(names), len(names))


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzz; return 1 if there are findings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="number of cases")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="folder for the files of the findings")
    parser.add_argument("--kind", help="only this kind of file, such as transform.h5")
    parser.add_argument("--largest", action="store_true", help="measure the largest files instead")
    options = parser.parse_args(arguments)
    if options.largest:
        from fuzzing.largest import measure

        measure()
        return 0
    numbers = _numbers(options.first, options.count, options.kind)
    counts: Counter[tuple[str, str]] = Counter()
    findings, slowest = 0, Outcome(0, "", "accepted")
    with tempfile.TemporaryDirectory() as folder:
        for outcome in fuzz(options.seed, numbers, Path(folder)):
            counts[outcome.name, outcome.kind] += 1
            slowest = max(slowest, outcome, key=lambda o: o.seconds)
            if outcome.is_finding:
                findings += 1
                print(f"case {outcome.number}, {outcome.name}: {outcome.kind}\n{outcome.detail}\n")
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    content = make_case(options.seed, outcome.number)[1]
                    (options.keep / f"{outcome.number}-{outcome.name}").write_bytes(content)
    for (name, kind), count in sorted(counts.items()):
        print(f"{name:<22} {kind:<18} {count:>7}")
    print(f"slowest: case {slowest.number}, {slowest.name}, {slowest.seconds:.2f} s")
    print(f"{findings} findings in {options.count} cases of seed {options.seed}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
