"""`regzoo explain`: what the conditions of UniReg do to a field."""

from __future__ import annotations


def explain(
    fixed: str,
    moving: str,
    *,
    out: str,
    condition: list[str] | None = None,
    weights: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    set_: list[str] | None = None,
) -> None:
    """Register one pair with UniReg under several conditions, side by side.

    Writes for each condition its field and the warped image; conditions.png with the deformation
    and its Jacobian, one condition under the other; and conditions.json with the figures, how far
    each field is from the first one in mm, and how large the kernels are that the controller wrote
    for each level.

    Examples:
        regzoo explain a.nii.gz b.nii.gz --out why --condition inter:abdomen --condition intra:liver

    Args:
        fixed: the image that stays as it is.
        moving: the image that is deformed.
        out: the folder for the results; made if missing.
        condition: TYPE:REGION, such as inter:abdomen; two or more.
        weights: official, compact or a .safetensors file; by default the best on disk.
        device: cpu, cuda, cuda:1 or mps; by default a GPU if there is one.
        threads: how many CPU threads to use.
        set: a setting of the bundle, KEY=VALUE; may be given several times.
    """
    from pathlib import Path

    from zoo.errors import UserError
    from zoo.hub.bundles import bundle_folder, config_keys
    from zoo.pipelines.conditions import (
        compare_conditions,
        parse_condition,
        register_under,
        save_conditions,
    )
    from zoo.runtime.bundle import open_bundle
    from zoo.runtime.device import choose_device, use_threads
    from zoo.runtime.settings import absolute_paths, parse_settings

    conditions = [parse_condition(text) for text in condition or []]
    if len(conditions) < 2:
        raise UserError(
            "explain compares conditions: give two or more, such as --condition inter:abdomen "
            "--condition intra:liver"
        )
    use_threads(threads)
    folder = bundle_folder("unireg")
    overrides = (
        absolute_paths({"fixed": fixed, "moving": moving})
        | {
            "weights": weights,
            "type": conditions[0][0],
            "region": conditions[0][1],
            "device": f"$torch.device({str(choose_device(device))!r})",
        }
        | parse_settings(set_ or [], config_keys(folder))
    )
    with open_bundle(folder, overrides) as workflow:
        found = register_under(workflow, conditions)
    result = compare_conditions(found)
    save_conditions(found, result, Path(out))
    for name, row in result.items():
        print(
            f"{name}: SD of log Jacobian {row['figures']['sd_log_jacobian']:.4g}, "
            f"{row['mm_from_first_mean']:.3g} mm from the first on average"
        )
    print(f"written to {out}")
