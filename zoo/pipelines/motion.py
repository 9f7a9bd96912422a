"""Motion correction: every frame of a 4-D series is registered to one of its frames."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Transform, warp
from zoo.handlers.provenance import peak_memory_mib, versions
from zoo.hub.bundles import bundle_folder
from zoo.hub.setting_rules import for_monai
from zoo.io.atomic import write_json, write_text
from zoo.io.json_documents import read_json_object
from zoo.io.transforms import write_transform
from zoo.io.volume import Frames, Volume, cast_voxels, read_frames, write_frames
from zoo.reporting.motion_plot import draw_motion
from zoo.runtime.device import choose_device, use_threads
from zoo.runtime.output_folder import staged_outputs
from zoo.runtime.overwriting import refuse_overwriting
from zoo.runtime.registrar import open_registrar
from zoo.solvers.realignment import (
    RADIUS_MM,
    align_frame,
    framewise_displacement,
    motion_parameters,
    prepare_reference,
)

Kind = Literal["rigid", "affine", "deformable"]

RESULT, TABLE, PLOT, CORRECTED = "result.json", "motion.csv", "motion.png", "corrected.nii.gz"
HIGH_FD_MM = 0.5
"""The framewise displacement above which a frame is counted as moved, as Power et al. did."""
WORSE = 0.01
"""A loss of correlation with the reference above which a frame is reported."""

PARAMETERS = ("x_mm", "y_mm", "z_mm", "x_degrees", "y_degrees", "z_degrees")


@dataclass(frozen=True)
class FrameMotion:
    """The motion of one frame: its transform from the reference, and figures by column."""

    transform: Transform
    parameters: Tensor
    figures: dict[str, float]


def correct_motion(
    series: str | PathLike[str],
    *,
    out: str | PathLike[str],
    kind: Kind = "rigid",
    reference: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Register all frames of a series to one and write everything to `out`; return result.json.

    The files of an earlier correction in the folder are replaced together at the end. `reference`
    is the number of a frame, counted from 0; by default it is the middle one. `kind` "deformable"
    adds a registration with MCBO to the rigid one. `progress` is called with the frames done and
    their number.
    """
    started = time.perf_counter()
    use_threads(threads)
    folder = Path(out).absolute()
    refuse_overwriting({"the series": series}, [folder / n for n in (RESULT, TABLE, CORRECTED)])
    with staged_outputs(folder, previous_motion, marker=RESULT) as staged:
        frames = read_frames(series)
        number = frames.data.shape[3]
        chosen = number // 2 if reference is None else reference
        if not 0 <= chosen < number:
            raise UserError(
                f"--reference {chosen} does not exist; use a frame from 0 to {number - 1}"
            )
        motions = []
        corrected = torch.empty_like(frames.data)
        with _frame_registration(frames, chosen, kind, staged, device) as register:
            for k in range(number):
                motions.append(register(k))
                data = _frame(frames, k)
                fill = min(0.0, float(data.min()))
                moved = warp(
                    data[None], frames.grid, frames.grid, motions[k].transform,
                    interpolation="cubic", fill=fill,
                )[0]  # fmt: skip
                corrected[..., k] = cast_voxels(moved.cpu(), frames.data.dtype)
                motions[k] = _with_similarity(motions[k], _frame(frames, chosen), data, moved.cpu())
                _write_transform(staged, k, motions[k].transform)
                if progress is not None:
                    progress(k + 1, number)
        parameters = torch.stack([motion.parameters for motion in motions])
        displacement = framewise_displacement(parameters)
        write_frames(staged / CORRECTED, replace(frames, data=corrected))
        write_text(staged / TABLE, _table(motions, displacement))
        draw_motion(staged / PLOT, parameters.numpy(), displacement.numpy(), HIGH_FD_MM)
        result = {
            "series": str(Path(series).absolute()),
            "frames": number,
            "reference": chosen,
            "kind": kind,
            "fd_radius_mm": RADIUS_MM,
            "fd_mean_mm": round(float(displacement[1:].mean()), 4),
            "fd_max_mm": round(float(displacement.max()), 4),
            f"frames_above_{HIGH_FD_MM}_mm": int((displacement > HIGH_FD_MM).sum()),
            "largest_translation_mm": round(float(parameters[:, :3].abs().max()), 4),
            "largest_rotation_degrees": round(float(parameters[:, 3:].abs().max()), 4),
            "warnings": _warnings(motions),
            "seconds": round(time.perf_counter() - started, 3),
            "peak_memory_mib": peak_memory_mib(),
            "versions": versions(),
        }
        names = [p.relative_to(staged).as_posix() for p in staged.rglob("*") if p.is_file()]
        result["files"] = sorted([*names, RESULT])
        write_json(staged / RESULT, result)
    return result


