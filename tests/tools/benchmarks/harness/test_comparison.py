"""Tables and pictures that compare methods with the reference method."""

import pytest
from benchmarks.harness.comparison import (
    draw,
    markdown,
    mean_ratios,
    medians,
    of_one_contrast,
)


def run(method, pair, repeat=0, modality="t1/t1", **figures):
    facts = {"method": method, "pair": pair, "modality": modality, "repeat": repeat, "threads": 1}
    return facts | figures


def test_medians_and_geometric_means():
    runs = [
        run("convexAdam", "a", error=2.0, seconds=10.0, cpu_seconds=10.0, peak_mib=100.0),
        run("convexAdam", "b", error=1.0, seconds=10.0, cpu_seconds=10.0, peak_mib=100.0),
        run("x", "b", error=0.5, seconds=5.0, cpu_seconds=5.0, peak_mib=50.0),
        run("x", "b", failed="exit status 1: no memory"),
    ]
    runs += [
        run("x", "a", r, error=4.0, seconds=s, cpu_seconds=9.0, peak_mib=50.0)
        for r, s in enumerate((9.0, 5.0, 1.0))
    ]
    figures = medians(runs)
    assert figures["a", "x"]["seconds"] == 5
    assert figures["a", "x"]["repeats"] == 3
    ratios = mean_ratios(figures)["x"]
    assert ratios["error"] == pytest.approx((2.0 * 0.5) ** 0.5)
    assert ratios["worst"] == 2
    assert ratios["seconds"] == pytest.approx(0.5)
    page = markdown(runs, threads=2)
    assert "x failed on b: exit status 1: no memory" in page
    assert "| x | 2 | 1.000 | 0.500 | 0.671 | 0.500 | 2.000 |" in page


def test_pairs_of_one_contrast_are_also_compared_with_greedy():
    cost = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_mib": 1.0}
    runs = [
        run("convexAdam", "same", error=2.0, **cost),
        run("greedy", "same", error=1.0, **cost),
        run("convexAdam", "other", modality="t1/t2", error=1.0, **cost),
        run("greedy", "other", modality="t1/t2", error=8.0, **cost),
        run("mcbo", "same", error=0.5, **cost),
        run("mcbo", "other", modality="t1/t2", error=0.5, **cost),
    ]
    figures = medians(runs)
    assert set(of_one_contrast(figures)) == {("same", m) for m in ("convexAdam", "greedy", "mcbo")}
    first, second = markdown(runs, threads=1).split("Pairs of one contrast, relative to greedy")
    assert "| greedy | 2 | 2.000 | 1.000 | 1.000 | 1.000 | 8.000 |" in first
    assert "| mcbo | 1 | 0.500 | 1.000 | 1.000 | 1.000 | 0.500 |" in second
    assert "| convexAdam | 1 | 2.000 | 1.000 | 1.000 | 1.000 | 2.000 |" in second


def test_the_verdict_of_this_zoo_is_in_the_table():
    figures = {"error": 1.0, "seconds": 2.0, "cpu_seconds": 2.0, "peak_mib": 3.0}
    runs = [
        run("normal", "a", verdict="check", model="mcbo", **figures),
        run("greedy", "a", **figures),
    ]
    lines = markdown(runs, threads=1).splitlines()
    (normal,) = [line for line in lines if line.startswith("| a | t1/t1 | normal |")]
    (peer,) = [line for line in lines if line.startswith("| a | t1/t1 | greedy |")]
    assert "check" in normal
    assert "check" not in peer
    assert normal.count("|") == peer.count("|")


def test_the_picture_has_a_point_for_each_method_in_each_comparison(tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "close", lambda *_: None)
    runs = [
        run(m, p, modality=c, error=e, seconds=s, cpu_seconds=s, peak_mib=1.0)
        for m, p, c, e, s in (
            ("convexAdam", "a", "t1/t2", 2.0, 1.0),
            ("x", "a", "t1/t2", 1.0, 3.0),
            ("greedy", "b", "ct/ct", 2.0, 2.0),
            ("x", "b", "ct/ct", 3.0, 1.0),
        )
    ]
    draw(runs, tmp_path / "table.png")
    everything, one_contrast = (
        {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines}
        for axis in plt.gcf().axes
    )
    assert everything == {"convexAdam": (1, 1), "x": (pytest.approx(3), pytest.approx(0.5))}
    assert one_contrast == {"greedy": (1, 1), "x": (pytest.approx(0.5), pytest.approx(1.5))}
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
