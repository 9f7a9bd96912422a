"""`regzoo register`: one pair, from files to files."""

from __future__ import annotations

from typing import Any

from zoo.commands._shared import QUALITY_FAILED, uncollected_imports, verdict_lines
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.signatures import command_taking


@command_taking(RegistrationOptions)
def register(options: RegistrationOptions) -> int:
    """Register a moving image to a fixed image.

    A plan chooses the model and its settings from the images and from the facts given as options.
    If too little is known, the plan chooses a model that suits any pair. The results are the
    transform from the fixed to the moving image, the moving image on the fixed grid, a report with
    pictures and figures, the plan, and result.json. Every registration is judged from measurements:
    its quality is ok, check or failed, and the reasons are printed.

    Examples:
        regzoo register fixed.nii.gz moving.nii.gz --out result
        regzoo register ct.nii.gz mr.nii.gz --out result --modality.1 mr --anatomy abdomen
        regzoo register ct.nii.gz mr.nii.gz --out result --affine 0GenericAffine.mat
        regzoo register us.nii.gz t1.nii.gz,t2.nii.gz --out result --set mode=paper
        regzoo register fixed.nii.gz moving.nii.gz --out result --effort best
        regzoo register fixed.nii.gz moving.nii.gz --out result --strict
    """
    import sys

    with uncollected_imports():
        from zoo.pipelines.plan import describe_choice
        from zoo.pipelines.register import register_files
        from zoo.runtime.wall_time import seconds_since_start

    registered = register_files(
        options,
        on_plan=lambda plan: print(describe_choice(plan)),
        bar=True,
        wall_seconds=seconds_since_start,
    )
    result = registered.result
    print(summary(result))
    print(f"Results written to {options.out}")
    for line in verdict_lines(result["quality"], result["warnings"]):
        print(f"regzoo: {line}", file=sys.stderr)
    return QUALITY_FAILED if options.strict and result["quality"] == "failed" else 0


def summary(result: dict[str, Any]) -> str:
    """Return the initial alignment, the figures, time and memory of a registration as text."""
    alignment = result["affine_start"]
    figures = result["figures"].items()
    lines = [f"quality: {result['quality']}"]
    lines.append(f"initial affine alignment: {alignment['kind']} ({alignment['reason']})")
    if candidates := result.get("candidates"):
        values = (f"{name} {value:.3g}" for name, value in candidates["values"].items())
        lines.append(f"candidate: {candidates['chosen']} ({', '.join(values) or 'the only one'})")
    lines += [f"{name}: {value:.4g}" for name, value in figures if value is not None]
    lines.append(f"{result['wall_seconds']:.1f} s, {result['peak_memory_mib']} MiB")
    return "\n".join(lines)
