"""`regzoo convert`: convert a transform to another format."""

from __future__ import annotations

from typing import Literal


def convert(
    source: str,
    out: str,
    *,
    to: Literal[
        "itk-nifti",
        "itk-hdf5",
        "itk-tfm",
        "itk-mat",
        "learn2reg",
        "dicom",
        "fsl",
        "world",
        "lta",
        "x5",
    ]
    | None = None,
    fixed: str | None = None,
    moving: str | None = None,
) -> None:
    """Convert a transform between ITK, Learn2Reg, DICOM, FSL, FreeSurfer and X5 formats.

    The format of the source is detected from its content, except for a text matrix of 4 x 4
    numbers: write fsl:FILE for one of FSL (flirt), and world:FILE for one of greedy, c3d or
    NiftyReg. The format to write follows from the suffix: .nii.gz is an ITK displacement field, .h5
    an ITK composite transform, .tfm and .mat an affine transform of ITK, .npz a Learn2Reg
    displacement field, .lta an affine transform of FreeSurfer, and .x5 an affine or a displacement
    field in X5. All formats are read and written as the map from the fixed to the moving image that
    regzoo uses; those that store its inverse (FSL, FreeSurfer) are converted. With .dcm, and both
    images as DICOM series, an affine becomes a Spatial Registration and any other transform a
    Deformable Spatial Registration, in which the patient's name and ID are left empty.

    Examples:
        regzoo convert result/transform.nii.gz transform.h5
        regzoo convert transform.h5 disp.nii.gz --to learn2reg --fixed f.nii.gz --moving m.nii.gz
        regzoo convert result/transform.nii.gz out.dcm --fixed ct_folder --moving mr_folder
        regzoo convert fsl:flirt.mat affine.tfm --fixed ref.nii.gz --moving in.nii.gz
        regzoo convert affine.tfm flirt.mat --to fsl --fixed ref.nii.gz --moving in.nii.gz

    Args:
        source: The transform to read.
        out: The transform file to write.
        to: The format to write, if the suffix does not determine it.
        fixed: The fixed image, whose grid is used; by default the grid of the transform.
        moving: The moving image, which Learn2Reg, FSL, FreeSurfer (.lta) and DICOM need.
    """
    from zoo.commands._shared import grid_of, open_transform, transform_files
    from zoo.io.dicom.location import is_dicom
    from zoo.io.transforms import write_transform
    from zoo.runtime.overwriting import refuse_overwriting

    images = {"--fixed": fixed, "--moving": moving}
    refuse_overwriting({**transform_files([source]), **images}, [out])
    transform = open_transform([source], fixed, moving)
    series = None
    if fixed is not None and moving is not None and is_dicom(fixed) and is_dicom(moving):
        series = (fixed, moving)
    grid = grid_of(fixed) or transform.grid
    write_transform(out, transform, grid, to, moving=grid_of(moving), series=series)
    print(f"written to {out}")
