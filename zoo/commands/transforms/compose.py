"""`regzoo compose`: compose several transforms to one."""

from __future__ import annotations

from typing import Literal


def compose(
    out: str,
    *,
    transform: list[str] | None = None,
    fixed: str | None = None,
    moving: str | None = None,
    to: Literal[
        "itk-nifti", "itk-hdf5", "itk-tfm", "itk-mat", "learn2reg", "fsl", "world", "lta", "x5"
    ]
    | None = None,
) -> None:
    """Compose several transforms, and inverses of transforms, to one transform.

    The transforms are given in order from the fixed to the moving image, as for
    antsApplyTransforms: the first maps points of the fixed image, and each of the others what the
    one before it returns. inverse:FILE is the inverse of a transform. Affine transforms give an
    affine transform. Otherwise the result is exact at the voxels of the fixed image, and
    interpolated between them.

    Examples:
        regzoo compose c_to_a.h5 -t b_to_a.h5 -t c_to_b.h5 --fixed a.nii.gz
        regzoo compose inverse.nii.gz -t inverse:transform.nii.gz --fixed moving.nii.gz
        regzoo compose both.tfm -t first.tfm -t second.mat

    Args:
        out: The transform file to write; the suffix determines the format, as for regzoo convert.
        transform: A transform; may be given several times (-t A -t B).
        fixed: The fixed image, whose grid is used; by default the grid of the first transform.
        moving: The moving image, which some formats need (Learn2Reg, FSL, FreeSurfer).
        to: The format to write, if the suffix does not determine it.
    """
    from zoo.commands._shared import counted, grid_of, open_transform, transform_files
    from zoo.errors import UserError
    from zoo.io.transforms import write_transform
    from zoo.runtime.overwriting import refuse_overwriting

    if not transform:
        raise UserError("compose needs transforms; add -t FILE, once for each of them")
    images = {"--fixed": fixed, "--moving": moving}
    refuse_overwriting({**transform_files(transform), **images}, [out])
    total = open_transform(transform, fixed, moving)
    write_transform(out, total, grid_of(fixed) or total.grid, to, moving=grid_of(moving))
    print(f"{counted(len(transform), 'transform')} composed and written to {out}")
