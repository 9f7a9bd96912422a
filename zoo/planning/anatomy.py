"""The anatomies that the zoo knows, and the words that name them."""

from __future__ import annotations

from collections.abc import Mapping

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
