"""`regzoo points`: map points with a transform."""

from __future__ import annotations

from typing import Literal


def points(
    points: str,
    transform: str,
    out: str,
    *,
    space: Literal["ras", "lps", "voxel"],
    back: bool = False,
    fixed: str | None = None,
    moving: str | None = None,
) -> None:
    """Map points from the fixed image to the moving image, or back.

    A transform that resamples the moving image maps points of the fixed image to the moving image.
    To map points of the moving image to the fixed image, add --back.

    Examples:
        regzoo points fixed.csv result/transform.nii.gz moving.csv --space ras
        regzoo points moving.csv result/transform.h5 fixed.csv --space lps --back

    Args:
        points: A CSV file with x, y, z in each row.
        transform: The transform fixed -> moving, in any format that regzoo reads.
        out: The CSV file to write, in the same coordinate space.
        space: The coordinate space: ras (mm, NIfTI), lps (mm, ITK and DICOM) or voxel.
        back: Map points from the moving image to the fixed image.
        fixed: The fixed image, which --space voxel and Learn2Reg fields need.
        moving: The moving image, which --space voxel and Learn2Reg fields need.
    """
    from zoo.commands._shared import counted, grid_of, open_transform
    from zoo.errors import UserError
    from zoo.geometry import map_points_back
    from zoo.io.points import read_points, write_points
    from zoo.runtime.overwriting import refuse_overwriting

    if space == "voxel" and (fixed is None or moving is None):
        raise UserError("--space voxel needs both images: add --fixed IMAGE --moving IMAGE")
    images = {"--fixed": fixed, "--moving": moving}
    refuse_overwriting({"the points": points, "the transform": transform, **images}, [out])
    source, target = (moving, fixed) if back else (fixed, moving)
    mapping = open_transform(transform, fixed, moving)
    originals = read_points(points, space, grid_of(source))
    if back:
        mapped, error = map_points_back(mapping, originals)
        print(f"largest error when mapped forward again: {error:.4g} mm")
    else:
        mapped = mapping.map_points(originals)
    write_points(out, mapped, space, grid_of(target))
    print(f"{counted(len(mapped), 'point')} ({space}) written to {out}")
