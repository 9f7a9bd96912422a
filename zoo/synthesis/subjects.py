"""Endless synthetic subjects to train on: random anatomy, several contrasts, a known deformation.

Shapes come from smooth noise, arranged as the six regions that the models know: nothing in them is
anybody's anatomy, and no scan was used. The moving image is the anatomy as drawn, the fixed image
the same seen through a diffeomorphism, so that the true displacement is known. Everything is drawn
from one seed on one device: equal seeds give equal pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.sampling import identity_index, sample, sample_nearest
from zoo.losses.filters import gaussian_taps, separable_filter

Pairing = Literal["inter", "intra"]
PAIRINGS: tuple[Pairing, ...] = ("inter", "intra")

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
"""Mean and spread from structure to structure of each tissue's Hounsfield units."""

MARGIN = 0.15
"""What is drawn beyond each side of the field of view, as a share of it: what moves in is there."""


@dataclass(frozen=True)
class Region:
    """How a region is drawn; sizes are shares of the field of view.

    `body` is the range of the body's half-widths; `tissues` says how many structures of each tissue
    there are; `size` is the range of their sizes; `folds` is the share of the body that a folded
    sheet (cortex, vessels) takes; `shell` is the thickness of a bony shell around it; `ct` is how
    often a subject is seen by CT.
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

# Largest step and size of the waves of a deformation, as shares of the field of view.
_DEFORMATIONS: Mapping[str, Sequence[tuple[float, float]]] = {
    "intra": ((0.03, 0.5), (0.02, 0.25)),
    "inter": ((0.04, 0.5), (0.035, 0.22), (0.02, 0.1)),
}
_AFFINE: Mapping[str, float] = {"intra": 0.01, "inter": 0.025}
_SQUARINGS = 5


@dataclass(frozen=True)
class SyntheticPair:
    """A subject seen twice, in M contrasts each.

    `fixed`, `moving`: [M, X, Y, Z] in [0, 1], contrast m of both seen by the same kind of scanner;
    labels [X, Y, Z] uint8, 0 outside the body; `truth` [3, X, Y, Z] in voxels, pull-back:
    fixed(i) ~ moving(i + truth(i)).
    """

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor
    moving_labels: Tensor
    truth: Tensor
    region: str
    pairing: Pairing


def draw_pair(
    seed: int,
    shape: Sequence[int] = (80, 80, 80),
    *,
    contrasts: int = 1,
    region: str | None = None,
    pairing: Pairing | None = None,
    clean: bool = False,
    layered: bool = False,
    device: torch.device | str = "cpu",
) -> SyntheticPair:
    """Draw a pair of a region and a pairing, each drawn too unless given.

    A `clean` pair has no noise and no bias field: its images differ in nothing but place. The body
    of a `layered` one is built like a brain: fluid around it and in its folds, which one contrast
    shows bright and the next nearly as dark as air, a rind below, and structures in the core.
    """
    random = Random(seed, device)
    region = random.choice(sorted(REGIONS)) if region is None else region
    if region not in REGIONS:
        raise UserError(f"region {region!r} is unknown; use one of {', '.join(REGIONS)}")
    pairing = PAIRINGS[int(random.rand(1) < 0.5)] if pairing is None else pairing
    if pairing not in PAIRINGS:
        raise UserError(f"pairing {pairing!r} is unknown; use inter or intra")
    recipe = REGIONS[region]

    pad = [math.ceil(n * MARGIN) for n in shape]
    wide = [n + 2 * p for n, p in zip(shape, pad, strict=True)]
    labels, tissues = _draw_labels(random, recipe, wide, layered)
    is_ct = random.uniform(0, 1) < recipe.ct
    anatomy = _render(random, labels, tissues, contrasts, is_ct)

    truth = _deformation(random, pairing, shape)
    start = torch.tensor(pad, device=device).view(1, 3, 1, 1, 1)
    index = identity_index(shape, device=device) + truth + start
    x, y, z = (slice(p, p + n) for p, n in zip(pad, shape, strict=True))
    moving = anatomy[:, x, y, z]
    fixed = sample(anatomy[None], index)[0]

    def scanned(images: Tensor) -> Tensor:
        if clean:
            return images.clamp(0, 1)
        return torch.stack([_scan(random, x, m == 0 and is_ct) for m, x in enumerate(images)])

    return SyntheticPair(
        fixed=scanned(fixed),
        moving=scanned(moving),
        fixed_labels=sample_nearest(labels[None, None], index)[0, 0],
        moving_labels=labels[x, y, z],
        truth=truth[0],
        region=region,
        pairing=pairing,
    )


class Random:
    """Draws from one seed on one device."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """Return one number between `low` and `high`."""
        return low + (high - low) * float(self.rand(1))

    def choice(self, options: Sequence[str]) -> str:
        """Return one of `options`."""
        return options[min(int(self.rand(1) * len(options)), len(options) - 1)]

    def rand(self, *shape: int) -> Tensor:
        """Return numbers in [0, 1)."""
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def randn(self, *shape: int) -> Tensor:
        """Return normal numbers."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def smooth(self, channels: int, shape: Sequence[int], size: float) -> Tensor:
        """Return smooth noise [C, X, Y, Z] of unit spread, its blobs `size` voxels wide.

        A cubic B-spline with a normal coefficient at each knot, `size` voxels apart: three small
        matrix products, where interpolating a coarse volume would read 64 neighbours a voxel.
        """
        x, y, z = (_spline_basis(n, size, self.device) for n in shape)
        # A third is about the spread of a B-spline with normal coefficients.
        knots = self.randn(channels, x.shape[1], y.shape[1], z.shape[1]) / 0.33
        field = torch.matmul(torch.matmul(y, knots.flatten(0, 1)), z.T)
        return torch.matmul(x, field.view(channels, x.shape[1], -1)).view(channels, *shape)


