"""Files of other programs: DICOM, motion series, chains of transforms, and points of 3D Slicer."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from promised.files import registered
from promised.promise import Place, Promise, ensure, voxels
from zoo.geometry import Transform
from zoo.io.points import read_points, write_points
from zoo.io.transforms import write_transform
from zoo.io.volume import read_volume
from zoo.synthesis.phantom import make_pair

TRANSFORM = "result/transform.nii.gz"
READ_BY_PYDICOM = """
import sys
import pydicom
read = pydicom.dcmread(sys.argv[1])
print(read.SOPClassUID.name, repr(str(read.PatientName)))
"""


def _points(place: Place, name: str) -> np.ndarray:
    """Return the points in a CSV of the folder, (n, 3)."""
    return np.loadtxt(place.folder / name, delimiter=",", skiprows=1, ndmin=2)


def dicom_in_and_dicom_out(place: Place) -> str:
    """Two DICOM folders are registered, the transform becomes a DICOM registration that maps
    points within 0.01 mm as before, the warped image becomes a series, and no output has the
    patient's name.
    """
    from support.dicom_cases import NAME, write_study

    write_study(place.folder)
    one, two = "export/baseline", "export/followup"
    result = place.register({"fixed": Path(one), "moving": Path(two)}, "result")
    place.regzoo("convert", TRANSFORM, "registration.dcm", "--fixed", one, "--moving", two)
    seen = place.python("-c", READ_BY_PYDICOM, "registration.dcm")
    ensure(seen.strip() == "Deformable Spatial Registration Storage ''", f"pydicom read {seen}")
    grid = read_volume(place.folder / one).grid
    index = (torch.tensor(grid.shape) - 1) * torch.tensor([[0.3], [0.5], [0.6]])
    write_points(place.folder / "points.csv", grid.to_world(index.double()), "ras")
    for transform, out in ((TRANSFORM, "before.csv"), ("registration.dcm", "after.csv")):
        place.regzoo("points", "points.csv", transform, out, "--space", "ras")
    apart = np.abs(_points(place, "before.csv") - _points(place, "after.csv")).max()
    ensure(apart < 0.01, f"the DICOM registration differs by {apart:.4f} mm")
    place.regzoo("warp", two, TRANSFORM, "series", "--fixed", one)
    slices = len(list((place.folder / "series").iterdir()))
    ensure(slices == grid.shape[2], f"{slices} slices for {grid.shape[2]}")
    written = [place.folder / "registration.dcm", *(place.folder / "series").iterdir()]
    written += [path for path in (place.folder / "result").rglob("*") if path.is_file()]
    named = [path.name for path in written if NAME.encode() in path.read_bytes()]
    ensure(not named, f"the patient's name is in {named}")
    figures = result["figures"]
    return (
        f"similarity {figures['similarity_before']:.3f} -> {figures['similarity_after']:.3f}, "
        f"DICOM differs by {apart:.1e} mm, {slices} slices"
    )


def motion_is_measured(place: Place) -> str:
    """`regzoo motion` finds the shift of each frame of a 4-D series and writes the corrected
    series.
    """
    shifts = ((0.0, 0.0, 0.0), (4.0, 0.0, 0.0), (0.0, -4.0, 2.0))  # mm, of voxels of 2 mm
    image = make_pair(5, shape=(36, 40, 32), spacing=(4, 4, 4)).fixed.float()
    frames = [torch.roll(image, [round(s / 2) for s in shift], (0, 1, 2)) for shift in shifts]
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    series = torch.stack(frames, -1).numpy()
    nib.save(nib.Nifti1Image(series, affine), place.folder / "series.nii.gz")
    place.regzoo("motion", "series.nii.gz", "--out", "out", "--reference", "0")
    with (place.folder / "out/motion.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows])
    error = np.abs(found - np.array(shifts)).max()
    ensure(error < 0.5, f"the shifts {found.round(2).tolist()} are {error:.2f} mm off")
    shape = voxels(place.folder / "out/corrected.nii.gz").shape
    ensure(shape == series.shape, f"the corrected series has the shape {shape}")
    ensure((place.folder / "out/motion.png").is_file(), "motion.png was not written")
    return f"{len(rows)} frames, shifts within {error:.2f} mm"


def a_chain_is_the_parts_in_order(place: Place) -> str:
    """`warp -t A -t B` and `compose` apply transforms one after the other, and a transform with
    its inverse is the identity.
    """
    files = registered(place)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] += torch.tensor([[0.02, -0.1, 0.03], [0.1, -0.01, 0.05], [0, -0.05, 0.03]])
    affine[:3, 3] = torch.tensor([4.0, -6.0, 3.0])
    write_transform(place.folder / "second.tfm", Transform(affine), None)
    chain = ["-t", TRANSFORM, "-t", "second.tfm"]
    place.regzoo("compose", "both.nii.gz", *chain, "--fixed", files["fixed"])
    place.regzoo("points", files["fixed_points"], "both.nii.gz", "both.csv", "--space", "ras")
    place.regzoo("points", files["fixed_points"], TRANSFORM, "first.csv", "--space", "ras")
    expected = _points(place, "first.csv") @ affine[:3, :3].numpy().T + affine[:3, 3].numpy()
    apart = np.abs(_points(place, "both.csv") - expected).max()
    ensure(apart < 0.05, f"the composition differs by {apart:.4f} mm from the parts")
    place.regzoo("warp", files["moving"], "chain.nii.gz", *chain, "--fixed", files["fixed"])
    place.regzoo("warp", files["moving"], "both.nii.gz", "composed.nii.gz")
    one, two = (voxels(place.folder / name) for name in ("chain.nii.gz", "composed.nii.gz"))
    differs = float(np.quantile(np.abs(one - two), 0.999) / np.ptp(one))
    ensure(differs < 0.01, f"the images differ by {100 * differs:.2f} % of the range")
    loop = ["-t", TRANSFORM, "-t", f"inverse:{TRANSFORM}"]
    place.regzoo("compose", "loop.nii.gz", *loop, "--fixed", files["fixed"])
    place.regzoo("points", files["fixed_points"], "loop.nii.gz", "loop.csv", "--space", "ras")
    back = np.abs(_points(place, "loop.csv") - _points(place, str(files["fixed_points"]))).max()
    ensure(back < 0.1, f"there and back is {back:.3f} mm off")
    return f"composed within {apart:.1e} mm of the parts, there and back within {back:.1e} mm"


def slicer_points_stay_slicer_points(place: Place) -> str:
    """`regzoo points` maps the markups of 3D Slicer as a CSV, and keeps their names and format."""
    files = registered(place)
    points = read_points(files["fixed_points"], "ras").numpy()
    controls = [
        {"id": str(k), "label": f"P-{k}", "position": [-x, -y, z], "positionStatus": "defined"}
        for k, (x, y, z) in enumerate(points.tolist(), 1)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": controls}
    schema = (
        "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
        "Schema/markups-schema-v1.0.3.json#"
    )
    (place.folder / "in.mrk.json").write_text(json.dumps({"@schema": schema, "markups": [markup]}))
    place.regzoo("points", "in.mrk.json", TRANSFORM, "out.mrk.json")
    place.regzoo("points", files["fixed_points"], TRANSFORM, "out.csv", "--space", "ras")
    (written,) = place.json("out.mrk.json")["markups"]
    ensure(written["coordinateSystem"] == "LPS", f"written as {written['coordinateSystem']}")
    names = [control["label"] for control in written["controlPoints"]]
    ensure(names == [control["label"] for control in controls], f"the names are {names[:3]}")
    mapped = np.array([control["position"] for control in written["controlPoints"]])
    apart = np.abs(mapped * [-1, -1, 1] - _points(place, "out.csv")).max()
    ensure(apart < 1e-3, f"markups and CSV differ by {apart:.4f} mm")
    return f"{len(names)} points with their names, {apart:.1e} mm from those of the CSV"


FORMATS: tuple[Promise, ...] = (
    dicom_in_and_dicom_out,
    motion_is_measured,
    a_chain_is_the_parts_in_order,
    slicer_points_stay_slicer_points,
)
