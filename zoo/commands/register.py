"""`regzoo register`: one pair, from files to files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.planning.facts import Wishes


def register(
    fixed: str,
    moving: str,
    *,
    out: str,
    model: str = "auto",
    bundle: str | None = None,
    weights: str | None = None,
    refine: int | None = None,
    refine_mode: Literal["field", "weights"] | None = None,
    similarity: Literal["lncc", "lncc2", "mind"] | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    modality: dict[str, str] | None = None,
    anatomy: str | None = None,
    pairing: Literal["inter", "intra"] | None = None,
    plan: str | None = None,
    memory: str | None = None,
    accept_guess: bool = True,
    affine: Literal["auto", "none", "com", "rigid", "affine"] | None = None,
    fixed_labels: str | None = None,
    moving_labels: str | None = None,
    fixed_mask: str | None = None,
    moving_mask: str | None = None,
    fixed_points: str | None = None,
    moving_points: str | None = None,
    points_space: Literal["ras", "lps", "voxel"] | None = None,
    inverse: bool = False,
    format: Literal["nifti", "h5", "both"] = "nifti",
    learn2reg: bool = False,
    report: bool = True,
    device: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    set_: list[str] | None = None,
) -> None:
    """Register a moving image to a fixed one.

    The model and its settings are planned from the images and from what is said of them; where too
    little is known, the model that suits any pair is taken. Writes the map from the fixed to the
    moving image, the moving image on the fixed grid, a report with pictures and figures, the plan,
    and result.json.

    Examples:
        regzoo register fixed.nii.gz moving.nii.gz --out result
        regzoo register ct.nii.gz mr.nii.gz --out result --modality.1 mr --anatomy abdomen
        regzoo register us.nii.gz t1.nii.gz,t2.nii.gz --out result --set mode=paper

    Args:
        fixed: the image that stays as it is.
        moving: the image that is deformed; several of one patient with commas between.
        out: the folder for the results; made if missing.
        model: auto, or a model such as mcbo.
        bundle: the folder of a bundle of your own, instead of --model; nothing is planned for it.
        weights: compact, official or a .safetensors file; by default the best on disk.
        refine: steps of refinement after the network's prediction; 0 for none.
        refine_mode: refine the predicted field (fast) or all weights of the network (published).
        similarity: what the refinement compares with: lncc, lncc2 (any contrast) or mind.
        precision: float32, or bfloat16 for speed.
        modality: --modality.0 of the fixed and --modality.1 of the moving image: ct, cbct, mr, us
            or pet.
        anatomy: what the images show: brain, lung, abdomen, liver, heart, head-neck, knee, ...
        pairing: inter (two patients) or intra (one patient).
        plan: a plan that was made before, instead of a new one.
        memory: the most memory the run may take, such as 8GB.
        accept_guess: go on with the model that suits any pair where something is not known;
            --accept-guess=false stops and says what to add.
        affine: what comes before the deformation: auto (if needed), none, com, rigid or affine.
        fixed_labels: label map on the fixed image, for Dice.
        moving_labels: label map on the moving image; warped as well.
        fixed_mask: where the fixed image counts (not 0); needs --moving-mask.
        moving_mask: where the moving image counts.
        fixed_points: CSV of landmarks in the fixed image, for the error in mm.
        moving_points: the same places in the moving image.
        points_space: what the landmarks are in: ras (mm), lps (mm) or voxel.
        inverse: write the inverse map as well.
        format: nifti, h5 (ITK composite) or both.
        learn2reg: write the Learn2Reg displacement field as well.
        report: write report.html and report.png.
        device: cpu, cuda, cuda:1 or mps; by default a GPU if there is one.
        threads: how many CPU threads to use.
        trust: run a bundle of your own although the check of its configs found something.
        set: a setting of the bundle, KEY=VALUE; may be given several times.
    """
    from zoo.workflow.bundle import absolute, bundle_folder, parse_settings, run_bundle
    from zoo.workflow.device import choose_device, use_threads

    use_threads(threads)
    settings = parse_settings(set_ or [], ["affine"])
    if bundle is not None:
        if anatomy or pairing or modality or plan or memory:
            raise UserError("nothing is planned for --bundle; give its settings with --set")
        folder, configs = bundle_folder(bundle), []
    else:
        said: dict[str, Any] = {
            "anatomy": anatomy,
            "modality": modality,
            "pairing": pairing,
            "memory": memory,
        }
        said |= {"accept_guess": accept_guess, "weights": weights}
        flags = {"refine": refine, "refine_mode": refine_mode, "precision": precision}
        flags = {name: value for name, value in flags.items() if value is not None}
        points = {"fixed_points": fixed_points, "moving_points": moving_points}
        points["points_space"] = points_space or "ras"
        planned = _plan(fixed, moving, model, plan, said, flags | settings, points)
        folder = bundle_folder(planned["plan"]["model"])
        configs = [_written(planned, out)]
    files = {
        "fixed": fixed,
        "moving": moving,
        "output_dir": out,
        "fixed_labels": fixed_labels,
        "moving_labels": moving_labels,
        "fixed_mask": fixed_mask,
        "moving_mask": moving_mask,
        "fixed_points": fixed_points,
        "moving_points": moving_points,
    }
    given = absolute(files) | {
        "weights": weights,
        "refine": refine,
        "refine_mode": refine_mode,
        "similarity": similarity,
        "precision": precision,
        "affine": affine,
        "points_space": points_space,
        "inverse": inverse,
        "format": format,
        "learn2reg": learn2reg,
        "report": report,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    overrides["bundle_root"] = str(folder.absolute())
    overrides["device"] = f"$torch.device({str(choose_device(device))!r})"
    run_bundle(folder, overrides | settings, ["inference.json", *configs], trust=trust)
    print(summary(out))


def _plan(
    fixed: str,
    moving: str,
    model: str,
    plan: str | None,
    said: dict[str, Any],
    settings: dict[str, Any],
    points: dict[str, str | None],
) -> dict[str, Any]:
    """Return the plan of a pair, made now or before, and say what it chose."""
    from zoo.planning.plan import for_a_pair, make_plan, read_plan

    if plan is not None:
        known = ("anatomy", "modality", "pairing", "memory")
        if model != "auto" or any(said[name] for name in known):
            raise UserError("--plan says all of it already; leave the other flags out")
        planned = for_a_pair(read_plan(plan))
    else:
        planned = make_plan(*_known(fixed, moving, model, said, settings, points))
    told = planned["plan"]
    print(f"{told['model']}: {told['choices']['model']['because']}")
    for text in told["cautions"]:
        print(f"caution: {text}")
    return planned


def _known(
    fixed: str,
    moving: str,
    model: str,
    said: dict[str, Any],
    settings: dict[str, Any],
    points: dict[str, str | None],
) -> tuple[dict[str, Any], Wishes]:
    """Return the fingerprint of a pair, and what was said of it."""
    from zoo.commands._shared import models_here
    from zoo.hub.weights import find_weights
    from zoo.planning.facts import NEEDS_NO_WEIGHTS, Wishes
    from zoo.planning.fingerprint import pair_fingerprint
    from zoo.planning.memory import parse_memory
    from zoo.workflow.pairs import pair_files

    files = pair_files(fixed, moving)
    alone = {NEEDS_NO_WEIGHTS: 0}
    here = alone if len(files.moving) > 1 or model in alone else models_here()
    widths = here
    if said["weights"] and model not in ("auto", *alone):
        widths = here | {model: find_weights(model, said["weights"]).width or 0}
    wishes = Wishes(
        anatomy=said["anatomy"],
        modality=said["modality"] or {},
        pairing=said["pairing"],
        model=None if model == "auto" else model,
        memory_mib=parse_memory(said["memory"]) if said["memory"] else None,
        accept_guess=said["accept_guess"],
        settings=settings,
        available=tuple(here),
        widths=widths,
    )
    aligned = here != alone or model != "auto"
    return pair_fingerprint(files.fixed, files.moving[0], aligned=aligned, **points), wishes


def _written(planned: dict[str, Any], out: str) -> Path:
    """Write the plan beside the results, where the run reads it."""
    from pathlib import Path

    from zoo.io.atomic import write_json

    Path(out).mkdir(parents=True, exist_ok=True)
    target = (Path(out) / "plan.json").absolute()
    write_json(target, planned)
    return target


def summary(out: str) -> str:
    """Return in a few lines what result.json in the folder `out` says."""
    import json
    from pathlib import Path

    result = json.loads((Path(out) / "result.json").read_text())
    seconds = sum(result["seconds"].values())
    lines = [f"affine start: {result['affine_start']['kind']} ({result['affine_start']['reason']})"]
    lines += [
        f"{name}: {value:.4g}" for name, value in result["figures"].items() if value is not None
    ]
    lines.append(f"{seconds:.1f} s, {result['peak_memory_mib']} MiB; written to {out}")
    return "\n".join(lines)
