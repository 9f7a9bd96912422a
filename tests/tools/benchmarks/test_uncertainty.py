"""How well a predictor ranks errors: rank correlation and sparsification curves."""

import numpy as np
import pytest
from benchmarks.uncertainty import phantoms, ranking, sparsification

ERROR = np.random.default_rng(0).exponential(size=40_000)


def test_the_oracle_and_what_increases_with_it_are_perfect():
    assert ranking(ERROR, ERROR) == pytest.approx((1, 0, 1))
    assert ranking(np.log(ERROR), ERROR) == pytest.approx((1, 0, 1))


def test_a_random_order_gains_nothing_and_the_reverse_order_misleads():
    noise = np.random.default_rng(1).random(len(ERROR))
    correlation, area, gain = ranking(noise, ERROR)
    assert (correlation, gain) == pytest.approx((0, 0), abs=0.05)
    assert area > 0.3
    reverse = ranking(-ERROR, ERROR)
    assert reverse[0] == pytest.approx(-1)
    assert reverse[2] < -0.5


def test_a_sparsification_curve_is_the_mean_of_what_remains():
    order = np.random.default_rng(2).random(len(ERROR))
    curve = sparsification(order, ERROR)
    for percent in (0, 25, 90):
        kept = order <= np.quantile(order, 1 - percent / 100)
        expected = ERROR[kept].mean() / ERROR.mean()
        assert curve[percent] == pytest.approx(expected, rel=0.01)


def test_the_curve_of_the_oracle_is_that_of_the_distribution():
    curve = sparsification(ERROR, ERROR)
    for percent in (10, 50, 90):
        removed = percent / 100  # the mean of an exponential distribution below its quantile
        expected = 1 + removed * np.log(removed) / (1 - removed)
        assert curve[percent] == pytest.approx(expected, rel=0.03)


def test_every_third_phantom_has_two_contrasts():
    assert [case.name for case in phantoms(3)] == [
        "phantom 0, t1-t1", "phantom 1, t1-t1", "phantom 2, t1-t2",
    ]  # fmt: skip
