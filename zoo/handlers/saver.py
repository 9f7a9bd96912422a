"""The handler that writes the files of a registration.

Each file is either complete or absent. result.json is written last.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from zoo.datasets.dataset import SIDES
from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import warp
from zoo.handlers.contrasts import with_contrast_note
from zoo.handlers.output_files import (
    RESULT,
    UNCERTAINTY,
    Report,
    learn2reg_file,
    remove_previous_outputs,
    report_kind,
)
from zoo.handlers.provenance import peak_memory_mib, versions
from zoo.hub.catalogue import citations
from zoo.io.atomic import write_json
from zoo.io.transforms import write_transform
from zoo.io.volume import write_volume
from zoo.registration.result import RegisteredPair
from zoo.registration.weights import SelectedWeights

if TYPE_CHECKING:
    from ignite.engine import Engine

Format = Literal["nifti", "h5", "both"]
FORMATS = get_args(Format)


class RegistrationSaver:
    """An ignite handler that writes the registration of each iteration of an evaluator.

    A single pair is written to `output_dir` itself; each of several `pairs` is written to a folder
    of its own in `output_dir`, which is named after the pair.

    Args:
        output_dir: The folder for the results.
        format: The format of the transforms: nifti, h5 or both.
        learn2reg: Whether the displacement field is also written in the format of Learn2Reg.
        report: full writes a report with the interactive viewer, light one of pictures only, none
            none. True means full, and False means none.
        model: The name of the model, for result.json.
        weights: The weights of the model, for result.json.
        settings: The settings of the model, for result.json.
        record: Further entries of result.json, such as the name of the plan.
        pairs: The number of pairs in the run.
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        format: Format = "nifti",
        learn2reg: bool = False,
        report: Report | bool = "full",
        model: str | None = None,
        weights: SelectedWeights | None = None,
        settings: Mapping[str, Any] | None = None,
        record: Mapping[str, Any] | None = None,
        pairs: int = 1,
    ) -> None:
        if format not in FORMATS:
            raise UserError(f"format {format!r} is not known; use one of {', '.join(FORMATS)}")
        self.output_dir = Path(output_dir)
        self.format = format
        self.learn2reg = learn2reg
        self.report = report_kind(report)
        self.model = model
        self.weights = weights
        self.settings = dict(settings or {})
        self.record = dict(record or {})
        self.pairs = pairs

    def attach(self, engine: Engine) -> None:
        """Write after every iteration of `engine`."""
        from ignite.engine import Events

        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the registration of the engine's current iteration."""
        registration: RegisteredPair = engine.state.output["pred"]  # type: ignore[index]
        folder = self.output_dir
        self.save(registration, folder if self.pairs == 1 else folder / registration.pair.name)

    def save(self, registration: RegisteredPair, folder: Path) -> dict[str, Any]:
        """Write all files of one registration into `folder`; return the content of result.json.

        The images are compressed by a thread while the registration is measured.
        """
        folder.mkdir(parents=True, exist_ok=True)
        remove_previous_outputs(folder)
        registration = with_contrast_note(registration, self.weights)
        with ThreadPoolExecutor(max_workers=1) as thread:
            writing = thread.submit(self._write_images, registration, folder)
            measured, verdict = registration.measured, registration.verdict
            structure = registration.structure
            files, saving = writing.result()
        seconds = registration.seconds | {"saving": saving}
        pair = registration.pair
        result = {
            "fixed": str(pair.fixed.path),
            "moving": [str(volume.path) for volume in pair.moving],
            **additional_files(pair),
            **self._model_record(),
            **registration.notes,
            "quality": verdict.quality,
            "warnings": list(verdict.warnings),
            "quality_limits": list(verdict.limits),
            "structure": None if structure is None else structure.record(),
            "figures": measured.figures,
            "labels": measured.labels,
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
            "peak_memory_mib": peak_memory_mib(),
            "versions": versions(),
        }
        if self.report != "none":
            from zoo.reporting.report import write_report

            write_report(registration, result, folder, kind=self.report)
            files += ["report.html", "report.png"]
        result["files"] = [*files, RESULT]
        write_json(folder / RESULT, result)
        return result

    def _model_record(self) -> dict[str, Any]:
        """Return the entries of result.json that describe the model."""
        if self.model is None:
            return dict(self.record)
        weights = None if self.weights is None else self.weights.record()
        return {
            "model": self.model,
            "weights": weights,
            "settings": self.settings,
            "citation": citations(self.model),
            **self.record,
        }

    def _write_images(self, registration: RegisteredPair, folder: Path) -> tuple[list[str], float]:
        """Write transforms and images; return the names of the files, and the seconds."""
        started = time.perf_counter()
        files = [*self._transforms(registration, folder), *self._warped(registration, folder)]
        if registration.uncertainty is not None:
            write_volume(
                folder / UNCERTAINTY, registration.uncertainty, registration.pair.fixed.grid
            )
            files.append(UNCERTAINTY)
        return files, time.perf_counter() - started

    def _transforms(self, registration: RegisteredPair, folder: Path) -> list[str]:
        """Write the transform and, if there is one, the inverse; return the names of the files."""
        pair, transform = registration.pair, registration.transform
        grid, moving_grid = pair.fixed.grid, pair.moving[0].grid
        suffixes = {"nifti": (".nii.gz",), "h5": (".h5",), "both": (".nii.gz", ".h5")}[self.format]
        names = []
        for suffix in suffixes:
            names.append(f"transform{suffix}")
            write_transform(folder / names[-1], transform, grid)
            if registration.inverse is not None:
                names.append(f"inverse{suffix}")
                write_transform(folder / names[-1], registration.inverse, moving_grid)
        if self.learn2reg:
            names.append(learn2reg_file(pair.fixed.path, pair.moving[0].path))
            field = folder / names[-1]
            write_transform(field, transform, grid, moving=moving_grid, format="learn2reg")
        return names

    def _warped(self, registration: RegisteredPair, folder: Path) -> list[str]:
        """Write the warped moving images and labels; return the names of the files."""
        pair, transform = registration.pair, registration.transform
        more_moving = [f"warped_{k}.nii.gz" for k in range(2, len(pair.moving) + 1)]
        names = ["warped.nii.gz", *more_moving]
        for name, volume in zip(names, pair.moving, strict=True):
            fill = min(0.0, float(volume.data.min()))
            data = warp(volume.data[None], volume.grid, pair.fixed.grid, transform, fill=fill)[0]
            write_volume(folder / name, data, pair.fixed.grid, volume.data.dtype)
        if pair.moving_labels is not None:
            labels = pair.moving_labels
            data = warp(
                labels.data[None], labels.grid, pair.fixed.grid, transform, interpolation="nearest"
            )[0]
            names.append("warped_labels.nii.gz")
            write_volume(folder / names[-1], data, pair.fixed.grid)
        return names


def additional_files(pair: Pair) -> dict[str, str]:
    """Return the files of a pair besides its images: labels, masks, points and their space."""
    if pair.files is None:
        return {}
    names = [f"{side}_{kind}" for kind in ("labels", "mask", "points") for side in SIDES]
    files = {name: str(path) for name in names if (path := getattr(pair.files, name)) is not None}
    has_points = "fixed_points" in files or "moving_points" in files
    return files | ({"points_space": pair.files.points_space} if has_points else {})


def prepare_pair(
    batch: Any, device: Any = None, non_blocking: bool = False, **_: Any
) -> tuple[Any, None]:
    """Pass a pair to the engine unchanged; the inferer moves it to the device."""
    return batch, None
