"""Metrics of uplift, one trial after the other, as their definitions read."""

from itertools import pairwise


def counts_to(scores, treated, acquired, weights, threshold):
    """Trials scoring `threshold` or more: how many, and weighted (treated, acquired of them, control, of them)."""
    sums = [0.0, 0.0, 0.0, 0.0]
    n = 0
    for score, arm, outcome, weight in zip(scores, treated, acquired, weights, strict=True):
        if score >= threshold:
            n += 1
            sums[0 if arm else 2] += weight
            if outcome:
                sums[1 if arm else 3] += weight
    return n, sums


def curves(scores, treated, acquired, weights):
    """Points (share, g, Q), from (0, 0, 0) on, one for each distinct score."""
    _, (all_treated, *_) = counts_to(scores, treated, acquired, weights, min(scores))
    points = [(0.0, 0.0, 0.0)]
    for threshold in sorted(set(scores), reverse=True):
        n, (nt, yt, nc, yc) = counts_to(scores, treated, acquired, weights, threshold)
        share = n / len(scores)
        gain = share * (yt / nt - yc / nc) if nt and nc else 0.0
        qini = (yt - (yc * nt / nc if nc else 0.0)) / all_treated if all_treated else 0.0
        points.append((share, gain, qini))
    return points


def area(points, column):
    """Below straight lines between the points."""
    return sum((right[0] - left[0]) * (left[column] + right[column]) / 2 for left, right in pairwise(points))


def auuc(scores, treated, acquired, weights):
    """Area under the uplift curve."""
    return area(curves(scores, treated, acquired, weights), 1)


def qini(scores, treated, acquired, weights):
    """Area between the Qini curve and the straight line to its end."""
    points = curves(scores, treated, acquired, weights)
    return area(points, 2) - points[-1][2] / 2


def uplift_between(scores, treated, acquired, weights, begin, end):
    """Uplift among those ranked from share `begin` to share `end`; those of equal score are there in proportion."""
    n = len(scores)
    sums = [0.0, 0.0, 0.0, 0.0]
    for score, arm, outcome, weight in zip(scores, treated, acquired, weights, strict=True):
        above = sum(other > score for other in scores)
        equal = sum(other == score for other in scores)
        overlap = max(0.0, min(above + equal, end * n) - max(above, begin * n)) / equal
        sums[0 if arm else 2] += weight * overlap
        if outcome:
            sums[1 if arm else 3] += weight * overlap
    if sums[0] < 1e-9 or sums[2] < 1e-9:
        return float("nan")
    return sums[1] / sums[0] - sums[3] / sums[2]
