"""`regzoo explain`: the influence of UniReg's conditions on the deformation."""

from __future__ import annotations


def explain(
    fixed: str,
    moving: str,
    *,
    out: str,
    condition: list[str] | None = None,
    model: str = "unireg",
    weights: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    set_: list[str] | None = None,
) -> None:
    """Register one pair with UniReg under several conditions and compare the results.

    Writes the displacement field and the warped image of each condition. conditions.png shows the
    deformation and its Jacobian, one condition below the other. conditions.json holds the figures,
    the distance of each field from that of the first condition in mm, and the norm of the kernels
    that the controller generated at each level.

    Examples:
        regzoo explain a.nii.gz b.nii.gz --out why --condition inter:abdomen --condition intra:liver

    Args:
        fixed: The fixed image, on whose grid the results are.
        moving: The moving image, which is deformed.
        out: The folder for the results, which is created if it does not exist.
        condition: A condition as TYPE:REGION, such as inter:abdomen; give two or more.
        model: unireg, or a fine-tuned UniReg of your own by its name or its folder.
        weights: The weights: official, compact, or the path of a .safetensors file. The default is
            the best weights on this computer.
        device: The device: cpu, cuda, cuda:1 or mps. The default is a GPU if there is one.
        threads: The number of CPU threads.
        set: A setting of the bundle as KEY=VALUE; may be given several times.
    """
    from zoo.pipelines.conditions import explain_conditions
    from zoo.runtime.settings import parse_settings

    result = explain_conditions(
        fixed,
        moving,
        condition or [],
        out=out,
        model=model,
        weights=weights,
        device=device,
        threads=threads,
        settings=parse_settings(set_ or [], ["affine"]),
    )
    for name, row in result.items():
        print(
            f"{name}: SD of log Jacobian {row['figures']['sd_log_jacobian']:.4g}, "
            f"{row['mm_from_first_mean']:.3g} mm from the first on average"
        )
    print(f"Comparison written to {out}")
