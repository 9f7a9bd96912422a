"""What is believed about a dataset: anatomy, modality and pairing, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zoo.datasets.dataset import Dataset
from zoo.datasets.headers import HeaderFacts
from zoo.datasets.modality import (
    HOUNSFIELD,
    IntensityStatistics,
    canonical_modality,
    describe_intensities,
    is_hounsfield,
)
from zoo.datasets.names import case_of
from zoo.planning.anatomy import ANATOMIES, canonical

_LABELS: Mapping[str, tuple[str, ...]] = {
    "brain": ("hippocampus", "ventricle", "thalamus", "cortex", "caudate", "putamen"),
    "abdomen": ("liver", "spleen", "kidney", "pancreas", "gallbladder", "stomach"),
    "lung": ("lung", "lobe", "trachea"),
    "heart": ("ventricle blood", "myocardium", "atrium"),
    "knee": ("femoral cartilage", "tibial cartilage", "meniscus"),
    "prostate": ("prostate",),
}
"""Words in the names of labels that suggest an anatomy."""


@dataclass(frozen=True)
class Belief:
    """A value with its source, its confidence and the evidence in words.

    `declared` is the user's own word for the value. `conflict` says that the data contradict it.
    """

    value: str | None
    source: Literal["user", "dataset", "name", "names", "labels", "values", "header", "none"]
    confidence: Literal["declared", "certain", "likely", "unknown"]
    evidence: str
    declared: str | None = None
    conflict: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the belief as plain data."""
        return {k: v for k, v in asdict(self).items() if v not in (None, False) or k == "value"}


def infer_anatomy(dataset: Dataset, in_headers: Belief | None = None) -> Belief:
    """Return the anatomy of a dataset: as declared, else as its name or its label names suggest.

    `in_headers` is the anatomy that the headers of its images declare.
    """
    if dataset.anatomy is not None:
        declared = canonical(dataset.anatomy)
        if declared is not None:
            return Belief(declared, "dataset", "declared", "anatomy in the dataset's file")
    if in_headers is not None and in_headers.value is not None:
        return in_headers
    text = dataset.name.lower()
    named = [name for name, words in ANATOMIES.items() if any(word in text for word in words)]
    if named:
        return Belief(named[0], "name", "likely", f"the dataset is called {dataset.name!r}")
    labels = " ".join(dataset.label_names.values()).lower()
    counts = {k: sum(word in labels for word in words) for k, words in _LABELS.items()}
    best = max(counts, key=lambda name: counts[name])
    if counts[best]:
        return Belief(best, "labels", "likely", f"{counts[best]} names of labels belong to it")
    reason = "neither the dataset's name nor its label names suggest an anatomy"
    return Belief(None, "none", "unknown", reason)


def infer_modality(
    word: str | None,
    values: Sequence[IntensityStatistics],
    descriptions: Sequence[str] = (),
    in_headers: Sequence[str] = (),
) -> Belief:
    """Return the modality of a channel: as declared, else as its values prove, else unknown.

    `in_headers` are the modalities that the DICOM headers of all images declare.
    """
    shown = describe_intensities(values)
    if word is not None and (declared := canonical_modality(word)) is not None:
        conflict = contradicted(declared, sum(map(is_hounsfield, values)), len(values))
        return Belief(declared, "dataset", "declared", shown, word, conflict)
    codes = sorted(set(in_headers))
    if len(codes) == 1 and (declared := canonical_modality(codes[0])) is not None:
        conflict = contradicted(declared, sum(map(is_hounsfield, values)), len(values))
        evidence = f"the DICOM header has Modality {codes[0]}; {shown}"
        return Belief(declared, "header", "declared", evidence, codes[0], conflict)
    if values and all(map(is_hounsfield, values)):
        return Belief("ct", "values", "certain", shown)
    if descriptions and all("TE=" in d for d in descriptions):
        return Belief("mr", "header", "likely", "every header gives an echo time (TE=)")
    return Belief(None, "none", "unknown", shown)


def anatomy_of_headers(headers: Sequence[HeaderFacts]) -> Belief:
    """Return the anatomy that all DICOM headers declare; a head in MR counts as a brain."""
    parts = [(header.body_part, header.modality) for header in headers]
    named = {
        "brain" if canonical(part) == "head-neck" and _is_head(part, code) else canonical(part)
        for part, code in parts
    }
    anatomy = named.pop() if len(named) == 1 else None
    if anatomy is None:
        return Belief(None, "none", "unknown", "not declared")
    words = " and ".join(sorted({part for part, _ in parts}))
    evidence = f"every DICOM header has Body Part Examined {words}"
    return Belief(anatomy, "header", "declared", evidence, words)


def _is_head(part: str, modality: str) -> bool:
    return part.upper() == "HEAD" and canonical_modality(modality) == "mr"


def pairing_of_patients(patients: Sequence[tuple[str, str]]) -> Belief:
    """Return whether pairs show one patient or two, by the patients' IDs of each pair."""
    if not patients or not all(one and other for one, other in patients):
        return Belief(None, "none", "unknown", "not declared")
    same = [one == other for one, other in patients]
    shown = f"in {sum(same)} of {len(same)} pairs both DICOM headers have one Patient ID"
    if all(same):
        return Belief("intra", "header", "likely", shown)
    return Belief(None if any(same) else "inter", "header", "likely", shown)


def contradicted(modality: str, in_hounsfield: int, decoded: int) -> bool:
    """Return whether the images contradict a modality.

    `in_hounsfield` of the `decoded` images are in Hounsfield units. One CT among images that are
    declared as another modality is a contradiction, and so is CT without Hounsfield units.
    """
    if modality in HOUNSFIELD:
        return in_hounsfield < decoded
    return in_hounsfield > 0


def infer_pairing(dataset: Dataset) -> Belief:
    """Return whether pairs show one patient or two: as declared, else as the file names suggest."""
    if dataset.pairing is not None:
        return Belief(dataset.pairing, "dataset", "declared", "pairing in the dataset's file")
    same = [case_of(p.fixed) == case_of(p.moving) for p in dataset.named_pairs]
    if not same:
        return Belief(None, "none", "unknown", "there are no pairs")
    shown = f"in {sum(same)} of {len(same)} pairs both images have one case number"
    if all(same):
        return Belief("intra", "names", "likely", shown)
    return Belief(None if any(same) else "inter", "names", "likely", shown)
