"""`regzoo points`: map points with a transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.geometry.chain import Link


def points(
    points: str,
    transform: str | list[str],
    out: str,
    *,
    space: Literal["ras", "lps", "voxel"] | None = None,
    back: bool = False,
    fixed: str | None = None,
    moving: str | None = None,
) -> None:
    """Map points from the fixed image to the moving image, or back.

    A transform that resamples the moving image maps points of the fixed image to the moving image.
    To map points of the moving image to the fixed image, add --back.

    The points are written back in the kind of file they came in: names, lines, other columns and
    data stay. A CSV does not record its coordinate space, so --space names it. Markups and .fcsv of
    3D Slicer record it, and so do VTK files of 3D Slicer.

    Examples:
        regzoo points fixed.csv result/transform.nii.gz moving.csv --space ras
        regzoo points moving.mrk.json result/transform.h5 fixed.mrk.json --back
        regzoo points tracts.vtp mapped.vtp -t a.h5 -t inverse:b.h5 --space lps

    Args:
        points: The points: .csv (x, y, z in each row), markups (.mrk.json) or .fcsv of 3D Slicer,
            or poly data of VTK (.vtk or .vtp).
        transform: The transform fixed -> moving, in any format that regzoo reads. For several
            transforms leave it out, and give each with -t, in order from the fixed to the moving
            image.
        out: The file to write, of the same kind and in the same coordinate space.
        space: The coordinate space of a file that does not record it: ras (mm, NIfTI), lps (mm, ITK
            and DICOM) or voxel.
        back: Map points from the moving image to the fixed image.
        fixed: The fixed image, which --space voxel, Learn2Reg fields and FSL matrices need.
        moving: The moving image, which --space voxel, Learn2Reg fields and FSL matrices need.
    """
    import sys

    from zoo.commands._shared import counted, grid_of, names_of, open_chain, transform_files
    from zoo.errors import UserError
    from zoo.geometry.chain import map_along, map_back_along
    from zoo.io.atomic import atomic_path
    from zoo.io.points import from_world, read_point_document, to_world
    from zoo.runtime.overwriting import refuse_overwriting

    if space == "voxel" and (fixed is None or moving is None):
        raise UserError("--space voxel needs both images: add --fixed IMAGE --moving IMAGE")
    names = names_of(transform)
    images = {"--fixed": fixed, "--moving": moving}
    refuse_overwriting({"the points": points, **transform_files(names), **images}, [out])
    source, target = (moving, fixed) if back else (fixed, moving)
    chain = open_chain(names, fixed, moving)
    document = read_point_document(points)
    document.check_name(out)
    if document.has_space and space is not None:
        raise UserError(f"{points} records its coordinate space; leave out --space {space}")
    if not document.has_space and space is None:
        raise UserError(
            f"{points} does not record its coordinate space; add --space ras, lps or voxel"
        )
    known = space or "ras"
    originals = to_world(document.points, known, grid_of(source))
    mapped, error = (map_back_along if back else map_along)(chain, originals)
    if back or any(link.inverted for link in chain):
        print(f"largest error when mapped forward again: {error:.4g} mm")
    if outside := points_outside(chain, originals, back=back):
        print(
            f"regzoo: {outside} of {counted(len(originals), 'point')} lie outside the grid of the "
            "transform, where its displacement is 0; check the coordinate space of the points",
            file=sys.stderr,
        )
    content = document.render(from_world(mapped, known, grid_of(target)))
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)
    where = "its own space" if document.has_space else known
    print(f"{counted(len(mapped), 'point')} ({where}) written to {out}")


def points_outside(chain: Sequence[Link], points: Tensor, *, back: bool) -> int:
    """Return how many points lie more than a voxel outside the grid of the field they meet first.

    Points whose first transform is inverted or affine are not counted: only its result meets a
    grid.
    """
    import torch

    first = chain[-1 if back else 0]
    grid = first.transform.grid
    if grid is None or first.inverted != back:
        return 0
    index = grid.to_index(points)
    limit = torch.tensor(grid.shape)
    return int(((index < -1) | (index > limit)).any(dim=1).sum())
