import csv
import json
import math

import pytest
import torch
from ignite.engine import Engine

from zoo.datasets.pairs import DatasetPairs, Pair, PairDataset
from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.handlers.metrics import EvaluationWriter, MeanFigure
from zoo.io.volume import Volume
from zoo.registration.result import RegisteredPair
from zoo.synthesis.phantom import make_pair


def registration(seed, *, labels=True, points=True, truth=True):
    phantom = make_pair(seed, shape=(24, 22, 20), axes="LPS", tilt_degrees=10, moving_axes="SAR")

    def volume(data, grid):
        return Volume(data, grid, f"{seed}.nii.gz")

    pair = Pair(
        name=f"pair {seed}",
        fixed=volume(phantom.fixed, phantom.fixed_grid),
        moving=(volume(phantom.moving, phantom.moving_grid),),
        fixed_labels=volume(phantom.fixed_labels, phantom.fixed_grid) if labels else None,
        moving_labels=volume(phantom.moving_labels, phantom.moving_grid) if labels else None,
        fixed_points=phantom.fixed_points if points else None,
        moving_points=phantom.moving_points if points else None,
    )
    return RegisteredPair(pair, phantom.truth if truth else Transform.identity())


def run(registrations, *handlers, **metrics):
    engine = Engine(lambda _engine, item: {"pred": item})
    for name, metric in metrics.items():
        metric.attach(engine, name)
    for handler in handlers:
        handler.attach(engine)
    return engine.run(registrations).metrics


def test_the_metric_is_the_mean_of_the_dice_of_all_pairs():
    both = [registration(1), registration(2, truth=False)]
    mean = run(both, value=MeanFigure())["value"]
    expected = sum(r.measured.figures["dice_after"] for r in both) / 2
    assert mean == pytest.approx(expected)
    assert both[1].measured.figures["dice_after"] < expected < 1


@pytest.mark.parametrize(
    ("given", "figure"),
    [
        ({"labels": False}, "tre_mm_after"),
        ({"labels": False, "points": False}, "similarity_after"),
    ],
)
def test_without_labels_the_next_preferred_figure_is_used(given, figure):
    one = registration(1, **given)
    assert run([one], value=MeanFigure())["value"] == one.measured.figures[figure]


def test_an_unknown_figure_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"has no figure 'dise'; its figures are .*dice_after"):
        run([registration(1)], value=MeanFigure("dise"))


def test_a_pair_without_the_figure_does_not_count():
    with_labels, without = registration(1), registration(2, labels=False)
    without.measured.figures["dice_after"] = None
    mean = run([with_labels, without], value=MeanFigure("dice_after"))["value"]
    assert mean == with_labels.measured.figures["dice_after"]


def test_the_mean_is_nan_if_no_pair_has_the_figure():
    one = registration(1)
    one.measured.figures["dice_after"] = None
    assert math.isnan(run([one], value=MeanFigure("dice_after"))["value"])


def test_a_second_run_does_not_include_the_first(tmp_path):
    metric, writer = MeanFigure("tre_mm_after"), EvaluationWriter(tmp_path)
    for _ in range(2):
        run([registration(1)], writer, value=metric)
    assert (
        json.loads((tmp_path / "evaluation.json").read_text())["summary"]["tre_mm_after"]["n"] == 1
    )


def test_the_evaluation_contains_every_pair(tmp_path):
    torch.manual_seed(0)
    run([registration(1), registration(2)], EvaluationWriter(tmp_path))
    rows = list(csv.DictReader((tmp_path / "evaluation.csv").open()))
    assert [row["name"] for row in rows] == ["pair 1", "pair 2"]
    document = json.loads((tmp_path / "evaluation.json").read_text())
    mean = sum(float(row["dice_after"]) for row in rows) / 2
    assert document["summary"]["dice_after"]["mean"] == pytest.approx(mean)
    assert "l2r_tre" in document["summary"]


def test_a_missing_dataset_is_reported_when_a_pair_is_loaded(tmp_path):
    pairs = PairDataset(DatasetPairs(tmp_path))
    assert len(pairs) == 1
    with pytest.raises(UserError, match=r"neither dataset\.json"):
        pairs[0]
