"""The document of the viewer: the volumes, labels and landmarks of a registration as JSON values.

The modules in `modules/` read it; docs/reference/report.md describes its limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.geometry import Grid, Transform, map_points_back
from zoo.registration.result import RegisteredPair
from zoo.reporting.slices import body_centre
from zoo.reporting.viewer.encoding import intensity_levels, packed_array, to_codes
from zoo.reporting.viewer.volumes import ViewerVolumes, viewer_volumes

MOST_VOXELS = 112**3
MOST_SHIFT_VOXELS = 48**3
MOST_LABELS = 65535
LARGEST_TABLE = 1 << 22  # largest range of labels that are looked up in a table
MOST_LANDMARKS = 1000  # those with the largest errors are kept
JACOBIAN_LIMIT = 2.0  # log2 of the largest volume change that is told apart
WINDOW = (0.005, 0.995)  # quantiles of the intensities that are black and white at first
LINE_DISTANCES = (1, 2, 5, 10, 20, 50)  # mm
MOST_LINES = 60  # of the deformation grid, along the longest side

Document = dict[str, Any]


def viewer_document(
    registration: RegisteredPair, result: Mapping[str, Any], most_bytes: int
) -> Document:
    """Return the document of a registration, whose data take at most `most_bytes` as text.

    `result` is the content of result.json. The number of voxels is reduced until the data fit.
    """
    voxels = MOST_VOXELS
    while True:
        volumes = viewer_volumes(registration, voxels, min(voxels, MOST_SHIFT_VOXELS))
        document = _document(registration, volumes, result)
        size = sum(map(len, document["data"].values()))
        if size <= most_bytes or volumes.grid.voxels <= 8:
            return document
        voxels = int(min(voxels, volumes.grid.voxels) * min(0.9, 0.95 * most_bytes / size))


def _document(
    registration: RegisteredPair, volumes: ViewerVolumes, result: Mapping[str, Any]
) -> Document:
    """Return the document for volumes on the viewer's grid."""
    pair, grid = registration.pair, volumes.grid
    levels = {"fixed": intensity_levels(volumes.fixed), "moving": intensity_levels(volumes.moving)}
    data = {
        "fixed": packed_array(to_codes(volumes.fixed, levels["fixed"])),
        "moving": packed_array(to_codes(volumes.moving, levels["moving"])),
        "warped": packed_array(to_codes(volumes.warped, levels["moving"])),
        "jacobian": packed_array(jacobian_codes(volumes.jacobian)),
    }
    step, shift = quantised(volumes.shift)
    data |= {f"shift{axis}": packed_array(shift[axis]) for axis in range(3)}
    labels = None
    if volumes.labels is not None:
        values, codes = label_codes(volumes.labels)
        names = ("fixed_labels", "moving_labels", "warped_labels")
        data |= {n: packed_array(c) for n, c in zip(names, codes, strict=True)}
        labels = {
            "bytes": codes[0].itemsize,
            "items": [_label(k, v, result) for k, v in enumerate(values, 1)],
        }
    longest = max(n * s for n, s in zip(grid.shape, grid.spacing, strict=True))
    return {
        "shape": grid.shape,
        "spacing": grid.spacing,
        "affine": grid.affine.tolist(),
        "centre": grid.to_index(body_centre(pair.fixed)[None])[0].tolist(),
        "fixed": image_document(Path(result["fixed"]).name, levels["fixed"], volumes.fixed),
        "moving": image_document(Path(result["moving"][0]).name, levels["moving"], volumes.moving),
        "shift": {
            "shape": volumes.shift_grid.shape,
            "step_mm": step,
            "line_mm": next((mm for mm in LINE_DISTANCES if longest / mm < MOST_LINES), 100),
        },
        "jacobian_limit": JACOBIAN_LIMIT,
        "labels": labels,
        "landmarks": landmarks(registration, grid),
        "data": data,
    }


def image_document(name: str, levels: NDArray[np.float64], volume: Tensor) -> Document:
    """Return the name of an image, its levels and the window in which it is shown at first."""
    skip = max(1, round((volume.numel() / 200_000) ** (1 / 3)))
    samples = volume[::skip, ::skip, ::skip].flatten()
    low, high = torch.quantile(samples, torch.tensor(WINDOW)).tolist()
    if not high > low:
        low, high = float(levels[0]), float(levels[-1])
    return {
        "name": name,
        "levels": [float(f"{level:.6g}") for level in levels],
        "window": [float(f"{low:.6g}"), float(f"{high:.6g}")],
    }


