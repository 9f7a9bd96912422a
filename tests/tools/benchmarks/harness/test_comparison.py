"""Tables and pictures that compare methods with the reference method."""

import pytest
from benchmarks.harness.comparison import draw, markdown, mean_ratios, medians


def run(method, pair, repeat=0, **figures):
    return {"method": method, "pair": pair, "repeat": repeat, "threads": 1, **figures}


def test_medians_and_geometric_means():
    runs = [
        run("convexAdam", "a", error=2.0, seconds=10.0, peak_mib=100.0),
        run("convexAdam", "b", error=1.0, seconds=10.0, peak_mib=100.0),
        run("x", "b", error=0.5, seconds=5.0, peak_mib=50.0),
        run("x", "b", failed="exit status 1: no memory"),
    ]
    runs += [
        run("x", "a", r, error=4.0, seconds=s, peak_mib=50.0) for r, s in enumerate((9.0, 5.0, 1.0))
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
    assert "| x | 2 | 1.000 | 2.000 | 0.500 | 0.500 |" in page


def test_the_picture_has_a_bar_for_each_method_and_pair(tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "close", lambda *_: None)
    runs = [
        run(m, p, error=e, seconds=s, peak_mib=1.0)
        for m, p, e, s in (("convexAdam", "a", 2.0, 1.0), ("x", "a", 1.0, 3.0))
    ]
    draw(runs, tmp_path / "table.png")
    error, seconds = plt.gcf().axes
    assert [bar.get_height() for bar in error.patches] == [1, 0.5]
    assert [bar.get_height() for bar in seconds.patches] == [1, 3]
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
