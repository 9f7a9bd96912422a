"""`regzoo warp`: resample an image or a label map with a transform."""

from __future__ import annotations

from typing import Literal

LABEL_WORDS = {"label", "labels", "seg", "dseg", "segmentation", "mask", "aseg", "parc"}
"""Words in the name of a file that is usually a label map."""


def warp(
    moving: str,
    transform: str | list[str],
    out: str,
    *,
    fixed: str | None = None,
    interpolation: Literal["linear", "cubic", "nearest"] = "linear",
    labels: bool = False,
    fill: float | None = None,
    volume: int | None = None,
) -> None:
    """Resample a moving image or label map on the fixed grid with one or several transforms.

    Several transforms are given with -t, in order from the fixed to the moving image, as for
    antsApplyTransforms: the first maps points of the fixed image, and each of the others what the
    one before it returns. The image is interpolated once. inverse:FILE is the inverse of a
    transform, fsl:FILE a matrix of FSL (flirt), and world:FILE a matrix of greedy, c3d or NiftyReg.

    Examples:
        regzoo warp moving.nii.gz result/transform.nii.gz warped.nii.gz
        regzoo warp labels.nii.gz result/transform.h5 warped.nii.gz --fixed fixed.nii.gz --labels
        regzoo warp moving.nii.gz warped.nii.gz -t b_to_a.h5 -t inverse:b_to_c.h5 --fixed a.nii.gz
        regzoo warp mr_folder result/transform.nii.gz warped_mr --fixed ct_folder

    Args:
        moving: The moving image or label map.
        transform: The transform fixed -> moving, in any format that regzoo reads. For several
            transforms leave it out, and give each with -t (or --transform).
        out: The volume file to write (.nii.gz, .nii, .mha or .nrrd). A name without a suffix is a
            new folder for a derived DICOM series; both images must then be DICOM series.
        fixed: The fixed image, whose grid is used; by default the grid of the transform.
        interpolation: The interpolation: linear, cubic (B-spline) or nearest.
        labels: Treat the image as a label map: use nearest and keep the data type.
        fill: The value outside the moving image; by default 0, or the smallest value of the image
            if that is negative (CT), as in warped.nii.gz.
        volume: The volume of a moving image with several volumes (4-D), counted from 0.
    """
    import re
    import sys
    from pathlib import PurePath

    from zoo.commands._shared import names_of, open_transform, output_grid, transform_files
    from zoo.geometry import warp as warp_volume
    from zoo.io.dicom.derived import is_series_name, write_derived_series
    from zoo.io.labels import read_labels
    from zoo.io.volume import cast_voxels, read_volume, write_volume
    from zoo.runtime.overwriting import refuse_overwriting

    names = names_of(transform)
    inputs = {"the moving image": moving, **transform_files(names), "--fixed": fixed}
    refuse_overwriting(inputs, [out])
    image = read_labels(moving, volume) if labels else read_volume(moving, volume)
    words = set(re.split(r"[^a-z]+", PurePath(moving).name.lower()))
    if not labels and interpolation != "nearest" and words & LABEL_WORDS:
        print(
            f"regzoo: {moving} seems to be a label map by its name, and is interpolated as an "
            "image; add --labels to keep its values",
            file=sys.stderr,
        )
    if fill is None:
        fill = 0.0 if labels else min(0.0, float(image.data.min()))
    mapping = open_transform(names, fixed, moving)
    grid = output_grid(mapping, names[0], fixed)
    data = warp_volume(
        image.data[None],
        image.grid,
        grid,
        mapping,
        interpolation="nearest" if labels else interpolation,
        fill=fill,
    )
    if is_series_name(out):
        write_derived_series(out, cast_voxels(data[0], image.data.dtype), grid, fixed, moving)
    else:
        write_volume(out, data[0], grid, image.data.dtype)
    print(f"written to {out}: {grid.describe()}")
