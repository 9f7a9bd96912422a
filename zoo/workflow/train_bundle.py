"""What a training leaves: a bundle in a folder of its own, with its weights and its model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from zoo import __version__
from zoo.errors import UserError
from zoo.hub.weights import read_header, sha256_of
from zoo.io.atomic import atomic_path, write_json, write_text
from zoo.workflow.bundle import bundle_folder
from zoo.workflow.compare import BETTER
from zoo.workflow.metrics import PREFERRED
from zoo.workflow.report import MAP_WORDS, WORDS
from zoo.workflow.train_log import BEST, CURVE, FIGURES, LOSSES, Row, best_row, read_rows
from zoo.workflow.train_processes import rank

COPIED = ("LICENSE", "configs/logging.conf", "configs/evaluate.json")
OWN_WEIGHTS = "$@bundle_root + '/models/model.safetensors'"


def require_own(output_dir: str | Path) -> None:
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
    require_own(output_dir)
    source, folder, logs = bundle_folder(model), Path(output_dir), Path(log_dir)
    if not (logs / BEST).is_file():
        raise UserError(f"{logs} holds no {BEST}: the training was never validated")
    for name in ("configs", "docs", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        write_text(folder / name, (source / name).read_text(encoding="utf-8"))
    facts = {
        "regzoo": __version__,
        "model": model,
        "start": dict(start),
        "data": dict(data),
        "recipe": dict(recipe),
    }
    weights = folder / "models" / "model.safetensors"
    _write_model(logs / BEST, weights, model, start)
    rows = read_rows(logs / FIGURES)
    key = figure or next((n for n in PREFERRED if rows and rows[0].get(n) is not None), None)
    best = best_row(rows, key)
    assert best is not None
    steps = {
        "steps": len(read_rows(logs / LOSSES)),
        "best_step": best["step"],
        "figure": key,
        "figures_before": rows[0],
        "figures_after": best,
        "sha256": sha256_of(weights),
    }
    inference = json.loads((source / "configs" / "inference.json").read_text(encoding="utf-8"))
    known = {name: value for name, value in settings.items() if name in inference}
    metadata = json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata |= {
        "name": f"{metadata['name']}, trained further",
        "version": "0.1.0",
        "changelog": {"0.1.0": f"trained from {_origin(start)}"},
        "trained": facts | steps,
    }
    card = model_card(metadata["name"], model, facts | steps, rows[0], best)
    write_json(folder / "configs" / "metadata.json", metadata)
    write_text(folder / "docs" / "README.md", card)
    if (logs / CURVE).is_file():
        with atomic_path(folder / "docs" / CURVE) as temporary:
            temporary.write_bytes((logs / CURVE).read_bytes())
    write_json(folder / "configs" / "inference.json", inference | known | {"weights": OWN_WEIGHTS})


def summary(folder: Path) -> str:
    """Return in a few lines what a training made of a model, from the metadata of its bundle."""
    metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    facts = metadata["trained"]
    before, after = facts["figures_before"], facts["figures_after"]
    lines = [
        f"{facts['steps']} steps, the best weights are those of step {_plain(facts['best_step'])}",
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
    architecture = "unireg" if model == "unireg" else "gradicon"
    metadata = {
        "format": "pt",
        "architecture": architecture,
        "width": str(read_header(best).width()),
        "variant": "trained",
        "source": _origin(start),
    }
    with atomic_path(target) as temporary:
        save_file(load_file(best), temporary, metadata)


def _origin(start: Mapping[str, Any]) -> str:
    return f"{start['variant']} {str(start.get('sha256', ''))[:12]}".strip()


def model_card(title: str, model: str, facts: Mapping[str, Any], before: Row, after: Row) -> str:
    """Return the model card: what it was trained from and on, how, and what that changed."""
    start, data, recipe = facts["start"], facts["data"], facts["recipe"]
    plan = data.get("plan", {})
    lines = [
        f"# {title}",
        "",
        f"{model}, trained further with regzoo {facts['regzoo']} from its {start['variant']} "
        f"weights{_hash(start.get('sha256'))}.",
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
        f"- weights: sha256 {facts['sha256']}",
        "",
        "![The losses and the figures](curve.png)",
        "",
        "## Figures",
        "",
        "Means over the validation pairs, without refinement; the weights with the best "
        f"{_words(facts['figure'])} were kept.",
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
