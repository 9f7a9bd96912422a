"""The images below a folder, with what their names or DICOM headers say about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from zoo.datasets.headers import inspect_header
from zoo.datasets.names import SUFFIXES, case_of, kind_of, stem, time_of
from zoo.datasets.path_safety import path_problem
from zoo.errors import UserError
from zoo.io.dicom.location import SEPARATOR, dicom_files

_ANNOTATION = {
    "labels": re.compile(r"(^|[_-])(labels?|seg|dseg|aseg|segmentation|parcellation)$", re.I),
    "mask": re.compile(r"(^|[_-])(brain)?masks?$", re.I),
}
_FOLDER = {
    "labels": re.compile(r"labels?(tr|ts|val)?$"),
    "mask": re.compile(r"masks?(tr|ts|val)?$"),
}
_FUNCTIONAL_FOLDERS = ("func", "dwi", "fmap", "perf")
_FUNCTIONAL = re.compile(r"_(bold|sbref|dwi|asl|m0scan|epi|magnitude[12]?|phasediff)$", re.I)
_SERIES = ("several-volumes", "vector-field")
"""Problems of a header that make a file something else than an anatomical image."""


@dataclass(frozen=True)
class FolderImage:
    """An image in a folder.

    Images of one patient have equal `case`s. `time` sorts them, and `kind` is the word for their
    modality; both may be empty.
    """

    name: str
    case: str
    kind: str = ""
    time: tuple[int, str] = (0, "")
    labels: str | None = None
    mask: str | None = None


def find_images(folder: Path) -> tuple[list[FolderImage], dict[str, str]]:
    """Return the images below a folder, sorted by name, and those left out with the reason of each.

    Left out are series of several volumes, such as functional runs, which are no partners of an
    anatomical image, functional and diffusion images in BIDS, displacement fields, and DICOM series
    that are no volume.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the folder that contains the images")
    images, left_out = _named_images(folder)
    series, no_volumes = _dicom_images(folder)
    return sorted([*images, *series], key=lambda image: image.name), left_out | no_volumes


def _named_images(folder: Path) -> tuple[list[FolderImage], dict[str, str]]:
    """Return the images in volume formats, with their label maps and masks."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    names = [n for n in names if n.lower().endswith(SUFFIXES) and path_problem(n) is None]
    kinds = {name: _annotation(name) for name in names}
    annotations = {(kind, _bare(name)): name for name, kind in kinds.items() if kind is not None}
    images, left_out = [], {}
    for name in (n for n in names if kinds[n] is None):
        reason = _no_partner(folder, name)
        if reason is not None:
            left_out[name] = reason
            continue
        keys = [_bare(name), case_of(name)]
        own = {
            kind: next((annotations[kind, k] for k in keys if (kind, k) in annotations), None)
            for kind in ("labels", "mask")
        }
        images.append(FolderImage(name, case_of(name), kind_of(name), time_of(name), **own))
    return images, left_out


def _no_partner(folder: Path, name: str) -> str | None:
    """Return why a file is not an anatomical image; None if it may be one."""
    folders = name.lower().split("/")[:-1]
    if set(folders) & set(_FUNCTIONAL_FOLDERS) or _FUNCTIONAL.search(stem(name)):
        return "a functional, diffusion or field map image is no partner of an anatomical one"
    header, problems = inspect_header(folder, name)
    if header is None and problems and problems[0].id in _SERIES:
        hint = " (regzoo motion corrects it)" if problems[0].id == "several-volumes" else ""
        return f"{problems[0].what}{hint}"
    return None


def _dicom_images(folder: Path) -> tuple[list[FolderImage], dict[str, str]]:
    """Return the DICOM series below a folder, by the folders that contain them."""
    parents = sorted({path.parent for path in dicom_files(folder)})
    if not parents:
        return [], {}
    from zoo.io.dicom.series import series_in

    images, left_out = [], {}
    patients: dict[str, str] = {}
    for parent in parents:
        inside = parent.relative_to(folder).as_posix()
        nested = any(parent in other.parents for other in parents)
        try:
            found = series_in(parent, below=False)
        except UserError as error:
            left_out[inside] = str(error)
            continue
        for series in sorted(found, key=lambda series: series.uid):
            alone = len(found) == 1 and not nested and inside != "."
            name = inside if alone else f"{inside}{SEPARATOR}{series.uid}"
            header, problems = inspect_header(folder, name)
            if header is None:
                left_out[name] = problems[0].what if problems else "it cannot be read"
                continue
            first = series.first
            # The patient's ID only groups the series; the name of the group does not contain it.
            patient = first.patient or case_of(name)
            case = patients.setdefault(patient, f"patient {len(patients) + 1}")
            time = (int(first.date) if first.date.isdigit() else 0, time_of(name)[1])
            images.append(FolderImage(name, case, first.modality, time))
    return images, left_out


def _annotation(name: str) -> str | None:
    """Return "labels" or "mask" if a file's name or folder marks it as such, else None."""
    folders = name.lower().split("/")[:-1]
    for kind in ("labels", "mask"):
        if _ANNOTATION[kind].search(stem(name)) or any(_FOLDER[kind].match(f) for f in folders):
            return kind
    return None


def _bare(name: str) -> str:
    """Return a name without the parts that mark it as a label map, a mask or a kind of image."""
    bare = stem(name)
    for pattern in _ANNOTATION.values():
        bare = pattern.sub("", bare)
    return re.sub(r"_(space|desc|label)-[A-Za-z0-9]+", "", bare)
