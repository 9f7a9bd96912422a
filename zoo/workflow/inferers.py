"""From a loaded pair to its registration: intensities, affine start, frame, network, transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.geometry import Transform, invert
from zoo.io.volume import Volume
from zoo.networks import UniReg
from zoo.solvers.affine import AffineStart, affine_start
from zoo.solvers.instance import Pair as InstancePair
from zoo.solvers.instance_field import refine_field
from zoo.solvers.instance_weights import refine_weights
from zoo.solvers.mcbo import MCBO
from zoo.workflow.frames import Frame, Image, Work
from zoo.workflow.pairs import Pair
from zoo.workflow.registration import Registration
from zoo.workflow.stages import Progress, Stages

Intensity = Callable[[Tensor], Tensor]
Affine = Literal["auto", "none", "com", "rigid", "affine"]


@dataclass(frozen=True)
class Found:
    """What a network found: the map fixed -> moving, its inverse if it has one, and notes."""

    transform: Transform
    inverse: Transform | None = None
    notes: dict[str, Any] = field(default_factory=dict)


class PairInferer(Inferer):
    """Registers a pair with a network that maps [1, M + 1, X, Y, Z] to a displacement in voxels.

    `intensity` maps an image [X, Y, Z] float32 to what the network was made for; one for all, or
    one each for the fixed and the moving images. `frame` brings them onto one lattice. `inverse`
    asks for the map moving -> fixed as well.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        intensity: Intensity | None = None,
        moving_intensity: Intensity | None = None,
        affine: Affine = "auto",
        inverse: bool = False,
        device: torch.device | str = "cpu",
        bar: bool = True,
    ) -> None:
        super().__init__()
        self.frame = frame
        self.fixed_intensity = intensity
        self.moving_intensity = moving_intensity or intensity
        self.affine = affine
        self.inverse = inverse
        self.device = torch.device(device)
        self.bar = bar

    def __call__(  # type: ignore[override]
        self, inputs: Pair, network: nn.Module, *args: Any, **kwargs: Any
    ) -> Registration:
        """Return the registration of `inputs`."""
        stages = Stages(inputs.name, bar=self.bar)
        try:
            return self._register(inputs, network, stages)
        finally:
            stages.close()

    def _register(self, pair: Pair, network: nn.Module, stages: Stages) -> Registration:
        with stages("affine start", 15):
            start = self._start(pair)
        with stages("preparation", 5):
            fixed = self._image(pair.fixed, self.fixed_intensity)
            moving = [self._image(volume, self.moving_intensity) for volume in pair.moving]
            matrix = None if start is None or start.kind == "none" else start.matrix
            work = self.frame(fixed, moving, pair, matrix)
        with stages("deformation", 65), torch.no_grad():
            found = self.register(work, network, stages.progress(20, 65))
        inverse = found.inverse
        if self.inverse and inverse is None:
            with stages("inverse", 5):
                inverse = invert(found.transform, pair.moving[0].grid).transform
        notes = {"affine_start": _described(start), "working_grid": work.grid.describe()}
        return Registration(
            pair,
            found.transform.to("cpu"),
            inverse and inverse.to("cpu"),
            stages.seconds,
            notes | found.notes,
        )

    def register(self, work: Work, network: nn.Module, progress: Progress) -> Found:
        """Return the transform, and its inverse when the network gives one of its own."""
        return Found(work.transform(network(work.image)))

    def _start(self, pair: Pair) -> AffineStart | None:
        if self.affine == "none":
            return None
        first = pair.moving[0]
        fixed, moving = pair.fixed.data.float(), first.data.float()
        with torch.enable_grad():  # an evaluator runs without gradients; the search needs them
            return affine_start(fixed, pair.fixed.grid, moving, first.grid, self.affine)

    def _image(self, volume: Volume, intensity: Intensity | None) -> Image:
        data = volume.data.to(self.device, torch.float32)
        if float(data.min()) == float(data.max()):
            raise UserError(
                f"{volume.path} is constant (every voxel is {float(data.min()):g}); "
                "there is nothing to register: check that it is the right file"
            )
        return Image(data if intensity is None else intensity(data), volume.grid)


class MCBOInferer(PairInferer):
    """For MCBO: it takes masks, reports its progress, and can only search so far."""

    def register(self, work: Work, network: nn.Module, progress: Progress) -> Found:
        """Return the transform; a solver has no inverse of its own."""
        solver = cast("MCBO", network)
        solver.progress = progress
        s = solver.settings
        steps = [n * reach for n, reach in zip(s.levels, s.reach, strict=True)]
        voxels = max(steps) if s.weights else sum(steps)
        notes = {"search_limit_mm": voxels * min(work.grid.spacing)}
        return Found(work.transform(solver(work.image, masks=work.masks)), notes=notes)


