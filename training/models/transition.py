"""Transition: what customers with this very portfolio added next, read product by product where it is rare."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.kernels import kernel

from ..examples import Examples, SegmentCounts, rates_of
from .lifts import LiftModel, SegmentRates
from .portfolios import distinct_portfolios, group_rows, packed
from .protocol import ModelConfig


class TransitionConfig(ModelConfig):
    """Settings of the transition model."""

    shrinkage: float = Field(default=30.0, gt=0)
    """Expected acquisitions with which a lift is halfway between what was observed and the level above."""

    min_rows: int = Field(default=20, ge=1)
    """Customers, once for each date, with which a portfolio is a state of its own."""


class Transition(LiftModel):
    """First-order transitions from portfolio to portfolio: the state is the set of products held, nothing before it.

    P(product | portfolio) backs off from the portfolio to its single products, from those to the customer's segment:
    with lifts ``L = product over a held of (observed_a + s) / (expected_a + s)`` of single products, a portfolio's
    is ``L (observed + s) / (expected L + s)``.
    """

    name: ClassVar[str] = "transition"
    Config: ClassVar[type[ModelConfig]] = TransitionConfig
    config: TransitionConfig

    def _fit(self, examples: Examples) -> None:
        n, s = examples.n_products, self.config.shrinkage
        segments, seen = SegmentCounts(examples.n_segments, n), _Portfolios(n)
        for batch in examples.batches():
            segments.add(batch)
            seen.add(batch.block.words)
        rates = SegmentRates.of(segments)
        self._rates = rates.lately
        self._states = seen.frequent(self.config.min_rows)
        of_products, of_states = np.zeros((2, n, n)), np.zeros((2, len(self._states), n))
        for batch in examples.batches():
            block = batch.block
            portfolios, inverse = distinct_portfolios(block.words)
            to_expect = rates_of(rates.throughout, block.segments)
            found = np.zeros((2, len(portfolios), n))
            _count(inverse, block.candidates, batch.acquired, to_expect, *found)
            _spread(portfolios, find(self._states, packed(portfolios)), found, of_products, of_states)
        self._of_products = (of_products[0] + s) / (of_products[1] + s)
        backed_off = _product_of_lifts(unpacked(self._states, n), self._of_products)
        self._of_states = (of_states[0] + s) / (of_states[1] * backed_off + s)

    def _lifts_of(self, portfolios: NDArray[np.bool_] | NDArray[np.uint64]) -> NDArray[np.float64]:
        return _lifts_of(portfolios, self._states, self._of_products, self._of_states)

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        np.savez(folder / "lifts.npz", states=self._states, of_products=self._of_products, of_states=self._of_states)

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        with np.load(folder / "lifts.npz", allow_pickle=False) as arrays:
            self._states = arrays["states"]
            self._of_products, self._of_states = arrays["of_products"], arrays["of_states"]


class _Portfolios:
    """The different portfolios of as many blocks as there are, and how many customers had each."""

    def __init__(self, n_products: int) -> None:
        self._keys: NDArray[np.uint64] = packed(np.zeros((0, n_products), dtype=np.bool_))
        self._rows: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, words: NDArray[np.uint64]) -> None:
        """Count a block."""
        first, inverse = group_rows(packed(words))
        keys = np.vstack([self._keys, packed(words[first])])
        rows = np.concatenate([self._rows, np.bincount(inverse, minlength=len(first))])
        first, inverse = group_rows(keys)
        self._keys = keys[first]
        self._rows = np.bincount(inverse, weights=rows, minlength=len(first)).astype(np.int64)

    def frequent(self, least: int) -> NDArray[np.uint64]:
        """The packed portfolios of at least so many rows, in ascending order, for `find`."""
        keys = self._keys[self._rows >= least]
        return keys[np.lexsort(keys.T[::-1])]


def unpacked(keys: NDArray[np.uint64], n_products: int) -> NDArray[np.bool_]:
    """Bool (n, n_products) of portfolios as `packed` has them."""
    product = np.arange(n_products)
    return ((keys[:, product // 64] >> (product % 64).astype(np.uint64)) & np.uint64(1)).astype(np.bool_)


@kernel
def find(keys, wanted):  # type: ignore[no-untyped-def]
    """Int64 (m,): the row of `keys`, uint64 (n, words) in ascending order, that `wanted` (m, words) is at; -1: none."""
    found = np.full(wanted.shape[0], -1, np.int64)
    for row in range(wanted.shape[0]):
        low, high = 0, keys.shape[0]
        while low < high:
            middle = (low + high) // 2
            order = 0
            for word in range(keys.shape[1]):
                if keys[middle, word] != wanted[row, word]:
                    order = -1 if keys[middle, word] < wanted[row, word] else 1
                    break
            if order == 0:
                found[row] = middle
                break
            if order < 0:
                low = middle + 1
            else:
                high = middle
    return found


@kernel
def _count(inverse, candidates, acquired, rates, observed, expected):  # type: ignore[no-untyped-def]
    """Add acquisitions and those expected to the portfolio of each row."""
    for row in range(candidates.shape[0]):
        for product in range(candidates.shape[1]):
            if candidates[row, product]:
                observed[inverse[row], product] += acquired[row, product]
                expected[inverse[row], product] += rates[row, product]


@kernel
def _spread(portfolios, states, counts, of_products, of_states):  # type: ignore[no-untyped-def]
    """Add `counts` (2, m, n_products) of portfolios to those of each of their products, and of their state."""
    for row in range(portfolios.shape[0]):
        for kind in range(2):
            if states[row] >= 0:
                of_states[kind, states[row]] += counts[kind, row]
            for product in range(portfolios.shape[1]):
                if portfolios[row, product]:
                    of_products[kind, product] += counts[kind, row]


@kernel
def _product_of_lifts(portfolios, lifts):  # type: ignore[no-untyped-def]
    """Float64 (m, n_products): the rows of `lifts` of the products held, multiplied in order."""
    product_of = np.ones(portfolios.shape, np.float64)
    for row in range(portfolios.shape[0]):
        for held in range(portfolios.shape[1]):
            if np.uint64(portfolios[row, held]) & np.uint64(1):
                product_of[row] *= lifts[held]
    return product_of


@kernel
def _lifts_of(portfolios, keys, of_products, of_states):  # type: ignore[no-untyped-def]
    """Float64 (m, n_products): those of the products held, times that of the state where it is one of `keys`."""
    lifts = _product_of_lifts(portfolios, of_products)
    states = find(keys, packed(portfolios))
    for row in range(len(states)):
        if states[row] >= 0:
            lifts[row] *= of_states[states[row]]
    return lifts
