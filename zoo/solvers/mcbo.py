"""MCBO and ConvexAdam: registration of two images without learning, on an isotropic grid.

MCBO: Wang et al., "Unsupervised multimodal 3D medical image registration with multilevel
correlation balanced optimization" (Learn2Reg 2024). ConvexAdam: Siebert et al., "ConvexAdam:
self-configuring dual-optimisation-based 3D multitask medical image registration" (2024).

Displacements are in voxels of the given images, pull-back: warped(i) = moving(i + d(i)), component
k along array axis k. Inside, a level of stride n works in cells of n voxels.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import lcm
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.solvers.adam import refine
from zoo.solvers.cells import complete, enlarge, follow, pool
from zoo.solvers.convex import TIE, make_consistent, search
from zoo.solvers.fusion import Fusion, fit_rigid, fuse, rigid_field
from zoo.solvers.masks import extend
from zoo.solvers.mind import box, mind_ssc
from zoo.solvers.settings import PRESETS, Mode, Settings, changed, for_shape

ProgressCallback = Callable[[float, str], None]
Features = dict[int, Tensor]  # of one image, by stride

_FLAT = 0.99  # mean of the features from which a cell counts as constant


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
        progress: ProgressCallback | None = None,
    ) -> None:
        super().__init__()
        _check_choice("mode", mode, get_args(Mode))
        _check_choice("fusion", fusion, get_args(Fusion))
        self.settings = changed(PRESETS[mode], changes or {})
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
        shape = image.shape[1:]
        settings = for_shape(self.settings, shape)
        if masks is not None:
            image = torch.stack([extend(v, m) for v, m in zip(image, masks, strict=True)])
        if not settings.published:
            image = complete(image, lcm(*settings.adam_strides))
        pair = _Pair(image, settings, self)
        del image  # the features are all that is needed
        field = pair.summed() if settings.weights else pair.cascaded()
        pair.report(1.0, "done")
        return field[:, :, : shape[0], : shape[1], : shape[2]]


class _Pair:
    """One fixed image and its moving images, as features, on their way through the levels.

    A field "in cells" is [1, 3, x, y, z] on the grid of its level and in cells of it.
    """

    def __init__(self, image: Tensor, settings: Settings, solver: MCBO) -> None:
        self.solver = solver
        self.settings = s = settings
        self.shape = image.shape[1:]
        features = []
        for k, volume in enumerate(reversed(image.unbind())):
            self.report(0.1 * k / len(image), "features")
            features.append(self.features(volume, halve=k == 0 and not s.weights))
        self.fixed, *moving = features
        self.moving = moving[::-1]
        # 1 where the fixed image shows more than a constant: [1, 1, x, y, z]
        self.structure = (self.fixed[s.base].mean(1, keepdim=True) < _FLAT).float()

    def features(self, volume: Tensor, halve: bool) -> Features:
        """Return the features of `volume` [X, Y, Z] at every stride that is asked for.

        `halve` takes half the memory for those that the refinement alone compares.
        """
        s = self.settings
        strides = {s.base, *s.adam_features}
        if s.weights or s.published:
            strides |= set(s.levels)
        full = mind_ssc(volume[None, None], s.mind_radius, s.mind_dilation, s.mind_noise)
        found = {n: self.pool(full, n) for n in strides}
        return {n: f.half() if halve and n < s.base else f for n, f in found.items()}

    def summed(self) -> Tensor:
        """Return the weighted sum of levels that know nothing of each other: MCBO as published."""
        s = self.settings
        total = torch.zeros(1, 3, *self.shape, device=self.fixed[s.base].device)
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
        base = s.base
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
        for features in (self.fixed, *self.moving):  # the search is over
            for n in features.keys() - set(s.adam_features):
                del features[n]
        field = self.refined(field, self.moving)
        if self.solver.rigid:
            return rigid_field(*fit_rigid(field, self.structure), self.shape, base)
        del self.fixed, self.moving  # the full field takes their place
        return self.resample(field, base, 1)

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

    def refined(self, field: Tensor, moving: Sequence[Features]) -> Tensor:
        """Improve a field in cells of the finest refinement by Adam, on coarse cells first.

        Several moving images pull together, each with its share.
        """
        s = self.settings
        shape = field.shape[2:]
        done, total = 0, sum(s.adam_iterations)
        for k, (stride, iterations) in enumerate(
            zip(s.adam_strides, s.adam_iterations, strict=True)
        ):
            ratio = stride // s.base
            field = pool(field, ratio) / ratio
            detail = s.adam_features[k]
            field = refine(
                self.fixed[detail],
                [image[detail] for image in moving],
                field,
                detail=stride // detail,
                shares=s.adam_shares[k],
                iterations=iterations,
                diffusion=s.adam_diffusions[k],
                bending=s.adam_bendings[k],
                smoothing=s.smoothing,
                rate=s.adam_rates[k],
                last_rate=s.adam_last_rates[k],
                outside=s.outside,
                stretch=self.stretch(field),
                report=partial(self.report_refinement, done / total, iterations / total),
            )
            field = enlarge(field, ratio, shape) * ratio
            done += iterations
        return field

    def polished(self, field: Tensor, moving: Features) -> Tensor:
        """Refine the full field of level 1 by Adam on coarser cells, then smooth it."""
        stride = self.settings.base
        field = self.refined(pool(field, stride) / stride, [moving])
        field = self.resample(field, stride, 1)
        for _ in range(3):
            field = box(field, self.settings.smooth)
        return field

    def joined(self, found: Sequence[Tensor], stride: int = 1) -> Tensor:
        """Fuse the fields in cells of `stride` of the several moving images."""
        if len(found) == 1:
            return found[0]
        base = self.settings.base
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
        ratio = self.settings.base // stride
        motion = fit_rigid(pool(field, ratio) / ratio, self.structure)
        return rigid_field(*motion, field.shape[2:], ratio)

    def resample(self, field: Tensor, n: int, to: int) -> Tensor:
        """Take a field in cells of `n` voxels to cells of `to` voxels."""
        shape = [-(-size // to) for size in self.shape]
        if not self.settings.published:
            return enlarge(field * (n / to), n / to, shape)
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

    def report_refinement(self, before: float, share: float, done: float) -> None:
        """Tell how far a refinement is that takes `share` of all, when `before` were done."""
        if self.settings.weights is None:
            self.report(0.4 + 0.6 * (before + share * done), "refinement")

    def report(self, done: float, text: str) -> None:
        """Tell whoever waits which share is done."""
        if self.solver.progress is not None:
            self.solver.progress(done, text)


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
