"""`regzoo warp`: resample an image or labels through a transform."""

from __future__ import annotations

from typing import Literal


def warp(
    moving: str,
    transform: str,
    out: str,
    *,
    fixed: str | None = None,
    interpolation: Literal["linear", "cubic", "nearest"] = "linear",
    labels: bool = False,
    fill: float = 0.0,
) -> None:
    """Resample a moving image, or labels, onto the fixed grid through a transform.

    Examples:
        regzoo warp moving.nii.gz result/transform.nii.gz warped.nii.gz
        regzoo warp labels.nii.gz result/transform.h5 warped.nii.gz --fixed fixed.nii.gz --labels

    Args:
        moving: the image to resample.
        transform: the map fixed -> moving, in any format that regzoo reads.
        out: the file to write (.nii.gz, .nii, .mha or .nrrd).
        fixed: the image whose grid to write on; by default the transform's own grid.
        interpolation: linear, cubic (B-spline) or nearest.
        labels: take the image as a label map: nearest, and the type stays as it is.
        fill: the value where the moving image does not reach, such as -1024 for CT.
    """
    from zoo.commands._shared import open_transform, output_grid
    from zoo.geometry import warp as warp_volume
    from zoo.io.labels import read_labels
    from zoo.io.volume import read_volume, write_volume

    volume = read_labels(moving) if labels else read_volume(moving)
    mapping = open_transform(transform, fixed, moving)
    grid = output_grid(mapping, transform, fixed)
    data = warp_volume(
        volume.data[None],
        volume.grid,
        grid,
        mapping,
        interpolation="nearest" if labels else interpolation,
        fill=fill,
    )
    write_volume(out, data[0], grid, volume.data.dtype)
    print(f"{out}: {grid.describe()}")
