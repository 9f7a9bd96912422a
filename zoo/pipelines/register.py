"""Register one pair of files: plan, open the bundle, load the pair, register, save."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from zoo.datasets.pairs import PairFiles, load_pair, pair_files
from zoo.errors import UserError
from zoo.handlers.bids import rename_to_bids
from zoo.handlers.output_files import PLAN, RESULT, possible_outputs, previous_outputs
from zoo.hub.bundles import bundle_folder, config_keys
from zoo.hub.cache import expand_user
from zoo.hub.catalogue import find_model
from zoo.hub.foreign_bundles import read_bundle
from zoo.hub.own_models import OwnModel, find_own_model
from zoo.hub.setting_rules import for_monai
from zoo.hub.weights import find_weights
from zoo.io.atomic import write_json
from zoo.io.bids import BidsOutputs, bids_outputs, refuse_other_dataset
from zoo.io.volume import Volume, read_volume
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.plan_pair import plan_pair
from zoo.pipelines.remote_inputs import local_inputs
from zoo.pipelines.settings import resolve_settings
from zoo.planning.plan import Plan
from zoo.registration.guidance import register_guided
from zoo.registration.progress import Bar
from zoo.registration.uncertainty import require_perturbations, with_uncertainty
from zoo.runtime.device import choose_device, use_threads
from zoo.runtime.output_folder import staged_outputs
from zoo.runtime.overwriting import refuse_overwriting
from zoo.runtime.registrar import Registrar, open_registrar

BESIDE_IMAGES = (
    *("fixed_labels", "moving_labels", "fixed_mask", "moving_mask"),
    *("fixed_points", "moving_points"),
)


@dataclass(frozen=True)
class RegisteredFiles:
    """The results of a registration: their folder, the plan if one was made, and result.json."""

    folder: Path
    plan: Plan | None
    result: dict[str, Any]


def register_files(
    options: RegistrationOptions,
    *,
    on_plan: Callable[[Plan], None] | None = None,
    bar: Bar = False,
    wall_seconds: Callable[[], float] | None = None,
) -> RegisteredFiles:
    """Register a pair and write everything to `options.out`.

    All images are files or URLs here. The files of an earlier registration in the folder are
    replaced together after the registration has succeeded; see `zoo.runtime.output_folder`.

    Args:
        options: The request.
        on_plan: Is called with the plan before the registration starts.
        bar: Whether a progress bar is shown on a terminal; lines prints lines on standard error.
        wall_seconds: Returns the time since the start of the program, for result.json; by default
            the time is counted from this call.
    """
    started = time.perf_counter()
    if wall_seconds is None:
        wall_seconds = lambda: time.perf_counter() - started  # noqa: E731
    with local_inputs(options) as (local, urls):
        return _register(local, urls, on_plan, bar, wall_seconds)


def _register(
    options: RegistrationOptions,
    urls: Mapping[str, Any],
    on_plan: Callable[[Plan], None] | None,
    bar: Bar,
    wall_seconds: Callable[[], float],
) -> RegisteredFiles:
    """Register a pair of files on this computer; `urls` are where they come from."""
    request = _checked(options)
    folder = request.folder
    with staged_outputs(folder, previous_outputs, marker=RESULT) as staged:
        plan = request.plan()
        if plan is not None:
            write_json(staged / PLAN, plan)
            if on_plan is not None:
                on_plan(plan)
        with _open_bundle(options, plan, staged, request.settings, bar=bar) as registrar:
            pair = load_pair(request.files, read=request.read)
            register = registrar.register
            if options.guide is not None:
                register = partial(register_guided, registrar.register, guide=options.guide)
            registered = register(pair)
            if options.uncertainty is not None:
                registered = with_uncertainty(register, pair, registered, options.uncertainty)
            registered = replace(registered, notes=registered.notes | dict(urls))
            result = registrar.saver.save(registered, staged)
        if options.volume is not None:
            result["volume"] = options.volume
        if request.bids is not None:
            version = result["versions"]["regzoo"]
            images = (request.files.fixed, request.files.moving[0])
            result["bids"] = rename_to_bids(staged, request.bids, *images, version)
        result["wall_seconds"] = round(wall_seconds(), 3)
        written = (path for path in staged.rglob("*") if path.is_file())
        result["files"] = sorted(path.relative_to(staged).as_posix() for path in written)
        write_json(staged / RESULT, result)
    return RegisteredFiles(folder, plan, result)


def check_registration(options: RegistrationOptions) -> Plan | None:
    """Plan a registration and make the checks that precede it, and write nothing.

    Images, labels, masks and landmarks are read, and the weights are looked up. Returns the plan,
    or None with the option `bundle`.
    """
    with local_inputs(options) as (local, _):
        return _check(local)


def _check(options: RegistrationOptions) -> Plan | None:
    """Check a registration of files on this computer."""
    request = _checked(options)
    parent = next(path for path in (request.folder, *request.folder.parents) if path.exists())
    if not parent.is_dir():
        raise UserError(f"cannot write {request.folder}: {parent} is a file; choose another --out")
    if not os.access(parent, os.W_OK):
        raise UserError(f"cannot write into {parent}; choose another --out")
    plan = request.plan()
    choose_device(options.device)
    if plan is not None and find_model(plan["plan"]["model"]).learned:
        wanted = plan.get("weights") if options.weights is None else str(options.weights)
        find_weights(plan["plan"]["model"], wanted)
    load_pair(request.files, read=request.read)
    return plan


@dataclass(frozen=True)
class _Request:
    """A registration whose options are checked. `read` decodes an image once, however often."""

    options: RegistrationOptions
    folder: Path
    files: PairFiles
    settings: dict[str, Any]
    own: OwnModel | None
    outputs: list[Path]
    bids: BidsOutputs | None
    read: Callable[[Path], Volume]

    def plan(self) -> Plan | None:
        """Return the plan; an affine transform that it names is not an output."""
        plan = plan_pair(self.options, self.files, self.settings, self.own, self.read)
        if plan is not None:
            _refuse_needless_weights(self.options, plan["plan"]["model"])
            affine = {"the affine transform of the plan": _affine_file(plan)}
            refuse_overwriting(affine, self.outputs)
        if self.options.guide == "labels" and (plan is None or plan["plan"]["model"] != "mcbo"):
            raise UserError(
                "--guide labels changes the contrast of the images, which only mcbo is made for; "
                "add --model mcbo"
            )
        return plan


def _refuse_needless_weights(options: RegistrationOptions, model: str) -> None:
    """Raise `UserError` if weights are given for a model without any."""
    if options.weights is not None and not find_model(model).learned:
        raise UserError(
            f"--weights {options.weights} is for networks, and {model} has no weights; leave it "
            "out, or choose a network with --model (see regzoo models)"
        )


def _refuse_points_of_one_image(files: PairFiles) -> None:
    """Raise `UserError` if only one of the two images has landmarks."""
    given = {"--fixed-points": files.fixed_points, "--moving-points": files.moving_points}
    missing = [flag for flag, path in given.items() if path is None]
    if len(missing) == 1:
        raise UserError(
            f"landmarks are compared in pairs, and {missing[0]} is missing; add it, or leave "
            "the other one out (regzoo points maps points of one image)"
        )


def _checked(options: RegistrationOptions) -> _Request:
    """Check the options and the paths of a registration."""
    if options.out is None:
        raise UserError("the folder for the results is missing; add --out FOLDER")
    require_perturbations(options.uncertainty)
    use_threads(options.threads)
    folder = Path(options.out).absolute()
    files = absolute_files(options)
    settings = resolve_settings(options.bundle_settings())
    bids = bids_outputs(files.fixed, files.moving[0]) if options.bids else None
    own = None if options.model == "auto" else find_own_model(options.model)
    outputs = [folder / name for name in possible_outputs(files) | previous_outputs(folder)]
    outputs += [] if bids is None else [folder / name for name in bids.names()]
    inputs = input_files(options, files, settings)
    inputs["the plan of --model"] = None if own is None else own.folder / PLAN
    refuse_overwriting(inputs, outputs)
    _refuse_points_of_one_image(files)
    if bids is not None:
        refuse_other_dataset(folder, previous_outputs(folder))
    read = cache(partial(read_volume, volume=options.volume))
    return _Request(options, folder, files, settings, own, outputs, bids, read)


def input_files(
    options: RegistrationOptions, files: PairFiles, settings: Mapping[str, Any]
) -> dict[str, str | Path | None]:
    """Return the files that a registration reads, by their description in messages."""
    number = len(files.moving)
    moving = {
        "the moving image" if number == 1 else f"moving image {k}": path
        for k, path in enumerate(files.moving, start=1)
    }
    beside = {f"--{name.replace('_', '-')}": getattr(files, name) for name in BESIDE_IMAGES}
    return {
        "the fixed image": files.fixed,
        **moving,
        **beside,
        "--plan": options.plan,
        "--weights": options.weights,
        "--affine": _affine_file(settings),
    }


def _affine_file(settings: Mapping[str, Any]) -> str | None:
    """Return the setting `affine`, which may name a file."""
    affine = settings.get("affine")
    return affine if isinstance(affine, str) else None


def absolute_files(options: RegistrationOptions) -> PairFiles:
    """Return the files of a pair with absolute paths, which result.json records."""
    beside = {name: getattr(options, name) for name in BESIDE_IMAGES}
    files = pair_files(options.fixed, options.moving, **beside, points_space=options.points_space)
    given = {name: path for name in BESIDE_IMAGES if (path := getattr(files, name)) is not None}
    return replace(
        files,
        fixed=files.fixed.absolute(),
        moving=tuple(path.absolute() for path in files.moving),
        **{name: path.absolute() for name, path in given.items()},
    )


def _open_bundle(
    options: RegistrationOptions,
    plan: Plan | None,
    folder: Path,
    settings: Mapping[str, Any],
    *,
    bar: Bar,
) -> AbstractContextManager[Registrar]:
    """Open the registrar of the plan's model or of the user's bundle, without pairs and handlers.

    The pipeline loads the pair and saves the result itself.
    """
    bundle = bundle_folder(str(options.bundle) if plan is None else plan["plan"]["model"])
    more_than_data = options.trust and read_bundle(bundle).data is None
    if more_than_data and "saver" not in config_keys(bundle):
        raise UserError(
            f"configs/inference.json of the bundle {bundle} has no component `saver`, which "
            "writes the results; see docs/how-to/writing-a-bundle.md"
        )
    overrides = {
        "weights": None if options.weights is None else _weights(str(options.weights)),
        "bar": None if bar is True else bar,
        **options.outputs(),
        "pairs": [],
        "handlers": [],
        "output_dir": for_monai(str(folder)),
        "bundle_root": for_monai(str(bundle.absolute())),
        "device": f"$torch.device({str(choose_device(options.device))!r})",
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    file = None if plan is None else folder / PLAN
    return open_registrar(bundle, given, file, settings=settings, trust=options.trust)


def _weights(wanted: str) -> str:
    """Return the name of a variant as it is, and a file as an absolute path for MONAI's parser."""
    is_file = wanted.endswith(".safetensors")
    text: str = for_monai(str(expand_user(wanted).absolute()) if is_file else wanted)
    return text
