from dataclasses import astuple

import numpy as np
import pytest

from features.errors import BadInput
from training.evaluation import paired_difference
from training.evaluation.intervals import (
    JACKKNIFE_GROUPS,
    JackknifeEstimate,
    jackknife_groups,
    mean_interval,
    ratio_interval,
    resample,
)


def panel(rng, n_customers=150, n_dates=3):
    """Customers met at several dates, each with a rate of their own: rows of one customer are alike."""
    rates = rng.beta(0.5, 2.0, n_customers)
    clusters = np.repeat(np.arange(n_customers), n_dates)
    return (rng.random(len(clusters)) < rates[clusters]).astype(float), clusters


def test_value_is_the_mean():
    values, clusters = panel(np.random.default_rng(0))
    found = mean_interval(values, clusters, seed=1)
    assert found.value == pytest.approx(values.mean())
    assert found.low < found.value < found.high


def test_width_is_that_of_the_clustered_standard_error():
    values, clusters = panel(np.random.default_rng(1), n_customers=2000)
    sums = np.bincount(clusters, weights=values - values.mean())
    error = np.sqrt((sums**2).sum()) / len(values)
    found = mean_interval(values, clusters, seed=1, resamples=4000)
    # 4000 resamples give the ends to a few percent of the width
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    # rows taken for customers would be too sure of it
    assert found.high - found.low > 1.2 * (2 * 1.96 * values.std() / np.sqrt(len(values)))


def test_covers_the_truth_as_often_as_it_says():
    truth, n_runs = 0.5 / (0.5 + 2.0), 400
    covered = 0
    for run in range(n_runs):
        values, clusters = panel(np.random.default_rng(run))
        found = mean_interval(values, clusters, seed=run, resamples=400)
        covered += found.low <= truth <= found.high
    # 95% give or take 3 standard deviations of a count of 400, and 1% for 150 customers being few
    assert covered / n_runs == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / n_runs) + 0.01)


def test_ratio_covers_the_truth_as_often_as_it_says():
    covered, n_runs = 0, 400
    for run in range(n_runs):
        rng = np.random.default_rng(run)
        acquired, clusters = panel(rng)
        reached = acquired * rng.beta(2, 1, len(acquired))  # 2 / 3 of what can be reached
        found = ratio_interval(reached, acquired, clusters, seed=run, resamples=400)
        covered += found.low <= 2 / 3 <= found.high
    assert covered / n_runs == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / n_runs) + 0.01)


def test_order_of_rows_changes_nothing():
    rng = np.random.default_rng(2)
    values, clusters = panel(rng)
    order = rng.permutation(len(values))
    shuffled = mean_interval(values[order], clusters[order], seed=4)
    assert astuple(shuffled) == pytest.approx(astuple(mean_interval(values, clusters, seed=4)), rel=1e-12)


def test_customers_without_a_value_are_drawn_too():
    # 9 in 10 customers are silent: the number of rows is drawn as well as the sum
    values, clusters = panel(np.random.default_rng(3), n_customers=300)
    values[clusters >= 30] = 0
    silent_dropped = resample(values[values > 0, np.newaxis], clusters[values > 0], clusters, seed=1, resamples=4000)
    all_kept = resample(values[:, np.newaxis], clusters, clusters, seed=1, resamples=4000)
    np.testing.assert_allclose(silent_dropped.resampled, all_kept.resampled)
    for drawn in (silent_dropped, all_kept):
        # 3 rows a customer: mean 900, variance 3**2 * 300
        assert drawn.resampled_rows.mean() == pytest.approx(900, abs=4 * np.sqrt(2700 / 4000))
        assert drawn.resampled_rows.std() == pytest.approx(np.sqrt(2700), rel=0.06)


def test_weights_are_poisson():
    drawn = resample(np.ones((1, 1)), np.zeros(1, int), np.zeros(1, int), seed=9, resamples=50_000)
    weights = drawn.resampled[:, 0].astype(int)
    expected = np.exp(-1.0) / np.array([1, 1, 2, 6])
    np.testing.assert_allclose(np.bincount(weights)[:4] / 50_000, expected, atol=4 * np.sqrt(0.25 / 50_000))


def test_pairing_sees_what_intervals_apart_do_not():
    rng = np.random.default_rng(5)
    values, clusters = panel(rng, n_customers=600)
    better = np.maximum(values, rng.random(len(values)) < 0.01)
    apart = [mean_interval(found, clusters, seed=1) for found in (better, values)]
    found = paired_difference(better, values, clusters, seed=1)
    assert found.value == pytest.approx((better - values).mean())
    assert apart[0].low < apart[1].high
    assert found.low > 0


def test_no_difference_is_exactly_none():
    values, clusters = panel(np.random.default_rng(6))
    found = paired_difference(values, values, clusters, seed=1)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_share_of_nothing_is_undefined():
    nothing = np.zeros(4)
    found = ratio_interval(nothing, nothing, np.arange(4), seed=1)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_nobody_to_draw_is_refused():
    with pytest.raises(BadInput, match="at least one row"):
        mean_interval(np.zeros(0), np.zeros(0, dtype=np.int64), seed=1)


def test_jackknife_groups_are_even_and_by_customer():
    customers = np.arange(20_000)
    groups = jackknife_groups(customers, seed=1)
    np.testing.assert_array_equal(jackknife_groups(customers[::-1], seed=1), groups[::-1])
    sizes = np.bincount(groups, minlength=JACKKNIFE_GROUPS)
    assert np.abs(sizes - 1000).max() < 5 * np.sqrt(1000)
    assert (jackknife_groups(customers, seed=2) != groups).mean() > 0.9


def test_jackknife_of_a_mean_covers_as_often_as_it_says():
    truth, covered, n_runs = 0.5 / (0.5 + 2.0), 0, 400
    for run in range(n_runs):
        values, clusters = panel(np.random.default_rng(run), n_customers=400)
        groups = jackknife_groups(clusters, run)
        without = np.array([values[groups != group].mean() for group in range(JACKKNIFE_GROUPS)])
        found = JackknifeEstimate(values.mean(), without).interval()
        covered += found.low <= truth <= found.high
    assert covered / n_runs == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / n_runs) + 0.01)


def test_jackknife_keeps_to_possible_values():
    found = JackknifeEstimate(0.99, np.array([0.9, 1.0, 0.8]), 0.0, 1.0).interval()
    assert found.high == 1.0


def test_jackknife_of_one_group_says_so():
    found = JackknifeEstimate(0.7, np.array([np.nan, 0.7])).interval()
    assert found.value == 0.7
    assert np.isnan([found.low, found.high]).all()
