"""Writing a registration's files. Each file is whole or absent; result.json comes last."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import monai
import torch
from ignite.engine import Engine, Events

from zoo import __version__
from zoo.datasets.names import stem
from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import warp
from zoo.io.atomic import write_json
from zoo.io.transforms import write_transform
from zoo.io.volume import write_volume
from zoo.registration.result import RegisteredPair
from zoo.registration.weights import SelectedWeights

Format = Literal["nifti", "h5", "both"]
SIDES = ("fixed", "moving")


WRITTEN = (
    *("result.json", "transform.nii.gz", "transform.h5", "inverse.nii.gz", "inverse.h5"),
    *("warped.nii.gz", "warped_labels.nii.gz", "report.html", "report.png"),
)
"""What a registration leaves in its folder, the first of these written last."""


class RegistrationSaver:
    """An ignite handler that writes each registration of an evaluator's run.

    One pair is written to `output_dir` itself; of several pairs, each is written to a folder with
    the name of the pair. result.json reports the `model`, its `weights` and its `settings`, and
    whatever `record` holds besides, such as the name of the plan.
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        format: Format = "nifti",
        learn2reg: bool = False,
        report: bool = True,
        model: str | None = None,
        weights: SelectedWeights | None = None,
        settings: Mapping[str, Any] | None = None,
        record: Mapping[str, Any] | None = None,
        pairs: int = 1,
    ) -> None:
        if format not in ("nifti", "h5", "both"):
            raise UserError(f"format {format!r} is not known; use nifti, h5 or both")
        self.output_dir = Path(output_dir)
        self.format = format
        self.learn2reg = learn2reg
        self.report = report
        self.model = model
        self.weights = weights
        self.settings = dict(settings or {})
        self.record = dict(record or {})
        self.pairs = pairs

    def attach(self, engine: Engine) -> None:
        """Write after every iteration of `engine`."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the registration that the engine has just made."""
        registration: RegisteredPair = engine.state.output["pred"]  # type: ignore[index]
        folder = self.output_dir
        self.save(registration, folder if self.pairs == 1 else folder / registration.pair.name)

    def save(self, registration: RegisteredPair, folder: Path) -> dict[str, Any]:
        """Write all files of one registration into `folder`; return what result.json holds."""
        folder.mkdir(parents=True, exist_ok=True)
        forget(folder)
        started = time.perf_counter()
        self._transforms(registration, folder)
        self._warped(registration, folder)
        seconds = registration.seconds | {"saving": time.perf_counter() - started}
        pair = registration.pair
        measured = registration.measured
        result = {
            "fixed": str(pair.fixed.path),
            "moving": [str(volume.path) for volume in pair.moving],
            **given_files(pair),
            **self._model_record(),
            **registration.notes,
            "figures": measured.figures,
            "labels": measured.labels,
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
            "peak_memory_mib": peak_memory_mib(),
            "versions": versions(),
        }
        if self.report:
            from zoo.reporting.report import write_report

            write_report(registration, result, folder)
        write_json(folder / "result.json", result)
        return result

    def _model_record(self) -> dict[str, Any]:
        """Return what result.json reports of the model that made a registration."""
        if self.model is None:
            return dict(self.record)
        weights = None if self.weights is None else self.weights.record()
        return {"model": self.model, "weights": weights, "settings": self.settings, **self.record}

    def _transforms(self, registration: RegisteredPair, folder: Path) -> None:
        pair, transform = registration.pair, registration.transform
        grid = pair.fixed.grid
        if self.format in ("nifti", "both"):
            write_transform(folder / "transform.nii.gz", transform, grid)
        if self.format in ("h5", "both"):
            write_transform(folder / "transform.h5", transform, grid)
        if registration.inverse is not None:
            moving = pair.moving[0].grid
            if self.format in ("nifti", "both"):
                write_transform(folder / "inverse.nii.gz", registration.inverse, moving)
            if self.format in ("h5", "both"):
                write_transform(folder / "inverse.h5", registration.inverse, moving)
        if self.learn2reg:
            name = f"disp_{stem(pair.fixed.path)}_{stem(pair.moving[0].path)}.nii.gz"
            write_transform(
                folder / name, transform, grid, moving=pair.moving[0].grid, format="learn2reg"
            )

    def _warped(self, registration: RegisteredPair, folder: Path) -> None:
        pair, transform = registration.pair, registration.transform
        names = ["warped"] + [f"warped_{k}" for k in range(2, len(pair.moving) + 1)]
        for name, volume in zip(names, pair.moving, strict=True):
            fill = min(0.0, float(volume.data.min()))
            data = warp(volume.data[None], volume.grid, pair.fixed.grid, transform, fill=fill)[0]
            write_volume(folder / f"{name}.nii.gz", data, pair.fixed.grid, volume.data.dtype)
        if pair.moving_labels is not None:
            labels = pair.moving_labels
            data = warp(
                labels.data[None], labels.grid, pair.fixed.grid, transform, interpolation="nearest"
            )[0]
            write_volume(folder / "warped_labels.nii.gz", data, pair.fixed.grid)


def forget(folder: Path) -> None:
    """Remove what an earlier registration wrote into a folder: it would pass for this one's."""
    if (folder / "result.json").is_file():
        more = [path.name for path in folder.glob("warped_[0-9]*.nii.gz")]
        for name in (*WRITTEN, *more):
            (folder / name).unlink(missing_ok=True)


def given_files(pair: Pair) -> dict[str, str]:
    """Return the files that came with a pair's images: labels, masks, points and their space."""
    if pair.files is None:
        return {}
    names = [f"{side}_{kind}" for kind in ("labels", "mask", "points") for side in SIDES]
    found = {n: str(p) for n in names if (p := getattr(pair.files, n)) is not None}
    points = "fixed_points" in found or "moving_points" in found
    return found | ({"points_space": pair.files.points_space} if points else {})


def peak_memory_mib() -> int:
    """Return the largest resident memory of this process so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "regzoo": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": monai.__version__,
    }


def prepare_pair(
    batch: Any, device: Any = None, non_blocking: bool = False, **_: Any
) -> tuple[Any, None]:
    """Hand a pair to the engine as it is: the inferer takes it to the device."""
    return batch, None
