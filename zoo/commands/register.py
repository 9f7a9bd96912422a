"""`regzoo register`: one pair, from files to files."""

from __future__ import annotations

from typing import Literal


def register(
    fixed: str,
    moving: str,
    *,
    out: str,
    model: str = "mcbo",
    bundle: str | None = None,
    weights: str | None = None,
    refine: int | None = None,
    refine_mode: Literal["field", "weights"] | None = None,
    similarity: Literal["lncc", "lncc2", "mind"] | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    anatomy: str | None = None,
    pairing: Literal["inter", "intra"] | None = None,
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

    Finds the map from the fixed to the moving image and writes it with the moving image on the
    fixed grid, a report with pictures and figures, and result.json.

    Examples:
        regzoo register fixed.nii.gz moving.nii.gz --out result
        regzoo register us.nii.gz t1.nii.gz,t2.nii.gz --out result --set mode=paper

    Args:
        fixed: the image that stays as it is.
        moving: the image that is deformed; several of one patient with commas between.
        out: the folder for the results; made if missing.
        model: the model, such as mcbo.
        bundle: the folder of a bundle of your own, instead of --model.
        weights: compact, official or a .safetensors file; by default the best on disk.
        refine: steps of refinement after the network's prediction; 0 for none.
        refine_mode: refine the predicted field (fast) or all weights of the network (published).
        similarity: what the refinement compares with: lncc, lncc2 (any contrast) or mind.
        precision: float32, or bfloat16 for speed.
        anatomy: the region, for unireg: chest, abdomen, head, liver, cardiac or brain.
        pairing: inter (two patients) or intra (one patient), for unireg.
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
    from zoo.workflow.bundle import (
        absolute,
        bundle_folder,
        config_keys,
        parse_settings,
        run_bundle,
    )
    from zoo.workflow.device import choose_device, use_threads

    use_threads(threads)
    folder = bundle_folder(bundle or model)
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
        "region": anatomy,
        "type": pairing,
        "affine": affine,
        "points_space": points_space,
        "inverse": inverse,
        "format": format,
        "learn2reg": learn2reg,
        "report": report,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    overrides["device"] = f"$torch.device({str(choose_device(device))!r})"
    overrides |= parse_settings(set_ or [], config_keys(folder))
    run_bundle(folder, overrides, trust=trust)
    print(summary(out))


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
