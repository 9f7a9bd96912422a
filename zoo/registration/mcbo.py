"""The inferer of MCBO."""

from __future__ import annotations

from typing import cast

from torch import nn

from zoo.registration.inferer import PairInferer, Prediction
from zoo.registration.progress import StageProgress
from zoo.registration.working_grid import Work
from zoo.solvers.mcbo import MCBO


class MCBOInferer(PairInferer):
    """For MCBO: it takes masks, reports its progress, and can only search so far."""

    def register(self, work: Work, network: nn.Module, progress: StageProgress) -> Prediction:
        """Return the transform; a solver has no inverse of its own."""
        solver = cast("MCBO", network)
        solver.progress = progress
        s = solver.settings
        steps = [n * reach for n, reach in zip(s.levels, s.reach, strict=True)]
        voxels = max(steps) if s.weights else sum(steps)
        notes = {"search_limit_mm": voxels * min(work.grid.spacing)}
        return Prediction(work.transform(solver(work.image, masks=work.masks)), notes=notes)
