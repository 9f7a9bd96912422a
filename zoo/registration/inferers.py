"""From a loaded pair to its registration: intensities, affine start, frame, network, transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Grid, Transform, invert, warp
from zoo.geometry.displacement_maps import on_lattice
from zoo.io.volume import Volume
from zoo.networks import UniReg
from zoo.registration.initial_affine import Affine, read_given_affine
from zoo.registration.intensity import looks_like_hounsfield
from zoo.registration.progress import ProgressStages, StageProgress
from zoo.registration.result import RegisteredPair
from zoo.registration.working_grid import Frame, Image, ResizedFrame, Work
from zoo.solvers.affine import AffineAlignment, align_affine, measure_given_affine
from zoo.solvers.instance import ImagePair
from zoo.solvers.instance_field import refine_field
from zoo.solvers.instance_weights import refine_weights
from zoo.solvers.mcbo import MCBO

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


class RefiningInferer(PairInferer):
    """For networks whose prediction may be refined for the pair.

    `refine` is the number of steps of instance optimisation (0: prediction only), `similarity` what
    it compares with: lncc, lncc2 or mind; `refinement` changes what else steers it (REFINEMENT).
    `masking` says what masks are for: the "loss" of the refinement, the "input" of the network
    (zero outside), or "both".
    """

    def __init__(
        self,
        frame: Frame,
        *,
        refine: int = 0,
        similarity: str = "lncc",
        refinement: Mapping[str, Any] | None = None,
        masking: Literal["loss", "input", "both"] = "loss",
        **more: Any,
    ) -> None:
        super().__init__(frame, **more)
        for name in refinement or {}:
            if name not in REFINEMENT:
                known = ", ".join(REFINEMENT)
                raise UserError(f"the setting refinement has no {name!r}; it may hold {known}")
        if masking not in ("loss", "input", "both"):
            raise UserError(f"masking {masking!r} is not known; use loss, input or both")
        if refine < 0:
            raise UserError(f"--refine {refine} must be 0 (prediction only) or more steps")
        if similarity not in SIMILARITIES:
            known = ", ".join(SIMILARITIES)
            raise UserError(f"--similarity {similarity!r} is unknown; use {known}")
        self.refine = refine
        self.options: dict[str, Any] = {"steps": refine, "similarity": similarity}
        self.options |= refinement or {}
        self.masking = masking

    def prepare(self, pair: Pair, start: AffineAlignment | None, size: Size | None = None) -> Work:
        """Return what the network sees of a pair, and the labels that the refinement compares."""
        work = super().prepare(pair, start, size)
        if self.masking != "loss":
            if work.masks is None:
                raise UserError(f"masking {self.masking} needs --fixed-mask and --moving-mask")
            kept = work.masks if self.masking == "both" else None
            work = replace(work, image=work.image * work.masks, masks=kept)
        if self.options.get("mass"):
            for volume in (pair.fixed, *pair.moving):
                if not looks_like_hounsfield(volume.data):
                    raise UserError(
                        f"{volume.path} is not in Hounsfield units, and mass is conserved in those "
                        "only; leave mass out of the setting refinement"
                    )
        if self.options.get("dice_weight"):
            work = replace(work, labels=labels_on(work, pair))
        return work

    def predict(
        self, network: nn.Module, work: Work, order: AxisOrder
    ) -> tuple[Tensor, Tensor | None]:
        """Return the displacement on the working grid, and that of the swapped pair if needed."""
        image = reordered(work.image if work.seen is None else work.seen, order)
        shape = () if work.seen is None else ([work.image.shape[2 + axis] for axis in order],)
        needed = self.inverse or self.refine
        return network(image, *shape), network(image.flip(1), *shape) if needed else None

    def refined(
        self,
        displacement: Tensor,
        reverse: Tensor | None,
        pair: ImagePair,
        progress: StageProgress,
    ) -> tuple[Tensor, Tensor | None]:
        """Move the predicted displacements themselves until the pair fits better."""
        found = refine_field(displacement, pair, reverse=reverse, progress=progress, **self.options)
        return found.displacement, found.reverse

    def found(
        self, work: Work, displacement: Tensor, reverse: Tensor | None, order: AxisOrder
    ) -> Prediction:
        """Bring displacements from the network's order of axes to the world."""
        transform = work.transform(restored(displacement, order))
        if not self.inverse or reverse is None:
            return Prediction(transform)
        return Prediction(transform, work.reverse_transform(restored(reverse, order)))


