"""What a dataset shows of the body, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zoo.datasets.dataset import Dataset
from zoo.errors import UserError

WORDS: Mapping[str, tuple[str, ...]] = {
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
LABELS: Mapping[str, tuple[str, ...]] = {
    "brain": ("hippocampus", "ventricle", "thalamus", "cortex", "caudate", "putamen"),
    "abdomen": ("liver", "spleen", "kidney", "pancreas", "gallbladder", "stomach"),
    "lung": ("lung", "lobe", "trachea"),
    "heart": ("ventricle blood", "myocardium", "atrium"),
    "knee": ("femoral cartilage", "tibial cartilage", "meniscus"),
    "prostate": ("prostate",),
}


@dataclass(frozen=True)
class Belief:
    """A value, where it comes from, how sure it is, and the evidence in words.

    Confidence is one of declared, certain, likely, unknown. `conflict`: the data say otherwise.
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
    """Return the anatomy that a word names; None if it names none."""
    plain = word.lower().replace(" ", "").replace("_", "")
    if plain in WORDS:
        return plain
    return next((name for name, words in WORDS.items() if plain in words), None)


def checked(word: str) -> str:
    """Return an anatomy that a user names; one that is not known is refused."""
    found = canonical(word)
    if found is None:
        raise UserError(
            f"--anatomy {word!r} is not known; use one of {', '.join(WORDS)}, or leave it out"
        )
    return found


def believed_anatomy(dataset: Dataset) -> Belief:
    """Say what is shown: as declared; the dataset's and the labels' names only suggest."""
    if dataset.anatomy is not None:
        found = canonical(dataset.anatomy)
        if found is not None:
            return Belief(found, "dataset", "declared", "anatomy in the dataset's file")
    text = dataset.name.lower()
    named = [name for name, words in WORDS.items() if any(word in text for word in words)]
    if named:
        return Belief(named[0], "name", "likely", f"the dataset is called {dataset.name!r}")
    labels = " ".join(dataset.label_names.values()).lower()
    counts = {k: sum(word in labels for word in words) for k, words in LABELS.items()}
    best = max(counts, key=lambda name: counts[name])
    if counts[best]:
        return Belief(best, "labels", "likely", f"{counts[best]} names of labels belong to it")
    return Belief(None, "none", "unknown", "neither the names nor the labels tell")
