"""Ranking: the best candidates of each customer, repeatable to the last tie."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from features.errors import BadInput
from features.kernels import kernel

NOTHING = -1
"""Where a customer has fewer candidates than were asked for."""

_FEW = 16_384  # rows: below this, waking the threads costs more than the ranking


def top_k(scores: NDArray[np.float32], candidates: NDArray[np.bool_], k: int) -> NDArray[np.int32]:
    """The `k` candidates with the highest scores, best first; equal scores go by position, the lower first.

    Parameters
    ----------
    scores : float32, shape (n_customers, n_products)
    candidates : bool, same shape; nothing else is ranked, whatever its score
    k : products wanted, at least 1

    Returns
    -------
    products : int32, shape (n_customers, k); positions, `NOTHING` after the last candidate

    Raises
    ------
    BadInput : when shapes differ, `k` is below 1, or a score is NaN, which has no place in an order
    """
    if scores.shape != candidates.shape or scores.ndim != 2:
        raise BadInput(f"scores {scores.shape} and candidates {candidates.shape} must be the same customers x products")
    if k < 1:
        raise BadInput(f"cannot rank the best {k} products: ask for at least 1")
    products = np.empty((len(scores), k), np.int32)
    rank = _rank_few if len(scores) < _FEW else _rank_many
    if rank(np.ascontiguousarray(scores), np.ascontiguousarray(candidates), products):
        row, product = (int(found[0]) for found in np.nonzero(np.isnan(scores)))
        raise BadInput(
            f"{int(np.isnan(scores).sum())} scores are NaN, the first in row {row} for the product at position "
            f"{product}: the model that gave them must be trained again"
        )
    return products


def scores_at(scores: NDArray[np.float32], products: NDArray[np.int32]) -> NDArray[np.float32]:
    """The scores of ranked `products`, shape (n_customers, k), as `top_k` gives them; NaN where there is nothing."""
    found = np.take_along_axis(scores, np.maximum(products, 0), axis=1)
    return np.where(products == NOTHING, np.float32(np.nan), found)


@kernel(inline="always")
def _rank(scores, candidates, best, kept):  # type: ignore[no-untyped-def]
    """Fill one customer's `best` by insertion; `kept` holds their scores. True when a score is NaN."""
    k = len(best)
    n_kept = 0
    broken = False
    for product in range(len(scores)):
        score = scores[product]
        broken |= score != score
        if not candidates[product] or (n_kept == k and not score > kept[k - 1]):
            continue
        place = n_kept if n_kept < k else k - 1
        while place > 0 and score > kept[place - 1]:  # strictly: the earlier of two equals stays ahead
            best[place] = best[place - 1]
            kept[place] = kept[place - 1]
            place -= 1
        best[place] = product
        kept[place] = score
        n_kept = min(n_kept + 1, k)
    best[n_kept:] = -1
    return broken


@kernel
def _rank_few(scores, candidates, products):  # type: ignore[no-untyped-def]
    kept = np.empty(products.shape[1], scores.dtype)
    n_broken = 0
    for row in range(len(scores)):
        n_broken += _rank(scores[row], candidates[row], products[row], kept)
    return n_broken


@kernel(parallel=True)
def _rank_many(scores, candidates, products):  # type: ignore[no-untyped-def]
    n_rows = len(scores)
    n_chunks = (n_rows + 1023) // 1024
    n_broken = 0
    for chunk in prange(n_chunks):
        kept = np.empty(products.shape[1], scores.dtype)
        for row in range(chunk * 1024, min(n_rows, chunk * 1024 + 1024)):
            n_broken += _rank(scores[row], candidates[row], products[row], kept)
    return n_broken
