"""`regzoo register`: one pair, from files to files."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.commands._shared import (
    QUALITY_FAILED,
    print_json,
    refuse_together,
    uncollected_imports,
    verdict_lines,
)
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.signatures import about, command_taking

if TYPE_CHECKING:
    from zoo.planning.plan import Plan


@dataclass(frozen=True)
class RegisterOptions(RegistrationOptions):
    """The request of the command: that of a registration, and what is printed about it."""

    _: KW_ONLY
    dry_run: bool = field(
        default=False,
        metadata=about("Only print the plan and check the files; nothing is registered."),
    )
    json: bool = field(
        default=False,
        metadata=about("Print one JSON document: the folder of the results and result.json."),
    )
    progress: bool = field(
        default=False,
        metadata=about(
            "Print the progress as lines on standard error, such as `progress 42 deformation`, for "
            "a program that runs the command."
        ),
    )
    quiet: bool = field(
        default=False,
        metadata=about("Print errors and quality warnings only, and show no progress bar."),
    )
    verbose: bool = field(
        default=False,
        metadata=about(
            "Also print the reason of every setting, the seconds of every stage, and the files."
        ),
    )


@command_taking(RegisterOptions)
def register(options: RegisterOptions) -> int:
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
        regzoo register fixed.nii.gz moving.nii.gz --out result --dry-run --verbose
        regzoo register fixed.nii.gz moving.nii.gz --out result --json
    """
    import sys

    refuse_together(json=options.json, quiet=options.quiet, verbose=options.verbose)
    with uncollected_imports():
        from zoo.pipelines.register import check_registration, register_files
        from zoo.runtime.wall_time import seconds_since_start

    silent = options.quiet or options.json
    if options.dry_run:
        planned = check_registration(options)
        if options.json:
            print_json({"dry_run": True, "folder": str(options.out), "plan": planned})
        elif not silent:
            print(_described(planned, options))
            print("The checks passed; nothing was written")
        return 0
    registered = register_files(
        options,
        on_plan=None if silent else lambda plan: print(_described(plan, options)),
        bar="lines" if options.progress else not silent,
        wall_seconds=seconds_since_start,
    )
    result = registered.result
    if options.json:
        print_json({"folder": str(registered.folder), **result})
    elif not silent:
        print(summary(result))
        if options.verbose:
            print(details(result))
        for limit in result["quality_limits"]:
            print(limit)
        print(f"Results written to {options.out}")
    for line in verdict_lines(result["quality"], result["warnings"]):
        print(f"regzoo: {line}", file=sys.stderr)
    return QUALITY_FAILED if options.strict and result["quality"] == "failed" else 0


def _described(plan: Plan | None, options: RegisterOptions) -> str:
    """Return the choice of a plan and, with --verbose, all its settings and their reasons."""
    from zoo.pipelines.plan import describe_choice, explanation

    if plan is None:
        return f"the bundle {options.bundle} runs with its own settings"
    lines = [describe_choice(plan)]
    return "\n".join([*lines, explanation(plan, "the plan")] if options.verbose else lines)


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
    memory = result["peak_memory_mib"]
    spent = f"{result['wall_seconds']:.1f} s"
    lines.append(spent if memory is None else f"{spent}, {memory} MiB")
    lines += [f"cite: {reference}" for reference in result.get("citation", [])[:1]]
    return "\n".join(lines)


def details(result: dict[str, Any]) -> str:
    """Return the seconds of every stage, the versions and the files of a registration as text."""
    lines = [f"{stage}: {seconds:.2f} s" for stage, seconds in result["seconds"].items()]
    lines += [f"{name} {version}" for name, version in result["versions"].items()]
    return "\n".join([*lines, f"files: {', '.join(result['files'])}"])
