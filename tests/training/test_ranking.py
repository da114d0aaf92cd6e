import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.errors import BadInput
from tests.oracles.ranking import top_k_by_sorting
from training.ranking import _FEW, NOTHING, scores_at, top_k

EVERYTHING = np.ones((1, 4), dtype=bool)


def ranked(scores, candidates=EVERYTHING, k=2):
    return top_k(np.array([scores], dtype=np.float32), candidates, k).tolist()


def test_best_first():
    assert ranked([0.1, 0.4, 0.2, 0.3], k=3) == [[1, 3, 2]]


def test_ties_go_to_the_lower_position():
    assert ranked([0.5, 0.7, 0.5, 0.5], k=3) == [[1, 0, 2]]


def test_only_candidates_are_ranked():
    assert ranked([9, 1, 9, 2], np.array([[False, True, False, True]])) == [[3, 1]]


def test_nothing_after_the_last_candidate():
    assert ranked([1, 2, 3, 4], np.array([[False, True, False, False]]), 3) == [[1, NOTHING, NOTHING]]


def test_more_asked_for_than_there_are_products():
    assert ranked([1, 2, 3, 4], k=6) == [[3, 2, 1, 0, NOTHING, NOTHING]]


def test_infinite_scores_are_still_candidates():
    assert ranked([-np.inf, 1, -np.inf, np.inf], k=4) == [[3, 1, 0, 2]]


@pytest.mark.parametrize("n_rows", [2, _FEW + 2])
def test_nan_is_refused_by_place(n_rows):
    scores = np.zeros((n_rows, 3), dtype=np.float32)
    scores[1, 2] = np.nan
    with pytest.raises(BadInput, match="row 1 for the product at position 2"):
        top_k(scores, np.ones_like(scores, dtype=bool), 2)


def test_nothing_to_rank_by_is_refused():
    with pytest.raises(BadInput, match="at least 1"):
        ranked([1, 2, 3, 4], k=0)
    with pytest.raises(BadInput, match="same customers x products"):
        top_k(np.zeros((2, 3), dtype=np.float32), np.ones((2, 4), dtype=bool), 1)


def test_nobody_to_rank_for():
    assert top_k(np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=bool), 2).shape == (0, 2)


@settings(deadline=None)  # the first example compiles
@given(st.data(), st.integers(1, 9), st.integers(1, 12), st.integers(1, 8))
def test_equals_a_stable_sort(data, n_rows, n_products, k):
    shape = (n_rows, n_products)
    few_values = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1e30, np.inf, -np.inf])
    scores = data.draw(hnp.arrays(np.float32, shape, elements=few_values))
    candidates = data.draw(hnp.arrays(np.bool_, shape))
    np.testing.assert_array_equal(top_k(scores, candidates, k), top_k_by_sorting(scores, candidates, k))


def test_many_rows_are_ranked_as_few_are():
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 6, (_FEW * 2 + 7, 9)).astype(np.float32)
    candidates = rng.random(scores.shape) < 0.6
    together = top_k(scores, candidates, 5)
    np.testing.assert_array_equal(together[:50], top_k(scores[:50], candidates[:50], 5))
    np.testing.assert_array_equal(together[-50:], top_k(scores[-50:], candidates[-50:], 5))
    np.testing.assert_array_equal(together, top_k_by_sorting(scores, candidates, 5))


def test_views_are_ranked_as_copies_are():
    scores = np.random.default_rng(1).random((6, 8)).astype(np.float32)[:, ::2]
    everything = np.ones(scores.shape, dtype=bool)
    np.testing.assert_array_equal(top_k(scores, everything, 3), top_k(scores.copy(), everything, 3))


def test_scores_of_what_was_ranked():
    scores = np.array([[0.1, 0.4, 0.2]], dtype=np.float32)
    found = scores_at(scores, np.array([[1, 2, NOTHING]], dtype=np.int32))
    np.testing.assert_array_equal(found, np.array([[0.4, 0.2, np.nan]], dtype=np.float32))
    assert found.dtype == np.float32
