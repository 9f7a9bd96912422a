"""The levels of MCBO and ConvexAdam for one fixed image and its moving images.

A level of stride n works in cells of n voxels. Displacements are pull-back, component k along array
axis k. A field "in cells" is [1, 3, x, y, z] on the grid of its level, in units of its cells.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.solvers.adam import refine_by_adam
from zoo.solvers.cells import box_mean, pool_cells, sample_displaced, upsample_cells
from zoo.solvers.convex import TIE, make_consistent, search_field
from zoo.solvers.fusion import Fusion, fit_rigid, fuse_fields, rigid_field
from zoo.solvers.mind import mind_features
from zoo.solvers.settings import Settings

Features = dict[int, Tensor]
"""The features [1, 12, x, y, z] of one image, by the stride of their cells."""

_CONSTANT = 0.99  # mean of the features from which a cell counts as constant


class MultilevelRegistration:
    """Registers the images [1 + M, X, Y, Z], of which the last one is the fixed image.

    `masks`, of the shape of `image`, are 1 in the region of each image that counts. The other
    options are those of `MCBO`.
    """

    def __init__(
        self,
        image: Tensor,
        settings: Settings,
        *,
        fusion: Fusion,
        rigid: bool,
        memory: int,
        masks: Tensor | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.fusion: Fusion = fusion
        self.rigid = rigid
        self.memory = memory
        self.progress = progress
        self.shape = image.shape[1:]
        features = []
        for k, volume in enumerate(reversed(image.unbind())):
            self.report(0.1 * k / len(image), "features")
            features.append(self.features(volume, halve=k == 0 and not settings.weights))
        self.fixed, *moving = features
        self.moving = moving[::-1]
        # 1 where the fixed image is not constant: [1, 1, x, y, z]
        self.structure = (self.fixed[settings.base].mean(1, keepdim=True) < _CONSTANT).float()
        self.masks = masks
        if masks is not None:
            self.structure *= (self.weight(-1, settings.base) > 0.5).float()

    def run(self) -> Tensor:
        """Return the displacement [1, 3, X, Y, Z] in voxels."""
        field = self.weighted_sum() if self.settings.weights else self.cascade()
        self.report(1.0, "done")
        return field

    def features(self, volume: Tensor, halve: bool) -> Features:
        """Return the features of `volume` [X, Y, Z] at every stride that the settings need.

        `halve` stores features that only the refinement compares in half precision.
        """
        s = self.settings
        strides = {s.base, *s.adam_features}
        if s.weights or s.published:
            strides |= set(s.levels)
        full = mind_features(volume[None, None], s.mind_radius, s.mind_dilation, s.mind_noise)
        features = {n: self.pool(full, n) for n in strides}
        return {n: f.half() if halve and n < s.base else f for n, f in features.items()}

    def weight(self, k: int, n: int) -> Tensor:
        """Return the part of each cell of stride `n` in the mask of image `k`: [1, 1, x, y, z]."""
        assert self.masks is not None
        return self.pool(self.masks[k][None, None], n)

    def weights(self, k: int, n: int) -> tuple[Tensor, Tensor] | None:
        """Return the weights of the fixed image and of moving image `k` at stride `n`, if any."""
        return None if self.masks is None else (self.weight(-1, n), self.weight(k, n))

    def weighted_sum(self) -> Tensor:
        """Return the weighted sum of independent levels, which is MCBO as published."""
        s = self.settings
        total = torch.zeros(1, 3, *self.shape, device=self.fixed[s.base].device)
        for k, (n, weight) in enumerate(zip(s.levels, s.weights or (), strict=True)):
            self.report(0.1 + 0.9 * k / len(s.levels), f"level {n}")
            fields = []
            for m, moving in enumerate(self.moving):
                step = self.search(n, self.fixed[n], moving[n], self.weights(m, n))
                field = self.resample(step, n, 1)
                if n == 1 and not self.rigid:
                    field = self.refine_finest_level(field, m)
                fields.append(self.to_rigid(field))
            total += weight * self.fuse(fields)
        return self.to_rigid(total)

    def cascade(self) -> Tensor:
        """Return the field of a cascade, in which each level refines the field of the previous."""
        s = self.settings
        base = s.base
        fixed = self.fixed[base]
        field = torch.zeros(1, 3, *fixed.shape[2:], device=fixed.device)
        for k, n in enumerate(s.levels):
            self.report(0.1 + 0.3 * k / len(s.levels), f"level {n}")
            fields = []
            for m, moving in enumerate(self.moving):
                if s.published:
                    step = self.search(n, self.fixed[n], moving[n], self.weights(m, n))
                else:
                    warped = sample_displaced(moving[base], field, s.outside) if k else moving[base]
                    step = self.search(
                        n,
                        pool_cells(fixed, n // base),
                        pool_cells(warped, n // base),
                        self.warped_weights(m, n, field),
                    )
                step = self.resample(step, n, base)
                fields.append(step + sample_displaced(field, step))
            field = self.to_rigid(self.fuse(fields, base), base)
        for features in (self.fixed, *self.moving):  # the refinement needs no others
            for n in features.keys() - set(s.adam_features):
                del features[n]
        field = self.refine(field, range(len(self.moving)))
        if self.rigid:
            motion = fit_rigid(field, self.structure)
            return rigid_field(*motion, self.shape, base).to(field)
        del self.fixed, self.moving  # free their memory for the field of full size
        return self.resample(field, base, 1)

    def warped_weights(self, k: int, n: int, field: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the weights at stride `n`; `field`, in cells of the base, warps the moving one."""
        weights = self.weights(k, self.settings.base)
        if weights is None:
            return None
        ratio = n // self.settings.base
        return pool_cells(weights[0], ratio), pool_cells(sample_displaced(weights[1], field), ratio)

    def search(
        self,
        n: int,
        fixed: Tensor,
        moving: Tensor,
        weights: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the consistent field, in cells of stride `n`, of the features of two images."""
        s = self.settings
        swapped = None if weights is None else weights[::-1]
        field, reverse = (
            search_field(
                *images,
                s.reach[s.levels.index(n)],
                coupling=s.coupling,
                average=s.average,
                tie=0.0 if s.published else TIE,
                memory=self.memory,
                weights=of_images,
            )
            for images, of_images in (((fixed, moving), weights), ((moving, fixed), swapped))
        )
        return make_consistent(
            field,
            reverse,
            s.consistency,
            outside="zeros" if s.published else "border",
            sampling_scale=self.sampling_scale(field),
        )[0]

    def refine(self, field: Tensor, images: Sequence[int]) -> Tensor:
        """Refine a field in cells of the finest refinement by Adam, on coarse cells first.

        `images` are the indices of the moving images that are compared, which contribute
        equally.
        """
        s = self.settings
        shape = field.shape[2:]
        done, total = 0, sum(s.adam_iterations)
        for k, (stride, iterations) in enumerate(
            zip(s.adam_strides, s.adam_iterations, strict=True)
        ):
            ratio = stride // s.base
            field = pool_cells(field, ratio) / ratio
            detail = s.adam_features[k]
            field = refine_by_adam(
                self.fixed[detail],
                [self.moving[m][detail] for m in images],
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
                sampling_scale=self.sampling_scale(field),
                weights=self.weights(images[0], detail),
                report=partial(self.report_refinement, done / total, iterations / total),
            )
            field = upsample_cells(field, ratio, shape) * ratio
            done += iterations
        return field

    def refine_finest_level(self, field: Tensor, image: int) -> Tensor:
        """Refine the full-size field of level 1 by Adam on coarser cells, then smooth it.

        `image` is the index of the moving image.
        """
        stride = self.settings.base
        field = self.refine(pool_cells(field, stride) / stride, [image])
        field = self.resample(field, stride, 1)
        for _ in range(3):
            field = box_mean(field, self.settings.smooth)
        return field

    def fuse(self, fields: Sequence[Tensor], stride: int = 1) -> Tensor:
        """Combine the fields of several moving images, in cells of `stride`, into one."""
        if len(fields) == 1:
            return fields[0]
        base = self.settings.base
        costs = []
        if self.fusion == "min_cost":
            for field, moving in zip(fields, self.moving, strict=True):
                coarse = pool_cells(field, base // stride) * (stride / base)
                warped = sample_displaced(moving[base], coarse, self.settings.outside)
                cost = (warped - self.fixed[base]).square().sum(1, keepdim=True)
                cost = box_mean(box_mean(cost, 1), 1)
                costs.append(upsample_cells(cost, base / stride, field.shape[2:]))
        return fuse_fields(fields, self.fusion, costs)

    def to_rigid(self, field: Tensor, stride: int = 1) -> Tensor:
        """Return the rigid part of a field in cells of `stride`, or the field unless `rigid`."""
        if not self.rigid:
            return field
        ratio = self.settings.base // stride
        motion = fit_rigid(pool_cells(field, ratio) / ratio, self.structure)
        return rigid_field(*motion, field.shape[2:], ratio).to(field)

    def resample(self, field: Tensor, n: int, to: int) -> Tensor:
        """Convert a field in cells of `n` voxels to cells of `to` voxels."""
        shape = [-(-size // to) for size in self.shape]
        if not self.settings.published:
            return upsample_cells(field * (n / to), n / to, shape)
        full = F.interpolate(field * n, self.shape, mode="trilinear")
        shape = [size // to for size in self.shape]
        return full if to == 1 else F.interpolate(full / to, shape, mode="trilinear")

    def pool(self, features: Tensor, stride: int) -> Tensor:
        """Average features over cells of `stride` voxels."""
        if self.settings.published:
            return F.avg_pool3d(features, stride)
        return pool_cells(features, stride)

    def sampling_scale(self, field: Tensor) -> Tensor | float:
        """Return the factor by which the published ConvexAdam samples too far, otherwise 1."""
        if not self.settings.published:
            return 1.0
        cells = torch.tensor(field.shape[2:], device=field.device).view(1, 3, 1, 1, 1)
        return cells / (cells - 1).clamp_min(1)

    def report_refinement(self, before: float, share: float, done: float) -> None:
        """Report the progress of a stage that starts at `before` and is `share` of the refinement.

        `done` is the finished fraction of the stage.
        """
        if self.settings.weights is None:
            self.report(0.4 + 0.6 * (before + share * done), "refinement")

    def report(self, done: float, text: str) -> None:
        """Report progress as a fraction between 0 and 1, with the name of the step."""
        if self.progress is not None:
            self.progress(done, text)