def _label(code: int, value: int, result: Mapping[str, Any]) -> Document:
    row = (result.get("labels") or {}).get(str(value), {})
    return {"code": code, "name": str(value), "dice": [row.get(f"dice_{w}") for w in BEFORE_AFTER]}


BEFORE_AFTER = ("before", "after")


def jacobian_codes(determinant: Tensor) -> NDArray[np.uint8]:
    """Return 0 for folded voxels, and 1 to 255 for log2 of the determinant within the limit."""
    folded = determinant <= 0
    change = determinant.clamp_min(1e-6).log2().clamp(-JACOBIAN_LIMIT, JACOBIAN_LIMIT)
    codes = 1 + (change + JACOBIAN_LIMIT) * (254 / (2 * JACOBIAN_LIMIT))
    return codes.round().masked_fill(folded, 0).to(torch.uint8).numpy()


def quantised(shift: Tensor) -> tuple[float, NDArray[np.int8] | NDArray[np.int16]]:
    """Return a displacement in mm as integers, and the step of one unit in mm.

    The step is at least 0.05 mm; the lines of a drawing cannot show less.
    """
    largest = float(shift.abs().max())
    step = max(0.05, largest / 32767)
    kind = torch.int8 if largest / step < 127 else torch.int16
    return step, (shift / step).round().to(kind).to(torch.int16).numpy()


def label_codes(
    labels: tuple[Tensor, Tensor, Tensor],
) -> tuple[list[int], list[NDArray[np.uint8] | NDArray[np.uint16]]]:
    """Return the values of three label maps except 0, and the maps with the numbers of the values.

    Value k of the list has the number k + 1; the number 0 is the background.
    """
    low = min(int(volume.min()) for volume in labels)
    span = max(int(volume.max()) for volume in labels) - low + 1
    if span > LARGEST_TABLE:  # labels that are codes of several digits
        present = torch.unique(torch.cat([torch.unique(volume.long()) for volume in labels]))
        maps = [torch.searchsorted(present, volume.long()) for volume in labels]
    else:
        maps = [volume.long() - low for volume in labels]
        found = torch.zeros(span, dtype=torch.bool)
        for volume in maps:
            found[volume] = True
        present = found.nonzero().flatten() + low
        place = found.cumsum(0) - 1
        maps = [place[volume] for volume in maps]
    values = [value for value in present.tolist() if value != 0][:MOST_LABELS]
    number = {value: k for k, value in enumerate(values, 1)}
    table = torch.tensor([number.get(value, 0) for value in present.tolist()])
    kind = np.uint8 if len(values) < 256 else np.uint16
    return values, [table[volume].numpy().astype(kind) for volume in maps]


def landmarks(registration: RegisteredPair, grid: Grid) -> list[Document]:
    """Return the landmarks, those with the largest errors after the registration first.

    `fixed` is the place of a landmark in the fixed image. `before` and `after` are the places where
    the moving image shows it after the initial affine alignment and after the registration. All
    are in voxels of the viewer's grid. `mm` is the fixed place in RAS+ mm. `error_mm` is the
    landmark error before and after the registration, as result.json has it.
    """
    pair, transform = registration.pair, registration.transform.to("cpu")
    if pair.fixed_points is None or pair.moving_points is None:
        return []
    fixed, moving = pair.fixed_points.double().cpu(), pair.moving_points.double().cpu()
    before = (fixed - moving).norm(dim=1)
    after = (transform.map_points(fixed) - moving).norm(dim=1)
    places = {
        "fixed": grid.to_index(fixed),
        "before": grid.to_index(map_points_back(Transform(transform.affine), moving)[0]),
        "after": grid.to_index(map_points_back(transform, moving)[0]),
    }
    worst = torch.argsort(after, descending=True, stable=True)[:MOST_LANDMARKS].tolist()
    return [
        {
            "name": str(k + 1),
            "mm": _rounded(fixed[k]),
            "error_mm": [round(float(before[k]), 3), round(float(after[k]), 3)],
            **{name: _rounded(points[k]) for name, points in places.items()},
        }
        for k in worst
    ]


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.tolist()]
