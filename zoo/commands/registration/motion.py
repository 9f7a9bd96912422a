"""`regzoo motion`: register all frames of a series to one of them."""

from __future__ import annotations

from typing import Literal


def motion(
    series: str,
    *,
    out: str,
    kind: Literal["rigid", "affine", "deformable"] = "rigid",
    reference: int | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> None:
    """Correct the motion in a 4-D series: register all frames to one of them.

    Writes the corrected series (corrected.nii.gz), the motion parameters and the framewise
    displacement of each frame (motion.csv) with a plot (motion.png), the transforms from the
    reference to the frames (transforms/) and result.json. Parameters are the translation of the
    centre of the image in mm and the rotations about it in degrees, RAS. Framewise displacement is
    that of Power et al. (2012): the sum of the absolute changes of the six parameters, rotations
    counting as arcs on a sphere of 50 mm.

    Examples:
        regzoo motion bold.nii.gz --out corrected
        regzoo motion cine_folder --out corrected --kind deformable --reference 0

    Args:
        series: A 4-D NIfTI file, or a folder with a DICOM series of several volumes.
        out: The folder for the results, which is created if it does not exist.
        kind: The motion: rigid, affine, or deformable (rigid, and then MCBO for each frame).
        reference: The frame to which the others are registered, counted from 0; by default the
            middle one.
        device: The device for deformable motion: cpu, cuda, cuda:1 or mps.
        threads: The number of CPU threads.
    """
    import sys

    from zoo.commands._shared import progress_bar
    from zoo.pipelines.motion import HIGH_FD_MM, correct_motion

    with progress_bar("frames") as progress:
        result = correct_motion(
            series,
            out=out,
            kind=kind,
            reference=reference,
            device=device,
            threads=threads,
            progress=progress,
        )
    print(f"{result['frames']} frames, {kind} motion relative to frame {result['reference']}")
    print(
        f"framewise displacement: mean {result['fd_mean_mm']:.3g} mm, largest "
        f"{result['fd_max_mm']:.3g} mm, {result[f'frames_above_{HIGH_FD_MM}_mm']} frames above "
        f"{HIGH_FD_MM} mm"
    )
    print(
        f"largest motion: {result['largest_translation_mm']:.3g} mm, "
        f"{result['largest_rotation_degrees']:.3g} degrees"
    )
    print(f"Results written to {out} ({result['seconds']:.1f} s)")
    for line in result["warnings"]:
        print(f"regzoo: {line}", file=sys.stderr)
