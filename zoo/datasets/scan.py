"""Looking at a dataset's files: all headers, and the voxels of a sample or of everything."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from zoo.datasets.dataset import Dataset
from zoo.datasets.headers import HeaderFacts, look_at
from zoo.datasets.problems import Problem
from zoo.datasets.reading import read_dataset
from zoo.datasets.voxels import Kind, Voxels, decode
from zoo.errors import UserError
from zoo.io.files import AnyPath

SAMPLE = 200
"""So many images a channel are decoded; of more, an even choice over the sorted names."""

POOL_VOXELS = 300_000_000
"""From so many voxels on, starting other processes (seconds each) is worth it."""

FileProgress = Callable[[int, int], None]
"""Called with files done and files in all."""


@dataclass(frozen=True)
class DatasetScan:
    """A dataset with what its files show."""

    dataset: Dataset
    headers: dict[str, HeaderFacts]
    voxels: dict[str, Voxels]
    problems: tuple[Problem, ...]


def scan_dataset(
    dataset: Dataset,
    *,
    everything: bool = False,
    workers: int | None = None,
    progress: FileProgress | None = None,
) -> DatasetScan:
    """Look at all headers and decode a sample, or `everything`.

    A file is one problem at a time where it cannot be read, and never stops the others.
    """
    headers: dict[str, HeaderFacts] = {}
    problems: list[Problem] = []
    for name in volume_names(dataset):
        header, found = look_at(dataset.root, name)
        problems += found
        if header is not None:
            headers[name] = header
    wanted = [(n, k) for n, k in chosen(dataset, headers, everything) if n in headers]
    voxels = {v.name: v for v in _decoded(dataset, headers, wanted, workers, progress)}
    problems += [problem for v in voxels.values() for problem in v.problems]
    return DatasetScan(dataset, headers, voxels, tuple(problems))


def volume_names(dataset: Dataset) -> list[str]:
    """Return the names of all images, label maps and masks."""
    names = [n for i in dataset.items for n in (i.image, i.labels, i.mask) if n]
    return list(dict.fromkeys(names))


def chosen(
    dataset: Dataset, headers: dict[str, HeaderFacts], everything: bool
) -> list[tuple[str, Kind]]:
    """Return the files to decode, and as what.

    All up to `SAMPLE` of a slot, else an even choice; with them their annotations, and every file
    whose length looks wrong.
    """
    out: dict[str, Kind] = {}
    for images in dataset.slots().values():
        for image in images if everything else spread(images, SAMPLE):
            item = dataset.by_image[image]
            out[image] = "image"
            if item.labels:
                out[item.labels] = "labels"
            if item.mask:
                out[item.mask] = "mask"
    for item in dataset.items:
        kinds: tuple[tuple[str | None, Kind], ...] = (
            (item.image, "image"),
            (item.labels, "labels"),
            (item.mask, "mask"),
        )
        for name, kind in kinds:
            if name is not None and name in headers and headers[name].suspect:
                out.setdefault(name, kind)
    return list(out.items())


def spread(names: Sequence[str], count: int) -> list[str]:
    """Return at most `count` of the names, evenly over their order; the same ones every time."""
    if len(names) <= count:
        return list(names)
    return [names[k * len(names) // count] for k in range(count)]


def available_memory() -> int:
    """Return the memory that could be had now, the disk cache's included, bytes."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(s.split()[1]) for s in lines if s.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not on every system
        return 4 << 30


def workers_for(largest_voxels: int) -> int:
    """Return how many files may be decoded at once: six times the largest must fit in memory."""
    free = available_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, int(free / (6 * 4 * max(1, largest_voxels)))))


def _decoded(
    dataset: Dataset,
    headers: dict[str, HeaderFacts],
    wanted: list[tuple[str, Kind]],
    workers: int | None,
    progress: FileProgress | None,
) -> Iterator[Voxels]:
    root = str(dataset.root)
    sizes = [headers[name].voxels for name, _ in wanted]
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers} must be 1 or more")
    if workers is None:
        workers = 1 if sum(sizes) < POOL_VOXELS else workers_for(max(sizes))
    results: Iterable[Voxels]
    if workers == 1 or not wanted:
        results = (decode(root, name, kind) for name, kind in wanted)
        yield from _counted(results, len(wanted), progress)
        return
    names, kinds = zip(*wanted, strict=True)
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            results = pool.map(decode, [root] * len(names), names, kinds, chunksize=4)
            yield from _counted(results, len(wanted), progress)
    except BrokenProcessPool:
        raise UserError(
            f"one of {workers} processes was killed, most likely for want of memory; "
            "use --workers 1"
        ) from None


def _counted(
    results: Iterable[Voxels], total: int, progress: FileProgress | None
) -> Iterator[Voxels]:
    for done, result in enumerate(results, start=1):
        if progress is not None:
            progress(done, total)
        yield result


def content(dataset: Dataset, headers: dict[str, HeaderFacts] | None = None) -> str:
    """Return a digest of names, sizes, times and headers of all files of a dataset."""
    if headers is None:
        looked = ((name, look_at(dataset.root, name)[0]) for name in volume_names(dataset))
        headers = {name: header for name, header in looked if header is not None}
    digest = hashlib.sha256(dataset.file.read_bytes())
    for name in sorted(dataset.files):
        if name in headers:
            digest.update(headers[name].digest.encode())
        else:
            state = (dataset.root / name).stat()
            digest.update(f"{name} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()


def check_content(folder: AnyPath, wanted: str) -> None:
    """Refuse a dataset that is no longer the one a plan was made for."""
    if content(read_dataset(folder)) != wanted:
        raise UserError(
            f"{folder} has changed since its plan was made; plan again with regzoo plan {folder}"
        )