class GradICONInferer(PairInferer):
    """For GradICON networks: both directions when asked, refinement when asked.

    `refine` is the number of steps of instance optimisation (0: prediction only). `refine_mode`
    "weights" is the published one; "field" moves the predicted displacement itself and is far
    cheaper. `similarity` is what it compares with: lncc, lncc2 or mind.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        refine: int = 0,
        refine_mode: Literal["weights", "field"] = "field",
        similarity: str = "lncc",
        **more: Any,
    ) -> None:
        super().__init__(frame, **more)
        if refine < 0:
            raise UserError(f"--refine {refine} must be 0 (prediction only) or more steps")
        if refine_mode not in ("weights", "field"):
            raise UserError(f"--refine-mode {refine_mode!r} is not known; use field or weights")
        self.refine = refine
        self.refine_mode = refine_mode
        if similarity not in SIMILARITIES:
            raise UserError(
                f"--similarity {similarity!r} is unknown; use {', '.join(SIMILARITIES)}"
            )
        self.similarity = similarity

    def register(self, work: Work, network: nn.Module, progress: Progress) -> Found:
        """Return the transform, and the one of the reverse pass when it is asked for.

        The published weights were trained on [Z, Y, X] arrays, as ITK hands them out.
        """
        image = reordered(work.image, ITK_ORDER)
        reverse: Tensor | None = None
        if self.refine and self.refine_mode == "weights":
            found = refine_weights(
                network,
                _instance_pair(work),
                steps=self.refine,
                similarity=self.similarity,
                progress=progress,
            )
            displacement, reverse = found.displacement, found.reverse
        else:
            displacement = network(image)
            if self.inverse or self.refine:
                reverse = network(image.flip(1))
        if self.refine and self.refine_mode == "field":
            found = refine_field(
                displacement,
                _instance_pair(work),
                reverse=reverse,
                steps=self.refine,
                similarity=self.similarity,
                progress=progress,
            )
            displacement, reverse = found.displacement, found.reverse
        inverse = None
        if self.inverse and reverse is not None:
            inverse = work.reverse_transform(restored(reverse, ITK_ORDER))
        return Found(work.transform(restored(displacement, ITK_ORDER)), inverse)


ITK_ORDER = (2, 1, 0)

SIMILARITIES = ("lncc", "lncc2", "mind")


class UniRegInferer(PairInferer):
    """For UniReg: its weights saw arrays that run foot to head, back to front, side to side.

    The notes tell how large the kernels are that the controller wrote for each level.
    """

    def register(self, work: Work, network: nn.Module, progress: Progress) -> Found:
        """Return the transform, and the one of the swapped pair when the inverse is asked for."""
        sides = [work.grid.axis_codes.find(letter) for letter in "RASLPI"]
        across, along, up = (max(sides[k], sides[k + 3]) for k in range(3))
        order = (up, along, across)
        image = reordered(work.image, order)
        levels = list(cast("UniReg", network).levels(image))
        transform = work.transform(restored(levels[-1].flow, order))
        kernels = {
            f"1/{level.step}": [round(float(weight.norm()), 4) for weight, _ in level.kernels]
            for level in levels
        }
        notes = {"kernel_norms": kernels}
        if not self.inverse:
            return Found(transform, notes=notes)
        back = restored(network(image.flip(1)), order)
        return Found(transform, work.reverse_transform(back), notes)


def reordered(tensor: Tensor, order: tuple[int, int, int]) -> Tensor:
    """Return [B, C, X, Y, Z] with its spatial axes in another order: new axis k is `order[k]`."""
    return tensor.permute(0, 1, *[2 + axis for axis in order]).contiguous()


def restored(field: Tensor, order: tuple[int, int, int]) -> Tensor:
    """Undo `reordered` for a displacement [B, 3, ...], whose components go with the axes."""
    back = [order.index(axis) for axis in range(3)]
    return field.permute(0, 1, *[2 + axis for axis in back])[:, back].contiguous()


def _instance_pair(work: Work) -> InstancePair:
    """Return a pair of one moving image for instance optimisation, in ITK's axis order."""
    image = reordered(work.image, ITK_ORDER)
    masks = None if work.masks is None else reordered(work.masks, ITK_ORDER)
    return InstancePair(
        moving=image[:, :1],
        fixed=image[:, 1:],
        moving_mask=None if masks is None else masks[:, :1],
        fixed_mask=None if masks is None else masks[:, 1:],
    )


def _described(start: AffineStart | None) -> dict[str, Any]:
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
