"""What an input is: its header, its values, its modality with the evidence, and a preview.

The functions run in the helper process. Paths in, plain data out.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from zoo.app.data_folder import IMAGES, DataFolder, kind_of_name
from zoo.datasets.archives import archive_problems
from zoo.datasets.headers import HeaderFacts, inspect_header
from zoo.datasets.names import SUFFIXES
from zoo.datasets.pairs import pair_files, unique_pair_names
from zoo.datasets.reading import read_dataset
from zoo.datasets.voxels import inspect_voxels
from zoo.errors import UserError
from zoo.io.dicom.location import is_dicom
from zoo.io.points import read_point_document
from zoo.io.volume import Volume, count_volumes, read_volume
from zoo.pipelines.register import BESIDE_IMAGES
from zoo.planning.beliefs import anatomy_of_headers, infer_modality
from zoo.reporting.slices import body_centre
from zoo.reporting.viewer.document import MOST_VOXELS, image_document
from zoo.reporting.viewer.encoding import intensity_levels, packed_array, to_codes
from zoo.reporting.viewer.volumes import on_viewer_grid

MOST_LABELS = 256
EQUAL_NEIGHBOURS = 0.5
"""A label map has at most so many values, and at least this share of equal neighbours."""


def unpack(archive: Path, folder: Path, most_bytes: int) -> Path:
    """Unpack a zip into a folder and return the image in it: a file, or the folder of a series.

    The archive is checked first.
    """
    for problem in archive_problems(archive):
        raise UserError(f"{archive.name}: {problem.what}; {problem.fix}")
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [m for m in packed.infolist() if not m.is_dir() and _is_content(m.filename)]
            size = sum(member.file_size for member in members)
            if size > most_bytes:
                raise UserError(
                    f"{archive.name} holds {size / 1e6:.0f} MB; at most {most_bytes / 1e6:.0f} MB "
                    "are allowed: unpack it, and give the folder with --data"
                )
            for member in members:
                packed.extract(member, folder)  # never more bytes than were counted
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(f"{archive.name} cannot be unpacked ({error}); pack it again") from None
    images = [path for path in folder.rglob("*") if path.name.lower().endswith(SUFFIXES)]
    if len(images) == 1:
        return images[0]
    if not images and is_dicom(folder):
        return folder
    what = f"{len(images)} images" if images else "no image"
    raise UserError(f"{archive.name} holds {what}; pack one image or one DICOM series")


def _is_content(name: str) -> bool:
    """Return whether a member is not one that macOS and other systems add."""
    return not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def describe(path: Path) -> dict[str, Any]:
    """Return the part of an input's document that follows from its content."""
    empty = {"problem": None, "image": None, "labels": None, "points": None, "series": None}
    try:
        if kind_of_name(path.name) == "points" and path.is_file():
            count = len(read_point_document(path).points)
            return empty | {"kind": "points", "points": {"count": count}}
        return empty | _image(path)
    except UserError as error:
        series = _series(path) if error.code == "several-series" else None
        return empty | {"kind": "image", "problem": str(error), "series": series}
    except OSError as error:
        return empty | {"kind": "unknown", "problem": f"{path.name}: {error.strerror}"}


def _series(path: Path) -> list[dict[str, str]]:
    from zoo.io.dicom.series import series_in

    return [{"uid": series.uid, "title": series.describe()} for series in series_in(path)]


def _image(path: Path) -> dict[str, Any]:
    """Describe an image or a label map."""
    if not is_dicom(path) and not path.name.lower().endswith(IMAGES):
        allowed = ", ".join(SUFFIXES)
        raise UserError(
            f"{path.name} is no image that regzoo reads; use {allowed}, or a zip or a folder of "
            "DICOM files (or .csv, .fcsv, .mrk.json, .vtk or .vtp for points)"
        )
    volumes = count_volumes(path)
    volume = 0 if volumes > 1 else None
    header, problems = inspect_header(path.parent, path.name, volume)
    if header is None:
        raise UserError(f"{path.name}: {problems[0].what}; {problems[0].fix}", code=problems[0].id)
    image = read_volume(path, volume)
    voxels = inspect_voxels(str(path.parent), path.name, "image", read=lambda _: image)
    values = [] if voxels.values is None else [voxels.values]
    problems += voxels.problems
    errors = [problem for problem in problems if problem.level == "error"]
    labels = _labels(image) if values and values[0].whole == 1 else None
    return {
        "kind": "image" if labels is None else "labels",
        "problem": f"{path.name}: {errors[0].what}; {errors[0].fix}" if errors else None,
        "labels": labels,
        "image": _facts(header)
        | {
            "volumes": volumes,
            "modality": infer_modality(
                None, values, [header.description], [header.modality]
            ).to_json(),
            "anatomy": anatomy_of_headers([header]).to_json(),
            "minimum": values[0].minimum if values else None,
            "maximum": values[0].maximum if values else None,
            "warnings": [f"{p.what}; {p.fix}" for p in problems if p.level != "error"],
        },
    }


def _facts(header: HeaderFacts) -> dict[str, Any]:
    return {
        "shape": header.shape,
        "spacing_mm": [round(side, 4) for side in header.spacing],
        "field_mm": [round(side, 2) for side in header.field_mm],
        "orientation": header.axes,
        "type": header.dtype,
    }


def pairs_of(data: DataFolder) -> list[dict[str, str | None]]:
    """Return the pairs of the dataset in `--data`, with names relative to it; none without one."""
    try:
        mappings = read_dataset(data.root).pairs("all")
    except UserError:
        return []
    pairs = [pair_files(**mapping) for mapping in mappings]
    roles = ("fixed", *BESIDE_IMAGES)
    return [
        {
            "name": name,
            "moving": data.relative(pair.moving[0]),
            **{role: data.relative(getattr(pair, role)) for role in roles},
            "points_space": pair.points_space,
        }
        for name, pair in zip(unique_pair_names(pairs), pairs, strict=True)
    ]


def _labels(image: Volume) -> dict[str, int] | None:
    """Return the number of labels of a label map; None for an image.

    A label map has few whole numbers from 0, and most voxels in it have the value of a neighbour.
    """
    data = image.data.numpy()
    skip = max(1, round((data.size / 200_000) ** (1 / 3)))
    if len(np.unique(data[::skip, ::skip, ::skip])) > MOST_LABELS:
        return None
    values = np.unique(data)
    if len(values) > MOST_LABELS or values[0] != 0 or (values != np.round(values)).any():
        return None
    inside = data[:-1] != 0
    if inside.any() and float((data[1:] == data[:-1])[inside].mean()) < EQUAL_NEIGHBOURS:
        return None
    return {"count": len(values) - 1}


def preview(path: Path, name: str) -> dict[str, Any]:
    """Return an image for the viewer, with at most 112^3 voxels and axes nearest to RAS."""
    volume = 0 if count_volumes(path) > 1 else None
    read = read_volume(path, volume)
    image, grid = on_viewer_grid(read, MOST_VOXELS)
    levels = intensity_levels(image)
    return {
        "shape": grid.shape,
        "spacing": grid.spacing,
        "affine": grid.affine.tolist(),
        "centre": grid.to_index(body_centre(read)[None])[0].tolist(),
        "image": image_document(name, levels, image),
        "data": {"image": packed_array(to_codes(image, levels))},
    }
