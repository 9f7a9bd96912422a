"""The result of a registration, as an object of Python."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from zoo.api.inputs import volume_of
from zoo.errors import UserError
from zoo.evaluation.figures import FIGURES, key_figure
from zoo.geometry import Transform
from zoo.geometry import warp as warp_image
from zoo.handlers.output_files import RESULT, UNCERTAINTY, previous_outputs
from zoo.io.images import to_nibabel, to_sitk
from zoo.io.json_documents import read_json_object
from zoo.io.transforms import read_transform
from zoo.io.volume import Volume, read_volume
from zoo.runtime.output_folder import staged_outputs

if TYPE_CHECKING:
    import nibabel
    import SimpleITK


@dataclass(frozen=True, repr=False)
class Registration:
    """The result of a registration, which is in a folder.

    Without `out` the folder is temporary and exists as long as this object; `save` copies it.
    `images` are the fixed and the moving image, for the picture that a notebook shows.
    """

    folder: Path
    images: tuple[Any, Any] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Return the model, the quality and the most informative figure in one line."""
        if not (self.folder / RESULT).is_file():
            return f"<Registration: no result in {self.folder}>"
        words = [str(self.result.get("model")), f"quality {self.quality}"]
        key = key_figure(self.figures)
        if key is not None:
            before = self.figures.get(key.replace("_after", "_before"))
            spec = next(spec for spec in FIGURES.values() if spec.key == key)
            words.append(f"{spec.label} {spec.text(before)} -> {spec.text(self.figures[key])}")
        return f"<Registration: {', '.join(words)}; {self.folder}>"

    def _repr_html_(self) -> str:
        """Return the verdict, the figures and a picture, which a notebook shows."""
        from zoo.reporting.notebook import notebook_html

        return notebook_html(self.result, self._picture)

    @cached_property
    def _picture(self) -> bytes | None:
        """The overlays before and after as a JPEG; None if the images are not at hand any more."""
        from zoo.reporting.notebook import overlay_jpeg

        fixed, moving = self.images or (self.result["fixed"], self.result["moving"][0])
        try:
            volumes = volume_of(fixed, "fixed"), volume_of(moving, "moving")
        except (OSError, UserError):
            return None
        return overlay_jpeg(*volumes, self.transform)

    @cached_property
    def result(self) -> dict[str, Any]:
        """The contents of result.json: model, weights, settings, seconds, figures, versions."""
        return self._read("result.json")

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan: each setting with the reason for it."""
        return self._read("plan.json")

    @property
    def figures(self) -> dict[str, Any]:
        """The figures of the result, such as `dice_after` or `folding_percent`."""
        figures: dict[str, Any] = self.result["figures"]
        return figures

    @property
    def quality(self) -> Literal["ok", "check", "failed"]:
        """The verdict on the registration, made from measurements."""
        quality: Literal["ok", "check", "failed"] = self.result["quality"]
        return quality

    @property
    def warnings(self) -> list[str]:
        """A sentence for each sign that the registration may have failed, the most severe first."""
        return list(self.result["warnings"])

    @cached_property
    def transform(self) -> Transform:
        """The transform from points of the fixed image to points of the moving image, RAS+ mm."""
        return self._transform("transform")

    @cached_property
    def inverse(self) -> Transform:
        """The transform from moving to fixed points, RAS+ mm; it needs `inverse=True`."""
        if not any(self._file(f"inverse{end}").exists() for end in (".nii.gz", ".h5")):
            raise UserError("no inverse was computed; register with inverse=True")
        return self._transform("inverse")

    @cached_property
    def warped(self) -> Volume:
        """The moving image on the fixed grid, with its own intensities."""
        return read_volume(self._file("warped.nii.gz"))

    @cached_property
    def uncertainty(self) -> Volume | None:
        """The standard deviation of the displacement, mm, on the fixed grid; None without one.

        It is estimated if `uncertainty=N` is requested.
        """
        path = self.folder / UNCERTAINTY
        return read_volume(path) if path.exists() else None

    def to_nibabel(self) -> nibabel.Nifti1Image:
        """Return the moving image on the fixed grid as a nibabel image."""
        return to_nibabel(self.warped)

    def to_sitk(self) -> SimpleITK.Image:
        """Return the moving image on the fixed grid as a SimpleITK image."""
        return to_sitk(self.warped)

    def warp(self, image: Any, *, labels: bool = False) -> Volume:
        """Warp another image, or a label map, from the moving space onto the fixed grid."""
        volume = volume_of(image, "image")
        grid = self.warped.grid
        data = warp_image(
            volume.data[None],
            volume.grid,
            grid,
            self.transform,
            interpolation="nearest" if labels else "linear",
            fill=0 if labels else min(0.0, float(volume.data.min())),
        )
        return Volume(data[0], grid, volume.path)

    def map_points(self, points: Tensor) -> Tensor:
        """Map points (n, 3) of the fixed image to the moving image, RAS+ mm, float64."""
        return self.transform.map_points(points)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Copy all results to another folder, which is created if it does not exist.

        The results of an earlier registration in that folder are replaced together.
        """
        target = Path(folder)
        if target.exists() and target.samefile(self.folder):
            return target
        with staged_outputs(target, previous_outputs, marker=RESULT) as staged:
            for name in previous_outputs(self.folder):
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.folder / name, staged / name)
        return target

    def _read(self, name: str) -> dict[str, Any]:
        if not (self.folder / name).exists():  # a bundle of one's own is run without a plan
            raise UserError(f"the registration has no {name}")
        return read_json_object(self.folder / name)

    def _transform(self, name: str) -> Transform:
        """Read a transform in whichever format it was written."""
        nifti = self._file(f"{name}.nii.gz")
        return read_transform(nifti if nifti.exists() else self._file(f"{name}.h5"))

    def _file(self, name: str) -> Path:
        """Return the path of an output, which may have a BIDS name."""
        return self.folder / str(self.result.get("bids", {}).get(name, name))
