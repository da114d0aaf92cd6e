"""The best candidates of each customer, by a stable sort of all products."""

import numpy as np


def top_k_by_sorting(scores, candidates, k):
    ranked = np.full((len(scores), k), -1, np.int32)
    for row, (own, possible) in enumerate(zip(scores, candidates, strict=True)):
        order = [product for product in np.argsort(-own, kind="stable") if possible[product]]
        ranked[row, : len(order[:k])] = order[:k]
    return ranked
