"""What a training leaves: a bundle in a folder of its own, with its weights and its model card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from zoo import __version__
from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.evaluation.figures import BETTER, MAP_WORDS, PREFERRED, WORDS
from zoo.hub.bundles import bundle_folder
from zoo.hub.catalogue import find_model
from zoo.hub.weights import read_weights_header, sha256_of
from zoo.io.atomic import atomic_path, write_json, write_text
from zoo.registration.initial_affine import KINDS
from zoo.registration.mcbo_presets import write_preset
from zoo.training.distributed import rank
from zoo.training.log import BEST, CURVE, FIGURES, LOSSES, best_row, read_rows
from zoo.training.mcbo_search import SettingsSearch

COPIED = ("LICENSE", "configs/logging.conf", "configs/evaluate.json")
OWN_WEIGHTS = "$@bundle_root + '/models/model.safetensors'"


def require_trained_bundle(output_dir: str | Path) -> None:
    """Refuse to put a bundle where there is one that no training made."""
    metadata = Path(output_dir) / "configs" / "metadata.json"
    if metadata.is_file() and "trained" not in json.loads(metadata.read_text(encoding="utf-8")):
        raise UserError(
            f"{output_dir} holds a bundle that was not made by training; choose another output_dir"
        )


def write_bundle(
    model: str,
    output_dir: str | Path,
    log_dir: str | Path,
    *,
    settings: Mapping[str, Any],
    start: Mapping[str, Any],
    data: Mapping[str, Any],
    recipe: Mapping[str, Any],
    figure: str | None = None,
) -> None:
    """Make `output_dir` a bundle of `model` with the best weights that the logs hold.

    `settings` become the defaults of its inference. `start`, `data` and `recipe` are told in its
    metadata and its model card, with the figures before and after. inference.json comes last: the
    folder is a bundle when all of it is there.
    """
    if rank():
        return
    require_trained_bundle(output_dir)
    folder, logs = Path(output_dir), Path(log_dir)
    if not (logs / BEST).is_file():
        raise UserError(f"{logs} holds no {BEST}: the training was never validated")
    weights = folder / "models" / "model.safetensors"
    (folder / "models").mkdir(parents=True, exist_ok=True)
    _write_model(logs / BEST, weights, model, start)
    rows = read_rows(logs / FIGURES)
    key = figure or next((n for n in PREFERRED if rows and rows[0].get(n) is not None), None)
    best = best_row(rows, key)
    assert best is not None
    facts = {
        "start": dict(start),
        "data": dict(data),
        "recipe": dict(recipe),
        "steps": len(read_rows(logs / LOSSES)),
        "best_step": best["step"],
        "figure": key,
        "figures_before": rows[0],
        "figures_after": best,
        "sha256": sha256_of(weights),
    }
    if (logs / CURVE).is_file():
        (folder / "docs").mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "docs" / CURVE) as temporary:
            temporary.write_bytes((logs / CURVE).read_bytes())
    write_configs(model, folder, facts, dict(settings) | {"weights": OWN_WEIGHTS})


def write_mcbo_bundle(
    search: SettingsSearch,
    pairs: Sequence[Pair],
    output_dir: str | Path,
    *,
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
) -> None:
    """Make `output_dir` a bundle of mcbo with the best settings that a search found.

    Beside it they are preset.json, which a plan can name. The figures before and after are those of
    the first preset and of the settings on `pairs`, on which the search did not look; settings that
    do not hold there are dropped for the preset, as weights are that no step of training bettered.
    """
    require_trained_bundle(output_dir)
    folder = Path(output_dir)
    before, after = search.check(pairs)
    rows = [before.means, after.means]
    key = next((n for n in PREFERRED if rows[0].get(n) is not None), None)
    holds = best_row(rows, key) is rows[1]
    best = search.best() if holds else search.trials[0]
    facts = {
        "start": {"variant": f"{search.trials[0].mode} settings"},
        "data": dict(data),
        "recipe": {
            "seed": search.seed,
            "refined": search.refine,
            "mode": best.mode,
            "validation_pairs": min(search.most_pairs, len(pairs)),
            **best.changes,
        },
        "steps": len(search.trials),
        "best_step": search.trials.index(best),
        "figure": key,
        "figures_before": rows[0],
        "figures_after": rows[1] if holds else rows[0],
    }
    own = {"mode": best.mode, "solver_settings": best.changes}
    write_configs("mcbo", folder, facts, dict(settings) | own)
    write_preset(folder / "preset.json", best.mode, best.changes, **facts)


def write_configs(
    model: str, folder: Path, facts: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Write the configs of a bundle whose inference has other defaults, and its model card."""
    source = bundle_folder(model)
    for name in ("configs", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        write_text(folder / name, (source / name).read_text(encoding="utf-8"))
    inference = json.loads((source / "configs" / "inference.json").read_text(encoding="utf-8"))
    known = {name: value for name, value in settings.items() if name in inference}
    if known.get("affine") not in KINDS:  # a file of this computer is no default for others
        known.pop("affine", None)
    metadata = json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata |= {
        "name": f"{metadata['name']}, trained further",
        "version": "0.1.0",
        "changelog": {"0.1.0": f"trained from {_origin(facts['start'])}"},
        "trained": {"regzoo": __version__, "model": model, **facts},
    }
    write_json(folder / "configs" / "metadata.json", metadata)
    write_text(folder / "docs" / "README.md", model_card(metadata["name"], metadata["trained"]))
    write_json(folder / "configs" / "inference.json", inference | known)


def summary(folder: Path) -> str:
    """Return in a few lines what a training made of a model, from the metadata of its bundle."""
    metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    facts = metadata["trained"]
    before, after = facts["figures_before"], facts["figures_after"]
    lines = [
        f"{facts['steps']} steps, the best at {_plain(facts['best_step'])}",
        *(
            f"{name}: {_number(before.get(name))} -> {_number(after[name])}"
            for name in BETTER
            if after.get(name) is not None
        ),
        f"written to {folder}; use it with regzoo register --bundle {folder}",
    ]
    return "\n".join(lines)


def _write_model(best: Path, target: Path, model: str, start: Mapping[str, Any]) -> None:
    """Write the best weights with what they are: architecture, width, where they come from."""
    header = read_weights_header(best)
    architecture = find_model(model).architecture
    metadata = header.metadata | {
        **({"architecture": architecture.name} if architecture else {}),
        "width": str(header.width()),
        "variant": "trained",
        "source": _origin(start),
    }
    with atomic_path(target) as temporary:
        save_file(load_file(best), temporary, metadata)


def _origin(start: Mapping[str, Any]) -> str:
    return f"{start['variant']} {str(start.get('sha256', ''))[:12]}".strip()


def model_card(title: str, facts: Mapping[str, Any]) -> str:
    """Return the model card: what it was trained from and on, how, and what that changed."""
    start, data, recipe = facts["start"], facts["data"], facts["recipe"]
    before, after = facts["figures_before"], facts["figures_after"]
    plan = data.get("plan", {})
    lines = [
        f"# {title}",
        "",
        f"{facts['model']}, trained further with regzoo {facts['regzoo']} from "
        f"{start['variant']}{_hash(start.get('sha256'))}.",
        "",
        "## Use",
        "",
        "```",
        "regzoo register fixed.nii.gz moving.nii.gz --out result --bundle FOLDER",
        "python -m monai.bundle run --config_file FOLDER/configs/inference.json --bundle_root "
        "FOLDER \\",
        "    --fixed fixed.nii.gz --moving moving.nii.gz --output_dir result",
        "```",
        "",
        "## Training",
        "",
        f"- data: digest {data.get('content') or 'not taken (no plan)'}, trained on the split "
        f"{data.get('split')}, validated on {data.get('validated')}",
        *([f"- plan: {plan.get('name')}, preset {plan.get('preset')}"] if plan else []),
        f"- steps: {facts['steps']}, the best at {_plain(facts['best_step'])}",
        *(f"- {name}: {_plain(value)}" for name, value in recipe.items()),
        *(
            [
                f"- weights: sha256 {facts['sha256']}",
                "",
                "![The losses and the figures](curve.png)",
            ]
            if "sha256" in facts
            else []
        ),
        "",
        "## Figures",
        "",
        f"Means over {recipe.get('validation_pairs', 'the')} validation pairs; what had the best "
        f"{_words(facts['figure'])} was kept.",
        "",
        "| figure | images as given | before training | after |",
        "|---|---|---|---|",
    ]
    for name in BETTER:
        if after.get(name) is not None:
            given = before.get(name.removesuffix("_after") + "_before")
            cells = [_words(name), *map(_number, (given, before.get(name), after[name]))]
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## Limits",
        "",
        "For research. Not a medical device. Trained on the data named above and measured on its "
        "validation pairs only; other data may fare worse than with the weights it started from.",
    ]
    return "\n".join(lines) + "\n"


def _words(figure: str | None) -> str:
    """Return a figure's name in words."""
    if figure is None:
        return "figure"
    if figure in MAP_WORDS:
        return MAP_WORDS[figure][0]
    words, more, _ = WORDS[figure.removesuffix("_after")]
    return f"{words}, {more}" if "tre" in figure else words


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _plain(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)


def _hash(sha256: str | None) -> str:
    return f" (sha256 {sha256})" if sha256 else ""