class GradICONInferer(RefiningInferer):
    """For GradICON networks, whose weights were trained on [Z, Y, X] arrays, as ITK gives them.

    `refine_mode` "weights" refines as published, over all weights of the network; "field" moves
    the predicted displacement itself and is far cheaper.
    """

    def __init__(
        self, frame: Frame, *, refine_mode: Literal["weights", "field"] = "field", **more: Any
    ) -> None:
        super().__init__(frame, **more)
        if refine_mode not in ("weights", "field"):
            raise UserError(f"--refine-mode {refine_mode!r} is not known; use field or weights")
        self.refine_mode = refine_mode

    def order(self, grid: Grid) -> AxisOrder:
        """Return the order of ITK's arrays."""
        return ITK_ORDER

    def size(self, network: nn.Module) -> Size | None:
        """Return the lattice of weights that have one, where nothing else looks at their images."""
        own: Size | None = getattr(network, "size", None)
        by_weights = bool(self.refine) and self.refine_mode == "weights"
        return None if own is None or by_weights or self.masking != "loss" else own[::-1]

    def register(self, work: Work, network: nn.Module, progress: StageProgress) -> Prediction:
        """Return the transform, and the one of the reverse pass when it is asked for."""
        pair = instance_pair(work, ITK_ORDER)
        if self.refine and self.refine_mode == "weights":
            adapted = refine_weights(network, pair, progress=progress, **self.options)
            return self.found(work, adapted.displacement, adapted.reverse, ITK_ORDER)
        fields = self.predict(network, work, ITK_ORDER)
        if self.refine:
            fields = self.refined(*fields, pair, progress)
        return self.found(work, *fields, ITK_ORDER)


class UniRegInferer(RefiningInferer):
    """For UniReg: its weights saw arrays that run foot to head, back to front, side to side.

    The notes tell how large the kernels are that the controller wrote for each level.
    """

    def order(self, grid: Grid) -> AxisOrder:
        """Return foot to head, back to front, side to side, as the grid has them."""
        sides = [grid.axis_codes.find(letter) for letter in "RASLPI"]
        across, along, up = (max(sides[k], sides[k + 3]) for k in range(3))
        return (up, along, across)

    def register(self, work: Work, network: nn.Module, progress: StageProgress) -> Prediction:
        """Return the transform, and the one of the swapped pair when the inverse is asked for."""
        order = self.order(work.grid)
        image = reordered(work.image, order)
        levels = list(cast("UniReg", network).levels(image))
        kernels = {
            f"1/{level.step}": [round(float(weight.norm()), 4) for weight, _ in level.kernels]
            for level in levels
        }
        needed = self.inverse or self.refine
        flow = on_lattice(levels[-1].flow, image.shape[2:])
        fields = flow, network(image.flip(1)) if needed else None
        if self.refine:
            fields = self.refined(*fields, instance_pair(work, order), progress)
        return replace(self.found(work, *fields, order), notes={"kernel_norms": kernels})


AxisOrder = tuple[int, int, int]

ITK_ORDER: AxisOrder = (2, 1, 0)

SIMILARITIES = ("lncc", "lncc2", "mind")

REFINEMENT = ("learning_rate", "regularity", "dice_weight", "mass", "tolerance")


def reordered(tensor: Tensor, order: AxisOrder) -> Tensor:
    """Return [B, C, X, Y, Z] with its spatial axes in another order: new axis k is `order[k]`."""
    return tensor.permute(0, 1, *[2 + axis for axis in order]).contiguous()


def restored(field: Tensor, order: AxisOrder) -> Tensor:
    """Undo `reordered` for a displacement [B, 3, ...], whose components go with the axes."""
    back = [order.index(axis) for axis in range(3)]
    return field.permute(0, 1, *[2 + axis for axis in back])[:, back].contiguous()


def instance_pair(work: Work, order: AxisOrder) -> ImagePair:
    """Return a pair of one moving image for instance optimisation, its axes in `order`."""
    image = reordered(work.image, order)
    masks = None if work.masks is None else reordered(work.masks, order)
    labels = None if work.labels is None else reordered(work.labels, order)
    return ImagePair(
        moving=image[:, :1],
        fixed=image[:, 1:],
        moving_mask=None if masks is None else masks[:, :1],
        fixed_mask=None if masks is None else masks[:, 1:],
        moving_labels=None if labels is None else labels[:, :1],
        fixed_labels=None if labels is None else labels[:, 1:],
    )


def labels_on(work: Work, pair: Pair) -> Tensor:
    """Return the labels of the moving and the fixed image on the working grid: [1, 2, X, Y, Z]."""
    if pair.fixed_labels is None or pair.moving_labels is None:
        raise UserError("a dice_weight needs --fixed-labels and --moving-labels")
    both = (
        (pair.moving_labels, Transform(work.affine)),
        (pair.fixed_labels, Transform.identity()),
    )
    found = [warp(v.data[None], v.grid, work.grid, t, interpolation="nearest") for v, t in both]
    return torch.cat([labels.float() for labels in found])[None].to(work.image.device)


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
