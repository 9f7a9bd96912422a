"""The inferer of MCBO, with its fluid refinement, and the working grid of each of its modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast, get_args

from torch import Tensor, nn

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.io.volume import Volume
from zoo.measures.robust import robust_values
from zoo.registration.inferer import Intensity, PairInferer, Prediction, Shape
from zoo.registration.mcbo.candidates import CandidateName, check_candidates, choose
from zoo.registration.mcbo.intensity import step_gain, unit_intensity
from zoo.registration.mcbo.network import has_weights, predicted, weights_record
from zoo.registration.working_grid import Frame, IsotropicFrame, NativeFrame
from zoo.registration.working_pair import Image, WorkingPair, exclude_padding
from zoo.resources import return_freed_memory
from zoo.solvers.affine import AffineAlignment
from zoo.solvers.fluid import GENTLE_GAIN, refine_by_composition, unfold
from zoo.solvers.instance import ProgressCallback
from zoo.solvers.mcbo import MCBO
from zoo.solvers.settings import Mode

Fluid = Literal["auto", "thorough", "never"]

_SEARCH_SHARE = 0.7  # of the progress, when a fluid refinement follows
_SHARE_OF_SEVERAL = 0.5  # and when two follow


class MCBOInferer(PairInferer):
    """Registers a pair with MCBO, which uses masks, ignores padding and reports its progress.

    In the mode "accurate" the result is refined by composed steps if the images are of one
    contrast, or if held-out features prefer the refinement of two contrasts, unless `fluid` is
    "never", and folds are removed. "thorough" takes more time for images of one contrast other than
    CT. The other modes are as published. The notes of the result
    contain the largest displacement that the search covers, and what these two stages did.

    With `candidates` the displacement is the one of them that `zoo.registration.mcbo.candidates`
    prefers, and the notes contain the values of its criterion. Where the search is not refined it
    is the only candidate, and without the weights of the network there is no candidate of it.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        fluid: Fluid = "auto",
        candidates: Sequence[CandidateName] = (),
        **more: Any,
    ) -> None:
        super().__init__(frame, **more)
        if fluid not in get_args(Fluid):
            raise UserError(f"fluid {fluid!r} is not known; use {' or '.join(get_args(Fluid))}")
        self.fluid = fluid
        self.candidates = check_candidates(candidates)

    def register(
        self, work: WorkingPair, network: nn.Module, progress: ProgressCallback
    ) -> Prediction:
        """Return the transform; MCBO does not compute an inverse."""
        solver = cast("MCBO", network)
        refines = self._refines(solver, work)
        several = refines and "network" in self.candidates and has_weights()
        share = (_SHARE_OF_SEVERAL if several else _SEARCH_SHARE) if refines else 1.0
        rest = (1 - share) / 2 if several else 1 - share
        solver.progress = lambda done, text: progress(share * done, text)
        searched = solver(work.image, masks=work.masks)
        notes: dict[str, Any] = {"search_limit_mm": search_limit(solver, min(work.grid.spacing))}
        if solver.mode == "accurate":
            searched, changed = unfold(searched)
            notes["unfolded_percent"] = 100 * changed
        displacement = searched
        return_freed_memory()
        if refines:
            displacement, notes["fluid"] = refined(
                searched,
                work,
                lambda done, text: progress(share + rest * done, text),
                thorough=self.fluid == "thorough",
            )
        if self.candidates:
            found = {"search": searched}
            if refines and notes["fluid"]["refined"]:
                found["refined"] = displacement
                if several:
                    found["network"] = refined(
                        predicted(work),
                        work,
                        lambda done, text: progress(1 - rest + rest * done, text),
                    )[0]
            candidates = {n: found[n] for n in self.candidates if n in found} or found
            chosen = choose(candidates, work, usual="refined")
            displacement, notes["candidates"] = chosen.displacement, chosen.record()
            if "network" in found:
                notes["candidates"]["network"] = weights_record()
        return Prediction(work.transform(displacement), notes=notes)

    def _refines(self, solver: MCBO, work: WorkingPair) -> bool:
        """Return whether a fluid refinement is tried, which needs one moving image."""
        one_moving = work.image.shape[1] == 2
        return (
            self.fluid != "never" and solver.mode == "accurate" and one_moving and not solver.rigid
        )

    def prepare(
        self, pair: Pair, alignment: AffineAlignment | None, network_shape: Shape | None = None
    ) -> WorkingPair:
        """Return the pair on its working grid, with masks that exclude padding."""
        return super().prepare(exclude_padding(pair, fill=True), alignment, network_shape)

    def _image(self, volume: Volume, intensity: Intensity | None) -> Image:
        """Return an image for the solver; outliers are removed before they are interpolated."""
        image = super()._image(volume, intensity)
        return replace(image, data=robust_values(image.data))


def search_limit(solver: MCBO, spacing: float) -> float:
    """Return the largest displacement in mm that the search covers, for voxels of `spacing` mm."""
    s = solver.settings
    steps = [n * reach for n, reach in zip(s.levels, s.reach, strict=True)]
    return (max(steps) if s.weights else sum(steps)) * spacing


def refined(
    displacement: Tensor, work: WorkingPair, progress: ProgressCallback, *, thorough: bool = False
) -> tuple[Tensor, dict[str, Any]]:
    """Return the refined displacement and what result.json reports about the refinement.

    CT is not refined thoroughly, because more steps fit its noise.
    """
    gain = step_gain(work.image[0])
    moving, fixed = (unit_intensity(channel)[None, None] for channel in work.image[0])
    masks = (None, None) if work.masks is None else work.masks.split(1, dim=1)
    notes: dict[str, Any] = {}

    def choose_start(found: Mapping[str, Tensor]) -> str:
        chosen = choose(found, work, usual="refined")
        notes["contrast_transfer"] = chosen.record()
        return chosen.name

    found = refine_by_composition(
        displacement,
        moving,
        fixed,
        moving_mask=masks[0],
        fixed_mask=masks[1],
        gain=gain,
        thorough=thorough and gain != GENTLE_GAIN,
        choose=choose_start,
        progress=progress,
    )
    agreement = None if found.agreement is None else found.agreement._asdict()
    if "contrast_transfer" in notes:
        notes["contrast_transfer"]["shown"] = found.shown
    notes = {"refined": found.refined, "thorough": found.thorough, "agreement": agreement} | notes
    if found.correlation is None:
        return displacement, notes
    unfolded, changed = unfold(found.displacement)
    notes |= {"correlation": list(found.correlation), "unfolded_percent": 100 * changed}
    return unfolded, notes


def mcbo_frame(mode: Mode, spacing: float | None = None, most_voxels: int | None = None) -> Frame:
    """Return the frame of a mode of the solver.

    The mode "convexadam" works on the grid of the fixed image, as published. The other modes work
    on an isotropic grid with voxels of `spacing` mm, which are larger if the grid would have more
    than `most_voxels` voxels.
    """
    if mode == "convexadam":
        return NativeFrame()
    return IsotropicFrame(spacing) if most_voxels is None else IsotropicFrame(spacing, most_voxels)
