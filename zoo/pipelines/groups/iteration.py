"""One iteration of a template: register every subject, average, and remove the mean deformation."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.atlases import (
    MapMean,
    MeanImage,
    points_of_body,
    separate_affine,
    sharpen,
    sharpness,
)
from zoo.cohorts.record import read_json
from zoo.datasets.pairs import PairFiles
from zoo.geometry import Grid, Transform, invert, warp
from zoo.hub.weights import sha256_of
from zoo.io.atomic import write_json
from zoo.io.volume import Volume, read_volume, write_volume
from zoo.pipelines.groups.registrations import Engine, Outcome, require_some
from zoo.pipelines.groups.subjects import Subject, digest_of, find_mid_space
from zoo.registration.working_pair import extended

TEMPLATE, RECORD, PAIRS, AFFINES = "template.nii.gz", "record.json", "pairs", "affines.json"


@dataclass(frozen=True)
class Averaging:
    """How images are averaged: the subjects, and the choices that hold for all iterations."""

    engine: Engine
    subjects: Sequence[Subject]
    normalised: bool
    sharpened: bool

    def digest(self, previous: str, *more: Any) -> str:
        """Return the digest of all that an average depends on; `previous` is that of its origin."""
        subjects = [[subject.name, subject.sha256] for subject in self.subjects]
        choices = [self.engine.settings, self.normalised, self.sharpened]
        return digest_of([previous, subjects, choices, *more])

    def average(self, grid: Grid, maps: Mapping[str, Transform]) -> tuple[Tensor, float]:
        """Return the mean of the subjects warped onto `grid`, and their own mean sharpness.

        `maps` are the transforms from the grid to the subjects by name.
        """
        mean, sharp = MeanImage(grid, self.normalised), []
        chosen = [subject for subject in self.subjects if subject.name in maps]
        for subject in self.engine.each(chosen):
            volume = subject.read()
            warped = warp(
                volume.data[None].float(), volume.grid, grid, maps[subject.name], fill=math.nan
            )[0]
            mean.add(warped, str(subject.image))
            low = float(warped[torch.isfinite(warped)].min())
            sharp.append(sharpness(warped.nan_to_num(nan=low), grid))
        image = mean.mean()
        return sharpen(image) if self.sharpened else image, sum(sharp) / len(sharp)


@dataclass(frozen=True)
class Stage:
    """A finished iteration: its folder, and its record."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def template(self) -> Path:
        """The file of the template."""
        return self.folder / TEMPLATE

    @property
    def digest(self) -> str:
        """The digest of all that the template depends on."""
        return str(self.record["digest"])


