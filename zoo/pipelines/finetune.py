"""Fine-tune a model on the dataset of a plan, and write the result as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from zoo.datasets.scan import check_content
from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder, config_keys
from zoo.hub.catalogue import find_model
from zoo.hub.own_models import (
    check_own_name,
    find_own_model,
    read_own_model,
    record_own_model,
)
from zoo.hub.setting_rules import for_monai
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_json_object
from zoo.pipelines.settings import resolve_settings
from zoo.planning.migrations import Plan
from zoo.planning.plan import override, read_plan
from zoo.planning.weights import record_weights, with_own_model
from zoo.registration.weights import SCRATCH
from zoo.runtime.bundle import run_bundle
from zoo.runtime.device import choose_device, use_threads

STEPS_PER_EPOCH = 100


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model: the folder of its bundle, and what its metadata report of the training.

    `training` holds the start, the data, the recipe, and the figures before and after. `unlisted`
    is why the model could not be added to the list of one's own models; None if it was.
    """

    folder: Path
    training: dict[str, Any]
    unlisted: str | None = None


def finetune(
    plan: str | PathLike[str],
    *,
    from_: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> FineTuned:
    """Fine-tune a model on the dataset of a plan, and write a bundle with the new weights.

    The bundle holds a plan.json, with which `run` registers the dataset with the new weights. The
    model is listed under the name of its folder, so that `model=NAME` means it from then on.

    Call it again with the same arguments to resume a training that was interrupted.

    Args:
        plan: The file of a plan for a dataset.
        from_: The initial weights: compact, official, the path of a .safetensors file, a model of
            your own by its name or its folder, or scratch for random weights. The default is the
            best weights on this computer.
        out: The folder of the new bundle. The default is the name of the model with -finetuned.
        steps: The total number of training steps; for mcbo, the number of trials of its search.
        epochs: The number of epochs, instead of `steps`.
        device: The device: cpu, cuda, cuda:1 or mps. The default is a GPU if there is one.
        threads: The number of CPU threads.
        settings: Settings of the bundle's train.yaml, such as {"learning_rate": 1e-5}.
    """
    from zoo.training.export import require_trained_bundle

    use_threads(threads)
    planned = read_plan(plan)
    if "dataset_dir" not in planned:
        raise UserError(
            f"{plan} is a plan for one pair, and training needs a dataset; plan a dataset with "
            "regzoo plan FOLDER"
        )
    section = planned["plan"]
    check_content(planned["dataset_dir"], str(section["content"]))
    bundle = bundle_folder(section["model"])
    folder = Path(out or f"{section['model']}-finetuned")
    check_own_name(folder)
    require_trained_bundle(folder)
    keys = config_keys(bundle, "train.yaml")
    if from_ is not None and "weights" in (settings or {}):
        raise UserError("give --from or --set weights=WEIGHTS, not both")
    if from_ is not None and "weights" not in keys:
        raise UserError(f"--from {from_}: {section['model']} has no weights to start from")
    overrides = {
        "bundle_root": for_monai(str(bundle.absolute())),
        "output_dir": for_monai(str(folder.absolute())),
        "device": f"$torch.device({str(choose_device(device))!r})",
        **_length(steps, epochs, keys, settings or {}),
        **_initial_weights(from_, section["model"]),
    }
    training_plan = (folder / "train" / "plan.json").absolute()
    training_plan.parent.mkdir(parents=True, exist_ok=True)
    write_json(training_plan, planned)  # as read: an older plan has been migrated
    resolved = resolve_settings(settings)
    run_bundle(bundle, overrides, ["train.yaml", training_plan], settings=resolved)
    write_json(folder / "plan.json", _plan_of_trained_model(planned, folder, resolved))
    metadata = read_json_object(folder / "configs" / "metadata.json")
    return FineTuned(folder, metadata["trained"], _unlisted(folder))


def _plan_of_trained_model(planned: Plan, folder: Path, settings: Mapping[str, Any]) -> Plan:
    """Return the plan with the trained weights, or with the fitted settings of mcbo.

    It also has those settings of the training that the registration uses, such as `size`.
    """
    section = planned["plan"]
    rules = find_model(section["model"]).setting_rules()
    changes = {key: value for key, value in settings.items() if key in rules}
    if "preset" in rules:  # a search found these, whatever they were in the plan
        config = read_json_object(folder / "configs" / "inference.json")
        found = {key: config[key] for key in ("mode", "solver_settings")} | {"preset": None}
        changes |= {key: value for key, value in found.items() if planned.get(key) != value}
    plan = override(planned, f"{section['name']}-finetuned", changes)
    return record_weights(with_own_model(plan, read_own_model(folder)))


def _unlisted(folder: Path) -> str | None:
    """Add a bundle to the list of one's own models; return the reason if that fails."""
    try:
        record_own_model(folder)
    except UserError as error:  # the training has succeeded all the same
        return str(error)
    return None


def _initial_weights(weights: str | PathLike[str] | None, model: str) -> dict[str, str]:
    """Return the setting that names the initial weights; a file gets an absolute path."""
    if weights is None:
        return {}
    text = str(weights)
    if text.endswith(".safetensors"):
        return {"weights": for_monai(str(Path(text).absolute()))}
    if text in (SCRATCH, *find_model(model).variants):
        return {"weights": text}
    own = find_own_model(text)
    if own is None or own.model != model or "weights" not in own.settings:
        raise UserError(
            f"--from {text}: it has no weights of its own for a {model}, which the plan is for; "
            f"use {', '.join(find_model(model).variants)}, {SCRATCH}, a .safetensors file or a "
            "fine-tuned model"
        )
    return {"weights": for_monai(own.settings["weights"])}


def _length(
    steps: int | None, epochs: int | None, keys: list[str], settings: Mapping[str, Any]
) -> dict[str, int]:
    """Return the settings that determine how long the training is.

    Steps are divided into epochs of equal length, of at most `STEPS_PER_EPOCH` steps. The other
    `settings` may not set the same again.
    """
    for name, value in (("steps", steps), ("epochs", epochs)):
        if value is not None and value < 1:
            raise UserError(f"--{name} {value} must be 1 or more")
    if steps is not None and epochs is not None:
        raise UserError("give --steps or --epochs, not both")
    if steps is None:
        length = {} if epochs is None else {"epochs": epochs}
    elif "epoch_length" not in keys:  # a search for settings, in which each trial is an epoch
        length = {"epochs": steps}
    else:
        count = -(-steps // STEPS_PER_EPOCH)
        length = {"epochs": count, "epoch_length": -(-steps // count)}
    if twice := [key for key in length if key in settings]:
        option = "--epochs" if steps is None else "--steps"
        raise UserError(
            f"{option} determines {twice[0]}, which --set {twice[0]}={settings[twice[0]]} sets as "
            "well; to choose the length of an epoch, use --epochs with --set epoch_length=STEPS"
        )
    return length
