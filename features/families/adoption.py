"""Features of what similar and connected customers do with each product."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..chunks import CHUNK, FEW
from ..kernels import kernel
from ..states import CustomerStates
from .family import Feature, FeatureFamily

_PARTNER_WINDOW = 12


class AdoptionFeatures(FeatureFamily):
    """Holding share and acquisition rate of the customer's segment, and share of payment partners who hold."""

    name = "adoption"

    def define(self, states: CustomerStates) -> list[Feature]:
        """Two columns a product, a third where the bank brought payments."""
        groups = [
            ("segment_holding_share", "share of similar customers who hold {}", "share"),
            ("segment_acquisition_rate", "similar customers' acquisitions of {} a period, over 3 periods", "share"),
        ]
        self._has_partners = len(states.partners.partners) > 0
        if self._has_partners:
            groups.append(("partner_holding_share", "share of payment partners of 12 periods who hold {}", "share"))
        return [
            Feature(f"{group}:{product.product_id}", meaning.format(product.name), dtype)
            for group, meaning, dtype in groups
            for product in states.catalogue.products
        ]

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """Look the segment's figures up; partners' holdings are read from the same states at the same period.

        A partner who was no customer yet does not count: that he would become one was not known.
        """
        states, n = block.states, block.n_products
        age = states.age_of(block.period)
        _look_up(block.segments, states.holding_share[age], states.acquisition_rate[age], out)
        if not self._has_partners:
            return
        indptr, partners = states.partners.of(block.positions, age, _PARTNER_WINDOW)
        if not len(partners):
            return
        rows: NDArray[np.int64] = np.arange(len(partners))
        if len(partners) >= FEW:  # of fewer, finding out who is among them twice costs more than looking them up again
            partners, rows = np.unique(partners, return_inverse=True)
        known, words = states.are_known_at(partners, block.period), states.history.words_at(partners, block.period)
        arguments = (indptr, rows, known, words, out[:, 2 * n :])
        if block.n_customers < FEW:
            _share_holding(0, block.n_customers, *arguments)
        else:
            _share_holding_of_many(*arguments)


@kernel
def _look_up(segments, holding_share, acquisition_rate, out):  # type: ignore[no-untyped-def]
    n = holding_share.shape[1]
    for row in range(len(segments)):
        segment = segments[row]
        for product in range(n):
            out[row, product] = holding_share[segment, product]
        for product in range(n):
            out[row, n + product] = acquisition_rate[segment, product]


@kernel
def _share_holding(start, stop, indptr, rows, known, words, out):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        count = 0
        for link in range(indptr[row], indptr[row + 1]):
            count += known[rows[link]]
        if count == 0:
            continue
        for product in range(words.shape[1]):
            held = 0
            for link in range(indptr[row], indptr[row + 1]):
                if known[rows[link]]:
                    held += words[rows[link], product] & np.uint64(1)
            out[row, product] = held / count


@kernel(parallel=True)
def _share_holding_of_many(indptr, rows, known, words, out):  # type: ignore[no-untyped-def]
    n = len(indptr) - 1
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        _share_holding(chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), indptr, rows, known, words, out)
