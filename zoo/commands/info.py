"""`regzoo info`: what a file is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.io.volume import Volume


def info(file: str) -> None:
    """Say what an image, a transform or a list of points holds.

    Examples:
        regzoo info fixed.nii.gz
        regzoo info result/transform.h5

    Args:
        file: the file to look at.
    """
    from zoo.errors import UserError
    from zoo.io.files import existing_file
    from zoo.io.transforms import detect_format, read_transform
    from zoo.io.volume import read_volume

    path = existing_file(file)
    if path.suffix.lower() == ".csv":
        print("\n".join(_points(file)))
        return
    try:
        format = detect_format(path)
    except UserError:
        print("\n".join(_volume(read_volume(path))))
        return
    if format == "learn2reg":
        print(f"{file}: Learn2Reg displacement field, voxels of its two images")
        return
    transform = read_transform(path)
    print(f"{file}: transform ({format}), fixed -> moving")
    print("affine part, RAS mm:")
    for row in transform.affine.tolist():
        print("  " + " ".join(f"{value:10.4f}" for value in row))
    if transform.field is not None and transform.grid is not None:
        length = transform.field.norm(dim=0)
        print(f"dense part: {transform.grid.describe()}")
        print(f"step: mean {float(length.mean()):.3g} mm, largest {float(length.max()):.3g} mm")


def _volume(volume: Volume) -> list[str]:
    data, grid = volume.data, volume.grid
    origin = ", ".join(f"{value:.4g}" for value in grid.affine[:3, 3].tolist())
    return [
        f"{volume.path}: volume, {grid.describe()}",
        f"origin (RAS mm): {origin}",
        f"type: {str(data.dtype).removeprefix('torch.')}",
        f"values: {float(data.min()):g} to {float(data.max()):g}, "
        f"mean {float(data.double().mean()):.4g}",
    ]


def _points(file: str) -> list[str]:
    from zoo.io.points import read_points

    points = read_points(file, space="ras")
    low, high = points.amin(dim=0).tolist(), points.amax(dim=0).tolist()
    reach = ", ".join(
        f"{axis} {a:.4g} to {b:.4g}" for axis, a, b in zip("xyz", low, high, strict=True)
    )
    return [f"{file}: {len(points)} points, {reach} (as written; the file does not say the space)"]
