"""Spoiled images are reported, and wrong commands are refused with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from benchmarks.harness.spoiled_pairs import FAULTS as SPOIL

from promised.promise import Place, Promise, ensure, phantom, quality_of
from zoo.io.points import read_points, write_points
from zoo.io.volume import read_volume, write_volume
from zoo.synthesis.phantom import make_pair


def _spoiled(place: Place, fault: str) -> dict[str, Path]:
    """Write a phantom whose moving image has a fault, with its landmarks; return the files."""
    good = phantom(place.shared / "phantom-t1")
    volume, motion = SPOIL[fault](read_volume(good["moving"]), 1)
    moving, points = place.folder / "moving.nii.gz", place.folder / "moving_points.csv"
    write_volume(moving, volume.data, volume.grid)
    old = read_points(good["moving_points"], "ras")
    write_points(points, old @ motion[:3, :3].T + motion[:3, 3], "ras")
    files = {"fixed": good["fixed"], "fixed_points": good["fixed_points"]}
    return files | {"moving": moving, "moving_points": points}


def _reported(place: Place, fault: str, sign: str, *words: str) -> dict[str, Any]:
    """Register a spoiled pair, and ensure that the verdict is not ok and names the sign."""
    result = place.register(_spoiled(place, fault), "result", "--report=false", *words)
    ensure(quality_of(result) != "ok", "the quality is ok")
    warnings = " ".join(result["warnings"])
    ensure(sign in warnings, f"quality {result['quality']}, but said: {warnings}")
    return result


def _landmarks(figures: dict[str, Any]) -> tuple[float, str]:
    """Return the share of the landmark error that is left, and the error before and after."""
    before, after = figures["tre_mm_before"], figures["tre_mm_after"]
    return after / before, f"landmark error {before:.1f} -> {after:.1f} mm"


def rotated_header_is_recovered(place: Place) -> str:
    """A header that is rotated by 90 degrees is recovered and reported."""
    result = _reported(place, "header turned by 90 degrees", "90 degrees about the")
    left, seen = _landmarks(result["figures"])
    ensure(left < 0.1, f"reported, but not recovered: {seen}")
    return f"quality {result['quality']}, {seen}"


def wrong_units_are_reported(place: Place) -> str:
    """An image whose header is ten times too large is reported as such and aligned."""
    result = _reported(place, "units x10", "too large by a factor of 10")
    left, seen = _landmarks(result["figures"])
    ensure(left < 0.1, f"reported, but not aligned: {seen}")
    return f"quality {result['quality']}, {seen}"


def mirrored_header_is_reported(place: Place) -> str:
    """A mirrored header is reported, and with --allow-mirror it is undone."""
    result = _reported(place, "mirrored header", "is mirrored along the")
    undone = place.register(
        _spoiled(place, "mirrored header"), "undone", "--report=false", "--allow-mirror"
    )
    left, seen = _landmarks(undone["figures"])
    ensure(left < 0.1, f"not undone with --allow-mirror: {seen}")
    return f"quality {result['quality']}; with --allow-mirror {seen}"


def noise_is_failed(place: Place) -> str:
    """Noise as the moving image is failed, and with --strict the exit code is 3."""
    files = _spoiled(place, "noise")
    images = {"fixed": files["fixed"], "moving": files["moving"]}
    result = place.register(images, "result", "--report=false", "--strict", code=3)
    ensure(quality_of(result) == "failed", f"the quality is {result['quality']}")
    return f"quality failed, exit code 3: {result['warnings'][0]}"


def ct_among_mr_is_an_error(place: Place) -> str:
    """`regzoo check` reports a CT image among MR images as an error, and exits with 2."""
    study = place.folder / "study"
    study.mkdir()
    for case in range(3):
        contrasts = ("t1", "ct" if case == 2 else "t1")
        pair = make_pair(case, shape=(32, 32, 32), spacing=(4, 4, 4), contrasts=contrasts)
        for side in ("fixed", "moving"):
            path = study / f"{side}{case}.nii.gz"
            write_volume(path, getattr(pair, side), getattr(pair, f"{side}_grid"), torch.int16)
    images = '{"fixed": "fixed%d.nii.gz", "moving": "moving%d.nii.gz"}'
    pairs = ", ".join(images % (case, case) for case in range(3))
    (study / "dataset.json").write_text(
        f'{{"modality": {{"0": "MR", "1": "MR"}}, "anatomy": "brain", "training": [{pairs}]}}'
    )
    said = place.regzoo("check", "study", code=2)
    lines = [line for line in said.splitlines() if "moving2.nii.gz" in line]
    ensure(any("modality-hounsfield" in line for line in lines), f"it said: {said}")
    return lines[0]


def no_input_is_overwritten(place: Place) -> str:
    """A registration whose result would replace an input is refused, and the input stays."""
    files = phantom(place.shared / "phantom-t1")
    moving = place.folder / "warped.nii.gz"
    moving.write_bytes(files["moving"].read_bytes())
    said = place.regzoo("register", files["fixed"], moving, "--out", ".", code=2)
    ensure(moving.read_bytes() == files["moving"].read_bytes(), "the input has changed")
    ensure("warped.nii.gz" in said, said)
    return said


def a_typo_is_answered(place: Place) -> str:
    """A wrong command, option, model or setting is answered with the nearest name."""
    files = phantom(place.shared / "phantom-t1")
    register = ["register", files["fixed"], files["moving"], "--out", "result"]
    for words, nearest in (
        (["regster"], "register"),
        ([*register, "--modle", "mcbo"], "--model"),
        ([*register, "--model", "unigradcon"], "unigradicon"),
        ([*register, "--model", "mcbo", "--set", "mod=paper"], "mode"),
        ([*register, "--set", "afine=none"], "affine"),
    ):
        said = place.regzoo(*words, code=2)
        ensure(said.count("\n") == 1, f"more than one line: {said}")
        ensure(f"did you mean {nearest}?" in said, f"no `{nearest}` in: {said}")
    ensure(not (place.folder / "result").exists(), "a folder was made")
    return said


def a_failure_keeps_the_earlier_result(place: Place) -> str:
    """A registration that fails leaves the results of the earlier one as they were."""
    files = phantom(place.shared / "phantom-t1")
    images = {"fixed": files["fixed"], "moving": files["moving"]}
    place.register(images, "result", "--report=false")
    earlier = {path.name: path.read_bytes() for path in (place.folder / "result").iterdir()}
    broken = place.folder / "broken.nii.gz"
    broken.write_bytes(files["moving"].read_bytes()[:-2000])
    said = place.regzoo("register", files["fixed"], broken, "--out", "result", code=2)
    now = {path.name: path.read_bytes() for path in (place.folder / "result").iterdir()}
    ensure(now == earlier, "the folder has changed")
    ensure("broken.nii.gz" in said and said.count("\n") == 1, said)
    return said


def compact_weights_are_refused_across_contrasts(place: Place) -> str:
    """The compact weights of unigradicon are refused for a pair of two contrasts unless --force is
    given.
    """
    files = phantom(place.shared / "phantom-t2", "t2")
    words = ["register", files["fixed"], files["moving"], "--out", "result"]
    said = place.regzoo(*words, "--model", "unigradicon", "--weights", "compact", code=2)
    ensure("--force" in said, said)
    ensure("mcbo" in said or "multigradicon" in said, f"no model that suits is named: {said}")
    return said


FAULTS: tuple[Promise, ...] = (
    rotated_header_is_recovered,
    wrong_units_are_reported,
    mirrored_header_is_reported,
    noise_is_failed,
    ct_among_mr_is_an_error,
    no_input_is_overwritten,
    a_typo_is_answered,
    a_failure_keeps_the_earlier_result,
    compact_weights_are_refused_across_contrasts,
)