def previous_motion(folder: Path) -> set[str]:
    """Return the names of the files in `folder` that an earlier motion correction wrote."""
    try:
        listed = read_json_object(folder / RESULT).get("files", [])
    except UserError:  # there is none, or its record is damaged
        return set()
    own = {RESULT, TABLE, PLOT, CORRECTED}
    frame = re.compile(r"transforms/frame_\d{4,}\.(tfm|nii\.gz)")
    names = {n for n in listed if isinstance(n, str) and (n in own or frame.fullmatch(n))}
    return {name for name in names if (folder / name).is_file()} if TABLE in names else set()


def _frame(frames: Frames, k: int) -> Tensor:
    return frames.data[..., k].contiguous()


@contextmanager
def _frame_registration(
    frames: Frames, reference: int, kind: Kind, staged: Path, device: str | None
) -> Iterator[Callable[[int], FrameMotion]]:
    """Yield a function that returns the motion of frame k; each starts at that of the last one."""
    grid, fixed = frames.grid, _frame(frames, reference)
    levels = prepare_reference(fixed.float(), grid, "affine" if kind == "affine" else "rigid")
    last: list[Tensor] = [torch.eye(4, dtype=torch.float64)]

    def aligned(k: int) -> FrameMotion:
        if k == reference:
            last[0] = torch.eye(4, dtype=torch.float64)
        else:
            last[0] = align_frame(levels, _frame(frames, k).float(), grid, last[0])
        return FrameMotion(Transform(last[0]), motion_parameters(last[0], grid.centre), {})

    if kind != "deformable":
        yield aligned
        return
    bundle = bundle_folder("mcbo")
    overrides = {
        "bar": False,
        "pairs": [],
        "handlers": [],
        "output_dir": for_monai(str(staged)),
        "bundle_root": for_monai(str(bundle.absolute())),
        "device": f"$torch.device({str(choose_device(device))!r})",
    }
    with open_registrar(bundle, overrides, settings={"affine": "none"}) as registrar:

        def deformed(k: int) -> FrameMotion:
            motion = aligned(k)
            if k == reference:
                return replace(motion, figures={"deformation_mm_mean": 0.0})
            rigid = motion.transform.affine
            # The frame is placed where the rigid motion puts it, and only the rest is registered.
            moving = Volume(_frame(frames, k), grid.moved(torch.linalg.inv(rigid)), frames.path)
            pair = Pair(f"frame {k}", Volume(fixed, grid, frames.path), (moving,))
            found = registrar.register(pair).transform.to("cpu")
            field = found.field
            mean = 0.0 if field is None else float(field.norm(dim=0).mean())
            whole = Transform(rigid @ found.affine, field, found.grid)
            return replace(motion, transform=whole, figures={"deformation_mm_mean": mean})

        yield deformed


def _with_similarity(
    motion: FrameMotion, reference: Tensor, frame: Tensor, moved: Tensor
) -> FrameMotion:
    """Return a motion with the correlations of its frame with the reference, before and after."""
    before, after = (
        float(torch.corrcoef(torch.stack([reference.flatten(), x.flatten()]).double())[0, 1])
        for x in (frame, moved)
    )
    figures = {"correlation_before": before, "correlation_after": after, **motion.figures}
    return replace(motion, figures=figures)


def _write_transform(staged: Path, k: int, transform: Transform) -> None:
    """Write the transform of frame k from the reference to the frame."""
    folder = staged / "transforms"
    folder.mkdir(exist_ok=True)
    suffix = ".tfm" if transform.field is None else ".nii.gz"
    write_transform(folder / f"frame_{k:04d}{suffix}", transform, transform.grid)


def _table(motions: Sequence[FrameMotion], displacement: Tensor) -> str:
    """Return the motion of all frames as CSV, one row per frame."""
    text = io.StringIO()
    more = list(motions[0].figures)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", *PARAMETERS, "fd_mm", *more])
    for k, motion in enumerate(motions):
        values = [*motion.parameters.tolist(), float(displacement[k])]
        values += [motion.figures.get(name, 0.0) for name in more]
        writer.writerow([k, *(f"{value:.5f}" for value in values)])
    return text.getvalue()


def _warnings(motions: Sequence[FrameMotion]) -> list[str]:
    """Return a sentence if frames resemble the reference less after the correction than before."""
    worse = [
        k
        for k, motion in enumerate(motions)
        if motion.figures["correlation_after"] < motion.figures["correlation_before"] - WORSE
    ]
    if not worse:
        return []
    shown = ", ".join(map(str, worse[:10])) + (", ..." if len(worse) > 10 else "")
    return [
        f"{len(worse)} of {len(motions)} frames resemble the reference less after the correction "
        f"({shown}); look at them"
    ]
