"""What can be wrong with a dataset as a whole. Each check yields problems; none stops another."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from zoo.datasets.landmarks import point_problems
from zoo.datasets.modality import HOUNSFIELD, canonical, is_hounsfield, is_shifted
from zoo.datasets.names import case_of, stem
from zoo.datasets.problems import Problem, warning
from zoo.datasets.scan import DatasetScan


def all_problems(survey: DatasetScan) -> list[Problem]:
    """Return every problem of a dataset, errors first; each once."""
    found = [*survey.dataset.problems, *survey.problems]
    for check in CHECKS:
        found += check(survey)
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda problem: problem.level != "error")


def pairs_make_sense(survey: DatasetScan) -> Iterator[Problem]:
    """Yield pairs that are twice there, and images paired with themselves."""
    dataset = survey.dataset
    for pair, count in Counter(dataset.pairs_listed).items():
        if count > 1:
            what = f"the pair {pair.fixed}, {pair.moving} is listed {count} times"
            yield Problem("pair-twice", dataset.file.name, what, "list it once")
    for pair in dataset.named_pairs:
        if pair.fixed == pair.moving:
            fix = "name another moving image, or take the pair out"
            yield Problem("pair-same", pair.fixed, "the image is paired with itself", fix)


def paired_cases_are_whole(survey: DatasetScan) -> Iterator[Problem]:
    """Yield cases that lack a slot which most cases have."""
    cases: dict[str, set[str]] = defaultdict(set)
    for image in survey.dataset.by_image:
        cases[case_of(image)].add(survey.dataset.slot(image))
    if not cases or survey.dataset.pairing != "intra":
        return
    usual = {s for s in set().union(*cases.values()) if 2 * _having(cases, s) > len(cases)}
    for case, slots in cases.items():
        for slot in sorted(usual - slots):
            what = f"the case {case} has no image of slot {slot}, as the others have"
            yield Problem("pair-missing", case, what, "add the image, or take the case out")


def _having(cases: dict[str, set[str]], slot: str) -> int:
    return sum(slot in slots for slots in cases.values())


def names_are_unique(survey: DatasetScan) -> Iterator[Problem]:
    """Yield images of one id in two files, and names that differ by case only."""
    ids, folded = defaultdict(set), defaultdict(set)
    for image in survey.dataset.by_image:
        ids[stem(image)].add(image)
    for name in survey.dataset.files:
        folded[name.casefold()].add(name)
    for id, images in ids.items():
        if len(images) > 1:
            what = f"{len(images)} images have the id {id}: {', '.join(sorted(images))[:200]}"
            yield Problem("id-twice", sorted(images)[0], what, "give each image an id of its own")
    for names in folded.values():
        if len(names) > 1:
            what = f"the name differs from {sorted(names)[1]} by capital letters only"
            fix = "rename one: some disks take them for one file"
            yield Problem("name-case", sorted(names)[0], what, fix)


def counts_are_right(survey: DatasetScan) -> Iterator[Problem]:
    """Yield numbers of images or pairs that are not those of the lists."""
    for name, (declared, listed) in survey.dataset.counts.items():
        if declared != listed:
            what = f"{name} is {declared}, and {listed} are listed"
            yield Problem("count", survey.dataset.file.name, what, f"correct it to {listed}")


def splits_are_apart(survey: DatasetScan) -> Iterator[Problem]:
    """Yield cases that are in training and in another split."""
    splits: dict[str, set[str]] = defaultdict(set)
    for item in survey.dataset.items:
        splits[case_of(item.image)].add(item.split)
    for case, found in splits.items():
        if "train" in found and len(found) > 1:
            what = (
                f"the case {case} is in training and in {' and '.join(sorted(found - {'train'}))}"
            )
            fix = "take it out of one, or its figures tell nothing of new cases"
            yield warning("case-in-two-splits", case, what, fix)


def annotations_fit_their_image(survey: DatasetScan) -> Iterator[Problem]:
    """Yield label maps and masks on another grid than their image."""
    for item in survey.dataset.by_image.values():
        image = survey.headers.get(item.image)
        for name in (item.labels, item.mask):
            header = survey.headers.get(name or "")
            if image is None or header is None:
                continue
            fix = f"resample it onto {item.image}, with nearest"
            if header.shape != image.shape:
                what = f"its shape {header.shape} is not that of its image, {image.shape}"
                yield Problem("shape-differs", header.name, what, fix)
            elif not header.same_grid(image):
                what = f"its place in space is not that of its image {item.image}"
                yield Problem("affine-differs", header.name, what, fix)
            if header.scaling != (1.0, 0.0):
                what = f"its labels are scaled by {header.scaling[0]:g} plus {header.scaling[1]:g}"
                fix = "save whole numbers without a scale"
                yield Problem("labels-scaled", header.name, what, fix)


def channels_are_alike(survey: DatasetScan) -> Iterator[Problem]:
    """Yield channels whose images are scaled differently, or of which some are in HU."""
    for slot, images in survey.dataset.slots().items():
        scales = Counter(survey.headers[i].scaling for i in images if i in survey.headers)
        if len(scales) > 1:
            (usual, _), *others = scales.most_common()
            odd = [i for i in images if i in survey.headers and survey.headers[i].scaling != usual]
            what = f"{len(odd)} of {len(images)} images of slot {slot} have another scale"
            fix = f"look whether their units are those of the others ({usual[0]:g}, {usual[1]:g})"
            assert others
            yield warning("scaling-differs", odd[0], what, fix)
        seen = [(i, survey.voxels[i].values) for i in images if i in survey.voxels]
        known = [(i, is_hounsfield(v)) for i, v in seen if v is not None]
        count = sum(found for _, found in known)
        most = 2 * count > len(known)
        for image in [i for i, found in known if found != most]:
            what = (
                f"{count} of {len(known)} images of slot {slot} are in Hounsfield units, and this "
                f"is {'not' if most else 'one of them'}"
            )
            fix = "bring all to Hounsfield units, or move the images of another kind to a new slot"
            yield Problem("units-mixed", image, what, fix)


def modality_fits_the_values(survey: DatasetScan) -> Iterator[Problem]:
    """Yield channels declared CT that are not in HU, and others that are; and unknown words."""
    for slot, images in survey.dataset.slots().items():
        word = survey.dataset.modality.get(slot)
        if word is None:
            continue
        declared = canonical(word)
        file = survey.dataset.file.name
        if declared is None:
            what = f"modality {slot} is {word!r}, which is not known"
            yield warning("modality-unknown", file, what, "use ct, cbct, mr, us or pet")
            continue
        seen = [v.values for i in images if (v := survey.voxels.get(i)) and v.values is not None]
        share = sum(map(is_hounsfield, seen)) / len(seen) if seen else 0.0
        if seen and declared in HOUNSFIELD and share == 0:
            shifted = sum(map(is_shifted, seen)) > len(seen) / 2
            why = "they look shifted, often by 1024" if shifted else "no value lies far below 0"
            what = f"slot {slot} is declared {word}, but no image is in Hounsfield units: {why}"
            fix = "bring the images to Hounsfield units, or plan with percentiles"
            yield warning("modality-not-hounsfield", images[0], what, fix)
        if declared not in HOUNSFIELD and share > 0.5:
            what = f"slot {slot} is declared {word}, but its values are Hounsfield units"
            yield warning("modality-hounsfield", images[0], what, "correct modality, or the files")


def labels_are_declared(survey: DatasetScan) -> Iterator[Problem]:
    """Yield label maps with ids that the dataset does not name."""
    names = survey.dataset.label_names
    if not names:
        return
    for voxels in survey.voxels.values():
        odd = sorted(set(voxels.labels) - set(names) - {0})
        if voxels.kind == "labels" and odd:
            what = f"its labels {str(odd[:10])[1:-1]} are not among the {len(names)} declared"
            fix = "declare them under labels, or correct the file"
            yield Problem("labels-undeclared", voxels.name, what, fix)


def masks_are_masks(survey: DatasetScan) -> Iterator[Problem]:
    """Yield masks that hold more than one structure."""
    for voxels in survey.voxels.values():
        if voxels.kind == "mask" and len(set(voxels.labels) - {0}) > 1:
            what = f"a mask holds {len(voxels.labels)} different values; all but 0 count as inside"
            yield warning("mask-labels", voxels.name, what, "save 0 and 1, or list it as labels")


def points_make_sense(survey: DatasetScan) -> Iterator[Problem]:
    """Yield what is wrong with key points."""
    yield from point_problems(survey)


def contents_differ(survey: DatasetScan) -> Iterator[Problem]:
    """Yield images whose files are equal byte for byte."""
    root = survey.dataset.root
    groups: dict[tuple[int, str], list[str]] = defaultdict(list)
    sizes: dict[int, list[str]] = defaultdict(list)
    for image in survey.dataset.by_image:
        sizes[(root / image).stat().st_size].append(image)
    for size, images in sizes.items():
        for image in images if len(images) > 1 else []:
            groups[(size, _ends(root / image, size))].append(image)
    for suspects in groups.values():
        if len(suspects) < 2:
            continue
        same: dict[str, list[str]] = defaultdict(list)
        for image in suspects:
            same[_whole(root / image)].append(image)
        for first, *others in same.values():
            for other in others:
                what = f"the file is the same, byte for byte, as {first}"
                yield Problem("content-twice", other, what, "give the right file, or list one")


def _ends(path: Path, size: int, count: int = 1 << 16) -> str:
    """Return a digest of a file's beginning and end: most files differ there already."""
    with path.open("rb") as stream:
        digest = hashlib.sha256(stream.read(count))
        stream.seek(max(0, size - count))
        digest.update(stream.read(count))
    return digest.hexdigest()


def _whole(path: Path) -> str:
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
    channels_are_alike,
    modality_fits_the_values,
    labels_are_declared,
    masks_are_masks,
    points_make_sense,
    contents_differ,
)
