"""Ranking and probability metrics, slow and obvious: one customer, one rank, one pair at a time."""

from math import log2, nan


def hit_rate(ranked, relevant, k):
    return 1.0 if set(ranked[:k]) & relevant else 0.0


def precision(ranked, relevant, k):
    return sum(product in relevant for product in ranked[:k]) / k


def recall(ranked, relevant, k):
    return sum(product in relevant for product in ranked[:k]) / len(relevant) if relevant else 0.0


def mrr(ranked, relevant, k):
    for rank, product in enumerate(ranked[:k], start=1):
        if product in relevant:
            return 1 / rank
    return 0.0


def average_precision(ranked, relevant, k):
    if not relevant:
        return 0.0
    total = 0.0
    for rank, product in enumerate(ranked[:k], start=1):
        if product in relevant:
            total += precision(ranked, relevant, rank)
    return total / min(k, len(relevant))


def ndcg(ranked, relevant, k):
    if not relevant:
        return 0.0
    gained = sum(1 / log2(1 + rank) for rank, product in enumerate(ranked[:k], start=1) if product in relevant)
    return gained / sum(1 / log2(1 + rank) for rank in range(1, min(k, len(relevant)) + 1))


ORACLES = {
    "hit_rate": hit_rate,
    "precision": precision,
    "recall": recall,
    "mrr": mrr,
    "map": average_precision,
    "ndcg": ndcg,
}


def auc(scores, acquired):
    """Share of pairs in the right order, counted pair by pair."""
    winners = [score for score, bought in zip(scores, acquired, strict=True) if bought]
    losers = [score for score, bought in zip(scores, acquired, strict=True) if not bought]
    if not winners or not losers:
        return nan
    points = sum(1.0 if won > lost else 0.5 if won == lost else 0.0 for won in winners for lost in losers)
    return points / (len(winners) * len(losers))


def calibration_error(scores, acquired, n_bins):
    """Over groups of equal scores, each put whole into the bin that its middle falls into."""
    pairs = sorted(zip(scores, acquired, strict=True))
    bins = [[] for _ in range(n_bins)]
    for score in sorted(set(scores)):
        places = [place for place, pair in enumerate(pairs) if pair[0] == score]
        middle = (places[0] + places[-1] + 1) / 2
        bins[min(int(middle * n_bins // len(pairs)), n_bins - 1)] += [pairs[place] for place in places]
    gaps = [abs(sum(score for score, _ in part) - sum(bought for _, bought in part)) for part in bins]
    return sum(gaps) / len(pairs)
