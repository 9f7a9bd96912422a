"""From a loaded pair to its registration: intensities, affine start, frame, network, transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Grid, Transform, invert
from zoo.io.volume import Volume
from zoo.registration.axis_order import AxisOrder
from zoo.registration.initial_affine import Affine, read_given_affine
from zoo.registration.progress import ProgressStages, StageProgress
from zoo.registration.result import RegisteredPair
from zoo.registration.working_grid import Frame, Image, ResizedFrame, Work
from zoo.solvers.affine import AffineAlignment, align_affine, measure_given_affine

Intensity = Callable[[Tensor], Tensor]
Size = tuple[int, int, int]


@dataclass(frozen=True)
class Prediction:
    """What a network found: the map fixed -> moving, its inverse if it has one, and notes."""

    transform: Transform
    inverse: Transform | None = None
    notes: dict[str, Any] = field(default_factory=dict)


class PairInferer(Inferer):
    """Registers a pair with a network that maps [1, M + 1, X, Y, Z] to a displacement in voxels.

    `intensity` maps an image [X, Y, Z] float32 to what the network was made for; one for all, or
    one each for the fixed and the moving images. `frame` brings them onto one lattice. `affine` is
    the largest family of maps to look for before the network, or the file of such a map. `inverse`
    asks for the map moving -> fixed as well.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        intensity: Intensity | None = None,
        moving_intensity: Intensity | None = None,
        affine: Affine | str = "auto",
        inverse: bool = False,
        device: torch.device | str = "cpu",
        bar: bool = True,
    ) -> None:
        super().__init__()
        self.frame = frame
        self.fixed_intensity = intensity
        self.moving_intensity = moving_intensity or intensity
        self.affine = affine
        self.given = read_given_affine(affine)
        self.inverse = inverse
        self.device = torch.device(device)
        self.bar = bar

    def __call__(  # type: ignore[override]
        self, inputs: Pair, network: nn.Module, *args: Any, **kwargs: Any
    ) -> RegisteredPair:
        """Return the registration of `inputs`."""
        stages = ProgressStages(inputs.name, bar=self.bar)
        try:
            return self._register(inputs, network, stages)
        finally:
            stages.close()

    def _register(self, pair: Pair, network: nn.Module, stages: ProgressStages) -> RegisteredPair:
        with stages("affine start", 15):
            start = self.start(pair)
        with stages("preparation", 5):
            work = self.prepare(pair, start, self.size(network))
        with stages("deformation", 65), torch.no_grad():
            found = self.register(work, network, stages.progress(20, 65))
        inverse = found.inverse
        if self.inverse and inverse is None:
            with stages("inverse", 5):
                inverse = invert(found.transform, pair.moving[0].grid).transform
        notes = {"affine_start": _described(start), "working_grid": work.grid.describe()}
        return RegisteredPair(
            pair,
            found.transform.to("cpu"),
            inverse and inverse.to("cpu"),
            stages.seconds,
            notes | found.notes,
        )

    def register(self, work: Work, network: nn.Module, progress: StageProgress) -> Prediction:
        """Return the transform, and its inverse when the network gives one of its own."""
        return Prediction(work.transform(network(work.image)))

    def size(self, network: nn.Module) -> Size | None:
        """Return the lattice on which a network sees every pair, in the frame's order of axes."""
        return None

    def prepare(self, pair: Pair, start: AffineAlignment | None, size: Size | None = None) -> Work:
        """Return what the network sees of a pair, on a lattice of its own if `size` is given."""
        fixed = self._image(pair.fixed, self.fixed_intensity)
        moving = [self._image(volume, self.moving_intensity) for volume in pair.moving]
        matrix = None if start is None or start.kind == "none" else start.matrix
        work = self.frame(fixed, moving, pair, matrix)
        if size is None or not isinstance(self.frame, ResizedFrame):
            return work
        images = replace(pair, fixed_mask=None, moving_mask=None)
        return replace(work, seen=self.frame.on(size)(fixed, moving, images, matrix).image)

    def order(self, grid: Grid) -> AxisOrder:
        """Return the order of axes that the network was trained on: its axis k is `order[k]`."""
        return (0, 1, 2)

    def start(self, pair: Pair) -> AffineAlignment | None:
        """Return the affine start of a pair, None where it is switched off."""
        if self.affine == "none":
            return None
        first = pair.moving[0]
        images = pair.fixed.data.float(), pair.fixed.grid, first.data.float(), first.grid
        if self.given is not None:
            return replace(
                measure_given_affine(*images, self.given), reason=f"read from {self.affine}"
            )
        with torch.enable_grad():  # an evaluator runs without gradients; the search needs them
            return align_affine(*images, cast(Affine, self.affine))

    def _image(self, volume: Volume, intensity: Intensity | None) -> Image:
        data = volume.data.to(self.device, torch.float32)
        if float(data.min()) == float(data.max()):
            raise UserError(
                f"{volume.path} is constant (every voxel is {float(data.min()):g}); "
                "there is nothing to register: check that it is the right file"
            )
        return Image(data if intensity is None else intensity(data), volume.grid)


def _described(start: AffineAlignment | None) -> dict[str, Any]:
    """Return what result.json says of the affine start."""
    if start is None:
        return {"kind": "none", "reason": "switched off by --affine none"}
    return {
        "kind": start.kind,
        "reason": start.reason,
        "similarity": list(start.similarity),
        "overlap": list(start.overlap),
        "shift_mm": start.shift,
        "matrix_ras": start.matrix.tolist(),
    }
