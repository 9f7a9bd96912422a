"""The anatomy that a dataset shows, with the evidence and its confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zoo.datasets.dataset import Dataset
from zoo.errors import UserError

ANATOMIES: Mapping[str, tuple[str, ...]] = {
    "brain": ("brain", "oasis", "lumir", "ixi", "hcp", "brats", "cortex", "hippocampus", "adni"),
    "lung": ("lung", "chest", "thorax", "thoracic", "nlst", "copd", "copdgene", "dirlab"),
    "abdomen": ("abdomen", "abdominal", "abd"),
    "liver": ("liver", "hepatic"),
    "head-neck": ("headneck", "head-neck", "hanseg", "neck", "head"),
    "heart": ("heart", "cardiac", "acdc", "mmwhs"),
    "knee": ("knee", "oai"),
    "prostate": ("prostate", "picai", "prostatemrus"),
    "pancreas": ("pancreas", "pancreatic"),
}
"""Anatomies, and the words in the name of a dataset that suggest them."""
_LABELS: Mapping[str, tuple[str, ...]] = {
    "brain": ("hippocampus", "ventricle", "thalamus", "cortex", "caudate", "putamen"),
    "abdomen": ("liver", "spleen", "kidney", "pancreas", "gallbladder", "stomach"),
    "lung": ("lung", "lobe", "trachea"),
    "heart": ("ventricle blood", "myocardium", "atrium"),
    "knee": ("femoral cartilage", "tibial cartilage", "meniscus"),
    "prostate": ("prostate",),
}


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


def canonical(word: str) -> str | None:
    """Return the anatomy that a word names; None if the word is unknown."""
    plain = word.lower().replace(" ", "").replace("_", "")
    if plain in ANATOMIES:
        return plain
    return next((name for name, words in ANATOMIES.items() if plain in words), None)


def parse_anatomy(word: str) -> str:
    """Return the anatomy that a user names; `UserError` if the word is unknown."""
    anatomy = canonical(word)
    if anatomy is None:
        known = ", ".join(ANATOMIES)
        raise UserError(f"--anatomy {word!r} is not known; use one of {known}, or leave it out")
    return anatomy


def infer_anatomy(dataset: Dataset) -> Belief:
    """Return the anatomy of a dataset: as declared, else as its name or its label names suggest."""
    if dataset.anatomy is not None:
        declared = canonical(dataset.anatomy)
        if declared is not None:
            return Belief(declared, "dataset", "declared", "anatomy in the dataset's file")
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
