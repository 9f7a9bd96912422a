"""Pack the anatomy that compact weights are trained on into one file, and read it.

    PYTHONPATH=tools python -m compact.anatomy FOLDER --out anatomy.npz

FOLDER holds anatomy_synthseg/head_labels_NN.nii.gz and hn_openkbp_train/NAME_{ct,oars}.nii.gz.
Heads 01 to 12 are packed at 1.5 mm, labels from 500 on minus 300 so that they fit into a byte. CTs
are cropped to the body and rounded to 8 HU, as many as fit. The file is not part of the repository.
Heads 13 to 16 and the patients of hn_openkbp_val are for evaluation and are never packed.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.errors import UserError
from zoo.synthesis.anatomies import Anatomy

TRAINING_HEADS = tuple(f"{number:02d}" for number in range(1, 13))
HEAD_SPACING = 1.5
HU_STEP = 8
MOST_BYTES = 25_000_000


@dataclass(frozen=True)
class People:
    """The persons that training draws from: heads as label maps, and CTs with organs."""

    heads: list[Anatomy]
    cts: list[Anatomy]


def main() -> None:
    """Pack the anatomy of a data folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the label maps and the CTs")
    parser.add_argument("--out", type=Path, required=True, help="the packed file (npz)")
    parser.add_argument("--megabytes", type=float, default=MOST_BYTES / 1e6, help="largest size")
    args = parser.parse_args()
    heads, cts = pack(args.data, args.out, int(args.megabytes * 1e6))
    print(f"{args.out}: {heads} heads, {cts} CTs, {args.out.stat().st_size / 1e6:.1f} MB")


def pack(data: Path, out: Path, most_bytes: int = MOST_BYTES) -> tuple[int, int]:
    """Pack the heads and as many CTs as fit into `most_bytes`; return how many of each."""
    arrays: dict[str, NDArray[np.generic]] = {}
    used = 0
    heads = [data / f"anatomy_synthseg/head_labels_{number}.nii.gz" for number in TRAINING_HEADS]
    cts = sorted((data / "hn_openkbp_train").glob("*_ct.nii.gz"))
    counts = [0, 0]
    for kind, files in enumerate((heads, cts)):
        for path in files:
            name = path.name.split(".")[0]
            parts = _head(path) if kind == 0 else _ct(path)
            size = _packed_size(parts)
            if used + size > most_bytes:
                break
            used += size
            counts[kind] += 1
            arrays |= {f"{name}/{part}": values for part, values in parts.items()}
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return counts[0], counts[1]


def read_people(path: Path, device: torch.device | str = "cpu") -> People:
    """Return the persons in a packed file, on a device."""
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; pack the anatomy with python -m compact.anatomy FOLDER"
            f" --out {path}"
        )
    parts: dict[str, dict[str, NDArray[np.generic]]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            name, part = key.rsplit("/", 1)
            parts.setdefault(name, {})[part] = arrays[key]
    people = People([], [])
    for name in sorted(parts):
        own = parts[name]
        person = Anatomy(
            labels=torch.from_numpy(own["labels"]).to(device),
            spacing=torch.from_numpy(own["spacing"]),
            ct=torch.from_numpy(own["ct"]).to(device) if "ct" in own else None,
        )
        (people.heads if person.ct is None else people.cts).append(person)
    return people


def _head(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the labels [X, Y, Z] of a head at 1.5 mm by nearest neighbour, and the spacing."""
    labels, spacing = _read(path)
    steps = [
        np.round(np.arange(0, n - 0.5, HEAD_SPACING / size)).astype(int)
        for n, size in zip(labels.shape, spacing, strict=True)
    ]
    labels = labels[np.ix_(*steps)]
    codes = np.where(labels >= 500, labels - 300, labels)
    return {"labels": codes.astype(np.uint8), "spacing": np.full(3, HEAD_SPACING)}


def _ct(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return a CT [X, Y, Z] cropped to the body, its organs and the spacing."""
    units, spacing = _read(path)
    organs, _ = _read(path.with_name(path.name.replace("_ct.", "_oars.")))
    inside = np.argwhere(units > -900)
    box = tuple(
        slice(max(low - 1, 0), high + 2)
        for low, high in zip(inside.min(0), inside.max(0), strict=True)
    )
    rounded = np.round(np.clip(units[box], -1024, 2000) / HU_STEP) * HU_STEP
    return {
        "ct": rounded.astype(np.int16),
        "labels": organs[box].astype(np.uint8),
        "spacing": spacing,
    }


def _read(path: Path) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the voxels of a file with the axes in RAS order, and their spacing in mm."""
    import nibabel  # only packing needs it

    image = nibabel.as_closest_canonical(nibabel.load(path))
    spacing = np.array(image.header.get_zooms()[:3], dtype=np.float64)
    return np.asarray(image.dataobj).astype(np.int32), spacing


def _packed_size(parts: dict[str, NDArray[np.generic]]) -> int:
    """Return the bytes of arrays in a packed file."""
    file = io.BytesIO()
    np.savez_compressed(file, **parts)  # type: ignore[arg-type]
    return file.getbuffer().nbytes


if __name__ == "__main__":
    main()
