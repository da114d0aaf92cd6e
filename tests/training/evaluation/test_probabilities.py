import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import ranking_metrics as oracle
from tests.training.evaluation.fixtures import PERIOD, constant, rows_of
from tests.training.evaluation.test_evaluator import in_turn, judge, random_rows
from training.evaluation.probabilities import ProbabilityTally
from training.ranking import top_k

EVERYBODY = np.zeros(1, np.int64)


def selected_of(scores, candidates, k):
    """Bool, who is shown what: the slow way."""
    shown = np.zeros(scores.shape, bool)
    for row in range(len(scores)):
        order = sorted(np.flatnonzero(candidates[row]), key=lambda product: (-scores[row, product], product))
        shown[row, order[:k]] = True
    return shown


def test_selected_calibration_equals_the_oracle():
    batches, truths = random_rows(11)
    # off by a factor that differs between customers, so that what is selected is overrated
    noisy = [
        np.clip(truth * np.random.default_rng(n).lognormal(0, 0.7, truth.shape), 0, 1).astype(np.float32)
        for n, truth in enumerate(truths)
    ]
    found = judge(batches, {"a": in_turn(noisy)}, ["a"], selected_k=2, truth=in_turn(truths))
    scores, true = np.vstack(noisy), np.vstack(truths)
    candidates = np.vstack([batch.batch.block.candidates for batch in batches])
    acquired = np.vstack([batch.batch.acquired for batch in batches])
    shown = selected_of(scores, candidates, 2)
    errors, true_errors, weights = [], [], []
    for product, figures in enumerate(found.per_product["a"]):
        mine = shown[:, product]
        said, came = scores[mine, product].tolist(), acquired[mine, product].tolist()
        errors.append(oracle.calibration_error(said, came, 10))
        true_errors.append(oracle.calibration_error(said, true[mine, product].tolist(), 10))
        weights.append(sum(came))
        # 2**-7 of its size apart, scores share a bin: they may fall into a neighbouring tenth
        assert figures.calibration_error_selected == pytest.approx(errors[-1], abs=0.01)
        assert (figures.selected, figures.selected_acquired) == (len(said), sum(came))
        assert figures.selected_expected == pytest.approx(sum(said))
    metrics = {name: interval.value for name, interval in found.metrics["a"].items()}
    assert metrics["calibration_error_selected"] == pytest.approx(np.average(errors, weights=weights), abs=0.004)
    assert metrics["calibration_error_selected_truth"] == pytest.approx(
        np.average(true_errors, weights=weights), abs=0.004
    )
    assert metrics["expected_over_realised_selected"] == pytest.approx(
        scores[shown].sum(dtype=float) / acquired[shown].sum()
    )
    # picking the highest picks the overrated
    assert metrics["expected_over_realised_selected"] > scores[candidates].sum(dtype=float) / acquired.sum()


def test_selected_calibration_by_hand():
    # product 0 is everybody's first offer at .5: two of four acquired; product 1 is nobody's
    batch = rows_of([[1, 1]] * 4, [[1, 0], [1, 0], [0, 0], [0, 1]])
    found = judge([batch], {"a": constant([0.25, 0.125])}, ["a"], selected_k=1)
    metrics = {name: interval.value for name, interval in found.metrics["a"].items()}
    assert metrics["calibration_error_selected"] == pytest.approx(abs(0.25 - 2 / 4))
    assert metrics["expected_over_realised_selected"] == pytest.approx(4 * 0.25 / 2)
    assert metrics["calibration_noise_selected"] == pytest.approx(np.sqrt(2 / np.pi * 4 * 0.25 * 0.75) / 4)
    first, second = found.per_product["a"]
    assert (first.selected, first.selected_acquired, first.selected_expected) == (4, 2, 1.0)
    assert (second.selected, second.selected_acquired) == (0, 0)
    assert np.isnan(second.calibration_error_selected)


def test_selecting_everything_is_calibration_of_all_candidates():
    batches, truths = random_rows(12)
    found = judge(batches, {"a": in_turn(truths)}, ["a"], selected_k=6)
    for figures in found.per_product["a"]:
        assert figures.calibration_error_selected == pytest.approx(figures.calibration_error, abs=1e-3)
        assert figures.selected == figures.candidates


def test_true_probabilities_show_only_noise():
    rng = np.random.default_rng(3)
    truth = rng.beta(1, 30, (30_000, 3)).astype(np.float32)
    candidates = np.ones(truth.shape, bool)
    shown = selected_of(truth, candidates, 1)
    errors, noises = [], []
    for _ in range(20):
        tally = ProbabilityTally(3, with_truth=False)
        tally.add(truth, rng.random(truth.shape) < truth, candidates, shown, np.zeros(len(truth), np.int64), 0, None)
        found = tally.estimates()
        errors.append(found["calibration_error_selected"].value)
        noises.append(found["calibration_noise_selected"].value)
    # 20 runs of 30 bins, each gap |normal|, whose deviation is sqrt(pi / 2 - 1) of its mean
    assert np.mean(errors) == pytest.approx(np.mean(noises), rel=3 * np.sqrt((np.pi / 2 - 1) / (20 * 30)))


shares = st.integers(0, 64).map(lambda n: n / 64)


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.tuples(shares, shares, st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=30))
def test_dates_and_products_add_up(rows):
    tally = ProbabilityTally(2, with_truth=False)
    everything = np.ones((1, 2), bool)
    for a, b, bought_a, bought_b, period in rows:
        said, came = np.array([[a, b]], np.float32), np.array([[bought_a, bought_b]])
        tally.add(said, came, everything, everything, EVERYBODY, period, None)
    periods = tally.periods()
    assert list(periods) == sorted({row[4] for row in rows})
    for product, figures in enumerate(tally.per_product()):
        own = [counts[product] for counts in periods.values()]
        assert sum(each.realised for each in own) == figures.acquired == sum(row[2 + product] for row in rows)
        assert sum(each.candidates for each in own) == figures.candidates == len(rows)
        assert sum(each.expected for each in own) == pytest.approx(figures.expected)
        variance = sum(row[product] * (1 - row[product]) for row in rows)
        assert sum(each.deviation**2 for each in own) == pytest.approx(variance)
    for found in tally.reliability():
        assert sum(each.candidates for each in found.candidates) == len(rows)
        said = [each.expected for each in found.candidates]
        assert said == sorted(said)


def test_reliability_bins_say_what_came():
    batch = rows_of([[1]] * 4 + [[1]] * 4, [[1], [0], [0], [0], [1], [1], [0], [0]])
    scores = np.array([[0.125]] * 4 + [[0.5]] * 4, np.float32)
    found = judge([batch], {"a": lambda block: scores}, ["a"], selected_k=1)
    (product,) = found.reliability["a"]
    assert [(each.candidates, each.expected, each.realised) for each in product.candidates] == [
        (4, 0.125, 1 / 4),
        (4, 0.5, 2 / 4),
    ]
    assert product.selected == product.candidates
    (counts,) = found.periods["a"][PERIOD]
    assert (counts.candidates, counts.realised, counts.expected) == (8, 3, 4 * 0.125 + 4 * 0.5)


def test_the_slow_selection_is_the_fast_one():
    rng = np.random.default_rng(0)
    scores, candidates = rng.random((50, 6)).astype(np.float32), rng.random((50, 6)) < 0.6
    ranked = top_k(scores, candidates, 3)
    for row, shown in zip(ranked, selected_of(scores, candidates, 3), strict=True):
        assert set(row[row >= 0]) == set(np.flatnonzero(shown))
