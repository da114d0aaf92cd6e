import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import BadInput
from training.probabilities.score_histogram import ANY_SCORE, PROBABILITIES, ScoreHistogram

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def add(histogram, scores, acquired=None, candidates=None, groups=None):
    scores = np.array([scores], dtype=np.float32).T
    acquired = np.zeros(scores.shape, dtype=bool) if acquired is None else np.array([acquired], dtype=bool).T
    candidates = np.ones(scores.shape, dtype=bool) if candidates is None else np.array([candidates], dtype=bool).T
    histogram.add(scores, acquired, candidates, None if groups is None else np.array(groups))


def bin_of(score):
    histogram = ScoreHistogram(1, ANY_SCORE)
    add(histogram, [score])
    return int(np.flatnonzero(histogram.counts[0, 0])[0])


@settings(deadline=None)  # the first example compiles
@given(finite, finite)
def test_bins_ascend_with_the_score(a, b):
    low, high = sorted((a, b))
    assert bin_of(low) <= bin_of(high)


@settings(deadline=None)  # the first example compiles
@given(st.floats(2**-31, 0.5, width=32))
def test_a_bin_is_narrow(score):
    assert bin_of(score * (1 + 2**-6)) > bin_of(score)


def test_probabilities_keep_their_ends_apart():
    histogram = ScoreHistogram(1, PROBABILITIES)
    add(histogram, [0.0, 2**-40, 2**-31, 1.0])
    assert histogram.counts[0, 0, [0, -1]].tolist() == [2, 1]
    assert histogram.counts.sum() == 4


def test_counts_candidates_only():
    histogram = ScoreHistogram(1, PROBABILITIES)
    add(histogram, [0.5, np.nan, 0.5], acquired=[True, False, False], candidates=[True, False, True])
    assert (histogram.counts.sum(), histogram.acquired.sum(), histogram.sums.sum()) == (2, 1, 1.0)


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(score):
    with pytest.raises(BadInput, match="row 1 for the product at position 0"):
        add(ScoreHistogram(1, ANY_SCORE), [0.5, score])


def test_what_is_no_probability_is_refused():
    with pytest.raises(BadInput, match="not within 0 to 1"):
        add(ScoreHistogram(1, PROBABILITIES), [1.5])


def test_other_products_are_refused():
    with pytest.raises(BadInput, match="2 products"):
        add(ScoreHistogram(2, PROBABILITIES), [0.5])


def test_groups_add_up():
    histogram = ScoreHistogram(1, PROBABILITIES, n_groups=3)
    add(histogram, [0.25, 0.5, 0.5, 0.75], acquired=[True, False, True, False], groups=[0, 1, 1, 2])
    assert histogram.pooled().counts.sum() == 4
    assert [int(part.counts.sum()) for part in histogram.without_each()] == [4 - 1, 4 - 2, 4 - 1]
    assert [int(part.acquired.sum()) for part in histogram.without_each()] == [1, 1, 2]
    assert [float(part.sums.sum()) for part in histogram.without_each()] == [1.75, 1.0, 1.25]
