"""`regzoo jacobian`: compute the local volume change of a transform."""

from __future__ import annotations


def jacobian(
    transform: str,
    out: str,
    *,
    fixed: str | None = None,
    moving: str | None = None,
    mask: str | None = None,
) -> None:
    """Write the Jacobian determinant of a transform and report its folding.

    The report gives the percentage of folding voxels and the range of the determinant.

    The determinant is computed in world coordinates, so it is correct for any orientation and
    spacing. 1 preserves the volume, 2 doubles it from fixed to moving, and 0 or less is folding.

    Examples:
        regzoo jacobian result/transform.nii.gz jacobian.nii.gz

    Args:
        transform: The transform fixed -> moving, in any format that regzoo reads.
        out: The volume file to write.
        fixed: The fixed image, whose grid is used; by default the grid of the transform.
        moving: The moving image, which a Learn2Reg field needs.
        mask: A mask on the same grid; the printed figures include only voxels where it is not 0.
    """
    from zoo.commands._shared import open_transform, output_grid, transform_files
    from zoo.errors import UserError
    from zoo.geometry import folding_percent, jacobian_determinant, sd_log_jacobian
    from zoo.io.labels import read_labels
    from zoo.io.volume import write_volume
    from zoo.runtime.overwriting import refuse_overwriting

    images = {"--fixed": fixed, "--moving": moving, "--mask": mask}
    refuse_overwriting({**transform_files([transform]), **images}, [out])
    mapping = open_transform([transform], fixed, moving)
    grid = output_grid(mapping, transform, fixed)
    inside = None
    if mask is not None:
        volume = read_labels(mask)
        if not volume.grid.same_as(grid, tolerance=0.1):
            raise UserError(
                f"the mask {mask} ({volume.grid.describe()}) does not have the grid of the output "
                f"({grid.describe()}); pass the image on which the mask was drawn with --fixed"
            )
        inside = volume.data > 0
        if not inside.any():
            raise UserError(f"the mask {mask} is 0 everywhere; give a mask with other values")
    determinant = jacobian_determinant(mapping, grid)
    write_volume(out, determinant, grid)
    values = determinant if inside is None else determinant[inside]
    print(f"folding: {folding_percent(determinant, inside):.4g} % of voxels")
    print(f"determinant: {float(values.min()):.4g} to {float(values.max()):.4g}")
    print(f"SD of log determinant: {sd_log_jacobian(determinant, inside):.4g}")
    print(f"written to {out}: {grid.describe()}")
