"""Texts about a trained model: its model card, and a summary of a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.evaluation.figures import COMPARED

_USE = """\
## Use

```
regzoo register fixed.nii.gz moving.nii.gz --out result --model FOLDER
python -m monai.bundle run --config_file FOLDER/configs/inference.json --bundle_root FOLDER \\
    --fixed fixed.nii.gz --moving moving.nii.gz --output_dir result
```
"""

_LIMITS = """\
## Limits

For research only. Not a medical device. The model was trained on the data named above and
evaluated on their validation pairs only. On other data it may be less accurate than the weights
from which training started.
"""


def trained_model_card(title: str, trained: Mapping[str, Any]) -> str:
    """Return the model card of a trained model, from what its metadata report of the training."""
    start = trained["start"]
    sha256 = f" (sha256 {start['sha256']})" if start.get("sha256") else ""
    intro = (
        f"{trained['model']}, trained further with regzoo {trained['regzoo']} from "
        f"{start['variant']}{sha256}."
    )
    training = "\n".join(["## Training", "", *_training_lines(trained)])
    figures = "\n".join(["## Figures", "", *_figure_lines(trained)])
    return "\n\n".join([f"# {title}", intro, _USE.strip(), training, figures, _LIMITS])


def training_summary(folder: Path, trained: Mapping[str, Any]) -> str:
    """Return a few lines on what a training changed."""
    before, after = trained["figures_before"], trained["figures_after"]
    lines = [
        f"{trained['steps']} steps, the best at {_plain(trained['best_step'])}",
        *(
            f"{name}: {_number(before.get(name))} -> {_number(after[name])}"
            for name in COMPARED
            if after.get(name) is not None
        ),
        f"written to {folder}; use it with --model {folder} of regzoo register, plan or run",
    ]
    return "\n".join(lines)


def _training_lines(trained: Mapping[str, Any]) -> Iterator[str]:
    """Yield the list of the data, the plan, the recipe and the weights."""
    data = trained["data"]
    yield (
        f"- data: digest {data.get('content') or 'unknown, because no plan was used'}, trained on "
        f"the split {data.get('split')}, validated on the split {data.get('validated')}"
    )
    if plan := data.get("plan"):
        yield f"- plan: {plan.get('name')}, preset {plan.get('preset')}"
    yield f"- steps: {trained['steps']}, the best at {_plain(trained['best_step'])}"
    for name, value in trained["recipe"].items():
        yield f"- {name}: {_plain(value)}"
    if "sha256" in trained:
        yield f"- weights: sha256 {trained['sha256']}"
        yield ""
        yield "![Losses and figures against the steps](curve.png)"


def _figure_lines(trained: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of the figures before and after training."""
    before, after = trained["figures_before"], trained["figures_after"]
    pairs = trained["recipe"].get("validation_pairs", "the")
    figure = trained["figure"]
    chosen = f"the best {COMPARED[figure].label}" if figure else "the last validation"
    yield (
        f"Means over {pairs} validation pairs. The exported model is the one with {chosen}; the "
        "model before training takes part in this comparison."
    )
    yield ""
    yield "| figure | images as given | before training | after training |"
    yield "|---|---|---|---|"
    for name in COMPARED:
        if after.get(name) is not None:
            given = before.get(name.removesuffix("_after") + "_before")
            cells = [COMPARED[name].label, *map(_number, (given, before.get(name), after[name]))]
            yield f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _plain(value: Any) -> str:
    """Return a value as text, whole numbers without a decimal point."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)
