"""Phantom pairs in memory and on disk, for the tests of figures, reports and evaluation."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.datasets.pairs import Pair
from zoo.evaluation import measure
from zoo.geometry import Transform
from zoo.io.points import write_points
from zoo.io.transforms import write_transform
from zoo.io.volume import Volume, write_volume
from zoo.registration.result import RegisteredPair
from zoo.synthesis.phantom import PhantomPair, make_pair

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed, so no screenshot is taken"
)

NASTY = "<script>alert('1')</script>&.nii.gz"
SMALL = {"shape": (40, 36, 32), "spacing": (2.0, 2.5, 3.0), "axes": "LAS", "tilt_degrees": 12}


def in_memory(phantom: PhantomPair, name: str = "phantom") -> Pair:
    def volume(data, grid, file):
        return Volume(data, grid, Path(f"{file}.nii.gz"))

    return Pair(
        name=name,
        fixed=volume(phantom.fixed, phantom.fixed_grid, "fixed"),
        moving=(volume(phantom.moving, phantom.moving_grid, "moving"),),
        fixed_labels=volume(phantom.fixed_labels, phantom.fixed_grid, "fixed_labels"),
        moving_labels=volume(phantom.moving_labels, phantom.moving_grid, "moving_labels"),
        fixed_points=phantom.fixed_points,
        moving_points=phantom.moving_points,
    )


def phantom_registration(seed: int = 3, **changes: object) -> RegisteredPair:
    phantom = make_pair(seed, **(SMALL | changes))
    return RegisteredPair(in_memory(phantom), phantom.truth)


def result_of(registration: RegisteredPair, **more: object) -> dict:
    """Return a result.json of a registration, with a fixed image whose name is HTML."""
    measured = measure(registration.pair, registration.transform)
    return {
        "fixed": f"data/{NASTY}",
        "moving": ["data/moving.nii.gz"],
        "model": "mcbo",
        "weights": {"sha256": "ab" * 32},
        "plan": {"affine": {"value": "rigid", "rule": "r1", "because": "<b>far apart</b>"}},
        "settings": {"mode": "accurate", "levels": [6, 4], "rigid": False},
        "affine_start": {"kind": "rigid", "reason": "12 mm apart", "shift_mm": 11.9},
        "figures": measured.figures,
        "labels": measured.labels,
        "seconds": {"deformation": 12.25},
        "peak_memory_mib": 900,
        "versions": {"torch": "2.0"},
        "quality": "ok",
        "warnings": [],
        **more,
    }


def on_disk(folder: Path, phantom: PhantomPair, transform: Transform | None = None) -> dict:
    """Write a pair and its transform; return the paths by the names of the flags of `evaluate`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for side in ("fixed", "moving"):
        grid = getattr(phantom, f"{side}_grid")
        files[side] = folder / f"{side}.nii.gz"
        files[f"{side}_labels"] = folder / f"{side}_labels.nii.gz"
        files[f"{side}_points"] = folder / f"{side}_points.csv"
        write_volume(files[side], getattr(phantom, side), grid, torch.int16)
        write_volume(files[f"{side}_labels"], getattr(phantom, f"{side}_labels"), grid)
        write_points(files[f"{side}_points"], getattr(phantom, f"{side}_points"), "ras")
    files["field"] = folder / "transform.nii.gz"
    write_transform(files["field"], transform or phantom.truth, phantom.fixed_grid)
    return files


def screenshot(page: Path, scratch: Path, width: int) -> np.ndarray:
    """Return a screenshot of a page `width` pixels wide: [rows, width, 3], 0 to 255."""
    frame = scratch / "frame.html"  # a frame can be narrower than a window
    frame.write_text(
        f'<body style="margin:0;background:#fff"><iframe src="{page.as_uri()}" '
        f'width="{width}" height="4000" style="border:0"></iframe></body>'
    )
    shot = scratch / "shot.png"
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={scratch / 'profile'}", f"--screenshot={shot}"]
    command += [f"--window-size={max(width, 500)},4000", frame.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return np.asarray(Image.open(shot).convert("RGB"))[:, :width].astype(int)
