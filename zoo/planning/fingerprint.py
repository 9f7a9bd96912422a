"""The fingerprint of a dataset: what its files show, what is declared, what can be inferred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from zoo import __version__
from zoo.datasets.checks import all_problems
from zoo.datasets.dataset import Dataset
from zoo.datasets.headers import DICOM_SLICES, HeaderFacts, inspect_header
from zoo.datasets.landmarks import count_outside, document_to_voxels, read_coordinates
from zoo.datasets.modality import IntensityStatistics, is_hounsfield
from zoo.datasets.problems import Problem
from zoo.datasets.scan import DatasetScan, FileProgress, content_digest, evenly_spaced, scan_dataset
from zoo.datasets.voxels import VoxelFacts, inspect_voxels
from zoo.errors import UserError
from zoo.io.files import AnyPath
from zoo.io.json_documents import read_json_object
from zoo.io.volume import Volume, read_volume
from zoo.planning.alignment import Alignment, measure_alignment
from zoo.planning.beliefs import (
    anatomy_of_headers,
    infer_anatomy,
    infer_modality,
    infer_pairing,
    pairing_of_patients,
)

SCHEMA = 1
ALIGNED_PAIRS = 20
"""The largest number of pairs whose alignment is measured."""


@dataclass(frozen=True)
class Fingerprint:
    """A fingerprint as plain data (`document`), and the scan that it was made from."""

    document: dict[str, Any]
    scan: DatasetScan


def take_fingerprint(
    dataset: Dataset,
    *,
    everything: bool = False,
    workers: int | None = None,
    progress: FileProgress | None = None,
) -> Fingerprint:
    """Scan a dataset and return its fingerprint.

    With `everything` the voxels of every file are read. `workers` is the number of processes,
    `progress` is called after each file.
    """
    scan = scan_dataset(dataset, everything=everything, workers=workers, progress=progress)
    channels = {
        slot: _channel(images, scan.headers, scan.voxels, dataset.modality.get(slot))
        for slot, images in dataset.slots().items()
    }
    alignments, failed = _alignments(dataset)
    problems = [*all_problems(scan), *failed]
    document = {
        "schema": SCHEMA,
        "regzoo": __version__,
        "name": dataset.name,
        "dataset": str(dataset.root.resolve()),
        "content": content_digest(dataset, scan.headers),
        "anatomy": infer_anatomy(
            dataset, anatomy_of_headers(list(scan.headers.values()))
        ).to_json(),
        "pairing": infer_pairing(dataset).to_json(),
        "channels": channels,
        "annotations": _annotations(scan),
        "pairs": _pairs(scan),
        "alignment": _summary(alignments),
        "problems": [problem.to_json() for problem in problems],
    }
    return Fingerprint(document, scan)


def read_fingerprint(path: AnyPath) -> dict[str, Any]:
    """Read a fingerprint."""
    document = read_json_object(path)
    if document.get("schema") != SCHEMA or "channels" not in document:
        raise UserError(
            f"{path} is not a fingerprint that this version can read (schema {SCHEMA}); make it "
            "again with regzoo fingerprint"
        )
    return document


def pair_fingerprint(
    fixed: AnyPath,
    moving: AnyPath,
    *,
    aligned: bool = True,
    read: Callable[[Path], Volume] = read_volume,
    volume: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the fingerprint of one pair: slot 0 is the fixed image, slot 1 the moving one.

    `more` are the pair's labels and points, named as in `Dataset.pairs`. Without `aligned` the
    alignment of the images is not measured. `read` reads the images, and `volume` is the one that
    it takes of 4-D files.
    """
    sides = {"0": Path(fixed), "1": Path(moving)}
    channels, headers, noted = {}, [], []
    for slot, path in sides.items():
        header, problems = inspect_header(path.parent, path.name, volume)
        if header is None:
            raise UserError(f"{path}: {problems[0].what}; {problems[0].fix}")
        headers.append(header)
        noted += [p.to_json() for p in problems if p.id == DICOM_SLICES]
        voxels = inspect_voxels(str(path.parent), path.name, "image", read=read)
        if voxels.problems and voxels.values is None:
            raise UserError(f"{path}: {voxels.problems[0].what}; {voxels.problems[0].fix}")
        name = path.name
        channels[slot] = _channel([name], {name: header}, {name: voxels}, None)
    pair = dict.fromkeys(_ANNOTATIONS) | {"fixed": str(fixed), "moving": [str(moving)]} | more
    return {
        "schema": SCHEMA,
        "regzoo": __version__,
        "name": "one pair",
        "anatomy": anatomy_of_headers(headers).to_json(),
        "pairing": pairing_of_patients([(headers[0].patient, headers[1].patient)]).to_json(),
        "channels": channels,
        "pairs": _pairs_summary([(headers[0], headers[1])])
        | {"splits": {"val": 1}, "listed": True, "slots": {"0-1": 1}, "masks_on_both": 0},
        "alignment": _summary([measure_alignment(pair, read=read)] if aligned else []),
        "problems": noted,
    }


