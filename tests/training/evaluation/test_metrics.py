from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from features.errors import BadInput
from tests.oracles import ranking_metrics as oracle
from training.evaluation import DENOMINATORS
from training.evaluation.metrics import (
    RANKING_METRICS,
    auc_error_per_product,
    auc_per_product,
    average_precision_at_k,
    calibration_error_per_product,
    coverage_at_k,
    hit_rate_at_k,
    ndcg_at_k,
    perfect_ranking,
    precision_at_k,
    recall_at_k,
    reciprocal_rank_at_k,
)
from training.probabilities.score_histogram import PROBABILITIES, ScoreHistogram
from training.ranking import top_k

# three customers, five products: two hits at ranks 1 and 3 of three relevant; one hit at rank 2; nothing acquired
RANKED = np.array([[0, 1, 2, 3], [4, 3, 2, -1], [0, 1, 2, 3]], dtype=np.int32)
RELEVANT = np.zeros((3, 5), dtype=bool)
RELEVANT[0, [0, 2, 4]] = True
RELEVANT[1, 3] = True


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (hit_rate_at_k, [1, 1, 0]),
        (precision_at_k, [2 / 3, 1 / 3, 0]),
        (recall_at_k, [2 / 3, 1 / 1, 0]),
        (reciprocal_rank_at_k, [1 / 1, 1 / 2, 0]),
        (average_precision_at_k, [1 / 3 * (1 / 1 + 2 / 3), 1 / 1 * (1 / 2), 0]),
        (ndcg_at_k, [(1 + 1 / log2(4)) / (1 + 1 / log2(3) + 1 / log2(4)), 1 / log2(3), 0]),
    ],
)
def test_by_hand_at_3(metric, expected):
    np.testing.assert_allclose(metric(RANKED, RELEVANT, 3), expected)


def test_average_precision_divides_by_what_k_can_hold():
    # three relevant, one place: a hit there is all that can be had
    np.testing.assert_allclose(average_precision_at_k(RANKED, RELEVANT, 1), [1 / min(1, 3), 0, 0])


def test_nothing_ranked_is_no_hit():
    # -1 must not read the last product
    nothing = np.full((1, 2), -1, dtype=np.int32)
    assert all(metric(nothing, np.array([[False, True]]), 2) == 0 for metric in RANKING_METRICS.values())


def test_a_ranking_too_short_is_refused():
    with pytest.raises(BadInput, match="at least 5"):
        hit_rate_at_k(RANKED, RELEVANT, 5)


def test_every_metric_has_a_denominator():
    assert RANKING_METRICS.keys() < DENOMINATORS.keys()


@st.composite
def rankings(draw):
    n_products = draw(st.integers(1, 8))
    k = draw(st.integers(1, 8))
    candidates = draw(st.lists(st.booleans(), min_size=n_products, max_size=n_products))
    acquired = draw(st.lists(st.booleans(), min_size=n_products, max_size=n_products))
    scores = draw(st.permutations(range(n_products)))
    possible = np.array([candidates])
    relevant = possible & np.array([acquired])
    return top_k(np.array([scores], dtype=np.float32), possible, k), relevant, k


@settings(deadline=None)  # the first example compiles
@given(rankings())
def test_equal_the_oracles(case):
    ranked, relevant, k = case
    bought = set(np.flatnonzero(relevant[0]).tolist())
    for name, metric in RANKING_METRICS.items():
        expected = oracle.ORACLES[name](ranked[0].tolist(), bought, k)
        np.testing.assert_allclose(metric(ranked, relevant, k), [expected], err_msg=name)


@settings(deadline=None)  # the first example compiles
@given(rankings())
def test_nothing_beats_the_perfect_ranking(case):
    ranked, relevant, k = case
    n_relevant = int(relevant.sum())
    perfect = perfect_ranking(relevant, k)
    ceilings = {name: metric(perfect, relevant, k)[0] for name, metric in RANKING_METRICS.items()}
    for name, metric in RANKING_METRICS.items():
        assert metric(ranked, relevant, k)[0] <= ceilings[name] + 1e-12
    reached = 1.0 if n_relevant else 0.0
    assert ceilings["precision"] == pytest.approx(min(k, n_relevant) / k)
    assert ceilings["recall"] == pytest.approx(min(k, n_relevant) / max(n_relevant, 1))
    for name in ("hit_rate", "mrr", "map", "ndcg"):
        assert ceilings[name] == pytest.approx(reached)


