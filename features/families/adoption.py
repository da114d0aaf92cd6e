"""Features of what similar and connected customers do with each product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

from .family import Feature, FeatureFamily

if TYPE_CHECKING:
    from ..block import CustomerBlock
    from ..states import CustomerStates

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
        out[:, :n] = states.holding_share[age][block.segments]
        out[:, n : 2 * n] = states.acquisition_rate[age][block.segments]
        if self._has_partners:
            indptr, partners = states.partners.of(block.positions, age, _PARTNER_WINDOW)
            distinct, rows = np.unique(partners, return_inverse=True)
            known = states.are_known_at(distinct, block.period)
            _share_holding(indptr, rows, known, states.history.words_at(distinct, block.period), out[:, 2 * n :])


@numba.njit(cache=True, parallel=True)
def _share_holding(indptr, rows, known, words, out):  # type: ignore[no-untyped-def]
    for row in numba.prange(len(indptr) - 1):
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
