"""The six body regions of synthetic subjects and their tissues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AIR, FAT, SOFT, LUNG, BONE, GAS, VESSEL, FLUID, GREY, WHITE = range(10)
HOUNSFIELD: Mapping[int, tuple[float, float]] = {
    AIR: (-1000, 10),
    FAT: (-100, 25),
    SOFT: (50, 35),
    LUNG: (-820, 60),
    BONE: (550, 250),
    GAS: (-950, 40),
    VESSEL: (180, 90),
    FLUID: (8, 5),
    GREY: (39, 4),
    WHITE: (29, 4),
}
"""Mean Hounsfield units of each tissue, and their standard deviation between structures."""


@dataclass(frozen=True)
class Region:
    """The parameters of a region. Sizes are relative to the field of view.

    `body` is the range of the body's half-widths, `tissues` the number of structures of each
    tissue, and `size` the range of their sizes. `folds` is the share of the body that a folded
    sheet (cortex, vessels) fills, `shell` the thickness of a shell of bone around the body, and
    `ct` the probability that the first contrast of a subject is CT.
    """

    body: tuple[float, float]
    tissues: Mapping[int, int]
    size: tuple[float, float]
    folds: float
    shell: float
    ct: float


REGIONS: Mapping[str, Region] = {
    "brain": Region((0.33, 0.50), {SOFT: 22}, (0.08, 0.16), 0.35, 0.0, 0.0),
    "head": Region((0.30, 0.48), {SOFT: 10, FAT: 4, GAS: 2, BONE: 3}, (0.08, 0.2), 0.1, 0.03, 0.6),
    "chest": Region(
        (0.36, 0.60), {SOFT: 6, FAT: 4, LUNG: 4, BONE: 5, VESSEL: 3}, (0.1, 0.3), 0.1, 0.02, 0.8
    ),
    "abdomen": Region(
        (0.36, 0.60), {SOFT: 14, FAT: 8, GAS: 2, BONE: 4, VESSEL: 2}, (0.08, 0.22), 0.08, 0.0, 0.7
    ),
    "liver": Region(
        (0.45, 0.70), {SOFT: 8, FAT: 4, LUNG: 1, BONE: 2, VESSEL: 2}, (0.15, 0.4), 0.12, 0.0, 0.7
    ),
    "cardiac": Region(
        (0.60, 0.90), {SOFT: 8, FAT: 4, LUNG: 2, BONE: 1, VESSEL: 4}, (0.1, 0.3), 0.1, 0.0, 0.4
    ),
}
