import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.collaborative import popularity_rates
from training.examples import Batch
from training.models import Popularity
from training.models.popularity import PopularityConfig

from .fixtures import FIRST_PERIOD, block_of, examples_of, random_bank


def batch_of(acquired, segments=None, n_segments=1, period=FIRST_PERIOD, candidates=None):
    """A batch of customers who hold nothing and acquire `acquired`."""
    acquired = np.asarray(acquired, dtype=bool)
    return Batch(block_of(np.zeros(acquired.shape), candidates, segments, n_segments, period), acquired)


def fitted(*batches, **settings):
    return Popularity(PopularityConfig(**settings)).fit(examples_of(*batches))


def test_rates_are_acquisitions_over_candidates_shrunk_twice():
    # product 0: one of two candidates of segment 0, none of one of segment 1; product 1: nobody of three
    model = fitted(batch_of([[1, 0], [0, 0], [0, 0]], segments=[0, 0, 1], n_segments=2), shrinkage=10)
    overall = (1 + 0.5) / (6 + 1)
    first = (1 + 10 * overall) / (3 + 10)
    second = (0 + 10 * overall) / (3 + 10)
    expected = [
        [(1 + 10 * first) / (2 + 10), (0 + 10 * second) / (2 + 10)],
        [(0 + 10 * first) / (1 + 10), (0 + 10 * second) / (1 + 10)],
    ]
    scores = model.score(block_of(np.zeros((2, 2)), segments=[0, 1], n_segments=2))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_who_is_no_candidate_is_not_counted():
    candidates = [[True, True], [False, True]]
    model = fitted(batch_of([[1, 0], [0, 0]], candidates=candidates), shrinkage=1e-9)
    assert model.score(block_of([[0, 0]]))[0, 0] == pytest.approx(1 / 1)


def test_periods_before_the_window_are_forgotten():
    long_ago = batch_of([[1, 0]] * 10, period=FIRST_PERIOD)
    lately = batch_of([[0, 1]] * 10, period=FIRST_PERIOD + 2)
    within = fitted(long_ago, lately, window=3).score(block_of([[0, 0]]))
    assert within[0, 0] == within[0, 1]
    after = fitted(long_ago, lately, window=2).score(block_of([[0, 0]]))
    assert after[0, 0] < after[0, 1]
    assert after.tobytes() == fitted(lately).score(block_of([[0, 0]])).tobytes()


def test_without_a_window_every_period_counts():
    long_ago = batch_of([[1, 0]] * 10, period=FIRST_PERIOD - 500)
    lately = batch_of([[0, 1]] * 10)
    scores = fitted(long_ago, lately, window=None).score(block_of([[0, 0]]))
    assert scores[0, 0] == scores[0, 1]


def test_a_segment_with_nobody_has_the_rate_of_all():
    model = fitted(batch_of([[1, 0], [0, 0]], segments=[0, 0], n_segments=2))
    overall = (1 + 0.5) / (4 + 1)
    rate = (1 + 100 * overall) / (2 + 100)
    assert model.score(block_of([[0, 0]], segments=[1], n_segments=2))[0, 0] == pytest.approx(rate, rel=1e-6)


def test_segments_numbered_anew_have_the_rate_of_all():
    # a tier is new, so there are four segments where there were three, and 0 is another one
    model = fitted(batch_of([[1, 0], [0, 0], [0, 0]], segments=[0, 1, 1], n_segments=3))
    of_all = model.score(block_of([[0, 0]], segments=[2], n_segments=3))
    np.testing.assert_array_equal(model.score(block_of([[0, 0]], segments=[3], n_segments=4)), of_all)
    assert of_all[0, 0] < model.score(block_of([[0, 0]], segments=[0], n_segments=3))[0, 0]


def test_a_product_nobody_acquires_keeps_a_tiny_positive_rate():
    scores = fitted(batch_of([[1, 0]] * 5_000)).score(block_of([[0, 0]]))
    assert 0 < scores[0, 1] < 0.02


def test_no_acquisition_at_all_is_no_error():
    scores = fitted(batch_of(np.zeros((50, 3)))).score(block_of([[0, 0, 0]]))
    assert (scores > 0).all()
    assert (scores < 0.02).all()


@settings(deadline=None)  # the first call compiles
@given(seed=st.integers(0, 1_000), window=st.none() | st.integers(1, 5), shrinkage=st.floats(0.1, 1_000))
def test_rates_equal_those_counted_one_by_one(seed, window, shrinkage):
    bank = random_bank(seed, n_customers=12, n_products=4, n_periods=3)
    model = Popularity(PopularityConfig(window=window, shrinkage=shrinkage)).fit(bank)
    rates = popularity_rates(bank.kept, bank.n_segments, bank.n_products, window, shrinkage)
    scores = model.score(block_of(np.zeros((3, 4)), segments=[0, 1, 2], n_segments=3))
    expected = [[rates[segment, product] for product in range(4)] for segment in range(3)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
