"""`regzoo align`: affine alignment of two images."""

from __future__ import annotations

from typing import Literal


def align(
    fixed: str,
    moving: str,
    out: str,
    *,
    affine: Literal["auto", "com", "rigid", "affine"] = "affine",
    warped: str | None = None,
    volume: int | None = None,
    bids: bool = False,
    threads: int | None = None,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Align a moving image to a fixed image with an affine transform.

    The alignment maximises mutual information, so the images may have different contrasts.

    Examples:
        regzoo align fixed.nii.gz moving.nii.gz affine.tfm
        regzoo align fixed.nii.gz moving.nii.gz rigid.tfm --affine rigid --warped aligned.nii.gz
        regzoo align sub-01_T1w.nii.gz sub-01_T2w.nii.gz derivatives/sub-01 --bids

    Args:
        fixed: The fixed image.
        moving: The moving image, which is aligned to the fixed image.
        out: The transform file to write: .tfm (ITK text), .mat (ANTs) or .h5; with --bids the
            folder of the derivative.
        affine: The transform: com (translation), rigid, affine, or auto (none if already aligned).
        warped: Also write the moving image, resampled on the fixed grid, to this file.
        volume: The volume of an image with several volumes (4-D), counted from 0.
        bids: Write the transform and the resampled image with BIDS names, such as
            sub-01_from-T2w_to-T1w_mode-image_xfm.txt, and a dataset_description.json into the
            folder OUT. Both images need BIDS names.
        threads: The number of CPU threads.
        json: Print one JSON document: the alignment, its matrix and the files written.
        quiet: Print errors only.
    """
    from pathlib import Path

    from zoo import __version__
    from zoo.commands._shared import print_json
    from zoo.errors import UserError
    from zoo.geometry import Transform
    from zoo.geometry import warp as warp_volume
    from zoo.io.atomic import check_writable
    from zoo.io.bids import (
        bids_outputs,
        refuse_other_dataset,
        write_description,
        write_sidecar,
    )
    from zoo.io.transforms import write_transform
    from zoo.io.volume import read_volume, write_volume
    from zoo.runtime.device import use_threads
    from zoo.runtime.overwriting import refuse_overwriting
    from zoo.solvers.affine import align_affine

    use_threads(threads)
    folder = Path(out)
    if bids:
        if warped is not None:
            raise UserError("--bids names the warped image itself; leave out --warped")
        names = bids_outputs(Path(fixed), Path(moving))
        refuse_other_dataset(folder)
        out, warped = str(folder / names.transform(".txt")), str(folder / names.warped())
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    outputs = [path for path in (out, warped) if path is not None]
    for path in outputs:
        check_writable(path)
    refuse_overwriting({"the fixed image": fixed, "the moving image": moving}, outputs)
    a, b = read_volume(fixed, volume), read_volume(moving, volume)
    alignment = align_affine(a.data.float(), a.grid, b.data.float(), b.grid, affine)
    transform = Transform(alignment.matrix)
    write_transform(out, transform, None)
    if warped is not None:
        fill = min(0.0, float(b.data.min()))
        data = warp_volume(b.data[None], b.grid, a.grid, transform, fill=fill)[0]
        write_volume(warped, data, a.grid, b.data.dtype)
    if bids:
        write_sidecar(folder / names.warped(extension=".json"), Path(fixed), Path(moving))
        write_description(folder, __version__, [])
    if json:
        record = {
            "kind": alignment.kind,
            "reason": alignment.reason,
            "similarity": list(alignment.similarity),
            "overlap": list(alignment.overlap),
            "shift_mm": alignment.shift,
            "matrix_ras": alignment.matrix.tolist(),
            "files": outputs,
        }
        print_json(record)
    elif not quiet:
        print(f"{alignment.kind}: {alignment.reason}")
        similarity, overlap = alignment.similarity, alignment.overlap
        print(
            f"similarity {similarity[0]:.3f} -> {similarity[1]:.3f}, "
            f"overlap {overlap[0]:.2f} -> {overlap[1]:.2f}, displacement {alignment.shift:.1f} mm"
        )
