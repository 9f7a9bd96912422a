"""Which images of a folder form pairs: those of one patient, the earlier one fixed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from zoo.datasets.discovery.images import FolderImage

ImagePair = tuple[FolderImage, FolderImage]


def find_partners(
    images: Sequence[FolderImage],
) -> tuple[list[ImagePair], bool, dict[str, str]]:
    """Return the pairs (fixed, moving), whether they are within cases, and the images left out.

    If cases have images of several time points, the first image of a case is fixed for the later
    ones; of several kinds the most frequent one is taken. Otherwise the images of a case, such as
    its modalities, form pairs with the first one. If every case has a single image, each image
    forms a pair with the next one.
    """
    cases: dict[str, list[FolderImage]] = defaultdict(list)
    for image in images:
        cases[image.case].append(image)
    groups = [group for group in cases.values() if len(group) > 1]
    if not groups:
        return list(pairwise(images)), False, {}
    if longitudinal := [g for g in groups if len({image.time for image in g}) > 1]:
        pairs = _over_time(longitudinal)
    else:
        pairs = _by_kind(groups)
    used = {image.name for pair in pairs for image in pair}
    left_out = {
        image.name: _reason(image, cases[image.case]) for image in images if image.name not in used
    }
    return pairs, True, left_out


def _over_time(groups: Sequence[Sequence[FolderImage]]) -> list[ImagePair]:
    """Return the pairs of each case's first image with its later ones, of the most frequent kind.

    A kind counts once for each case that has it at several time points.
    """
    counts: Counter[str] = Counter()
    for group in groups:
        times = defaultdict(set)
        for image in group:
            times[image.kind].add(image.time)
        counts.update(kind for kind, found in times.items() if len(found) > 1)
    if not counts:  # each time point has another kind, and a slot needs one
        return _by_kind(groups)
    kind = min(counts, key=lambda kind: (-counts[kind], kind))
    ordered = [
        sorted((i for i in group if i.kind == kind), key=lambda i: (i.time, i.name))
        for group in groups
    ]
    return [
        (group[0], other) for group in ordered for other in group[1:] if other.time != group[0].time
    ]


def _by_kind(groups: Sequence[Sequence[FolderImage]]) -> list[ImagePair]:
    """Return the pairs of each case's first image, in the order of kinds, with its other ones."""
    ordered = [sorted(group, key=lambda i: (i.kind, i.time, i.name)) for group in groups]
    return [(group[0], other) for group in ordered for other in group[1:]]


def _reason(image: FolderImage, case: Sequence[FolderImage]) -> str:
    """Return why an image is in no pair."""
    if len(case) == 1:
        return "it is the only image of its patient"
    kind = f" ({image.kind})" if image.kind else ""
    return f"the pairs of this folder are of another kind or time point{kind}"
