"""The result of a registration, as the page shows it. Runs in the helper process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.app.request_error import RequestError
from zoo.errors import UserError
from zoo.evaluation.cases import case_of_result
from zoo.evaluation.documents import read_result
from zoo.io.atomic import write_text
from zoo.io.dicom.location import is_dicom
from zoo.io.json_documents import report_missing_keys
from zoo.io.transforms import TRANSFORM_SUFFIXES, TransformFormat, read_transform, write_transform
from zoo.io.volume import read_header
from zoo.pipelines.report import finished_registration
from zoo.reporting.tables import describe_affine, figure_tables, provenance_tables, tiles
from zoo.reporting.viewer import viewer_document

VIEWER_BYTES = 12 << 20
"""Largest viewer document, bytes of text; a report has less."""

FORMATS: Mapping[TransformFormat, str] = {
    "itk-nifti": "ITK displacement field (.nii.gz): ANTs, SimpleITK, 3D Slicer",
    "itk-hdf5": "ITK composite (.h5): 3D Slicer, SimpleITK",
    "x5": "X5 (.x5): nitransforms",
    "learn2reg": "Learn2Reg displacement field (.npz)",
    "dicom": "DICOM registration object (.dcm)",
}
"""The formats of a transform with a displacement field, with what reads them."""

TITLES: Mapping[str, str] = {
    "report.html": "report with the interactive viewer",
    "warped.nii.gz": "moving image on the fixed grid",
    "transform.nii.gz": "transform from fixed to moving points, ITK displacement field",
    "transform.h5": "transform from fixed to moving points, ITK composite",
    "warped_labels.nii.gz": "moving labels on the fixed grid",
    "inverse.nii.gz": "transform from moving to fixed points, ITK displacement field",
    "inverse.h5": "transform from moving to fixed points, ITK composite",
    "uncertainty.nii.gz": "standard deviation of the displacement, mm",
    "report.png": "pictures and figures",
    "result.json": "figures, settings and versions",
    "plan.json": "the plan",
}
"""What the files of a result are, the most wanted first."""


def result_document(folder: Path, address: str) -> dict[str, Any]:
    """Return the document of the registration in `folder`; its files are below `address`."""
    file = folder / "result.json"
    result = read_result(file)
    with report_missing_keys(file):
        fixed, moving = Path(result["fixed"]).name, Path(result["moving"][0]).name
        names = _most_wanted_first(n for n in result["files"] if (folder / n).is_file())
        return {
            "name": f"{moving} to {fixed}",
            "fixed": fixed,
            "moving": moving,
            "quality": result["quality"],
            "warnings": result["warnings"],
            "model": result["model"],
            "tiles": tile_documents(result["figures"]),
            "tables": [asdict(table) for table in figure_tables(result)],
            "affine": describe_affine(result),
            "provenance": [asdict(table) for table in provenance_tables(result)],
            "figures": result["figures"],
            "citation": result.get("citation", []),
            "viewer": True,
            "picture": f"{address}/files/report.png" if "report.png" in names else None,
            "files": [
                {
                    "name": name,
                    "title": TITLES.get(name, ""),
                    "bytes": (folder / name).stat().st_size,
                    "url": f"{address}/files/{name}",
                }
                for name in names
            ],
            "transforms": [
                {"name": name, "title": title, "url": f"{address}/transform?format={name}"}
                for name, title in FORMATS.items()
                if name != "dicom" or _both_dicom(result)
            ],
        }


def _most_wanted_first(names: Iterable[str]) -> list[str]:
    order = [*TITLES]
    return sorted(names, key=lambda name: order.index(name) if name in TITLES else len(order))


def tile_documents(figures: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the few most informative figures as text."""
    return [{"value": value, "title": title} for value, title in tiles(figures)]


def file_of_result(folder: Path, name: str) -> Path:
    """Return a file of a registration; only those that result.json lists are given away."""
    listed = read_result(folder / "result.json").get("files", [])
    path = folder / name
    if (
        name not in listed
        or not path.is_file()
        or not path.resolve().is_relative_to(folder.resolve())
    ):
        raise RequestError(f"the registration has no file {name[:200]!r}", 404)
    return path


def write_viewer_document(folder: Path, target: Path) -> None:
    """Write the document of the viewer for the registration in `folder`."""
    result = read_result(folder / "result.json")
    with report_missing_keys(folder / "result.json"):
        registration = finished_registration(folder, result)
        document = viewer_document(registration, result, VIEWER_BYTES)
    write_text(target, json.dumps(document, allow_nan=False))


def convert_transform(folder: Path, wanted: str, target: Path) -> Path:
    """Write the transform of a registration in another format into the folder `target`."""
    format = next((name for name in FORMATS if name == wanted), None)
    if format is None:
        raise UserError(f"there is no format {wanted[:60]!r}; use one of {', '.join(FORMATS)}")
    result = read_result(folder / "result.json")
    case = case_of_result(folder)
    fixed, moving = case.files.fixed, case.files.moving[0]
    volume = result.get("volume", 0)
    grids = [read_header(path, volume=volume).grid for path in (fixed, moving)]
    transform = read_transform(case.field, grids[0], grids[1])
    path = target / f"transform{TRANSFORM_SUFFIXES[format][0]}"
    series = (fixed, moving) if _both_dicom(result) else None
    write_transform(path, transform, grids[0], format, moving=grids[1], series=series)
    return path


def _both_dicom(result: Mapping[str, Any]) -> bool:
    return is_dicom(result["fixed"]) and is_dicom(result["moving"][0])
