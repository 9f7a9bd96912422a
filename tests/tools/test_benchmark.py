import json
from pathlib import Path

import benchmark
import numpy as np
import pytest
from bench import table
from bench.figures import figures, mean_dice
from bench.pairs import BenchPair, data_pairs, phantom_pairs, true_field

from zoo.io.volume import read_volume


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return phantom_pairs(tmp_path_factory.mktemp("phantoms"), [28], seed=3)[0]


def run(method, pair, repeat=0, **figures):
    return {"method": method, "pair": pair, "repeat": repeat, "threads": 1, **figures}


def test_the_true_field_has_no_error_and_the_identity_has_the_starts(pair):
    truth = true_field(pair)
    found = figures(pair, truth)
    assert found["epe_mm"] == found["error"] == 0
    assert found["dice"] > 0.85
    assert found["folding_percent"] == 0
    nothing = figures(pair, np.zeros_like(truth))
    assert nothing["epe_mm"] == pytest.approx(np.linalg.norm(truth, axis=-1).mean(), rel=1e-5)
    assert nothing["dice"] < found["dice"]
    assert nothing["epe_body_mm"] == pytest.approx(nothing["epe_mm"], rel=0.3)
    assert nothing["epe_body_mm"] != nothing["epe_mm"]
    assert nothing["sd_log_jacobian"] == pytest.approx(0)


def test_a_folding_field_is_caught(pair):
    grid = read_volume(pair.fixed).grid
    field = np.zeros((*grid.shape, 3), np.float32)
    field[14:] = [-3 * grid.spacing[0], 0, 0]
    share = figures(pair, field)["folding_percent"]
    assert share == pytest.approx(100 * 2 / 28)


def test_itk_truth_is_read_in_ras_on_the_fixed_grid(pair, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    path = tmp_path / "truth.tfm"
    sitk.WriteTransform(sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), str(path))
    field = true_field(BenchPair("moved", pair.fixed, pair.moving, truth=path))
    assert field.shape == (28, 28, 28, 3)
    np.testing.assert_allclose(field[3, 20, 9], [-1, -2, 3])


def test_dice_counts_only_labels_that_both_images_show_well():
    fixed = np.zeros((20, 20, 20), np.uint8)
    fixed[:10] = 1
    fixed[10:, :2, :2] = 2  # 40 voxels: too small
    fixed[10:, 10:] = 3
    moving = np.where(fixed == 3, 0, fixed)  # 3 is not there at all
    warped = np.roll(fixed, 5, axis=0)
    a, b = fixed == 1, warped == 1
    assert mean_dice(fixed, moving, warped) == pytest.approx(
        2 * (a & b).sum() / (a.sum() + b.sum())
    )


def test_methods_take_turns_and_made_runs_are_not_repeated():
    pairs = [BenchPair(name, Path("f"), Path("m")) for name in "ab"]
    made = [run("x", "a"), run("y", "b", repeat=1)]
    left = [(m, p.name, r) for m, p, r in benchmark.missing(made, ["x", "y"], pairs, 2)]
    assert left == [
        ("y", "a", 0), ("x", "b", 0), ("y", "b", 0), ("x", "a", 1), ("y", "a", 1), ("x", "b", 1)
    ]  # fmt: skip


def test_a_run_in_a_child_process_is_measured(pair):
    found = benchmark.run_once("start", pair, threads=1, timeout=300)
    assert found["epe_mm"] == pytest.approx(np.linalg.norm(true_field(pair), axis=-1).mean(), 1e-4)
    assert found["seconds"] > 0
    assert found["peak_mib"] >= found["idle_mib"] > 50


def test_a_failure_is_a_result_like_any_other(pair, tmp_path):
    lost = BenchPair("lost", tmp_path / "gone.nii.gz", pair.moving)
    found = benchmark.run_once("start", lost, threads=1, timeout=300)
    assert "gone.nii.gz" in found["failed"]
    assert "Dice" in table.markdown([run("start", "lost", **found)], threads=1)


def test_medians_and_geometric_means():
    runs = [
        run("convexAdam", "a", error=2.0, seconds=10.0, peak_mib=100.0),
        run("convexAdam", "b", error=1.0, seconds=10.0, peak_mib=100.0),
        run("x", "b", error=0.5, seconds=5.0, peak_mib=50.0),
        run("x", "b", failed="out of luck"),
    ]
    runs += [
        run("x", "a", r, error=4.0, seconds=s, peak_mib=50.0) for r, s in enumerate((9.0, 5.0, 1.0))
    ]
    found = table.summarise(runs)
    assert found["a", "x"]["seconds"] == 5
    assert found["a", "x"]["repeats"] == 3
    means = table.means(found)
    assert means["x"]["error"] == pytest.approx((2.0 * 0.5) ** 0.5)
    assert means["x"]["worst"] == 2
    assert means["x"]["seconds"] == pytest.approx(0.5)
    text = table.markdown(runs, threads=2)
    assert "x failed on b: out of luck" in text
    assert "| x | 2 | 1.000 | 2.000 | 0.500 | 0.500 |" in text


def test_the_picture_is_drawn(tmp_path):
    runs = [
        run(m, "a", error=e, seconds=1.0, peak_mib=1.0)
        for m, e in (("convexAdam", 2.0), ("x", 1.0))
    ]
    table.draw(runs, tmp_path / "table.png")
    assert (tmp_path / "table.png").stat().st_size > 5000


def test_pairs_that_are_not_there_are_left_out(tmp_path):
    assert data_pairs(tmp_path) == []


def test_runs_are_read_back(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert benchmark.read_runs(path) == []
    path.write_text(json.dumps(run("x", "a")) + "\n")
    assert benchmark.read_runs(path) == [run("x", "a")]
