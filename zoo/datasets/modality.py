"""The modality of an image: the words that declare it, and the evidence in its intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.errors import UserError

MODALITIES = ("ct", "cbct", "mr", "us", "pet")
HOUNSFIELD = ("ct", "cbct")
AIR = (-1050, -950)
"""The range of air in Hounsfield units, with the -1024 that many scanners write around the body."""
HIGHEST_MINIMUM = -50
"""Hounsfield units: fat and air are darker, so an image of a body contains values below it."""

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
class IntensityStatistics:
    """Statistics of an image's intensities.

    `percentiles` are those of `PERCENTS`; `whole` is the fraction of whole numbers.
    """

    minimum: float
    maximum: float
    percentiles: tuple[float, float, float, float, float]
    whole: float

    PERCENTS = (0.5, 1.0, 50.0, 99.0, 99.5)

    @classmethod
    def of(cls, data: np.ndarray, sample: int = 200_000) -> IntensityStatistics:
        """Return the statistics of an image [X, Y, Z].

        The extremes are exact; percentiles and `whole` come from about `sample` voxels.
        """
        flat = data.reshape(-1)
        step = max(1, len(flat) // sample)
        values = flat[:: step | 1].astype(np.float64)  # an odd step avoids aliasing with the rows
        low, one, middle, high, top = np.percentile(values, cls.PERCENTS).tolist()
        whole = 1.0 if flat.dtype.kind in "iub" else float((values == np.round(values)).mean())
        return cls(float(flat.min()), float(flat.max()), (low, one, middle, high, top), whole)


def canonical_modality(word: str) -> str | None:
    """Return the modality (ct, cbct, mr, us or pet) that a word means; None if it means none.

    Synonyms and MR sequences are understood, such as "Cone-beam CT" and "T1w".
    """
    plain = "".join(c for c in word.lower() if c.isalnum())
    for name, words in _WORDS.items():
        if plain in words:
            return name
    parts = word.lower().replace("_", " ").replace("-", " ").split()
    names = {name for name, words in _WORDS.items() for part in parts if part in words}
    names = names - {"ct"} if "cbct" in names else names
    return names.pop() if len(names) == 1 else None


def parse_modality(word: str, flag: str) -> str:
    """Return the modality that the user gave with `flag`; an unknown word is a `UserError`."""
    modality = canonical_modality(word)
    if modality is None:
        raise UserError(f"{flag} {word!r} is not known; use one of {', '.join(MODALITIES)}")
    return modality


def mr_sequence(word: str | None) -> str | None:
    """Return the MR sequence that a declared modality names, such as t1; None if it names none."""
    if word is None or canonical_modality(word) != "mr":
        return None
    plain = "".join(c for c in word.lower() if c.isalnum()).removesuffix("w")
    return None if plain in ("mr", "mri", "magneticresonance") else plain


def is_hounsfield(values: IntensityStatistics) -> bool:
    """Return whether intensities are Hounsfield units: air far below 0, and the range of CT.

    The values must also be whole numbers, or the lowest ones must be those of air, which
    interpolation preserves. A negative answer does not exclude CT: the image may have been
    windowed or shifted.
    """
    in_range = values.minimum >= -4096 and values.maximum >= 100
    low, one = values.percentiles[:2]
    resampled = low >= AIR[0] and one <= AIR[1]
    return low <= -200 and in_range and (values.whole >= 0.5 or resampled)


def is_not_hounsfield(values: IntensityStatistics) -> bool:
    """Return whether intensities cannot be Hounsfield units, because not even fat is below 0."""
    return values.minimum >= HIGHEST_MINIMUM


def contradictions(
    modality: str | None, images: Mapping[str, IntensityStatistics]
) -> dict[str, str]:
    """Return the images of a slot whose intensities contradict its modality, with the reasons.

    Images that are declared CT and are not in Hounsfield units are listed if other images of the
    slot are; if none is, the whole slot may have been shifted or windowed. In a slot of unknown
    modality the images that differ from the majority are listed.
    """
    in_hounsfield = {image for image, values in images.items() if is_hounsfield(values)}
    outside = {image for image, values in images.items() if is_not_hounsfield(values)}
    if not in_hounsfield:
        return {}
    share = f"{len(in_hounsfield)} of {len(images)} images of the slot are in Hounsfield units"
    most = 2 * len(in_hounsfield) > len(images)
    if most if modality is None else modality in HOUNSFIELD:
        reason = f"{share}, and this one is not: its smallest value is"
        return {i: f"{reason} {v.minimum:g}" for i, v in images.items() if i in outside}
    if modality is None:
        reason = f"{share}, and this is one of them"
    else:
        reason = f"the slot is declared {modality}, but its values are Hounsfield units"
    return {i: reason for i in images if i in in_hounsfield}


def is_shifted(values: IntensityStatistics) -> bool:
    """Return whether intensities may be CT with an offset: none negative, tissue near 1024.

    Some MR images look the same, so this is a hint and not a proof.
    """
    near_water = 900 <= values.percentiles[2] <= 1150 or 900 <= values.percentiles[3] <= 1400
    return 0 <= values.minimum <= 50 and near_water and 1500 <= values.maximum <= 5000


def describe_intensities(values: Sequence[IntensityStatistics]) -> str:
    """Return a sentence on the intensities of a slot's images: the evidence for its modality."""
    count = sum(map(is_hounsfield, values))
    if not values:
        return "no image was decoded"
    low = np.median([v.percentiles[0] for v in values])
    high = np.median([v.maximum for v in values])
    return (
        f"{count} of {len(values)} images are in Hounsfield units "
        f"(median 0.5th percentile {low:.4g}, median maximum {high:.4g})"
    )