def _spline_basis(n: int, size: float, device: torch.device) -> Tensor:
    """Return the cubic B-splines [n, knots] with a knot each `size` voxels."""
    place = torch.arange(n, device=device, dtype=torch.float32)[:, None] / size
    knots = torch.arange(math.ceil((n - 1) / size) + 3, device=device)[None] - 1
    t = (place - knots).abs()
    near = 2 / 3 - t**2 + t**3 / 2
    far = (2 - t).clamp_min(0) ** 3 / 6
    return torch.where(t < 1, near, far)


def _draw_labels(
    random: Random, region: Region, shape: Sequence[int], layered: bool
) -> tuple[Tensor, Tensor]:
    """Return structures [X, Y, Z] uint8 (0 outside the body) and each structure's tissue [L]."""
    view = min(shape) / (1 + 2 * MARGIN)
    kinds = [kind for kind, count in region.tissues.items() for _ in range(count)]
    centres = 0.7 * (random.rand(len(kinds), 3) - 0.5)
    grid = _centred(shape, random.device)
    best = torch.full(tuple(shape), -torch.inf, device=random.device)
    labels = torch.zeros(tuple(shape), dtype=torch.uint8, device=random.device)
    for k, centre in enumerate(centres):
        # A structure lives somewhere: a bias by place keeps it from appearing everywhere.
        score = random.smooth(1, shape, random.uniform(*region.size) * view)[0]
        for axis in range(3):
            score -= 8 * (grid[axis] - centre[axis]) ** 2
        labels[score > best] = k + 1
        best = torch.maximum(best, score)
    tissues = torch.tensor(kinds, device=random.device)

    depth = _depth(random, region, grid, shape)
    if layered:
        return _in_layers(random, labels, depth, view)
    sheet = random.smooth(1, shape, random.uniform(0.05, 0.09) * view)[0]
    within = depth < random.uniform(0.15, 0.6) if random.uniform(0, 1) < 0.7 else depth > 0.2
    reach = region.folds * random.uniform(0.5, 1.5)
    labels[(sheet.abs() < reach) & within] = len(kinds) + 1
    extra = [VESSEL if GAS in region.tissues or LUNG in region.tissues else SOFT]
    if region.shell:
        labels[depth < region.shell * random.uniform(0.5, 1.5) / 0.4] = len(kinds) + 2
        extra.append(BONE)
    labels[depth < 0] = 0
    air = torch.tensor([AIR], device=random.device)
    return labels, torch.cat([air, tissues, torch.tensor(extra, device=random.device)])


def _in_layers(random: Random, core: Tensor, depth: Tensor, view: float) -> tuple[Tensor, Tensor]:
    """Return `_draw_labels` of a body in layers around the structures [X, Y, Z] of its core."""
    count = int(core.max())
    sheet = random.smooth(1, core.shape, random.uniform(0.05, 0.12) * view)[0].abs()
    sheet = torch.where(depth < random.uniform(0.3, 0.8), sheet, torch.inf)  # how far folds reach
    rim, fold = random.uniform(0, 0.1), random.uniform(0.03, 0.3)
    below, beside = random.uniform(0.05, 0.2), random.uniform(0.15, 0.5)
    labels = core.clone()
    labels[(depth < rim + below) | (sheet < fold + beside)] = count + 1
    labels[(depth < rim) | (sheet < fold)] = count + 2
    labels[depth < 0] = 0
    kinds = random.rand(count)
    tissues = torch.full((count + 3,), WHITE, device=random.device)
    tissues[1:-2][kinds < 0.4] = GREY
    tissues[1:-2][kinds < 0.15] = FLUID
    tissues[0], tissues[-2], tissues[-1] = AIR, GREY, FLUID
    return labels, tissues


def _centred(shape: Sequence[int], device: torch.device) -> list[Tensor]:
    """Return each axis's place in fields of view, 0 at the centre: broadcastable to [X, Y, Z]."""
    axes = []
    for axis, n in enumerate(shape):
        view = [1, 1, 1]
        view[axis] = n
        axes.append((torch.linspace(-0.5, 0.5, n, device=device) * (1 + 2 * MARGIN)).view(view))
    return axes


