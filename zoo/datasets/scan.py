"""Reading a dataset's files: every header, and the voxels of a sample or of all files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

from zoo.datasets.dataset import Dataset
from zoo.datasets.headers import HeaderFacts, inspect_header
from zoo.datasets.problems import Problem
from zoo.datasets.reading import read_dataset
from zoo.datasets.voxels import VolumeKind, VoxelFacts, inspect_voxels
from zoo.errors import UserError
from zoo.io.dicom.location import split_location
from zoo.io.files import AnyPath
from zoo.resources import available_cores, available_memory, safe_import_path

SAMPLE = 200
"""Number of images per slot that are decoded unless all files are requested."""

POOL_VOXELS = 300_000_000
"""Total number of voxels from which starting worker processes (seconds each) pays off."""

BYTES_PER_VOXEL = 6 * 4
"""Peak memory of decoding one voxel: six copies of four bytes."""

FileProgress = Callable[[int, int], None]
"""Called with the number of files done and the total number of files."""


@dataclass(frozen=True)
class DatasetScan:
    """A dataset with the contents of its files, by file name, and their problems.

    `headers` holds every header that could be read, `voxels` every file that was decoded.
    """

    dataset: Dataset
    headers: dict[str, HeaderFacts]
    voxels: dict[str, VoxelFacts]
    problems: tuple[Problem, ...]


def scan_dataset(
    dataset: Dataset,
    *,
    everything: bool = False,
    workers: int | None = None,
    progress: FileProgress | None = None,
) -> DatasetScan:
    """Read all headers and decode a sample of the files, or all of them with `everything`.

    A file that cannot be read becomes a problem and does not stop the scan. `workers` is the number
    of processes that decode; by default it depends on the amount of data, cores and memory.
    """
    headers: dict[str, HeaderFacts] = {}
    problems: list[Problem] = []
    for name in volume_names(dataset):
        header, header_problems = inspect_header(dataset.root, name)
        problems += header_problems
        if header is not None:
            headers[name] = header
    files = [(n, k) for n, k in files_to_decode(dataset, headers, everything) if n in headers]
    voxels = {v.name: v for v in _decoded(dataset, headers, files, workers, progress)}
    problems += [problem for v in voxels.values() for problem in v.problems]
    return DatasetScan(dataset, headers, voxels, tuple(problems))


def volume_names(dataset: Dataset) -> list[str]:
    """Return the names of all images, label maps and masks."""
    names = [n for i in dataset.items for n in (i.image, i.labels, i.mask) if n]
    return list(dict.fromkeys(names))


def files_to_decode(
    dataset: Dataset, headers: dict[str, HeaderFacts], everything: bool
) -> list[tuple[str, VolumeKind]]:
    """Return the files to decode, each with its kind.

    These are all images of a slot with up to `SAMPLE` images, otherwise an even sample of them; the
    label maps and masks of these images; and every file whose length contradicts its header.
    """
    kinds: dict[str, VolumeKind] = {}
    for images in dataset.slots().values():
        for image in images if everything else evenly_spaced(images, SAMPLE):
            item = dataset.by_image[image]
            kinds[image] = "image"
            if item.labels:
                kinds[item.labels] = "labels"
            if item.mask:
                kinds[item.mask] = "mask"
    for item in dataset.items:
        volumes: tuple[tuple[str | None, VolumeKind], ...] = (
            (item.image, "image"),
            (item.labels, "labels"),
            (item.mask, "mask"),
        )
        for name, kind in volumes:
            if name is not None and name in headers and headers[name].length_mismatch:
                kinds.setdefault(name, kind)
    return list(kinds.items())


def evenly_spaced(names: Sequence[str], count: int) -> list[str]:
    """Return at most `count` of the names at even distances in their order; deterministic."""
    if len(names) <= count:
        return list(names)
    return [names[k * len(names) // count] for k in range(count)]


def decoding_workers(largest_voxels: int) -> int:
    """Return how many files of at most `largest_voxels` can be decoded at once."""
    fitting = available_memory() / (BYTES_PER_VOXEL * max(1, largest_voxels))
    return max(1, min(available_cores(), int(fitting)))


def _decoded(
    dataset: Dataset,
    headers: dict[str, HeaderFacts],
    files: list[tuple[str, VolumeKind]],
    workers: int | None,
    progress: FileProgress | None,
) -> Iterator[VoxelFacts]:
    """Yield the facts about the files' voxels, in order, from this or from worker processes."""
    root = str(dataset.root)
    sizes = [headers[name].voxels for name, _ in files]
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers} must be 1 or more")
    if workers is None:
        workers = 1 if sum(sizes) < POOL_VOXELS else decoding_workers(max(sizes))
    results: Iterable[VoxelFacts]
    if workers == 1 or not files:
        results = (inspect_voxels(root, name, kind) for name, kind in files)
        yield from _counted(results, len(files), progress)
        return
    names, kinds = zip(*files, strict=True)
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            with safe_import_path():  # the processes start here
                results = pool.map(inspect_voxels, [root] * len(names), names, kinds, chunksize=4)
            yield from _counted(results, len(files), progress)
    except BrokenProcessPool:
        raise UserError(
            f"one of the {workers} worker processes was killed, probably because the memory was "
            "exhausted; try again with --workers 1"
        ) from None


def _counted(
    results: Iterable[VoxelFacts], total: int, progress: FileProgress | None
) -> Iterator[VoxelFacts]:
    """Yield the results and report progress after each."""
    for done, result in enumerate(results, start=1):
        if progress is not None:
            progress(done, total)
        yield result


def content_digest(dataset: Dataset, headers: dict[str, HeaderFacts] | None = None) -> str:
    """Return a digest of the names, sizes, modification times and headers of all files.

    `headers` avoids reading the headers again if they are known.
    """
    if headers is None:
        inspected = {name: inspect_header(dataset.root, name)[0] for name in volume_names(dataset)}
        headers = {name: header for name, header in inspected.items() if header is not None}
    digest = hashlib.sha256(dataset.file.read_bytes())
    for name in sorted(dataset.files):
        if name in headers:
            digest.update(headers[name].digest.encode())
        else:
            state = split_location(dataset.root / name)[0].stat()
            digest.update(f"{name} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()


def check_content(folder: AnyPath, expected: str) -> None:
    """Raise an error if a dataset's `content_digest` is not the one recorded in a plan."""
    if content_digest(read_dataset(folder)) != expected:
        raise UserError(
            f"{folder} has changed since its plan was made; plan again with regzoo plan {folder}"
        )