_ANNOTATIONS = ("fixed_labels", "moving_labels", "fixed_points", "moving_points", "points_space")


def _channel(
    images: Sequence[str],
    known: Mapping[str, HeaderFacts],
    decoded: Mapping[str, VoxelFacts],
    word: str | None,
) -> dict[str, Any]:
    """Describe the images of one slot; `word` is its declared modality."""
    headers = [known[i] for i in images if i in known]
    voxels = [decoded[i] for i in images if i in decoded]
    values = [v.values for v in voxels if v.values is not None]
    out: dict[str, Any] = {"count": len(images), "readable": len(headers)}
    if headers:
        out |= {
            "shape": _percentiles([h.shape for h in headers]),
            "spacing_mm": _percentiles([h.spacing for h in headers]),
            "field_mm": _percentiles([h.field_mm for h in headers]),
            "largest_anisotropy": round(max(h.anisotropy for h in headers), 3),
            "largest_voxels": max(h.voxels for h in headers),
            "orientations": dict(Counter(h.axes for h in headers)),
            "types": dict(Counter(h.dtype for h in headers)),
            "scalings": len({h.scaling for h in headers}),
        }
    if values:
        medians = np.median([v.percentiles for v in values], axis=0)
        out["intensity"] = {
            "decoded": len(values),
            "percentiles": dict(
                zip(map(str, IntensityStatistics.PERCENTS), _rounded(medians), strict=True)
            ),
            "minimum": min(v.minimum for v in values),
            "maximum": max(v.maximum for v in values),
            "whole": round(median(v.whole for v in values), 4),
            "background": round(median(v.background for v in voxels if v.values), 4),
            "hounsfield": sum(map(is_hounsfield, values)),
        }
    descriptions = [h.description for h in headers]
    codes = [h.modality for h in headers]
    out["modality"] = infer_modality(word, values, descriptions, codes).to_json()
    return out


def _annotations(scan: DatasetScan) -> dict[str, Any]:
    """Count the labels, masks and points of a dataset."""
    dataset = scan.dataset
    items = list(dataset.by_image.values())
    maps = [v for v in scan.voxels.values() if v.kind == "labels" and v.labels]
    presence = Counter(id for v in maps for id in v.labels if id)
    points = [(item, read_coordinates(scan, item.points)) for item in items if item.points]
    known = [(i, p) for i, p in points if not isinstance(p, UserError) and i.image in scan.headers]
    beyond = [
        count_outside(
            document_to_voxels(p, scan.headers[i.image], dataset.points_space),
            scan.headers[i.image],
        )
        for i, p in known
    ]
    return {
        "labels": {
            "files": sum(item.labels is not None for item in items),
            "decoded": len(maps),
            "presence": {str(id): round(presence[id] / len(maps), 3) for id in sorted(presence)},
        },
        "masks": sum(item.mask is not None for item in items),
        "points": {
            "files": len(points),
            "count": sum(len(p.points) for _, p in known),
            "outside": sum(beyond),
            "space": dataset.points_space,
        },
    }


