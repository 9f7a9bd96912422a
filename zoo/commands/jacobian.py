"""`regzoo jacobian`: local volume change of a transform."""

from __future__ import annotations


def jacobian(
    transform: str,
    out: str,
    *,
    fixed: str | None = None,
    moving: str | None = None,
    mask: str | None = None,
) -> None:
    """Write the Jacobian determinant of a transform, and print how much of it folds.

    Measured in the world, so that it is right for any orientation and spacing. 1 keeps the volume,
    2 doubles it from fixed to moving, 0 or less folds.

    Examples:
        regzoo jacobian result/transform.nii.gz jacobian.nii.gz

    Args:
        transform: the map fixed -> moving, in any format that regzoo reads.
        out: the volume to write.
        fixed: the image whose grid to write on; by default the transform's own grid.
        moving: the moving image, for a Learn2Reg field.
        mask: a mask on that grid; the printed figures count where it is not 0.
    """
    from zoo.commands._shared import open_transform, output_grid
    from zoo.errors import UserError
    from zoo.geometry import folding_percent, jacobian_determinant, sd_log_jacobian
    from zoo.io.labels import read_labels
    from zoo.io.volume import write_volume

    mapping = open_transform(transform, fixed, moving)
    grid = output_grid(mapping, transform, fixed)
    inside = None
    if mask is not None:
        volume = read_labels(mask)
        if not volume.grid.same_as(grid, tolerance=0.1):
            raise UserError(
                f"the mask {mask} ({volume.grid.describe()}) does not lie on the grid of the map "
                f"({grid.describe()}); give --fixed the image that the mask was drawn on"
            )
        inside = volume.data > 0
        if not inside.any():
            raise UserError(f"the mask {mask} is empty; give one with voxels that are not 0")
    determinant = jacobian_determinant(mapping, grid)
    write_volume(out, determinant, grid)
    values = determinant if inside is None else determinant[inside]
    print(f"folding: {folding_percent(determinant, inside):.4g} % of voxels")
    print(f"determinant: {float(values.min()):.4g} to {float(values.max()):.4g}")
    print(f"SD of log determinant: {sd_log_jacobian(determinant, inside):.4g}")
    print(f"{out}: {grid.describe()}")
