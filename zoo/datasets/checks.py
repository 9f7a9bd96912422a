"""Checks of a dataset as a whole. Each check yields its problems independently of the others."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from zoo.datasets.landmarks import point_problems
from zoo.datasets.modality import (
    HOUNSFIELD,
    MODALITIES,
    IntensityStatistics,
    canonical_modality,
    contradictions,
    is_hounsfield,
    is_shifted,
)
from zoo.datasets.names import SUFFIXES, case_of, stem
from zoo.datasets.problems import Problem, warning
from zoo.datasets.scan import DatasetScan


def all_problems(scan: DatasetScan) -> list[Problem]:
    """Return every problem of a dataset once, errors before warnings."""
    problems = [*scan.dataset.problems, *scan.problems]
    for check in CHECKS:
        problems += check(scan)
    unique = list(dict.fromkeys(problems))
    return sorted(unique, key=lambda problem: problem.level != "error")


def pairs_make_sense(scan: DatasetScan) -> Iterator[Problem]:
    """Yield pairs that are listed several times, and images paired with themselves."""
    dataset = scan.dataset
    for pair, count in Counter(dataset.pairs_listed).items():
        if count > 1:
            what = f"the pair {pair.fixed}, {pair.moving} is listed {count} times"
            yield Problem("pair-twice", dataset.file.name, what, "list it once")
    for pair in dataset.named_pairs:
        if pair.fixed == pair.moving:
            fix = "name another moving image, or remove the pair"
            yield Problem("pair-same", pair.fixed, "the image is paired with itself", fix)


def paired_cases_are_whole(scan: DatasetScan) -> Iterator[Problem]:
    """Yield cases without a slot that most cases have."""
    cases: dict[str, set[str]] = defaultdict(set)
    for image in scan.dataset.by_image:
        cases[case_of(image)].add(scan.dataset.slot(image))
    if not cases or scan.dataset.pairing != "intra":
        return
    counts = Counter(slot for slots in cases.values() for slot in slots)
    usual = {slot for slot, count in counts.items() if 2 * count > len(cases)}
    for case, slots in cases.items():
        for slot in sorted(usual - slots):
            what = f"the case {case} has no image of slot {slot}, unlike most cases"
            yield Problem("pair-missing", case, what, "add the image, or remove the case")


def names_are_unique(scan: DatasetScan) -> Iterator[Problem]:
    """Yield images with the same id, and names that differ in upper and lower case only."""
    ids, folded = defaultdict(set), defaultdict(set)
    for image in scan.dataset.by_image:
        ids[stem(image) if image.lower().endswith(SUFFIXES) else image].add(image)
    for name in scan.dataset.files:
        folded[name.casefold()].add(name)
    for id, images in ids.items():
        if len(images) > 1:
            what = f"{len(images)} images have the id {id}: {', '.join(sorted(images))[:200]}"
            yield Problem("id-twice", sorted(images)[0], what, "give each image an id of its own")
    for names in folded.values():
        if len(names) > 1:
            what = f"the name differs from {sorted(names)[1]} in upper and lower case only"
            fix = "rename one of them: some file systems treat them as one file"
            yield Problem("name-case", sorted(names)[0], what, fix)


def counts_are_right(scan: DatasetScan) -> Iterator[Problem]:
    """Yield declared numbers of images or pairs that differ from the lengths of the lists."""
    for name, (declared, listed) in scan.dataset.counts.items():
        if declared != listed:
            what = f"{name} is {declared}, but {listed} are listed"
            yield Problem("count", scan.dataset.file.name, what, f"correct it to {listed}")


def splits_are_apart(scan: DatasetScan) -> Iterator[Problem]:
    """Yield cases that belong to training and to another split."""
    splits: dict[str, set[str]] = defaultdict(set)
    for item in scan.dataset.items:
        splits[case_of(item.image)].add(item.split)
    for case, of_case in splits.items():
        others = " and ".join(sorted(of_case - {"train"}))
        if "train" in of_case and others:
            what = f"the case {case} is in training and in {others}"
            fix = "remove it from one of them: results on training cases do not predict new cases"
            yield warning("case-in-two-splits", case, what, fix)


def annotations_fit_their_image(scan: DatasetScan) -> Iterator[Problem]:
    """Yield label maps and masks on another grid than their image, or with scaled values."""
    for item in scan.dataset.by_image.values():
        image = scan.headers.get(item.image)
        for name in (item.labels, item.mask):
            header = scan.headers.get(name or "")
            if image is None or header is None:
                continue
            fix = f"resample it onto {item.image} with nearest-neighbour interpolation"
            if header.shape != image.shape:
                what = f"its shape {header.shape} differs from that of its image, {image.shape}"
                yield Problem("shape-differs", header.name, what, fix)
            elif not header.same_grid(image):
                what = f"its affine differs from that of its image {item.image}"
                yield Problem("affine-differs", header.name, what, fix)
            if header.scaling != (1.0, 0.0):
                slope, intercept = header.scaling
                what = f"the header scales its labels by {slope:g} and adds {intercept:g}"
                fix = "save the labels as whole numbers without scaling"
                yield Problem("labels-scaled", header.name, what, fix)


def slots_are_consistent(scan: DatasetScan) -> Iterator[Problem]:
    """Yield slots with different scalings in the headers."""
    for slot, images in scan.dataset.slots().items():
        yield from _scaling_problems(scan, slot, images)


def _scaling_problems(scan: DatasetScan, slot: str, images: Sequence[str]) -> Iterator[Problem]:
    """Yield a warning if the headers of a slot's images scale the voxels differently."""
    scalings = {i: scan.headers[i].scaling for i in images if i in scan.headers}
    if len(set(scalings.values())) < 2:
        return
    (slope, intercept), _ = Counter(scalings.values()).most_common(1)[0]
    unusual = [i for i, scaling in scalings.items() if scaling != (slope, intercept)]
    what = f"{len(unusual)} of {len(images)} images of slot {slot} are scaled differently"
    fix = (
        f"check that their units are those of the others (slope {slope:g}, intercept {intercept:g})"
    )
    yield warning("scaling-differs", unusual[0], what, fix)


