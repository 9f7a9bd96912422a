"""`regzoo finetune`: a model learns from a dataset, by its plan."""

from __future__ import annotations

from typing import Any


def finetune(
    plan: str,
    *,
    from_: str | None = None,
    out: str | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    set_: list[str] | None = None,
) -> None:
    """Train a model further on the dataset of a plan.

    The folder that is written is a bundle of its own: weights, configs with the plan's settings,
    and a model card with the figures before and after. Told again, a run that was stopped goes on
    from its last epoch, and a longer one from where a shorter one ended. A plan whose dataset has
    changed is refused. For mcbo, which has no weights, its settings are searched for and a preset
    is written.

    Examples:
        regzoo plan data -o plan.json --anatomy brain --modality.0 mr --model unigradicon
        regzoo finetune plan.json --out my_model --from compact --steps 500
        regzoo register fixed.nii.gz moving.nii.gz --out result --bundle my_model

    Args:
        plan: the plan of a dataset, as regzoo plan writes it.
        from: where training starts: compact, official, a .safetensors file, or scratch; by default
            the best weights on disk.
        out: the folder of the new bundle; by default the model's name with -finetuned.
        steps: how many steps to train in all, in epochs of 100 or fewer; of mcbo's search, trials.
        epochs: how many epochs to train instead, of the config's length.
        device: cpu, cuda, cuda:1 or mps; by default a GPU if there is one.
        threads: how many CPU threads to use.
        set: a setting of the bundle's train.yaml, KEY=VALUE; may be given several times.
    """
    from pathlib import Path

    from zoo.datasets.scan import check_content
    from zoo.errors import UserError
    from zoo.hub.bundles import bundle_folder, config_keys
    from zoo.planning.plan import read_plan
    from zoo.runtime.bundle import run_bundle
    from zoo.runtime.device import choose_device, use_threads
    from zoo.runtime.settings import parse_settings
    from zoo.training.export import require_trained_bundle, summary

    use_threads(threads)
    planned = read_plan(plan)
    told = planned["plan"]
    if "dataset_dir" not in planned:
        raise UserError(
            f"{plan} is a plan for one pair, and training needs a dataset; plan one with "
            "regzoo plan FOLDER"
        )
    check_content(planned["dataset_dir"], str(told["content"]))
    folder = bundle_folder(told["model"])
    target = Path(out or f"{told['model']}-finetuned")
    require_trained_bundle(target)
    keys = config_keys(folder, "train.yaml")
    if from_ is not None and "weights" not in keys:
        raise UserError(f"--from {from_}: {told['model']} has no weights to start from")
    overrides = {
        "bundle_root": str(folder.absolute()),
        "output_dir": str(target.absolute()),
        "device": f"$torch.device({str(choose_device(device))!r})",
        **_length(steps, epochs, keys),
        **_start(from_),
        **parse_settings(set_ or [], keys),
    }
    run_bundle(folder, overrides, ["train.yaml", Path(plan).absolute()])
    print(summary(target))


def _start(weights: str | None) -> dict[str, Any]:
    """Return the setting that says where training starts."""
    from zoo.runtime.settings import absolute_paths

    if weights is None:
        return {}
    if weights.endswith(".safetensors"):
        return absolute_paths({"weights": weights})
    return {"weights": weights}


def _length(steps: int | None, epochs: int | None, keys: list[str]) -> dict[str, Any]:
    """Return the settings that say how long to train."""
    from zoo.errors import UserError

    for name, value in (("steps", steps), ("epochs", epochs)):
        if value is not None and value < 1:
            raise UserError(f"--{name} {value} must be 1 or more")
    if steps is None:
        return {} if epochs is None else {"epochs": epochs}
    if epochs is not None:
        raise UserError("give --steps or --epochs, not both")
    if "epoch_length" not in keys:  # a search: its trials are its steps
        return {"epochs": steps}
    count = -(-steps // 100)
    return {"epochs": count, "epoch_length": -(-steps // count)}
