"""Which kind of image this is: the words people use for it, and what its values can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.errors import UserError

MODALITIES = ("ct", "cbct", "mr", "us", "pet")
HOUNSFIELD = ("ct", "cbct")

_WORDS = {
    "ct": ("ct", "fbct", "fanbeamct", "cect", "ncct", "ldct", "4dct", "computedtomography"),
    "cbct": ("cbct", "conebeamct"),
    "mr": (
        *("mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd", "t2", "t2w", "flair", "pd", "pdw"),
        *("dwi", "adc", "hbv", "swi", "bold", "epi", "fa", "md", "dess", "dixon", "cine", "fgatir"),
        "magneticresonance",
    ),
    "us": ("us", "ultrasound", "trus", "ius"),
    "pet": ("pet", "fdg", "pt"),
}


@dataclass(frozen=True)
class Values:
    """What the values of an image tell: its extremes, percentiles, share of whole numbers."""

    minimum: float
    maximum: float
    percentiles: tuple[float, float, float, float, float]
    whole: float

    PERCENTS = (0.5, 1.0, 50.0, 99.0, 99.5)

    @classmethod
    def of(cls, data: np.ndarray, sample: int = 200_000) -> Values:
        """Measure an image [X, Y, Z]; percentiles from an even sample, extremes from all."""
        flat = data.reshape(-1)
        step = max(1, len(flat) // sample)
        some = flat[:: step | 1].astype(np.float64)  # an odd step does not fall in with the rows
        low, one, middle, high, top = np.percentile(some, cls.PERCENTS).tolist()
        whole = 1.0 if flat.dtype.kind in "iub" else float((some == np.round(some)).mean())
        return cls(float(flat.min()), float(flat.max()), (low, one, middle, high, top), whole)


def canonical(word: str) -> str | None:
    """Return ct, cbct, mr, us or pet for what people write for it; None if it is no such word."""
    plain = "".join(c for c in word.lower() if c.isalnum())
    for name, words in _WORDS.items():
        if plain in words:
            return name
    parts = word.lower().replace("_", " ").replace("-", " ").split()
    found = {name for name, words in _WORDS.items() for part in parts if part in words}
    found = found - {"ct"} if "cbct" in found else found
    return found.pop() if len(found) == 1 else None


def checked(word: str, flag: str) -> str:
    """Return a modality that a user names; one that is not known is refused."""
    found = canonical(word)
    if found is None:
        raise UserError(f"{flag} {word!r} is not known; use one of {', '.join(MODALITIES)}")
    return found


def contrast(word: str | None) -> str | None:
    """Return the sequence of a declared MR image, such as t1, if the word names one."""
    if word is None or canonical(word) != "mr":
        return None
    plain = "".join(c for c in word.lower() if c.isalnum()).removesuffix("w")
    return None if plain in ("mr", "mri", "magneticresonance") else plain


def is_hounsfield(values: Values) -> bool:
    """Say whether values are those of a CT: air far below zero, whole numbers, a sane range.

    That an image does not look so proves nothing: it may be CT that was windowed or shifted.
    """
    in_range = values.minimum >= -4096 and values.maximum >= 100
    return values.percentiles[0] <= -200 and in_range and values.whole >= 0.5


def is_shifted(values: Values) -> bool:
    """Say whether values may be a CT with an offset: no negative value, tissue near 1024.

    Some MR images look the same, so this is a reason to ask and nothing more.
    """
    near_water = 900 <= values.percentiles[2] <= 1150 or 900 <= values.percentiles[3] <= 1400
    return 0 <= values.minimum <= 50 and near_water and 1500 <= values.maximum <= 5000


def evidence(values: Sequence[Values]) -> str:
    """Say in words what the values of a channel show."""
    count = sum(map(is_hounsfield, values))
    if not values:
        return "no image was decoded"
    low = np.median([v.percentiles[0] for v in values])
    high = np.median([v.maximum for v in values])
    return (
        f"{count} of {len(values)} images are in Hounsfield units "
        f"(median of the 0.5th percentiles {low:.4g}, of the maxima {high:.4g})"
    )
