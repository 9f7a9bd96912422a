"""The inferer of MCBO and the working grid of each of its modes."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from torch import nn

from zoo.datasets.pairs import Pair
from zoo.io.volume import Volume
from zoo.measures.robust import robust_values
from zoo.registration.inferer import Intensity, PairInferer, Prediction, Shape
from zoo.registration.working_grid import Frame, IsotropicFrame, NativeFrame
from zoo.registration.working_pair import Image, WorkingPair, exclude_padding
from zoo.solvers.affine import AffineAlignment
from zoo.solvers.instance import ProgressCallback
from zoo.solvers.mcbo import MCBO
from zoo.solvers.settings import Mode


class MCBOInferer(PairInferer):
    """Registers a pair with MCBO, which uses masks, ignores padding and reports its progress.

    The notes of the result contain the largest displacement that the search covers.
    """

    def register(
        self, work: WorkingPair, network: nn.Module, progress: ProgressCallback
    ) -> Prediction:
        """Return the transform; MCBO does not compute an inverse."""
        solver = cast("MCBO", network)
        solver.progress = progress
        s = solver.settings
        steps = [n * reach for n, reach in zip(s.levels, s.reach, strict=True)]
        voxels = max(steps) if s.weights else sum(steps)
        notes = {"search_limit_mm": voxels * min(work.grid.spacing)}
        return Prediction(work.transform(solver(work.image, masks=work.masks)), notes=notes)

    def prepare(
        self, pair: Pair, alignment: AffineAlignment | None, network_shape: Shape | None = None
    ) -> WorkingPair:
        """Return the pair on its working grid, with masks that exclude padding."""
        return super().prepare(exclude_padding(pair, fill=True), alignment, network_shape)

    def _image(self, volume: Volume, intensity: Intensity | None) -> Image:
        """Return an image for the solver; outliers are removed before they are interpolated."""
        image = super()._image(volume, intensity)
        return replace(image, data=robust_values(image.data))


def mcbo_frame(mode: Mode, spacing: float | None = None) -> Frame:
    """Return the frame of a mode of the solver.

    The mode "convexadam" works on the grid of the fixed image, as published. The other modes work
    on an isotropic grid with voxels of `spacing` mm.
    """
    return NativeFrame() if mode == "convexadam" else IsotropicFrame(spacing)
