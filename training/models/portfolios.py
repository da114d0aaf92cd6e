"""Models for which a customer is the set of products held: each distinct portfolio is scored once, whoever holds it.

A million customers hold a few thousand different portfolios, so grouping them costs less than scoring them one by one,
and a customer's scores depend on nothing but the customer's own portfolio: alone or in a block they are the same bits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from features import CustomerBlock
from features.kernels import kernel

from ..examples import Examples
from ..ranking import top_k
from .protocol import Model

POPULARITY_WEIGHT = 1e-6
"""What a product's share of holders adds to its score: too little to overrule a model, enough to order what it leaves
equal, above all the products of a customer who holds nothing."""

_WORD_BITS = 64


def distinct_portfolios(
    held: NDArray[np.bool_] | NDArray[np.uint64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Find the different sets of products held.

    Parameters
    ----------
    held : bool, or uint64 history words whose bit 0 says held now, shape (n_customers, n_products)

    Returns
    -------
    portfolios : bool, shape (n_portfolios, n_products); in order of first appearance
    inverse : int64, shape (n_customers,); ``portfolios[inverse]`` is `held`
    """
    first, inverse = group_rows(packed(np.ascontiguousarray(held)))
    return _held_now(held[first]), inverse


def top_k_by_portfolio(
    score_portfolios: Callable[[NDArray[np.bool_]], NDArray[np.float32]],
    held: NDArray[np.bool_] | NDArray[np.uint64],
    candidates: NDArray[np.bool_],
    k: int,
) -> NDArray[np.int32]:
    """Rank the candidates of each customer, once for each distinct pair of portfolio and candidates.

    Parameters
    ----------
    score_portfolios : from bool (m, n_products) to float32 (m, n_products), each row on its own
    held : bool, or uint64 history words whose bit 0 says held now, shape (n_customers, n_products)
    candidates : bool, shape (n_customers, n_products)
    k : products wanted

    Returns
    -------
    products : int32, shape (n_customers, k); positions, best first, ties to the lower one, -1 where candidates ran out
    """
    keys = np.hstack([packed(np.ascontiguousarray(held)), packed(np.ascontiguousarray(candidates))])
    first, inverse = group_rows(keys)
    best = top_k(score_portfolios(_held_now(held[first])), candidates[first], k)
    return best.take(inverse, axis=0)


class PortfolioModel(Model):
    """A model that reads nothing of a customer but what is held now.

    Subclasses implement `_learn` and `_score_portfolios`, and save what they learnt.
    """

    def recommend(self, block: CustomerBlock, k: int) -> NDArray[np.int32]:
        """Rank the `k` best candidates of each customer, as `score` would, without the scores of every customer.

        Returns
        -------
        products : int32, shape (n_customers, k); positions, best first, -1 where a customer has fewer candidates
        """
        self._check(block)
        return top_k_by_portfolio(self._score_portfolios, block.words, block.candidates, k)

    def _fit(self, examples: Examples) -> None:
        holdings = sp.csr_matrix(examples.holdings(), dtype=np.float32)
        holders = np.asarray(holdings.sum(axis=0, dtype=np.float64)).ravel()
        self._tiebreak = POPULARITY_WEIGHT * holders / max(holdings.shape[0], 1)
        self._learn(holdings)

    def _score(self, block: CustomerBlock) -> NDArray[np.float32]:
        portfolios, inverse = distinct_portfolios(block.words)
        return self._score_portfolios(portfolios).take(inverse, axis=0)

    def _save(self, folder: Path) -> None:
        np.save(folder / "tiebreak.npy", self._tiebreak)

    def _load(self, folder: Path) -> None:
        self._tiebreak = np.load(folder / "tiebreak.npy", allow_pickle=False)

    @abstractmethod
    def _learn(self, holdings: sp.csr_matrix) -> None:
        """Learn from `holdings`, float32 (n_customers, n_products) of 1.0 where held."""

    @abstractmethod
    def _score_portfolios(self, portfolios: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Score portfolios (m, n_products), each on its own: no row's result may depend, in any bit, on the others.

        BLAS breaks that promise (it sums in another order for another shape); loops in a fixed order keep it.
        """


class SimilarityModel(PortfolioModel):
    """A portfolio model whose score is the sum of a weight from each product held: ``held @ weights``.

    Subclasses implement `_weights_of`.
    """

    def _learn(self, holdings: sp.csr_matrix) -> None:
        self._weights = np.zeros((holdings.shape[1], holdings.shape[1]))
        if holdings.nnz > 0:
            self._weights[:] = self._weights_of(holdings)

    def _score_portfolios(self, portfolios: NDArray[np.bool_]) -> NDArray[np.float32]:
        return _add_rows(portfolios, self._weights, self._tiebreak)

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        np.save(folder / "weights.npy", self._weights)

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        self._weights = np.load(folder / "weights.npy", allow_pickle=False)

    @abstractmethod
    def _weights_of(self, holdings: sp.csr_matrix) -> NDArray[np.float64]:
        """Weights (n_products, n_products): what holding the row's product says for the column's."""


def _held_now(held: NDArray[np.bool_] | NDArray[np.uint64]) -> NDArray[np.bool_]:
    return (held & held.dtype.type(1)).astype(np.bool_)


@kernel
def packed(cells):  # type: ignore[no-untyped-def]
    """Bit 0 of each cell (n, p) as bit ``column % 64`` of word ``column // 64``: uint64 (n, ceil(p / 64))."""
    n_rows, n_columns = cells.shape
    words = np.empty((n_rows, (n_columns + _WORD_BITS - 1) // _WORD_BITS), np.uint64)
    for row in range(n_rows):
        for word in range(words.shape[1]):
            start = word * _WORD_BITS
            bits = np.uint64(0)
            for bit in range(min(_WORD_BITS, n_columns - start)):
                bits |= (np.uint64(cells[row, start + bit]) & np.uint64(1)) << np.uint64(bit)
            words[row, word] = bits
    return words


@kernel
def group_rows(keys):  # type: ignore[no-untyped-def]
    """Group equal rows of `keys`, uint64 (n, words), by open addressing.

    Returns the first row of each group, in order of appearance, and the group of each row.
    """
    n_rows, n_words = keys.shape
    n_slots = 2
    while n_slots < 2 * n_rows:
        n_slots *= 2
    slots = np.full(n_slots, -1, np.int64)
    first = np.empty(n_rows, np.int64)
    inverse = np.empty(n_rows, np.int64)
    n_groups = 0
    for row in range(n_rows):
        mixed = np.uint64(0)
        for word in range(n_words):  # the finaliser of SplitMix64
            mixed = (mixed ^ keys[row, word]) + np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
        slot = np.int64(mixed & np.uint64(n_slots - 1))
        while slots[slot] >= 0:
            same = True
            for word in range(n_words):
                same = same and keys[first[slots[slot]], word] == keys[row, word]
            if same:
                break
            slot = (slot + 1) % n_slots
        if slots[slot] < 0:
            slots[slot] = n_groups
            first[n_groups] = row
            n_groups += 1
        inverse[row] = slots[slot]
    return first[:n_groups].copy(), inverse


@kernel
def _add_rows(portfolios, weights, start):  # type: ignore[no-untyped-def]
    """Float32 (m, p): `start` plus the rows of `weights` of the products held, added in order in float64."""
    n_portfolios, n_products = portfolios.shape
    scores = np.empty((n_portfolios, n_products), np.float32)
    total = np.empty(n_products, np.float64)
    for row in range(n_portfolios):
        total[:] = start
        for product in range(n_products):
            if portfolios[row, product]:
                total += weights[product]
        scores[row] = total
    return scores
