import numpy as np
import pytest

from zoo.evaluation.summary import MOST_RESAMPLED, bootstrap_interval, evaluation, summarise_figures


def test_summary_of_known_values():
    rows = [{"tre_mm_after": v, "l2r_tre": v, "dice_after": None} for v in range(1, 12)]
    result = summarise_figures(rows)
    assert set(result) == {"tre_mm_after", "l2r_tre"}
    row = result["tre_mm_after"]
    assert (row["n"], row["mean"], row["median"]) == (11, 6, 6)
    assert (row["smallest"], row["largest"]) == (1, 11)
    assert result["l2r_tre"]["30"] == pytest.approx(8)
    assert "30" not in row


def test_the_bootstrap_interval_is_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).gamma(2, size=60)
    low, high = bootstrap_interval(values)
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000)
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.04)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.04)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values[:1]) == (None, None)


def test_the_interval_of_many_values_is_that_of_the_bootstrap():
    values = np.random.default_rng(4).gamma(2, size=MOST_RESAMPLED)
    low, high = bootstrap_interval(values)
    many = bootstrap_interval(np.append(values, values.mean()))
    assert many == pytest.approx((low, high), abs=0.05 * (high - low))
    assert many != (low, high)


@pytest.mark.slow
def test_the_interval_covers_the_true_mean_about_95_times_in_100():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = bootstrap_interval(random.normal(5, 2, size=40))
        hits += low <= 5 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_an_evaluation_keeps_the_rows_and_summarises_their_figures():
    rows = [{"name": name, "figures": {"dice_after": v}} for name, v in (("a", 0.5), ("b", 0.7))]
    result = evaluation(rows)
    assert result["cases"] == rows
    assert result["summary"]["dice_after"]["mean"] == pytest.approx(0.6)
