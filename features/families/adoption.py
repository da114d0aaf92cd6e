"""Features of what similar and connected customers do with each product."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..chunks import CHUNK, FEW
from ..kernels import kernel
from ..states import CustomerStates
from ..states.segments import ACQUISITION_WINDOW, SEGMENT_SOURCES
from .family import FeatureFamily
from .feature import Feature, Measure, Subject, Title, TopicKey

_SIMILAR = TopicKey("similar", Subject.SIMILAR)


class AdoptionFeatures(FeatureFamily):
    """Holding share and acquisition rate of the customer's segment, and share of payment partners who hold."""

    name = "adoption"
    title = Title("adoption", "同类客户")
    partner_window = 12
    """Periods in which whoever paid or was paid by the customer is a partner."""

    def define(self, states: CustomerStates) -> list[Feature]:
        """Two columns a product, a third where the bank brought payments.

        Of a partner it counts what is held, and that the bank knew the partner: no attribute of the customer.
        """
        products = states.catalogue.products
        features = [
            Feature(
                group="segment_holding_share", product=product.product_id, dtype="share", topic=_SIMILAR,
                meaning=f"share of similar customers who hold {product.name}",
                measure=Measure.SHARE, sources=SEGMENT_SOURCES,
            )
            for product in products
        ]  # fmt: skip
        features += [
            Feature(
                group="segment_acquisition_rate", product=product.product_id, dtype="share", topic=_SIMILAR,
                meaning=f"similar customers' acquisitions of {product.name} a period, "
                f"over {ACQUISITION_WINDOW} periods",
                measure=Measure.RATE, window=ACQUISITION_WINDOW, sources=SEGMENT_SOURCES,
            )
            for product in products
        ]  # fmt: skip
        self._has_partners = len(states.partners.partners) > 0
        if self._has_partners:
            features += [
                Feature(
                    group="partner_holding_share", product=product.product_id, dtype="share",
                    topic=TopicKey(f"partners:{product.product_id}", Subject.PARTNERS, product.product_id),
                    meaning=f"share of payment partners of {self.partner_window} periods who hold {product.name}",
                    measure=Measure.SHARE, window=self.partner_window,
                )
                for product in products
            ]  # fmt: skip
        return features

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """Look the segment's figures up; partners' holdings are read from the same states at the same period.

        A partner who was no customer yet does not count: that he would become one was not known.
        """
        states, n = block.states, block.n_products
        age = states.age_of(block.period)
        _look_up(block.segments, states.holding_share[age], states.acquisition_rate[age], out)
        if not self._has_partners:
            return
        indptr, partners = states.partners.of(block.positions, age, self.partner_window)
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
