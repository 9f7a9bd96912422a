"""`regzoo register`: one pair, from files to files."""

from __future__ import annotations

from typing import Literal


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
    affine: str | None = None,
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
        regzoo register ct.nii.gz mr.nii.gz --out result --affine 0GenericAffine.mat
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
        affine: what comes before the deformation: auto (if needed), none, com, rigid or affine;
            or the file of an affine transform of ITK (of ANTs, SimpleITK, Slicer, regzoo align),
            fixed to moving points: .mat, .tfm, .txt or .h5.
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
    from zoo.pipelines.register import Request, register_files, summary
    from zoo.runtime.settings import parse_settings

    settings = parse_settings(set_ or [], ["affine"])
    request = Request(
        fixed=fixed,
        moving=moving,
        out=out,
        model=model,
        bundle=bundle,
        plan=plan,
        anatomy=anatomy,
        modality=modality or {},
        pairing=pairing,
        memory=memory,
        accept_guess=accept_guess,
        weights=weights,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
        fixed_points=fixed_points,
        moving_points=moving_points,
        points_space=points_space,
        settings={
            "refine": refine,
            "refine_mode": refine_mode,
            "similarity": similarity,
            "precision": precision,
            "affine": affine,
        }
        | settings,
        outputs={
            "inverse": inverse,
            "format": format,
            "learn2reg": learn2reg,
            "report": report,
        },
    )
    register_files(request, device=device, threads=threads, trust=trust, say=print)
    print(summary(out))