def _depth(random: Random, region: Region, grid: list[Tensor], shape: Sequence[int]) -> Tensor:
    """Return how deep a voxel lies in a bumpy body: 0 at the surface, 1 at the centre."""
    radius: Tensor = torch.zeros((), device=random.device)
    for axis in range(3):
        offset = random.uniform(-0.04, 0.04)
        radius = radius + ((grid[axis] - offset) / random.uniform(*region.body)).abs() ** 2.3
    bumps = random.smooth(1, shape, min(shape) / random.uniform(3, 8))[0]
    return 1 - radius ** (1 / 2.3) + 0.06 * bumps


def _render(random: Random, labels: Tensor, tissues: Tensor, contrasts: int, is_ct: bool) -> Tensor:
    """Return the M noiseless contrasts [M, X, Y, Z]; the first is CT-like if `is_ct`."""
    shape = labels.shape
    fine = random.smooth(2, shape, min(shape) * random.uniform(0.03, 0.08))
    flat = labels.long()
    spreads = torch.tensor(list(HOUNSFIELD.values()), device=random.device)[tissues]
    out = []
    for m in range(contrasts):
        units = spreads[:, 0] + spreads[:, 1] * random.randn(len(tissues))
        if m == 0 and is_ct:
            values, texture = (units.clamp(-1000, 1000) + 1000) / 2000, 0.015
        else:
            values, texture = random.rand(len(tissues)), 0.06
            dark = (tissues == AIR) | (tissues == GAS) | (tissues == LUNG)
            values = torch.where(dark, 0.05 * values, 0.1 + 0.9 * values)
            if bool((tissues == FLUID).any()):
                values = _alike_in_a_layer(random, values, tissues)
        image = values[flat] + texture * fine[m % 2] * (flat > 0)
        out.append(image)
    taps = gaussian_taps(random.uniform(0.4, 0.9), 5)
    return separable_filter(torch.stack(out)[None], [taps] * 3, "replicate")[0]


def _alike_in_a_layer(random: Random, values: Tensor, tissues: Tensor) -> Tensor:
    """Return the MR values [L] of structures that take most of theirs from their tissue."""
    own = random.uniform(0, 0.3)
    for kind in (FLUID, GREY, WHITE):
        layer = 0.15 + 0.85 * random.uniform(0, 1)
        if kind == FLUID and random.uniform(0, 1) < 0.5:
            layer = 0.1 * random.uniform(0, 1)
        values = torch.where(tissues == kind, (1 - own) * layer + own * values, values)
    return values


def _scan(random: Random, image: Tensor, is_ct: bool) -> Tensor:
    """Return what a scanner makes of a noiseless image [X, Y, Z]: in [0, 1]."""
    noise = random.randn(*image.shape)
    if is_ct:
        return (image + random.uniform(0.002, 0.02) * noise).clamp(0, 1)
    bias = torch.exp(random.uniform(0, 0.25) * random.smooth(1, image.shape, min(image.shape) / 2))
    image = image * bias[0] + random.uniform(0, 0.03) * noise
    if random.uniform(0, 1) < 0.5:  # the head alone, and nothing around it
        image = image * (image > 0.06)
    top = torch.quantile(image.flatten()[::97], 0.99).clamp_min(0.05)
    return (image / top).clamp(0, 1)


def _deformation(random: Random, pairing: str, shape: Sequence[int]) -> Tensor:
    """Return a smooth invertible displacement [1, 3, X, Y, Z] in voxels, with an affine part."""
    coarse = [max(math.ceil(n / 2), 2) for n in shape]
    view = torch.tensor(coarse, device=random.device).view(3, 1, 1, 1)
    velocity = torch.zeros(3, *coarse, device=random.device)
    for largest, size in _DEFORMATIONS[pairing]:
        waves = random.smooth(3, coarse, size * min(coarse)) / 2
        velocity += random.uniform(0.1, 1) * largest * waves * view
    flow = velocity[None] / 2**_SQUARINGS
    here = identity_index(coarse, device=random.device)
    for _ in range(_SQUARINGS):
        flow = flow + sample(flow, here + flow)
    scale = torch.tensor(
        [(n - 1) / (c - 1) for n, c in zip(shape, coarse, strict=True)], device=random.device
    ).view(1, 3, 1, 1, 1)
    flow = F.interpolate(flow * scale, size=tuple(shape), mode="trilinear", align_corners=True)
    middle = (torch.tensor(list(shape), device=random.device) - 1) / 2
    away = identity_index(shape, device=random.device) - middle.view(1, 3, 1, 1, 1)
    spread = random.uniform(0, _AFFINE[pairing])
    linear = spread * random.randn(3, 3)
    shift = spread * random.randn(3) * middle
    affine = torch.einsum("ij,bjxyz->bixyz", linear, away) + shift.view(1, 3, 1, 1, 1)
    return flow + affine
