"""The inferer that registers a loaded pair: alignment, working grid, network, result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Grid, Transform, invert
from zoo.io.volume import Volume
from zoo.registration.axis_order import AxisOrder
from zoo.registration.initial_affine import AffineKind, read_given_affine
from zoo.registration.progress import Bar, RegistrationProgress
from zoo.registration.result import RegisteredPair
from zoo.registration.working_grid import Frame, ResizedFrame
from zoo.registration.working_pair import Image, WorkingPair, keep_background
from zoo.resources import return_freed_memory
from zoo.solvers.affine import AffineAlignment, align_affine, measure_given_affine
from zoo.solvers.instance import ProgressCallback

Intensity = Callable[[Tensor], Tensor]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Prediction:
    """The transform fixed -> moving that a network predicts, its inverse if it has one, and notes.

    The notes go into result.json.
    """

    transform: Transform
    inverse: Transform | None = None
    notes: dict[str, Any] = field(default_factory=dict)


class PairInferer:
    """Registers a pair with a network that maps [1, M + 1, X, Y, Z] to a displacement in voxels.

    MONAI's evaluators call it as an inferer. It is not a subclass of `monai.inferers.Inferer`,
    because that import takes longer than the registration of a small pair.

    Args:
        frame: Brings the images onto one working grid.
        intensity: Maps an image [X, Y, Z] float32 to the intensities that the network expects.
        moving_intensity: The same for the moving images, if it differs from `intensity`.
        affine: The initial affine alignment: its kind, or the file of an affine transform.
        allow_mirror: Whether the alignment may mirror an image whose header seems to be mirrored.
        inverse: Whether the result also contains the transform moving -> fixed.
        device: The device that the network runs on.
        bar: Whether a progress bar is shown on a terminal; lines prints lines instead.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        intensity: Intensity | None = None,
        moving_intensity: Intensity | None = None,
        affine: AffineKind | str = "auto",
        allow_mirror: bool = False,
        inverse: bool = False,
        device: torch.device | str = "cpu",
        bar: Bar = True,
    ) -> None:
        self.frame = frame
        self.fixed_intensity = intensity
        self.moving_intensity = moving_intensity or intensity
        self.affine = affine
        self.allow_mirror = allow_mirror
        self.given_affine = read_given_affine(affine)
        self.inverse = inverse
        self.device = torch.device(device)
        self.bar = bar

    def __call__(self, inputs: Pair, network: nn.Module) -> RegisteredPair:
        """Register `inputs`."""
        progress = RegistrationProgress(inputs.name, bar=self.bar)
        try:
            return self._register(inputs, network, progress)
        finally:
            progress.close()

    def _register(
        self, pair: Pair, network: nn.Module, progress: RegistrationProgress
    ) -> RegisteredPair:
        with progress.stage("initial alignment", 15):
            masked = keep_background(pair)
            alignment = self.initial_alignment(masked)
        with progress.stage("preparation", 5):
            work = self.prepare(masked, alignment, self.network_shape(network))
        return_freed_memory()
        with progress.stage("deformation", 65) as report, torch.no_grad():
            prediction = self.register(work, network, report)
        return_freed_memory()
        inverse = prediction.inverse
        if self.inverse and inverse is None:
            with progress.stage("inverse", 5):
                inverse = invert(prediction.transform, pair.moving[0].grid).transform
        notes = {"affine_start": _record(alignment), "working_grid": work.grid.describe()}
        if alignment is not None and alignment.header_fault:
            notes["header_fault"] = alignment.header_fault
        return RegisteredPair(
            pair,
            prediction.transform.to("cpu"),
            inverse and inverse.to("cpu"),
            progress.seconds,
            notes | prediction.notes,
        )

    def register(
        self, work: WorkingPair, network: nn.Module, progress: ProgressCallback
    ) -> Prediction:
        """Return the prediction of the network. Subclasses add the inverse or a refinement."""
        return Prediction(work.transform(network(work.image)))

    def network_shape(self, network: nn.Module) -> Shape | None:
        """Return the shape that the network always takes, in the axis order of the frame, or None.

        None means that the network takes the images on the working grid.
        """
        return None

    def axis_order(self, grid: Grid) -> AxisOrder:
        """Return the axis order that the network was trained on: its axis k is `order[k]`."""
        return (0, 1, 2)

    def initial_alignment(self, pair: Pair) -> AffineAlignment | None:
        """Return the initial affine alignment of a pair; None if the setting `affine` is "none"."""
        if self.affine == "none":
            return None
        first = pair.moving[0]
        images = pair.fixed.data.float(), pair.fixed.grid, first.data.float(), first.grid
        if self.given_affine is not None:
            return replace(
                measure_given_affine(*images, self.given_affine), reason=f"read from {self.affine}"
            )
        return align_affine(
            *images,
            cast(AffineKind, self.affine),
            fixed_mask=_voxels(pair.fixed_mask),
            moving_mask=_voxels(pair.moving_mask),
            allow_mirror=self.allow_mirror,
        )

    def prepare(
        self, pair: Pair, alignment: AffineAlignment | None, network_shape: Shape | None = None
    ) -> WorkingPair:
        """Return the pair on its working grid, with the network's input if its shape is given."""
        fixed = self._image(pair.fixed, self.fixed_intensity)
        moving = [self._image(volume, self.moving_intensity) for volume in pair.moving]
        matrix = None if alignment is None or alignment.kind == "none" else alignment.matrix
        work = self.frame(fixed, moving, pair, matrix)
        if network_shape is None or not isinstance(self.frame, ResizedFrame):
            return work
        unmasked = replace(pair, fixed_mask=None, moving_mask=None)
        frame = self.frame.on(network_shape)
        return replace(work, network_input=frame(fixed, moving, unmasked, matrix).image)

    def _image(self, volume: Volume, intensity: Intensity | None) -> Image:
        data = volume.data.to(self.device, torch.float32)
        if float(data.min()) == float(data.max()):
            raise UserError(
                f"{volume.path} is constant (every voxel is {float(data.min()):g}), so there is "
                "nothing to register: check that it is the right file"
            )
        return Image(data if intensity is None else intensity(data), volume.grid)


def _voxels(mask: Volume | None) -> Tensor | None:
    return None if mask is None else mask.data


def _record(alignment: AffineAlignment | None) -> dict[str, Any]:
    """Return what result.json reports about the initial affine alignment."""
    if alignment is None:
        return {"kind": "none", "reason": "the setting affine is none"}
    return {
        "kind": alignment.kind,
        "reason": alignment.reason,
        "similarity": list(alignment.similarity),
        "overlap": list(alignment.overlap),
        "shift_mm": alignment.shift,
        "matrix_ras": alignment.matrix.tolist(),
    }
