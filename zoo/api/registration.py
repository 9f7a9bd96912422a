"""`zoo.register`: one pair, from files or images in memory to a `Registration`."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from zoo.errors import UserError
from zoo.evaluation.figures import FIGURES, key_figure
from zoo.geometry import Transform
from zoo.geometry import warp as warp_image
from zoo.handlers.output_files import RESULT, previous_outputs
from zoo.io.images import as_volume, to_nibabel, to_sitk
from zoo.io.json_documents import read_json_object
from zoo.io.transforms import read_transform
from zoo.io.volume import Volume, read_volume, write_volume
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.register import register_files
from zoo.pipelines.signatures import takes
from zoo.registration.progress import in_notebook
from zoo.runtime.output_folder import staged_outputs

if TYPE_CHECKING:
    import nibabel
    import SimpleITK

IN_MEMORY = ("fixed_labels", "moving_labels", "fixed_mask", "moving_mask")
"""What may be an object in memory, besides the images."""


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
            volumes = _volume(fixed, "fixed"), _volume(moving, "moving")
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

    def to_nibabel(self) -> nibabel.Nifti1Image:
        """Return the moving image on the fixed grid as a nibabel image."""
        return to_nibabel(self.warped)

    def to_sitk(self) -> SimpleITK.Image:
        """Return the moving image on the fixed grid as a SimpleITK image."""
        return to_sitk(self.warped)

    def warp(self, image: Any, *, labels: bool = False) -> Volume:
        """Warp another image, or a label map, from the moving space onto the fixed grid."""
        volume = _volume(image, "image")
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


@takes(RegistrationOptions)
def register(options: RegistrationOptions) -> Registration:
    """Register the moving image to the fixed image.

    An image, a label map or a mask is a path, a nibabel image, a pair (array [X, Y, Z], affine to
    RAS+ mm), a MONAI MetaTensor, a SimpleITK image or a `zoo.io.volume.Volume`. Nothing is printed;
    a notebook shows a progress bar.
    """
    folder = Path(mkdtemp(prefix="regzoo-") if options.out is None else options.out).absolute()
    moving = options.moving[0] if isinstance(options.moving, list) else options.moving
    registration = Registration(folder, (options.fixed, moving))
    if options.out is None:
        weakref.finalize(registration, shutil.rmtree, folder, ignore_errors=True)
    with TemporaryDirectory(prefix="regzoo-") as scratch:
        register_files(replace(_as_files(options, Path(scratch)), out=folder), bar=in_notebook())
    if options.strict and registration.quality == "failed":
        raise UserError(f"the registration has failed: {' '.join(registration.warnings)}")
    return registration


def _as_files(options: RegistrationOptions, folder: Path) -> RegistrationOptions:
    """Return options in which every image is a file; images in memory are written to `folder`."""
    images = options.moving if isinstance(options.moving, list) else [options.moving]
    names = ["moving"] if len(images) == 1 else [f"moving{k}" for k in range(len(images))]
    paths: dict[str, Any] = {
        "fixed": _path(options.fixed, folder, "fixed"),
        "moving": [_path(image, folder, n) for image, n in zip(images, names, strict=True)],
    }
    for name in IN_MEMORY:
        if (image := getattr(options, name)) is not None:
            paths[name] = _path(image, folder, name)
    return replace(options, **paths)


def _path(image: Any, folder: Path, name: str) -> str:
    """Return the path of an image, which is written to `folder` if it is in memory."""
    if isinstance(image, (str, PathLike)):
        return fspath(image)
    volume = as_volume(image, name)
    target = folder / f"{name}.nii"
    write_volume(target, volume.data, volume.grid)
    return str(target)


def _volume(image: Any, name: str) -> Volume:
    return read_volume(image) if isinstance(image, (str, PathLike)) else as_volume(image, name)
