"""Fine-tuning on a dataset, and the use of the new model, as in the third use of the README."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from promised.promise import Place, Promise, ensure, phantom, same_bytes
from zoo.hub.weights import load_weights, sha256_of
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

SETTINGS = ("--set", "size=[24,32,24]", "--set", "affine=none")
TRAINING = ("--from", "compact", "--steps", "8", "--set", "learning_rate=0.0003", *SETTINGS)


def _trained(place: Place) -> Path:
    """Return the folder in which `my_model` is trained once on three phantom pairs.

    It also holds `plan.json`, the plan of the training, and `start.json`, the same plan with the
    weights that the training started from.
    """
    root = place.shared / "training"
    if root.exists():
        return root
    (root / "study").mkdir(parents=True)
    table = "fixed,moving,fixed_labels,moving_labels,split\n"
    for case, split in enumerate(("train", "train", "val")):
        pair = make_pair(case, shape=(32, 40, 36), spacing=(4, 4, 4), contrasts=("t1", "t1"))
        for side in ("fixed", "moving"):
            grid, stem = getattr(pair, f"{side}_grid"), root / "study" / f"{side}{case}"
            write_volume(f"{stem}.nii.gz", getattr(pair, side), grid, torch.int16)
            write_volume(f"{stem}_labels.nii.gz", getattr(pair, f"{side}_labels"), grid)
        names = (
            f"{side}{case}{end}.nii.gz" for end in ("", "_labels") for side in ("fixed", "moving")
        )
        table += ",".join(names) + f",{split}\n"
    (root / "study" / "pairs.csv").write_text(table)
    inside = Place(root, place.shared)
    facts = ["--anatomy", "brain", "--pairing", "inter", "--modality.0", "mr", "--modality.1", "mr"]
    inside.regzoo("check", "study")
    inside.regzoo("plan", "study", "-o", "plan.json", "--model", "unireg", *facts)
    inside.regzoo("finetune", "plan.json", "--out", "my_model", *TRAINING)
    changed = ["--set", "weights=compact", *SETTINGS, "--name", "start", "-o", "start.json"]
    inside.regzoo("plan", "plan.json", *changed)
    return root


def _record(root: Path) -> dict[str, Any]:
    """Return what the new bundle records of its training."""
    metadata = json.loads((root / "my_model" / "configs" / "metadata.json").read_text())
    record: dict[str, Any] = metadata["trained"]
    return record


def finetuning_writes_a_bundle(place: Place) -> str:
    """`regzoo finetune` writes a bundle with trained weights, a model card and the losses."""
    root = _trained(place)
    for name in ("models/model.safetensors", "docs/README.md", "train/curve.png", "plan.json"):
        ensure((root / "my_model" / name).is_file(), f"{name} was not written")
    record = _record(root)
    weights = sha256_of(root / "my_model" / "models" / "model.safetensors")
    ensure(record["sha256"] == weights, "the recorded sha256 is not that of the weights")
    ensure(weights != record["start"]["sha256"], "the weights are those of the start")
    ensure(record["best_step"] > 0, "the best weights are the initial ones")
    before, after = (record[f"figures_{when}"]["dice_after"] for when in ("before", "after"))
    return f"best step {record['best_step']}, validation Dice {before:.4f} -> {after:.4f}"


def a_run_uses_the_trained_weights(place: Place) -> str:
    """`run` and `evaluate` with the new plan use the trained weights, and give the validation's
    figures, which are not those of the start.
    """
    root, dice, used = _trained(place), {}, {}
    for name, plan in (("mine", "my_model/plan.json"), ("start", "start.json")):
        said = place.regzoo("run", root / plan, "--out", name)
        ensure("weights: those of the plan" in said, said)
        place.regzoo("evaluate", name)
        dice[name] = place.json(f"{name}/figures.json")["summary"]["dice_after"]["mean"]
        (result,) = (place.folder / name).glob("*/result.json")
        used[name] = json.loads(result.read_text())["weights"]["sha256"]
    record = _record(root)
    ensure(used["mine"] == record["sha256"], "the run did not use the trained weights")
    ensure(used["start"] == record["start"]["sha256"], "the start did not use its weights")
    for name, when in (("mine", "after"), ("start", "before")):
        told = record[f"figures_{when}"]["dice_after"]
        ensure(abs(dice[name] - told) < 1e-5, f"{name}: Dice {dice[name]}, training said {told}")
    ensure(dice["mine"] != dice["start"], f"both have Dice {dice['mine']}")
    return f"sha256 {used['mine'][:8]}, Dice {dice['start']:.4f} -> {dice['mine']:.4f}"


def the_model_is_known_by_its_name(place: Place) -> str:
    """`regzoo register --model my_model` and `regzoo models` know the new model in any folder, and
    the plan of the registration repeats it.
    """
    root = _trained(place)
    said = place.regzoo("models")
    ensure(any(row.startswith("my_model ") for row in said.splitlines()), said)
    files = phantom(place.shared / "phantom-t1")
    images = {"fixed": files["fixed"], "moving": files["moving"]}
    result = place.register(images, "one", "--model", "my_model", "--report=false")
    sha256 = result["weights"]["sha256"]
    ensure(sha256 == _record(root)["sha256"], f"the weights used were {sha256}")
    place.register(images, "two", "--plan", "one/plan.json", "--report=false")
    same_bytes(place.folder / "one/transform.nii.gz", place.folder / "two/transform.nii.gz")
    said = place.regzoo("register", *images.values(), "--out", "x", "--model", "my_modle", code=2)
    ensure("did you mean my_model?" in said, said)
    return f"sha256 {sha256[:8]}, equal transforms; my_modle: did you mean my_model?"


def a_finished_training_is_resumed(place: Place) -> str:
    """The same `regzoo finetune` again keeps the finished training and its weights."""
    root = _trained(place)
    weights = root / "my_model" / "models" / "model.safetensors"
    before, tensors = sha256_of(weights), load_weights(weights)
    inside = Place(root, place.shared)
    inside.regzoo("finetune", "plan.json", "--out", "my_model", *TRAINING)
    after, now = sha256_of(weights), load_weights(weights)
    same = tensors.keys() == now.keys() and all(torch.equal(tensors[k], now[k]) for k in tensors)
    seen = (
        f"sha256 {before[:8]} before and {after[:8]} after, tensors {'equal' if same else 'differ'}"
    )
    ensure(before == after, seen)
    return seen


TRAINING_PROMISES: tuple[Promise, ...] = (
    finetuning_writes_a_bundle,
    a_run_uses_the_trained_weights,
    the_model_is_known_by_its_name,
    a_finished_training_is_resumed,
)
