"""The figures of one case as a row of an evaluation."""

from __future__ import annotations

from typing import Any

from zoo.datasets.pairs import Pair, load_pair
from zoo.evaluation.cases import Case
from zoo.evaluation.learn2reg import Array, learn2reg_figures, read_displacement
from zoo.evaluation.metrics import Measured, measure, require_finite
from zoo.geometry import Transform
from zoo.io.transforms import detect_format, read_transform


def case_row(
    pair: Pair,
    transform: Transform,
    measured: Measured,
    *,
    seconds: float | None,
    displacement: Array | None = None,
) -> dict[str, Any]:
    """Return a registered pair as a row: its name, the time, all figures, and those per label.

    `displacement` is the Learn2Reg field [X, Y, Z, 3] in voxels, if the transform was read from
    one: it gives exactly the figures of the challenge.
    """
    return {
        "name": pair.name,
        "seconds": seconds,
        "figures": measured.figures | learn2reg_figures(pair, transform, displacement),
        "labels": measured.labels,
    }


def evaluate_case(case: Case) -> dict[str, Any]:
    """Read and measure a case; return its row with the path of its field."""
    pair = load_pair(case.files)
    fixed, moving = pair.fixed.grid, pair.moving[0].grid
    transform = read_transform(case.field, fixed, moving)
    require_finite(transform, str(case.field))
    inverse = None if case.inverse is None else read_transform(case.inverse, moving, fixed)
    is_learn2reg = detect_format(case.field) == "learn2reg"
    row = case_row(
        pair,
        transform,
        measure(pair, transform, inverse),
        seconds=case.seconds,
        displacement=read_displacement(case.field, fixed.shape) if is_learn2reg else None,
    )
    return row | {"name": case.name or pair.name, "field": str(case.field)}