def _pairs(scan: DatasetScan) -> dict[str, Any]:
    """Describe the pairs of a dataset."""
    dataset = scan.dataset
    pairs = dataset.named_pairs
    known = [
        (scan.headers[p.fixed], scan.headers[p.moving])
        for p in pairs
        if p.fixed in scan.headers and p.moving in scan.headers
    ]
    masks = [
        dataset.by_image[p.fixed].mask is not None and dataset.by_image[p.moving].mask is not None
        for p in pairs
    ]
    return _pairs_summary(known) | {
        "splits": dict(Counter(p.split for p in pairs)),
        "listed": len(dataset.pairs_listed) > 0,
        "slots": dict(Counter(f"{dataset.slot(p.fixed)}-{dataset.slot(p.moving)}" for p in pairs)),
        "masks_on_both": sum(masks),
    }


def _pairs_summary(known: Sequence[tuple[HeaderFacts, HeaderFacts]]) -> dict[str, Any]:
    """Return the share of pairs on one grid, and the largest ratio between fields of view."""
    ratios = [
        max(max(a / b, b / a) for a, b in zip(_ordered(f), _ordered(m), strict=True))
        for f, m in known
    ]
    return {
        "one_grid": round(sum(f.same_grid(m) for f, m in known) / max(1, len(known)), 3),
        "largest_field_ratio": round(max(ratios), 3) if ratios else None,
    }


def _ordered(header: HeaderFacts) -> list[float]:
    """Return the field of view side to side, back to front and foot to head, mm."""
    axis = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    extents = [1.0, 1.0, 1.0]
    for letter, extent in zip(header.axes, header.field_mm, strict=True):
        extents[axis[letter]] = extent
    return extents


def _alignments(dataset: Dataset) -> tuple[list[Alignment], list[Problem]]:
    """Measure at most `ALIGNED_PAIRS` pairs; return also the problems that prevented it."""
    order = {"val": 0, "test": 1, "train": 2}
    pairs = sorted(dataset.named_pairs, key=lambda pair: order[pair.split])
    usable = pairs if not any(p.level == "error" for p in dataset.problems) else []
    out, failed = [], []
    mappings = {f"{p.fixed} {p.moving}": dataset.mapping(p) for p in usable}
    for name in evenly_spaced(list(mappings), ALIGNED_PAIRS):
        try:
            out.append(measure_alignment(mappings[name]))
        except UserError as error:
            text = " ".join(str(error).split())
            failed.append(Problem("pair-unreadable", name, text, "see the other problems"))
    return out, failed


def _summary(alignments: Sequence[Alignment]) -> dict[str, Any]:
    """Return medians and extremes over the pairs, and each pair's figures."""
    if not alignments:
        return {"measured": 0}
    figures = {name: [getattr(a, name) for a in alignments] for name in _MEDIANS}
    known = {name: [v for v in values if v is not None] for name, values in figures.items()}
    return {
        "measured": len(alignments),
        **{name: round(median(v), 4) if v else None for name, v in known.items()},
        "largest_centres_mm": round(max(a.centres_mm for a in alignments), 2),
        "smallest_overlap": round(min(a.overlap for a in alignments), 4),
        "largest_displacement_mm": round(max(a.displacement_mm for a in alignments), 2),
        "by_points": any(a.tre_mm is not None for a in alignments),
        "pairs": [alignment.to_json() for alignment in alignments],
    }


_MEDIANS = ("centres_mm", "overlap", "lncc", "lncc2", "sign", "nmi", "dice")


def _percentiles(rows: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    table = np.percentile(np.array(rows, dtype=float), (0, 50, 100), axis=0)
    return {name: _rounded(row) for name, row in zip(("p0", "p50", "p100"), table, strict=True)}


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]
