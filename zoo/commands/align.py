"""`regzoo align`: the affine start alone."""

from __future__ import annotations

from typing import Literal


def align(
    fixed: str,
    moving: str,
    out: str,
    *,
    affine: Literal["auto", "com", "rigid", "affine"] = "affine",
    warped: str | None = None,
    threads: int | None = None,
) -> None:
    """Find the affine map that lays a moving image on a fixed one.

    By mutual information, so that the contrasts may differ.

    Examples:
        regzoo align fixed.nii.gz moving.nii.gz affine.tfm
        regzoo align fixed.nii.gz moving.nii.gz rigid.tfm --affine rigid --warped aligned.nii.gz

    Args:
        fixed: the image that stays as it is.
        moving: the image that is moved.
        out: the transform to write: .tfm (ITK text), .mat (ANTs) or .h5.
        affine: the largest family: com (shift), rigid, affine; or auto, none if aligned already.
        warped: also write the moving image on the fixed grid here.
        threads: how many CPU threads to use.
    """
    from zoo.geometry import Transform
    from zoo.geometry import warp as warp_volume
    from zoo.io.atomic import check_writable
    from zoo.io.transforms import write_transform
    from zoo.io.volume import read_volume, write_volume
    from zoo.runtime.device import use_threads
    from zoo.solvers.affine import align_affine

    use_threads(threads)
    for place in (out, warped):
        if place is not None:
            check_writable(place)
    a, b = read_volume(fixed), read_volume(moving)
    found = align_affine(a.data.float(), a.grid, b.data.float(), b.grid, affine)
    transform = Transform(found.matrix)
    write_transform(out, transform, None)
    if warped is not None:
        fill = min(0.0, float(b.data.min()))
        data = warp_volume(b.data[None], b.grid, a.grid, transform, fill=fill)[0]
        write_volume(warped, data, a.grid, b.data.dtype)
    print(f"{found.kind}: {found.reason}")
    print(
        f"similarity {found.similarity[0]:.3f} -> {found.similarity[1]:.3f}, "
        f"overlap {found.overlap[0]:.2f} -> {found.overlap[1]:.2f}, moved {found.shift:.1f} mm"
    )
