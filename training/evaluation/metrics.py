"""Metrics: what a ranking is worth to each customer, and how well each product's probabilities tell and count.

The ranking metrics take the products ranked for each customer and the products acquired ("relevant"), and give one
value per customer. A customer who acquired nothing has the value 0 and counts in a mean over all. "Precision@k",
"MAP@k" and "NDCG@k" have several meanings in the wild; each function names its own denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput

from ..probabilities.score_histogram import ScoreHistogram
from ..ranking import top_k

CALIBRATION_BINS = 10
"""Bins of the calibration error, each of about as many candidates."""


def hit_rate_at_k(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """1 where at least one of the first `k` was acquired.

    Parameters
    ----------
    ranked : int32, shape (n_customers, at least k); positions best first, -1 for nothing
    relevant : bool, shape (n_customers, n_products)

    Returns
    -------
    float64, shape (n_customers,)
    """
    return np.asarray(_hits(ranked, relevant, k).any(axis=1), np.float64)


def precision_at_k(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Hits among the first `k`, divided by `k`, also where fewer than `k` products could be ranked."""
    return np.asarray(_hits(ranked, relevant, k).sum(axis=1) / k)


def recall_at_k(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Hits among the first `k`, divided by the number of relevant products."""
    return _divided(_hits(ranked, relevant, k).sum(axis=1), relevant.sum(axis=1))


def reciprocal_rank_at_k(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """1 / rank of the first hit among the first `k`; 0 without one."""
    hits = _hits(ranked, relevant, k)
    return np.where(hits.any(axis=1), 1.0 / (1 + hits.argmax(axis=1)), 0.0)


def average_precision_at_k(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Precision at each hit among the first `k`, summed, divided by min(k, relevant), so that a perfect ranking has 1.

    ``AP@k = 1 / min(k, |R|) * sum over ranks i <= k with a hit of (hits up to i) / i``; its mean is MAP@k.
    """
    hits = _hits(ranked, relevant, k)
    precisions = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return _divided((precisions * hits).sum(axis=1), np.minimum(relevant.sum(axis=1), k))


def ndcg_at_k(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Discounted gain of the first `k`, divided by that of a perfect ranking of min(k, relevant) hits.

    Gain 1 for a hit, discount ``1 / log2(1 + rank)`` (Järvelin and Kekäläinen 2002, with binary gains).
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(relevant.sum(axis=1), k)]
    return _divided(_hits(ranked, relevant, k) @ discounts, ideal)


RankingMetric = Callable[[NDArray[np.int32], NDArray[np.bool_], int], NDArray[np.float64]]

RANKING_METRICS: Mapping[str, RankingMetric] = {
    "hit_rate": hit_rate_at_k,
    "precision": precision_at_k,
    "recall": recall_at_k,
    "mrr": reciprocal_rank_at_k,
    "map": average_precision_at_k,
    "ndcg": ndcg_at_k,
}
"""The metrics that are a mean over customers, by the name they are reported under, followed by ``@k``."""


def check_ranking_metric(name: str) -> None:
    """Refuse what is no ranking metric at a length of list, as ``map@7`` is.

    Raises
    ------
    BadInput : naming those there are
    """
    metric, _, k = name.partition("@")
    if metric not in RANKING_METRICS or not k.isdecimal() or int(k) < 1:
        raise BadInput(f"there is no metric {name!r}; give one of {', '.join(RANKING_METRICS)} at a k, as map@7")


DENOMINATORS: Mapping[str, str] = {
    "hit_rate": "customers with a hit among the first k / all customers asked about",
    "precision": "hits / k, mean over all customers asked about",
    "recall": "hits / products acquired (0 if none), mean over all customers asked about",
    "mrr": "1 / rank of the first hit within k (0 if none), mean over all customers asked about",
    "map": "precisions at the hits / min(k, products acquired), mean over all customers asked about",
    "ndcg": "discounted hits / those of a perfect ranking of min(k, products acquired), mean over all customers asked "
    "about",
    "share_of_ceiling": "MAP@k / the MAP@k of a perfect ranking",
    "coverage": "products in somebody's first k / products that are a candidate for somebody",
    "auc": "pairs of an acquirer and another candidate in the right order, ties half / all such pairs of a product, "
    "mean over products with both",
    "share_of_truth": "MAP@k / the MAP@k of ranking by the true probabilities, which a synthetic bank publishes",
    "calibration_error": "absolute difference of mean probability and share acquired, over "
    f"{CALIBRATION_BINS} bins of a product's candidates, mean over products weighted by acquisitions",
    "calibration_error_selected": "the same over the offers that the model itself puts among a customer's first k "
    "(selected_at), binned and weighted among those alone",
    "calibration_noise_selected": "what calibration_error_selected would be, on average, if every probability were "
    "true: chance alone",
    "calibration_error_selected_truth": "calibration_error_selected with the true probabilities, which a synthetic "
    "bank publishes, in place of what was acquired: without chance",
    "expected_over_realised_selected": "sum of the probabilities of the selected offers / how many of them were "
    "acquired; above 1: what is picked for its high probability was overrated",
}
"""What each metric divides by. "Asked about": once for each customer and date, occasion or hidden product."""


def perfect_ranking(relevant: NDArray[np.bool_], k: int) -> NDArray[np.int32]:
    """What an oracle would rank first: the relevant products, then nothing. int32, shape (n_customers, k).

    A metric of this ranking is the metric's ceiling: what is acquired is always a candidate, so it can be reached.
    """
    return top_k(relevant.astype(np.float32), relevant, k)


def coverage_at_k(ranked: NDArray[np.int32], candidates: NDArray[np.bool_], k: int) -> float:
    """Share of products in somebody's first `k` among those that are a candidate for somebody; NaN without any."""
    return coverage(shown_at_k(ranked, candidates.shape[1], k), np.asarray(candidates.any(axis=0)))


def shown_at_k(ranked: NDArray[np.int32], n_products: int, k: int) -> NDArray[np.bool_]:
    """Shape (n_products,): whether the product is in somebody's first `k`."""
    shown = np.zeros(n_products + 1, np.bool_)
    shown[ranked[:, :k]] = True  # -1, nothing, marks the extra place at the end
    return shown[:-1]


def coverage(shown: NDArray[np.bool_], possible: NDArray[np.bool_]) -> float:
    """Share of the `possible` products that were `shown`, both bool (n_products,); NaN when none is possible."""
    return float((shown & possible).sum() / possible.sum()) if possible.any() else float("nan")


def auc_per_product(histogram: ScoreHistogram) -> NDArray[np.float64]:
    """Probability that an acquirer has a higher score than a candidate who did not acquire; ties count half.

    The Mann-Whitney statistic, within each product over its candidates. Scores within a bin count as equal, which
    changes the exact value by at most `auc_error_per_product`.

    Parameters
    ----------
    histogram : of one group

    Returns
    -------
    float64, shape (n_products,); NaN where nobody or everybody acquired
    """
    acquired, others = _classes(histogram)
    below = np.cumsum(others, axis=1) - others
    won = (acquired * (below + 0.5 * others)).sum(axis=1)
    return _ratio(won, acquired.sum(axis=1) * others.sum(axis=1))


def auc_error_per_product(histogram: ScoreHistogram) -> NDArray[np.float64]:
    """The most that `auc_per_product` can differ from the exact value: half the share of pairs that share a bin."""
    acquired, others = _classes(histogram)
    return _ratio(0.5 * (acquired * others).sum(axis=1), acquired.sum(axis=1) * others.sum(axis=1))


def calibration_error_per_product(histogram: ScoreHistogram, n_bins: int = CALIBRATION_BINS) -> NDArray[np.float64]:
    """Expected calibration error: mean absolute difference of the mean probability and the share that acquired.

    Over `n_bins` bins of about equally many candidates each, weighted by their number (Naeini et al. 2015, with
    equal-count bins). Scores that share a bin of the histogram stay together, so equal scores always do.

    Returns
    -------
    float64, shape (n_products,); NaN where a product has no candidate
    """
    bins = reliability(histogram, n_bins)
    return _ratio(np.abs(bins.expected - bins.acquired).sum(axis=1), bins.candidates.sum(axis=1))


@dataclass(frozen=True)
class Reliability:
    """What was said and what came true in each bin; all float64, shape (n_products, n_bins).

    Attributes
    ----------
    candidates : how many
    expected : sum of their probabilities
    acquired : how many of them were acquired
    variance : sum of p (1 - p): of `acquired`, if the probabilities are true
    """

    candidates: NDArray[np.float64]
    expected: NDArray[np.float64]
    acquired: NDArray[np.float64]
    variance: NDArray[np.float64]


def reliability(histogram: ScoreHistogram, n_bins: int = CALIBRATION_BINS) -> Reliability:
    """Each product's candidates in `n_bins` bins of about equally many, by ascending probability."""
    products, places = np.nonzero(histogram.counts[0])  # most bins are empty
    counts, acquired, sums = (
        part[0][products, places] for part in (histogram.counts, histogram.acquired, histogram.sums)
    )
    n_products = len(histogram.counts[0])
    totals = np.bincount(products, weights=counts, minlength=n_products)
    before = np.cumsum(counts) - counts - np.concatenate(([0.0], np.cumsum(totals)))[products]
    bins = np.minimum((before + counts / 2) * n_bins // totals[products], n_bins - 1).astype(np.int64)
    cells = bins + n_bins * products

    def binned(values: NDArray) -> NDArray[np.float64]:
        summed = np.bincount(cells, weights=values, minlength=n_products * n_bins)
        return summed.astype(np.float64).reshape(n_products, n_bins)

    return Reliability(binned(counts), binned(sums), binned(acquired), binned(sums - sums**2 / counts))


def calibration_noise_per_product(histogram: ScoreHistogram, n_bins: int = CALIBRATION_BINS) -> NDArray[np.float64]:
    """The calibration error that true probabilities would show, as what is acquired is a matter of chance.

    A bin's gap is then about normal, of mean absolute value ``sqrt(2 / pi * sum of p (1 - p))``.
    """
    bins = reliability(histogram, n_bins)
    return _ratio(np.sqrt(2 / np.pi * bins.variance).sum(axis=1), bins.candidates.sum(axis=1))


def _hits(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
    """Shape (n_customers, k): whether the product at each rank is relevant."""
    if not 1 <= k <= ranked.shape[1]:
        raise BadInput(f"a metric at {k} needs a ranking of at least {max(k, 1)} products, not {ranked.shape[1]}")
    first = ranked[:, :k]
    return np.take_along_axis(relevant, np.maximum(first, 0), axis=1) & (first >= 0)


def _divided(values: NDArray, by: NDArray) -> NDArray[np.float64]:
    return np.divide(values, by, out=np.zeros(len(values)), where=by > 0)


def _ratio(values: NDArray, by: NDArray) -> NDArray[np.float64]:
    return np.divide(values, by, out=np.full(len(values), np.nan), where=by > 0)


def _classes(histogram: ScoreHistogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    acquired = histogram.acquired[0].astype(np.float64)
    return acquired, histogram.counts[0] - acquired
