"""`regzoo info`: describe an image, a transform or a list of points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.io.volume import ImageHeader, Volume


def info(file: str, *, volume: int | None = None) -> None:
    """Describe an image, a transform or a list of points.

    Examples:
        regzoo info fixed.nii.gz
        regzoo info result/transform.h5
        regzoo info dicom_folder
        regzoo info bold.nii.gz --volume 0

    Args:
        file: The file to describe, or a folder with a DICOM series.
        volume: The volume to describe of an image with several volumes (4-D), counted from 0.
    """
    from zoo.errors import UserError
    from zoo.io.dicom.location import is_dicom
    from zoo.io.dicom.registration import is_registration
    from zoo.io.files import existing_file
    from zoo.io.transforms import detect_format, read_transform
    from zoo.io.volume import count_volumes, read_header, read_volume

    if is_dicom(file) and not is_registration(file):
        print("\n".join(_volume(read_volume(file, volume), count_volumes(file))))
        print("\n".join(_declared(read_header(file, volume))))
        return
    path = existing_file(file)
    if path.suffix.lower() in (".csv", ".fcsv", ".json", ".vtk", ".vtp"):
        print("\n".join(_points(file)))
        return
    try:
        format = None if volume is not None else detect_format(path)
    except UserError:
        format = None
    if format is None:
        print("\n".join(_volume(read_volume(path, volume), count_volumes(path))))
        return
    if format == "learn2reg":
        print(f"{file}: Learn2Reg displacement field, in voxels of the fixed and moving images")
        return
    transform = read_transform(path)
    print(f"{file}: transform ({format}), fixed -> moving")
    print("affine part, RAS mm:")
    for row in transform.affine.tolist():
        print("  " + " ".join(f"{value:10.4f}" for value in row))
    if transform.field is not None and transform.grid is not None:
        length = transform.field.norm(dim=0)
        print(f"dense part: {transform.grid.describe()}")
        mean, largest = float(length.mean()), float(length.max())
        print(f"displacement: mean {mean:.3g} mm, largest {largest:.3g} mm")


def _volume(volume: Volume, number: int) -> list[str]:
    """Return lines that describe a volume, one of `number` in its file."""
    data, grid = volume.data, volume.grid
    origin = ", ".join(f"{value:.4g}" for value in grid.affine[:3, 3].tolist())
    return [
        f"{volume.path}: {'volume' if number == 1 else f'one of {number} volumes'}, "
        f"{grid.describe()}",
        f"origin (RAS mm): {origin}",
        f"type: {str(data.dtype).removeprefix('torch.')}",
        f"values: {float(data.min()):g} to {float(data.max()):g}, "
        f"mean {float(data.double().mean()):.4g}",
    ]


def _declared(header: ImageHeader) -> list[str]:
    """Return lines with what a DICOM header declares; the patient is not among it."""
    lines = [f"DICOM: modality {header.modality or 'unknown'}"]
    lines[0] += f", body part {header.body_part}" if header.body_part else ""
    return lines + [f"warning: {text}" for text in header.warnings]


def _points(file: str) -> list[str]:
    """Return lines that describe a file of points."""
    from zoo.commands._shared import counted
    from zoo.io.points import read_point_document

    document = read_point_document(file)
    points = document.points
    low, high = points.amin(dim=0).tolist(), points.amax(dim=0).tolist()
    ranges = ", ".join(
        f"{axis} {a:.4g} to {b:.4g}" for axis, a, b in zip("xyz", low, high, strict=True)
    )
    space = (
        "RAS mm"
        if document.has_space
        else "in the units of the file, which does not record its coordinate space"
    )
    return [f"{file}: {counted(len(points), 'point')} ({document.kind}), {ranges} ({space})"]