def test_ndcg_is_that_of_scikit_learn():
    rng = np.random.default_rng(5)
    scores = rng.permuted(np.tile(np.arange(10.0), (40, 1)), axis=1).astype(np.float32)
    relevant = rng.random(scores.shape) < 0.3
    ranked = top_k(scores, np.ones_like(relevant), 7)
    assert ndcg_at_k(ranked, relevant, 7).mean() == pytest.approx(ndcg_score(relevant, scores, k=7))


def test_coverage_counts_what_can_be_shown():
    candidates = np.array([[True, True, True, False], [True, False, True, False]])
    # product 3 is nobody's candidate; at 1 only product 0 is shown, at 2 products 0 and 2
    ranked = np.array([[0, 2], [0, -1]], dtype=np.int32)
    assert coverage_at_k(ranked, candidates, 1) == pytest.approx(1 / 3)
    assert coverage_at_k(ranked, candidates, 2) == pytest.approx(2 / 3)
    assert np.isnan(coverage_at_k(ranked, np.zeros_like(candidates), 2))


def histogram_of(scores, acquired, candidates=None):
    scores = np.asarray(scores, dtype=np.float32)
    histogram = ScoreHistogram(scores.shape[1], PROBABILITIES)
    everything = np.ones(scores.shape, dtype=bool)
    histogram.add(scores, np.asarray(acquired, dtype=bool), everything if candidates is None else candidates)
    return histogram


def test_auc_by_hand():
    # acquirers at .4 and .2 against .3 and .2: two pairs won, one tied, one lost
    scores = [[0.4], [0.2], [0.3], [0.2]]
    histogram = histogram_of(scores, [[1], [1], [0], [0]])
    assert auc_per_product(histogram)[0] == pytest.approx((2 + 1 / 2) / 4)


def test_auc_needs_both_classes_among_candidates():
    scores = np.full((3, 3), 0.5)
    acquired = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0]], dtype=bool)
    candidates = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0]], dtype=bool)
    assert np.isnan(auc_per_product(histogram_of(scores, acquired & candidates, candidates))).all()


@pytest.mark.parametrize("spread", [0.02, 1.0, 3.0])
def test_auc_is_that_of_scikit_learn_within_its_stated_error(spread):
    rng = np.random.default_rng(8)
    log_odds = rng.normal(-4, spread, (4000, 3))
    scores = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
    acquired = rng.random(scores.shape) < scores + 0.02
    histogram = histogram_of(scores, acquired)
    exact = [roc_auc_score(acquired[:, product], scores[:, product]) for product in range(3)]
    off = np.abs(auc_per_product(histogram) - exact)
    assert (off <= auc_error_per_product(histogram) + 1e-12).all()
    assert spread < 1 or (off < 1e-3).all()


sixteenths = st.integers(0, 16).map(lambda n: n / 16)  # no two of them share a bin


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.tuples(sixteenths, st.booleans()), min_size=1, max_size=25))
def test_probability_metrics_equal_the_oracles(rows):
    scores, acquired = [row[0] for row in rows], [row[1] for row in rows]
    histogram = histogram_of([[score] for score in scores], [[bought] for bought in acquired])
    np.testing.assert_allclose(auc_per_product(histogram)[0], oracle.auc(scores, acquired))
    np.testing.assert_allclose(
        calibration_error_per_product(histogram, 5)[0], oracle.calibration_error(scores, acquired, 5), atol=1e-12
    )


def test_calibration_error_by_hand():
    # two bins: .1 said and 1 of 4 came true, .6 said and 2 of 4 did
    scores = [[0.1]] * 4 + [[0.6]] * 4
    acquired = [[1], [0], [0], [0], [1], [1], [0], [0]]
    error = calibration_error_per_product(histogram_of(scores, acquired), 2)
    assert error[0] == pytest.approx(1 / 2 * abs(0.1 - 1 / 4) + 1 / 2 * abs(0.6 - 2 / 4), abs=1e-7)


def test_true_probabilities_have_a_small_calibration_error():
    rng = np.random.default_rng(2)
    scores = rng.beta(1, 30, (20_000, 1)).astype(np.float32)
    error = calibration_error_per_product(histogram_of(scores, rng.random(scores.shape) < scores))[0]
    # ten bins of 2,000 with a rate of about 1/31: each off by a normal of standard deviation sqrt(p / 2000)
    assert error < 2 * np.sqrt(1 / 31 / 2000)
