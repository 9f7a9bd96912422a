"""The result of a training: a bundle in a folder of its own, with weights and model card.

inference.json is written last, so a folder that is a bundle is a complete one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from zoo import __version__
from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.hub.catalogue import find_model
from zoo.hub.convert import settle_header
from zoo.hub.foreign_bundles import OWN_WEIGHTS
from zoo.hub.setting_rules import inert
from zoo.hub.weights import read_weights_header, sha256_of
from zoo.io.atomic import atomic_path, write_json, write_text
from zoo.io.json_documents import read_json_object
from zoo.registration.initial_affine import KINDS
from zoo.registration.mcbo import write_preset
from zoo.registration.weights import SelectedWeights
from zoo.training.checkpoint import BEST, RECORD, read_best
from zoo.training.distributed import process_rank
from zoo.training.log import CURVE, FIGURES, LOSSES
from zoo.training.mcbo_search import SettingsSearch
from zoo.training.model_card import trained_model_card, training_summary
from zoo.training.tables import read_rows

COPIED = ("LICENSE", "configs/logging.conf", "configs/evaluate.json")


@dataclass(frozen=True)
class BundleExport:
    """Writes a trained model as a bundle to `output_dir`.

    `log_dir` is the folder of the training's log, whose best weights are exported. `weights` are
    those that training started from. `settings` become the defaults of the bundle's inference.
    `data`, `facts` (of the plan) and `recipe` are reported in its metadata and its model card,
    together with the figures before and after training.
    """

    model: str
    output_dir: str | Path
    log_dir: str | Path
    weights: SelectedWeights
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    recipe: Mapping[str, Any]
    facts: Mapping[str, Any]

    def run(self) -> None:
        """Write the bundle; only the first process writes."""
        if process_rank():
            return
        require_trained_bundle(self.output_dir)
        folder, log = Path(self.output_dir), Path(self.log_dir)
        best = read_best(log)
        if best is None:
            raise UserError(
                f"{log} has no {BEST}, because no validation has run yet; run the same command "
                "again with more epochs, or lower val_interval"
            )
        start = self.weights.origin()
        target = folder / "models" / "model.safetensors"
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_model(log / BEST, target, self.model, start)
        if (log / CURVE).is_file():
            (folder / "docs").mkdir(parents=True, exist_ok=True)
            with atomic_path(folder / "docs" / CURVE) as temporary:
                temporary.write_bytes((log / CURVE).read_bytes())
        trained = {
            "start": start,
            "data": {**self.data, **self.facts},
            "recipe": dict(self.recipe),
            "steps": len(read_rows(log / LOSSES)),
            "best_step": best.step,
            "figure": best.figure,
            "figures_before": read_rows(log / FIGURES)[0],
            "figures_after": best.figures,
            "sha256": sha256_of(target),
        }
        write_configs(self.model, folder, trained, {**self.settings, "weights": OWN_WEIGHTS})


@dataclass(frozen=True)
class PresetExport:
    """Writes the settings that a search found as a bundle of mcbo, and as preset.json for plans.

    The settings are compared with the first preset on `pairs`, which the search did not use; they
    are exported if they are better there too, and the preset is exported otherwise.
    """

    search: SettingsSearch
    pairs: Sequence[Pair]
    output_dir: str | Path
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    facts: Mapping[str, Any]

    def run(self) -> None:
        """Validate the settings, and write the preset and the bundle."""
        require_trained_bundle(self.output_dir)
        folder, search = Path(self.output_dir), self.search
        result = search.validate(self.pairs)
        chosen = result.chosen
        trained = {
            "start": {"variant": f"{search.trials[0].mode} settings"},
            "data": {**self.data, **self.facts},
            "recipe": {
                "seed": search.seed,
                "refined": search.refine,
                "mode": chosen.mode,
                "validation_pairs": min(search.most_pairs, len(self.pairs)),
                **chosen.changes,
            },
            "steps": len(search.trials),
            "best_step": search.trials.index(chosen),
            "figure": result.figure,
            "figures_before": result.figures_before,
            "figures_after": result.figures_after,
        }
        own = {"mode": chosen.mode, "solver_settings": chosen.changes}
        write_configs("mcbo", folder, trained, {**self.settings, **own})
        write_preset(folder / "preset.json", chosen.mode, chosen.changes, **trained)


def require_trained_bundle(output_dir: str | Path) -> None:
    """Refuse to overwrite a bundle that was not made by training."""
    metadata = Path(output_dir) / "configs" / "metadata.json"
    if metadata.is_file() and "trained" not in read_json_object(metadata):
        raise UserError(
            f"{output_dir} holds a bundle that was not made by training; choose another output_dir"
        )


def write_configs(
    model: str, folder: Path, trained: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Write the configs and the model card of a bundle of `model` with new default settings.

    `trained` goes to the metadata: where training started, its data, its recipe, its figures.
    """
    source = bundle_folder(model)
    for name in ("configs", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        write_text(folder / name, (source / name).read_text(encoding="utf-8"))
    inference = read_json_object(source / "configs" / "inference.json")
    defaults = {name: value for name, value in settings.items() if name in inference}
    if defaults.get("affine") not in KINDS:  # a file of this computer does not exist on others
        defaults.pop("affine", None)
    metadata = read_json_object(source / "configs" / "metadata.json")
    metadata |= {
        "name": f"{metadata['name']}, trained further",
        "version": "0.1.0",
        "changelog": {"0.1.0": f"trained from {_origin(trained['start'])}"},
        "trained": inert({"regzoo": __version__, "model": model, **trained}),
    }
    card = trained_model_card(metadata["name"], metadata["trained"])
    write_json(folder / "configs" / "metadata.json", metadata)
    write_text(folder / "docs" / "README.md", card)
    write_json(folder / "configs" / "inference.json", inference | defaults)


def summary(folder: Path) -> str:
    """Return a few lines on what a training changed, from the metadata of its bundle."""
    metadata = read_json_object(folder / "configs" / "metadata.json")
    return training_summary(folder, metadata["trained"])


def _write_model(best: Path, target: Path, model: str, start: Mapping[str, Any]) -> None:
    """Write the best weights with metadata on the architecture, its width and their origin."""
    header = read_weights_header(best)
    kept = {name: value for name, value in header.metadata.items() if name != RECORD}
    metadata = kept | {
        "architecture": _architecture(model),
        "width": str(header.width()),
        "variant": "trained",
        "source": _origin(start),
    }
    with atomic_path(target) as temporary:
        save_file(load_file(best), temporary, metadata)
        settle_header(temporary)  # the same training gives the same sha256


def _architecture(model: str) -> str:
    """Return the name of a model's network architecture."""
    architecture = find_model(model).architecture
    assert architecture is not None, "only a model with weights is trained"
    return architecture.name


def _origin(start: Mapping[str, Any]) -> str:
    """Return where training started: the variant and the first digits of its sha256."""
    return f"{start['variant']} {str(start.get('sha256', ''))[:12]}".strip()