def _intensities(scan: DatasetScan, images: Sequence[str]) -> Mapping[str, IntensityStatistics]:
    """Return the intensity statistics of those images that were decoded."""
    facts = {image: scan.voxels[image].values for image in images if image in scan.voxels}
    return {image: values for image, values in facts.items() if values is not None}


def modalities_fit_the_values(scan: DatasetScan) -> Iterator[Problem]:
    """Yield unknown modalities, and every image whose intensities contradict its slot."""
    for slot, images in scan.dataset.slots().items():
        word = scan.dataset.modality.get(slot)
        declared = None if word is None else canonical_modality(word)
        if word is not None and declared is None:
            what = f"the modality of slot {slot} is {word!r}, which is not known"
            fix = f"use one of {', '.join(MODALITIES)}"
            yield warning("modality-unknown", scan.dataset.file.name, what, fix)
        values = _intensities(scan, images)
        for image, reason in contradictions(declared, values).items():
            if declared is None or declared in HOUNSFIELD:
                fix = "convert it to the units of the others, or put it into a slot of its own"
                yield Problem("units-mixed", image, f"slot {slot}: {reason}", fix)
            else:
                fix = "put it into a slot declared ct, remove it, or correct the modality"
                yield Problem("modality-hounsfield", image, f"slot {slot}: {reason}", fix)
        if declared in HOUNSFIELD and values and not any(map(is_hounsfield, values.values())):
            yield _no_hounsfield_units(slot, str(word), values)


def _no_hounsfield_units(
    slot: str, word: str, values: Mapping[str, IntensityStatistics]
) -> Problem:
    """Return the warning that no image of a slot that is declared CT is in Hounsfield units."""
    shifted = sum(map(is_shifted, values.values())) > len(values) / 2
    why = "they look shifted, often by 1024" if shifted else "no value is far below 0"
    what = f"slot {slot} is declared {word}, but no image is in Hounsfield units: {why}"
    fix = "convert the images to Hounsfield units, or plan with percentiles"
    return warning("modality-not-hounsfield", next(iter(values)), what, fix)


def labels_are_declared(scan: DatasetScan) -> Iterator[Problem]:
    """Yield label maps with ids that the dataset does not declare."""
    names = scan.dataset.label_names
    if not names:
        return
    for voxels in scan.voxels.values():
        undeclared = sorted(set(voxels.labels) - set(names) - {0})
        if voxels.kind == "labels" and undeclared:
            ids = str(undeclared[:10])[1:-1]
            what = f"its labels {ids} are not among the {len(names)} declared"
            fix = "declare them under labels, or correct the file"
            yield Problem("labels-undeclared", voxels.name, what, fix)


def masks_are_masks(scan: DatasetScan) -> Iterator[Problem]:
    """Yield masks with more than one value besides 0."""
    for voxels in scan.voxels.values():
        if voxels.kind == "mask" and len(set(voxels.labels) - {0}) > 1:
            what = f"the mask has {len(voxels.labels)} different values; all but 0 count as inside"
            yield warning("mask-labels", voxels.name, what, "save 0 and 1, or list it as labels")


def contents_differ(scan: DatasetScan) -> Iterator[Problem]:
    """Yield images whose files are equal byte for byte."""
    root = scan.dataset.root
    sizes: dict[int, list[str]] = defaultdict(list)
    for image in scan.dataset.by_image:
        if (root / image).is_file():  # not a folder of DICOM
            sizes[(root / image).stat().st_size].append(image)
    candidates: dict[tuple[int, str], list[str]] = defaultdict(list)
    for size, images in sizes.items():
        for image in images if len(images) > 1 else []:
            candidates[(size, _digest_of_ends(root / image, size))].append(image)
    for images in candidates.values():
        if len(images) < 2:
            continue
        equal: dict[str, list[str]] = defaultdict(list)
        for image in images:
            equal[_digest(root / image)].append(image)
        for first, *others in equal.values():
            for other in others:
                what = f"the file is identical to {first}"
                yield Problem("content-twice", other, what, "replace it, or list only one of them")


def _digest_of_ends(path: Path, size: int, count: int = 1 << 16) -> str:
    """Return a digest of the first and the last `count` bytes, in which most files differ."""
    with path.open("rb") as stream:
        digest = hashlib.sha256(stream.read(count))
        stream.seek(max(0, size - count))
        digest.update(stream.read(count))
    return digest.hexdigest()


def _digest(path: Path) -> str:
    """Return a digest of a whole file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


CHECKS: tuple[Callable[[DatasetScan], Iterator[Problem]], ...] = (
    pairs_make_sense,
    paired_cases_are_whole,
    names_are_unique,
    counts_are_right,
    splits_are_apart,
    annotations_fit_their_image,
    slots_are_consistent,
    modalities_fit_the_values,
    labels_are_declared,
    masks_are_masks,
    point_problems,
    contents_differ,
)
