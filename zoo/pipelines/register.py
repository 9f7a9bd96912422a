"""One pair from files to files: the plan, the bundle's run, and what came of it in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.datasets.pairs import pair_files
from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.hub.weights import (
    find_weights,
    models_here,
    models_to_choose,
    models_without_weights,
)
from zoo.io.atomic import write_json
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import pair_fingerprint
from zoo.planning.memory import parse_memory
from zoo.planning.plan import for_a_pair, make_plan, read_plan
from zoo.registration.initial_affine import with_absolute_paths
from zoo.runtime.bundle import run_bundle
from zoo.runtime.device import choose_device, use_threads
from zoo.runtime.settings import absolute_paths


@dataclass(frozen=True)
class Request:
    """What is asked for a pair; several moving images are a list, or a text with commas between.

    `settings` go over what the plan chose, `outputs` say what is written; None leaves a setting as
    it is.
    """

    fixed: str
    moving: str | Sequence[str]
    out: str
    model: str = "auto"
    bundle: str | None = None
    plan: str | None = None
    anatomy: str | None = None
    modality: Mapping[str, str] = field(default_factory=dict)
    pairing: str | None = None
    memory: str | None = None
    accept_guess: bool = True
    weights: str | None = None
    fixed_labels: str | None = None
    moving_labels: str | None = None
    fixed_mask: str | None = None
    moving_mask: str | None = None
    fixed_points: str | None = None
    moving_points: str | None = None
    points_space: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)


def register_files(
    request: Request,
    *,
    device: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    say: Callable[[str], None] | None = None,
) -> None:
    """Plan a pair and run its bundle; everything is written to `request.out`.

    `say` is told in a line each what the plan chose and warns of.
    """
    use_threads(threads)
    request = replace(request, settings=with_absolute_paths(request.settings))
    if request.bundle is not None:
        if request.anatomy or request.pairing or request.modality or request.plan or request.memory:
            raise UserError("nothing is planned for --bundle; give its settings with --set")
        folder, configs = bundle_folder(request.bundle), []
    else:
        planned = _planned(request)
        if say is not None:
            told = planned["plan"]
            say(f"{told['model']}: {told['choices']['model']['because']}")
            for text in told["cautions"]:
                say(f"caution: {text}")
        folder = bundle_folder(planned["plan"]["model"])
        configs = [_written(planned, request.out)]
    overrides = {
        **absolute_paths(_files(request)),
        "weights": request.weights,
        "points_space": request.points_space,
        **request.outputs,
        **request.settings,
        "bundle_root": str(folder.absolute()),
        "device": f"$torch.device({str(choose_device(device))!r})",
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    run_bundle(folder, given, ["inference.json", *configs], trust=trust)


def summary(out: str | Path) -> str:
    """Return in a few lines what result.json in the folder `out` says."""
    result = json.loads((Path(out) / "result.json").read_text())
    seconds = sum(result["seconds"].values())
    lines = [f"affine start: {result['affine_start']['kind']} ({result['affine_start']['reason']})"]
    lines += [
        f"{name}: {value:.4g}" for name, value in result["figures"].items() if value is not None
    ]
    lines.append(f"{seconds:.1f} s, {result['peak_memory_mib']} MiB; written to {out}")
    return "\n".join(lines)


def _files(request: Request) -> dict[str, str | Sequence[str] | None]:
    names = ("labels", "mask", "points")
    beside = [f"{side}_{name}" for name in names for side in ("fixed", "moving")]
    files = {name: getattr(request, name) for name in ("fixed", "moving", *beside)}
    return files | {"output_dir": request.out}


def _planned(request: Request) -> dict[str, Any]:
    """Return the plan of a pair, made now or before."""
    if request.plan is None:
        return make_plan(*_known(request))
    said = (request.anatomy, request.modality, request.pairing, request.memory)
    if request.model != "auto" or any(said):
        raise UserError("--plan says all of it already; leave the other flags out")
    return for_a_pair(read_plan(request.plan))


def _known(request: Request) -> tuple[dict[str, Any], UserOptions]:
    """Return the fingerprint of a pair, and what was said of it."""
    files = pair_files(request.fixed, request.moving)
    several = len(files.moving) > 1
    alone = dict.fromkeys(models_without_weights(several_moving=several), 0)
    needless = several or request.model in alone
    widths = alone if needless else models_here()
    choice = tuple(alone) if needless else models_to_choose()
    if request.weights and request.model not in ("auto", *alone):
        widths = widths | {request.model: find_weights(request.model, request.weights).width or 0}
    wishes = UserOptions(
        anatomy=request.anatomy,
        modality=dict(request.modality),
        pairing=request.pairing,
        model=None if request.model == "auto" else request.model,
        memory_mib=parse_memory(request.memory) if request.memory else None,
        accept_guess=request.accept_guess,
        settings={k: v for k, v in request.settings.items() if v is not None},
        available=choice,
        widths=widths,
    )
    aligned = choice != tuple(alone) or request.model != "auto"
    fingerprint = pair_fingerprint(
        files.fixed,
        files.moving[0],
        aligned=aligned,
        fixed_points=request.fixed_points,
        moving_points=request.moving_points,
        points_space=request.points_space or "ras",
    )
    return fingerprint, wishes


def _written(planned: dict[str, Any], out: str) -> Path:
    """Write the plan beside the results, where the run reads it."""
    Path(out).mkdir(parents=True, exist_ok=True)
    target = (Path(out) / "plan.json").absolute()
    write_json(target, planned)
    return target
