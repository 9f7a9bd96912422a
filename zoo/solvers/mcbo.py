"""MCBO and ConvexAdam: registration of two images without learning, on an isotropic grid.

MCBO: Wang et al., "Unsupervised multimodal 3D medical image registration with multilevel
correlation balanced optimization" (Learn2Reg 2024). ConvexAdam: Siebert et al., "ConvexAdam:
self-configuring dual-optimisation-based 3D multitask medical image registration" (2024).

Displacements are in voxels of the given images, pull-back: warped(i) = moving(i + d(i)), component
k along array axis k. Inside, a level of stride n works in cells of n voxels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.geometry.sampling import Outside, identity_index, sample
from zoo.solvers.adam import refine
from zoo.solvers.convex import COUPLING, TIE, make_consistent, search
from zoo.solvers.fusion import Fusion, fit_rigid, fuse, rigid_field
from zoo.solvers.masks import extend
from zoo.solvers.mind import box, mind_ssc, pool

Mode = Literal["accurate", "paper", "convexadam"]
Progress = Callable[[float, str], None]

_CELLS = 8  # a level is left out of the weighted sum where an axis has fewer cells than this
_FLAT = 0.99  # mean of the features from which a cell counts as constant


@dataclass(frozen=True)
class Settings:
    """Everything that steers the solver; the presets are below."""

    levels: tuple[int, ...]  # stride of each level in voxels, in the order they are worked
    reach: tuple[int, ...]  # how far each level searches on either side, in its cells
    weights: tuple[float, ...] | None  # of the levels' sum; None: each level refines the last
    average: bool = True  # mean of the convex iterates (MCBO) or the last one (ConvexAdam)
    coupling: tuple[float, ...] = COUPLING  # growing weight of smoothness, in cells
    consistency: int = 15  # iterations that make forward and backward field consistent
    mind_radius: int = 1  # half width of the compared patches, in voxels
    mind_dilation: int = 2  # distance of the compared patches, in voxels
    adam_stride: int = 2  # cells of the refinement, in voxels
    adam_iterations: int = 80  # at most
    adam_rate: float = 1.0  # step of Adam, in cells
    adam_regularity: float = 1.25  # weight of the diffusion regulariser
    adam_tolerance: float = 0.0  # stop when ten iterations lower the loss by less than this share
    smooth: int = 0  # half width of the box that ends level 1, applied three times, in voxels
    outside: Outside = "zeros"  # what lies beyond the moving features
    published: bool = False  # repeat the faults of scale and cells of ConvexAdam 0.2.0

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.reach) or len(self.weights or self.levels) != len(
            self.levels
        ):
            raise UserError(
                f"levels {self.levels}, reach {self.reach} and weights {self.weights} must have "
                "the same length"
            )
        if self.weights is None and any(n % self.adam_stride for n in self.levels):
            raise UserError(
                f"the levels {self.levels} of a cascade must be multiples of adam_stride "
                f"{self.adam_stride}"
            )


CONVEXADAM = Settings(levels=(6,), reach=(4,), weights=None, average=False)

PAPER = Settings(
    levels=(1, 2, 4, 6),
    reach=(4, 4, 4, 4),
    weights=(0.10, 0.27, 0.27, 0.36),
    adam_iterations=15,
    smooth=2,
)

ACCURATE = Settings(
    levels=(6, 4, 2),
    reach=(4, 2, 2),
    weights=None,
    adam_tolerance=1e-3,
)

PRESETS: dict[Mode, Settings] = {"accurate": ACCURATE, "paper": PAPER, "convexadam": CONVEXADAM}


class MCBO(nn.Module):
    """Register pairs of images; a module without parameters, so that a bundle can name it.

    `mode` chooses the preset, `changes` replaces single fields of its `Settings`, `fusion` says how
    the fields of several moving images become one, `rigid` reduces every level to a rigid motion,
    and `memory` bounds the costs of the search that are held at once, in bytes.
    """

    def __init__(
        self,
        mode: Mode = "accurate",
        fusion: Fusion = "max_norm",
        rigid: bool = False,
        memory: int = 1 << 30,
        changes: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        _check_choice("mode", mode, get_args(Mode))
        _check_choice("fusion", fusion, get_args(Fusion))
        for name in changes or {}:
            _check_choice("setting", name, tuple(field.name for field in fields(Settings)))
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in (changes or {}).items()
        }
        self.settings = replace(PRESETS[mode], **plain)
        self.fusion: Fusion = fusion
        self.rigid = rigid
        self.memory = memory
        self.progress = progress

    @torch.no_grad()
    def forward(self, image: Tensor, masks: Tensor | None = None) -> Tensor:
        """Return the displacement [B, 3, X, Y, Z] (voxels) of `image` [B, 1 + M, X, Y, Z].

        The last channel is the fixed image, the M before it are the moving image or the several
        moving images of one patient, on the same grid. `masks`, shaped like `image`, are 1 where an
        image shows what matters.
        """
        _check(image, masks)
        found = [
            self._register(image[b].float(), None if masks is None else masks[b])
            for b in range(len(image))
        ]
        return torch.cat(found)

    def _register(self, image: Tensor, masks: Tensor | None) -> Tensor:
        pair = _Pair(image, masks, self)
        field = pair.summed() if pair.settings.weights else pair.cascaded()
        pair.report(1.0, "done")
        return field


class _Pair:
    """One fixed image and its moving images, as features, on their way through the levels.

    A field "in cells" is [1, 3, x, y, z] on the grid of its level and in cells of it.
    """

    def __init__(self, image: Tensor, masks: Tensor | None, solver: MCBO) -> None:
        self.solver = solver
        self.settings = s = _for_shape(solver.settings, image.shape[1:])
        self.shape = image.shape[1:]
        strides = {s.adam_stride, *s.levels} if s.weights or s.published else {s.adam_stride}
        features = []
        for k, volume in enumerate(image):
            self.report(0.1 * k / len(image), "features")
            if masks is not None:
                volume = extend(volume, masks[k])
            full = mind_ssc(volume[None, None], s.mind_radius, s.mind_dilation)
            features.append({n: self.pool(full, n) for n in strides})
        self.fixed = features.pop()
        self.moving = features

    def summed(self) -> Tensor:
        """Return the weighted sum of levels that know nothing of each other: MCBO as published."""
        s = self.settings
        total = torch.zeros(1, 3, *self.shape, device=self.fixed[s.adam_stride].device)
        for k, (n, weight) in enumerate(zip(s.levels, s.weights or (), strict=True)):
            self.report(0.1 + 0.9 * k / len(s.levels), f"level {n}")
            found = []
            for moving in self.moving:
                field = self.resample(self.level(n, self.fixed[n], moving[n]), n, 1)
                if n == 1 and not self.solver.rigid:
                    field = self.polished(field, moving)
                found.append(self.rigid(field))
            total += weight * self.joined(found)
        return self.rigid(total)

    def cascaded(self) -> Tensor:
        """Return the field of levels that each refine what the levels before them have found."""
        s = self.settings
        base = s.adam_stride
        fixed = self.fixed[base]
        field = torch.zeros(1, 3, *fixed.shape[2:], device=fixed.device)
        for k, n in enumerate(s.levels):
            self.report(0.1 + 0.3 * k / len(s.levels), f"level {n}")
            steps = []
            for moving in self.moving:
                if s.published:
                    step = self.level(n, self.fixed[n], moving[n])
                else:
                    warped = follow(moving[base], field, s.outside) if k else moving[base]
                    step = self.level(n, pool(fixed, n // base), pool(warped, n // base))
                step = self.resample(step, n, base)
                steps.append(step + follow(field, step))
            field = self.rigid(self.joined(steps, base), base)
        if self.solver.rigid:
            return rigid_field(*fit_rigid(field, self.structure()), self.shape, base)
        return self.resample(self.refined(field, self.moving), base, 1)

    def level(self, n: int, fixed: Tensor, moving: Tensor) -> Tensor:
        """Search, balance and make consistent at stride `n`: features to a field in cells."""
        s = self.settings
        field, reverse = (
            search(
                *pair,
                s.reach[s.levels.index(n)],
                coupling=s.coupling,
                average=s.average,
                tie=0.0 if s.published else TIE,
                memory=self.solver.memory,
            )
            for pair in ((fixed, moving), (moving, fixed))
        )
        return make_consistent(
            field,
            reverse,
            s.consistency,
            outside="zeros" if s.published else "border",
            stretch=self.stretch(field),
        )[0]

    def refined(self, field: Tensor, moving: Sequence[dict[int, Tensor]]) -> Tensor:
        """Improve a field in cells of the refinement against one or several moving images."""
        s = self.settings
        return refine(
            self.fixed[s.adam_stride].repeat(1, len(moving), 1, 1, 1),
            torch.cat([features[s.adam_stride] for features in moving], 1),
            field,
            iterations=s.adam_iterations,
            regularity=s.adam_regularity * len(moving),
            rate=s.adam_rate,
            tolerance=s.adam_tolerance,
            outside=s.outside,
            stretch=self.stretch(field),
            report=lambda done: self.report(0.4 + 0.6 * done, "refinement"),
        )

    def polished(self, field: Tensor, moving: dict[int, Tensor]) -> Tensor:
        """Refine the full field of level 1 by Adam on coarser cells, then smooth it."""
        stride = self.settings.adam_stride
        field = self.refined(pool(field, stride) / stride, [moving])
        field = self.resample(field, stride, 1)
        for _ in range(3):
            field = box(field, self.settings.smooth)
        return field

    def joined(self, found: Sequence[Tensor], stride: int = 1) -> Tensor:
        """Fuse the fields in cells of `stride` of the several moving images."""
        if len(found) == 1:
            return found[0]
        base = self.settings.adam_stride
        costs = []
        if self.solver.fusion == "min_cost":
            for field, moving in zip(found, self.moving, strict=True):
                coarse = pool(field, base // stride) * (stride / base)
                warped = follow(moving[base], coarse, self.settings.outside)
                cost = (warped - self.fixed[base]).square().sum(1, keepdim=True)
                costs.append(enlarge(box(box(cost, 1), 1), base / stride, field.shape[2:]))
        return fuse(found, self.solver.fusion, costs)

    def rigid(self, field: Tensor, stride: int = 1) -> Tensor:
        """Return the rigid part of a field in cells of `stride` where only that is wanted."""
        if not self.solver.rigid:
            return field
        ratio = self.settings.adam_stride // stride
        motion = fit_rigid(pool(field, ratio) / ratio, self.structure())
        return rigid_field(*motion, field.shape[2:], ratio)

    def structure(self) -> Tensor:
        """Return 1 where the fixed image shows more than a constant: [1, 1, x, y, z]."""
        similar = self.fixed[self.settings.adam_stride].mean(1, keepdim=True)
        return (similar < _FLAT).float()

    def resample(self, field: Tensor, n: int, to: int) -> Tensor:
        """Take a field in cells of `n` voxels to cells of `to` voxels."""
        shape = [-(-size // to) for size in self.shape]
        if not self.settings.published:
            return enlarge(field, n / to, shape) * (n / to)
        full = F.interpolate(field * n, self.shape, mode="trilinear")
        shape = [size // to for size in self.shape]
        return full if to == 1 else F.interpolate(full / to, shape, mode="trilinear")

    def pool(self, features: Tensor, stride: int) -> Tensor:
        """Average features over cells of `stride` voxels."""
        return F.avg_pool3d(features, stride) if self.settings.published else pool(features, stride)

    def stretch(self, field: Tensor) -> Tensor | float:
        """Return by how much displacements are followed too far where the faults are wanted."""
        if not self.settings.published:
            return 1.0
        cells = torch.tensor(field.shape[2:], device=field.device).view(1, 3, 1, 1, 1)
        return cells / (cells - 1).clamp_min(1)

    def report(self, done: float, text: str) -> None:
        """Tell whoever waits which share is done."""
        if self.solver.progress is not None:
            self.solver.progress(done, text)


def follow(volume: Tensor, field: Tensor, outside: Outside = "border") -> Tensor:
    """Read `volume` [1, C, x, y, z] where `field` [1, 3, x, y, z] (its cells) points to."""
    index = identity_index(field.shape[2:], device=field.device) + field
    return sample(volume, index, outside=outside)


def enlarge(volume: Tensor, ratio: float, shape: Sequence[int]) -> Tensor:
    """Interpolate [1, C, x, y, z] linearly to cells `ratio` times smaller, `shape` of them.

    Both grids start at the same corner; beyond the outermost centres the edge is repeated.
    """
    if ratio == 1:
        return volume
    volume = F.interpolate(
        volume, scale_factor=ratio, mode="trilinear", recompute_scale_factor=False
    )
    missing = [max(0, want - have) for want, have in zip(shape, volume.shape[2:], strict=True)]
    if any(missing):
        x, y, z = missing
        volume = F.pad(volume, [0, z, 0, y, 0, x], mode="replicate")
    return volume[:, :, : shape[0], : shape[1], : shape[2]]


def _for_shape(settings: Settings, shape: Sequence[int]) -> Settings:
    """Drop the levels of a weighted sum that leave the shortest axis only a few cells.

    The others then weigh the same, as MCBO's did for images of 32 x 256 x 256 voxels.
    """
    if settings.weights is None:
        return settings
    kept = [
        (n, reach)
        for n, reach in zip(settings.levels, settings.reach, strict=True)
        if n * _CELLS <= min(shape) or n == min(settings.levels)
    ]
    if len(kept) == len(settings.levels):
        return settings
    levels, reaches = zip(*kept, strict=True)
    weights = (1 / len(kept),) * len(kept)
    return replace(settings, levels=levels, reach=reaches, weights=weights)


def _check_choice(what: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise UserError(f"{what} {value!r} is not known; choose one of {', '.join(allowed)}")


def _check(image: Tensor, masks: Tensor | None) -> None:
    """Complain about what cannot be registered."""
    if image.ndim != 5 or image.shape[1] < 2:
        raise UserError(
            f"the solver was given a tensor of shape {tuple(image.shape)}; it needs [B, 1 + M, X, "
            "Y, Z]: one or several moving images, then the fixed one"
        )
    if masks is not None and masks.shape != image.shape:
        raise UserError(
            f"the masks are {tuple(masks.shape)} and the images {tuple(image.shape)}; give one "
            "mask for each image, on its grid (ones for an image that needs none)"
        )
    for k in range(image.shape[1]):
        name = "the fixed image" if k == image.shape[1] - 1 else f"moving image {k + 1}"
        volume = image[:, k].flatten(1)
        if not torch.isfinite(volume).all():
            raise UserError(f"{name} holds values that are not finite; replace NaN and infinity")
        low, high = volume.amin(1), volume.amax(1)
        if (low == high).any():
            raise UserError(
                f"{name} is constant ({float(low[low == high][0]):g} everywhere), there is nothing "
                "to register; check that the file is the right one"
            )
