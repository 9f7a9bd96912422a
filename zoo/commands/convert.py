"""`regzoo convert`: from one transform format to another."""

from __future__ import annotations

from typing import Literal


def convert(
    source: str,
    out: str,
    *,
    to: Literal["itk-nifti", "itk-hdf5", "itk-tfm", "itk-mat", "learn2reg"] | None = None,
    fixed: str | None = None,
    moving: str | None = None,
) -> None:
    """Convert a transform between ITK (NIfTI, HDF5, text, MATLAB) and Learn2Reg files.

    What the source is, is told from its content; what to write, from the name's end: .nii.gz is an
    ITK displacement field, .h5 an ITK composite, .tfm and .mat an affine, .npz Learn2Reg.

    Examples:
        regzoo convert result/transform.nii.gz transform.h5
        regzoo convert transform.h5 disp.nii.gz --to learn2reg --fixed f.nii.gz --moving m.nii.gz

    Args:
        source: the transform to read.
        out: the transform to write.
        to: the format to write, where the name does not say it.
        fixed: the fixed image: its grid is written on; by default the transform's own.
        moving: the moving image; needed for Learn2Reg fields.
    """
    from zoo.commands._shared import grid_of, open_transform
    from zoo.io.transforms import write_transform

    transform = open_transform(source, fixed, moving)
    write_transform(out, transform, grid_of(fixed) or transform.grid, to, moving=grid_of(moving))
    print(f"{out}: written")