def first_average(averaging: Averaging, folder: Path, spacing: float | None) -> Stage:
    """Return the mean of the subjects in their mid-space, which is computed unless it exists."""
    digest = averaging.digest("", spacing)
    if (known := _finished(folder, digest)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    space = find_mid_space(averaging.subjects, spacing, averaging.engine, folder / AFFINES)
    maps = {name: Transform(matrix) for name, matrix in space.maps.items()}
    image, of_subjects = averaging.average(space.grid, maps)
    figures = {"sharpness": sharpness(image, space.grid), "sharpness_of_subjects": of_subjects}
    return _written(folder, image, space.grid, {"digest": digest, **figures, "left_out": {}})


def next_average(averaging: Averaging, previous: Stage, folder: Path) -> Stage:
    """Return the template after one more iteration, which is computed unless it exists."""
    digest = averaging.digest(previous.digest)
    if (known := _finished(folder, digest)) is not None:
        return known
    update = registered_update(averaging, previous, folder)
    image, of_subjects = averaging.average(update.grid, update)
    figures = {
        "change": _change(update.template.data, image),
        "bias_mm": update.bias_mm,
        "deformation_mm": update.deformation_mm,
        "sharpness": sharpness(image, update.grid),
        "sharpness_of_subjects": of_subjects,
        **_folding(update.outcome),
    }
    record = {"digest": digest, **figures, "left_out": update.outcome.left_out}
    return _written(folder, image, update.grid, record)


def registered_update(averaging: Averaging, previous: Stage, folder: Path) -> Update:
    """Register all subjects to the previous template, as far as that has not been done."""
    pairs = {
        subject.name: PairFiles(previous.template.absolute(), (subject.image,))
        for subject in averaging.subjects
    }
    outcome = averaging.engine.register(pairs, folder / PAIRS)
    require_some(outcome, 2, "a template")
    return Update(averaging, read_volume(previous.template), outcome)


def remove_registrations(folder: Path) -> None:
    """Remove the registrations of an iteration, which the template does not need any more."""
    shutil.rmtree(folder / PAIRS, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class Update(Mapping[str, Transform]):
    """The maps from the new template to the subjects by name.

    They are the registrations to the old `template`, preceded by the inverse of their mean. Hence
    the shape of the new template is the mean of the subjects.
    """

    averaging: Averaging
    template: Volume
    outcome: Outcome

    @property
    def grid(self) -> Grid:
        """The grid of the old and of the new template."""
        return self.template.grid

    def __getitem__(self, name: str) -> Transform:
        registered = self.outcome.registered[name]
        separated = separate_affine(registered.transform, self.grid, self._body)
        # The mean moves points beyond the border of the grid, where a field would be zero.
        return self._from_new.then(extended(separated, self._wider_grid), self.grid)

    def __contains__(self, name: object) -> bool:  # the one of Mapping composes the transform
        return name in self.outcome.registered

    def __iter__(self) -> Any:
        return iter(self.outcome.registered)

    def __len__(self) -> int:
        return len(self.outcome.registered)

    @property
    def bias_mm(self) -> float:
        """The mean distance by which the mean map moves the points of the body, mm.

        It is how far the old template was from the mean shape.
        """
        mean = self._mean[0]
        return float((mean.map_points(self._body) - self._body).norm(dim=1).mean())

    @property
    def deformation_mm(self) -> float:
        """The mean distance over all subjects by which points move, without affine parts, mm."""
        return self._mean[1]

    @cached_property
    def _body(self) -> Tensor:
        return points_of_body(self.template.data.float(), self.grid)

    @cached_property
    def _mean(self) -> tuple[Transform, float]:
        """The mean map, and the mean length of the displacements at points of the body in mm."""
        mean, lengths = MapMean(self.grid, self._body), []
        for subject in self.averaging.engine.each(self.averaging.subjects):
            if subject.name in self.outcome.registered:
                separated = mean.add(self.outcome.registered[subject.name].transform)
                dense = Transform(torch.eye(4), separated.field, self.grid)
                moved = dense.map_points(self._body) - self._body
                lengths.append(float(moved.norm(dim=1).mean()))
        return mean.mean(), sum(lengths) / len(lengths)

    @cached_property
    def _wider_grid(self) -> Grid:
        """The grid with a margin as wide as the largest displacement of the mean map."""
        moved = self._from_new.dense_on(self.grid).field
        assert moved is not None
        largest = moved.abs().amax(dim=(1, 2, 3))
        margin = [
            int(float(mm) / step) + 2 for mm, step in zip(largest, self.grid.spacing, strict=True)
        ]
        affine = self.grid.affine.clone()
        affine[:3, 3] = self.grid.to_world(-torch.tensor([margin], dtype=torch.float64))[0]
        x, y, z = (n + 2 * m for n, m in zip(self.grid.shape, margin, strict=True))
        return Grid((x, y, z), affine)

    @cached_property
    def _from_new(self) -> Transform:
        """The map from the new template to the old one: the inverse of the mean."""
        return invert(self._mean[0], self.grid).transform


def _finished(folder: Path, digest: str) -> Stage | None:
    """Return an iteration that is finished and whose digest is still the same."""
    record = read_json(folder / RECORD)
    if record is None or record.get("digest") != digest or not (folder / TEMPLATE).is_file():
        return None
    return Stage(folder, record) if record.get("sha256") == sha256_of(folder / TEMPLATE) else None


def _written(folder: Path, image: Tensor, grid: Grid, record: Mapping[str, Any]) -> Stage:
    """Write a template and, last, the record that makes it valid."""
    write_volume(folder / TEMPLATE, image.float(), grid)
    complete = {**record, "sha256": sha256_of(folder / TEMPLATE)}
    write_json(folder / RECORD, complete)
    return Stage(folder, complete)


def _change(old: Tensor, new: Tensor) -> float:
    """Return the root mean square difference of two templates, relative to the spread of the new.

    It is 0 if nothing changes, and about 1 for unrelated images.
    """
    spread = float(new.double().std()) or 1.0
    return float((new.double() - old.double()).square().mean().sqrt()) / spread


def _folding(outcome: Outcome) -> dict[str, float]:
    """Return the mean and the largest percentage of folded voxels of all registrations."""
    values = [float(r.result["figures"]["folding_percent"]) for r in outcome.registered.values()]
    return {"folding_percent_mean": sum(values) / len(values), "folding_percent_max": max(values)}
