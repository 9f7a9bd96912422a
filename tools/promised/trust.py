"""A result is right, or a sentence says why it may not be; and nothing is lost or mixed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from benchmarks.harness.spoiled_pairs import FAULTS as SPOIL

from promised.promise import Place, Promise, ensure, phantom, quality_of
from zoo.geometry import Grid
from zoo.io.volume import read_volume, write_volume
from zoo.synthesis.subjects import draw_pair

REPORTED = ("header turned by 180 degrees", "units x0.1", "scale x3", "half black")
"""The faults of `spoiled_pairs` that have no promise of their own."""
KILLS = (0.5, 0.75, 0.8, 0.85, 0.88, 0.91, 0.94, 0.97)
"""Shares of the time of a registration after which it is killed."""
SUBJECT_GRID = Grid((48, 48, 48), torch.diag(torch.tensor([2.5, 2.5, 2.5, 1]).double()))


def _registered(place: Place, out: str, fixed: Path, moving: Path) -> dict[str, Any]:
    return place.register({"fixed": fixed, "moving": moving}, out, "--report=false")


def other_faults_are_reported(place: Place) -> str:
    """A moving image that is turned by 180 degrees, in other units, or half black is reported."""
    good = phantom(place.shared / "phantom-t1")
    for fault in REPORTED:
        volume, _ = SPOIL[fault](read_volume(good["moving"]), 1)
        moving = place.folder / f"{fault}.nii.gz"
        write_volume(moving, volume.data, volume.grid)
        result = _registered(place, fault, good["fixed"], moving)
        ensure(quality_of(result) != "ok", f"{fault}: nothing is reported")
        ensure(bool(result["warnings"]), f"{fault}: no sentence says why")
    return f"{len(REPORTED)} faults are reported"


def another_patient_is_reported(place: Place) -> str:
    """A brain registered with an abdomen is reported on stderr and in result.json."""
    for seed, (side, region) in enumerate((("fixed", "brain"), ("moving", "abdomen"))):
        image = draw_pair(seed, SUBJECT_GRID.shape, region=region).fixed[0]
        write_volume(place.folder / f"{side}.nii.gz", 1000 * image, SUBJECT_GRID, torch.int16)
    said = place.regzoo("register", "fixed.nii.gz", "moving.nii.gz", "--out", "result")
    result = place.json("result/result.json")
    ensure(quality_of(result) != "ok", "nothing is reported")
    ensure(result["warnings"][0] in " ".join(said.split()), f"the command printed only: {said}")
    return f"quality {result['quality']}: {result['warnings'][0]}"


def cropped_images_do_not_fold(place: Place) -> str:
    """Where the moving image covers two fifths of the body, less than .05 % of the voxels fold."""
    good = phantom(place.shared / "phantom-t1")
    volume, _ = SPOIL["two fifths of the field of view"](read_volume(good["moving"]), 2)
    write_volume(place.folder / "moving.nii.gz", volume.data, volume.grid)
    moving = place.folder / "moving.nii.gz"
    result = _registered(place, "result", good["fixed"], moving)
    folding = result["figures"]["folding_percent"]
    ensure(folding < 0.05, f"{folding:.3f} % of the voxels fold")
    return f"folding {folding:g} %"


def one_bright_voxel_does_not_matter(place: Place) -> str:
    """One voxel of 1e9 changes the mean error of the landmarks by less than 5 %."""
    good = phantom(place.shared / "phantom-t1")
    volume = read_volume(good["moving"])
    data = volume.data.float()
    data[tuple(n // 2 for n in data.shape)] = 1e9
    write_volume(place.folder / "moving.nii.gz", data, volume.grid, torch.float32)
    files = {name: good[name] for name in ("fixed", "moving", "fixed_points", "moving_points")}
    spoiled = {**files, "moving": place.folder / "moving.nii.gz"}
    errors = [
        place.register(images, out, "--report=false")["figures"]["tre_mm_after"]
        for out, images in (("good", files), ("bright", spoiled))
    ]
    seen = f"landmark error {errors[0]:.3f} mm, with the voxel {errors[1]:.3f} mm"
    ensure(errors[1] < 1.05 * errors[0], seen)
    return seen


def extreme_scales_are_registered(place: Place) -> str:
    """Images with intensities of the order of 1e-30 and 1e35 give the map of the same images."""
    good = phantom(place.shared / "phantom-t1")
    moved = []
    for scale in (1.0, 1e-30, 1e30):
        files = {}
        for side in ("fixed", "moving"):
            volume = read_volume(good[side])
            files[side] = place.folder / f"{side}-{scale:g}.nii.gz"
            write_volume(files[side], volume.data.float() * scale, volume.grid, torch.float32)
        points = {name: good[name] for name in ("fixed_points", "moving_points")}
        result = place.register({**files, **points}, f"{scale:g}", "--report=false")
        moved.append(result["figures"]["tre_mm_after"])
    seen = "landmark errors " + ", ".join(f"{error:.3f}" for error in moved) + " mm"
    ensure(max(moved) < 1.05 * min(moved), seen)
    return seen


def printed_seconds_are_wall_time(place: Place) -> str:
    """The seconds that `regzoo register` prints are those of the whole command."""
    good = phantom(place.shared / "phantom-t1")
    started = time.monotonic()
    said = place.regzoo("register", good["fixed"], good["moving"], "--out", "result")
    seconds = time.monotonic() - started
    line = next(line for line in reversed(said.splitlines()) if " MiB" in line)
    printed = float(line.split(" s", 1)[0].split()[-1])
    seen = f"{printed:.1f} s are printed, the command took {seconds:.1f} s"
    ensure(abs(printed - seconds) < 0.1 * seconds + 0.2, seen)
    return seen


def nothing_of_an_earlier_result_remains(place: Place) -> str:
    """A second registration into the same folder leaves no file of the first."""
    good = phantom(place.shared / "phantom-t1")
    place.register(good, "result", "--report=false", "--inverse")
    first = _names(place.folder / "result")
    images = {side: good[side] for side in ("fixed", "moving")}
    result = place.register(images, "result", "--report=false")
    now = _names(place.folder / "result")
    ensure(now < first, f"the folder holds {', '.join(sorted(now))}")
    ensure("files" in result, "result.json does not list the files")
    listed = {*result["files"], "result.json"}
    ensure(now == listed, f"result.json does not list {', '.join(sorted(now - listed))}")
    return f"{len(first - now)} files of the first are gone"


def a_killed_registration_keeps_the_earlier_result(place: Place) -> str:
    """A registration that is killed leaves the earlier result complete, or the new one."""
    good = phantom(place.shared / "phantom-t1")
    words = ["register", good["fixed"], good["moving"], "--out", "result", "--report=false"]
    started = time.monotonic()
    place.regzoo(*words)
    duration = time.monotonic() - started
    earlier = _contents(place.folder / "result")
    place.regzoo(*words[:-2], "other", words[-1], "--inverse")
    expected = set(_contents(place.folder / "other"))
    for share in KILLS:
        process = subprocess.Popen(
            [sys.executable, "-m", "zoo", *map(str, words), "--inverse"],
            cwd=place.folder,
            env=place.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(share * duration)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = _contents(place.folder / "result")
        names = ", ".join(sorted(found)) or "nothing"
        complete = found == earlier or set(found) == expected
        ensure(complete, f"after {share:.0%} of the time the folder holds {names}")
    return f"complete after each of {len(KILLS)} kills"


def two_commands_do_not_share_a_folder(place: Place) -> str:
    """A second registration into a folder that another one is writing is refused."""
    good = phantom(place.shared / "phantom-t1")
    words = ["register", str(good["fixed"]), str(good["moving"]), "--out", "result"]
    first = subprocess.Popen(
        [sys.executable, "-m", "zoo", *words],
        cwd=place.folder,
        env=place.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not any(place.folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        said = place.regzoo(*words, code=2)
    finally:
        first.communicate()
    ensure("result" in said and first.returncode == 0, said)
    return said


def a_misspelt_override_is_refused(place: Place) -> str:
    """`monai.bundle run` with a misspelt name is refused with the nearest name."""
    good = phantom(place.shared / "phantom-t1")
    config = place.bundle("mcbo") / "configs" / "inference.json"
    words = ["-m", "monai.bundle", "run", "--config_file", config]
    words += ["--fixed", good["fixed"], "--moving", good["moving"], "--output_dir", "result"]
    said = place.python(*words, "--afine", "none", code=None)
    ensure(not (place.folder / "result" / "result.json").exists(), "it registered the pair")
    refused = [line for line in said.splitlines() if "afine" in line and "affine" in line]
    ensure(bool(refused), f"it does not name affine: {said.splitlines()[-1]}")
    return refused[-1]


def a_push_states_the_licence(place: Place) -> str:
    """`regzoo push --dry-run` of compact weights names their licence."""
    said = place.regzoo("push", "unireg", "me/unireg", "--dry-run")
    licence = [line for line in said.splitlines() if line.startswith("license")]
    ensure("license: apache-2.0" in licence, f"the model card states {', '.join(licence)}")
    return licence[0]


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder that matter to a user: all but the times in result.json."""
    if not folder.is_dir():
        return {}
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    if "result.json" in contents:
        json.loads(contents["result.json"])  # half a file breaks the promise
    return contents


TRUST: tuple[Promise, ...] = (
    other_faults_are_reported,
    another_patient_is_reported,
    cropped_images_do_not_fold,
    one_bright_voxel_does_not_matter,
    extreme_scales_are_registered,
    printed_seconds_are_wall_time,
    nothing_of_an_earlier_result_remains,
    a_killed_registration_keeps_the_earlier_result,
    two_commands_do_not_share_a_folder,
    a_misspelt_override_is_refused,
    a_push_states_the_licence,
)
