"""`regzoo points`: map points through a transform."""

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
    """Map points of the fixed image to the moving image, or back.

    A transform that resamples the moving image maps fixed points to moving points. Points drawn on
    the moving image go the other way: add --back.

    Examples:
        regzoo points fixed.csv result/transform.nii.gz moving.csv --space ras
        regzoo points moving.csv result/transform.h5 fixed.csv --space lps --back

    Args:
        points: CSV with x, y, z a row.
        transform: the map fixed -> moving, in any format that regzoo reads.
        out: the CSV to write, in the same space.
        space: what the numbers are: ras (mm, as in NIfTI), lps (mm, as in ITK and DICOM) or voxel.
        back: map points of the moving image to the fixed image.
        fixed: the fixed image; needed for voxel and for Learn2Reg fields.
        moving: the moving image; needed for voxel and for Learn2Reg fields.
    """
    from zoo.commands._shared import grid_of, open_transform
    from zoo.errors import UserError
    from zoo.geometry import map_points_back
    from zoo.io.points import read_points, write_points

    if space == "voxel" and (fixed is None or moving is None):
        raise UserError("--space voxel needs both images: add --fixed IMAGE --moving IMAGE")
    source, target = (moving, fixed) if back else (fixed, moving)
    mapping = open_transform(transform, fixed, moving)
    given = read_points(points, space, grid_of(source))
    if back:
        mapped, missed = map_points_back(mapping, given)
        print(f"mapped forward again, no point misses by more than {missed:.4g} mm")
    else:
        mapped = mapping.map_points(given)
    write_points(out, mapped, space, grid_of(target))
    print(f"{out}: {len(mapped)} points, {space}")
