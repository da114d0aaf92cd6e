"""Lifts: how many times as often customers with certain holdings acquire a product as others of their segment do.

Tiers and ages hold and acquire different things, and a plain lift would credit the holdings with what the segment
explains. So the acquisitions observed stand beside those expected from the segments' rates (indirect standardisation),
and ``lift = (observed + s) / (expected + s)``: the posterior mean under a gamma prior worth s acquisitions at a lift
of 1 (DuMouchel 1999). Without it the rarest holdings would have the largest lifts.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.kernels import kernel

from ..examples import SegmentCounts
from ..examples.segment_counts import segment_in
from .popularity import PopularityConfig
from .portfolios import distinct_portfolios
from .protocol import Model

_FEW = 64  # customers: below this, finding out who holds the same costs more than reading each portfolio
_SMALLEST, _LARGEST = 1e-9, 1e9  # products of lifts beyond these say no more


@dataclass(frozen=True)
class SegmentRates:
    """Acquisition rates, float32, shape (n_segments + 1, n_products); the last row is that of all customers.

    Attributes
    ----------
    lately : over the window of popularity, to score with
    throughout : over all training dates, for what was to be expected on them: in all, as much as was observed
    """

    lately: NDArray[np.float32]
    throughout: NDArray[np.float32]

    @classmethod
    def of(cls, counts: SegmentCounts) -> SegmentRates:
        """The rates of what was counted."""
        usual = PopularityConfig()
        return cls(counts.rates(usual.window, usual.shrinkage), counts.rates(None, usual.shrinkage))


class LiftModel(Model):
    """Odds of acquisition in the customer's segment, times a lift of the customer's portfolio.

    ``p = odds * lift / (1 + odds * lift)``. Subclasses implement `_lifts_of`, and set `_rates` when they fit.
    """

    _rates: NDArray[np.float32]

    def _score(self, block: CustomerBlock) -> NDArray[np.float32]:
        n = block.n_customers
        portfolios, inverse = (block.words, np.arange(n)) if n < _FEW else distinct_portfolios(block.words)
        return _lifted(self._rates, block.segments, self._lifts_of(portfolios), inverse)

    def _save(self, folder: Path) -> None:
        np.save(folder / "rates.npy", self._rates)

    def _load(self, folder: Path) -> None:
        self._rates = np.load(folder / "rates.npy", allow_pickle=False)

    @abstractmethod
    def _lifts_of(self, portfolios: NDArray[np.bool_] | NDArray[np.uint64]) -> NDArray[np.float64]:
        """Lifts (m, n_products) of portfolios (m, n_products), each on its own, summed up in a fixed order.

        `portfolios` : bool, or uint64 history words whose bit 0 says held now
        """


@kernel
def _lifted(rates, segments, lifts, inverse):  # type: ignore[no-untyped-def]
    n_customers, n_products = len(segments), rates.shape[1]
    scores = np.empty((n_customers, n_products), np.float32)
    for row in range(n_customers):
        segment = segment_in(rates, segments[row])
        for product in range(n_products):
            lift = min(max(lifts[inverse[row], product], _SMALLEST), _LARGEST)
            rate = np.float64(rates[segment, product])
            scores[row, product] = rate * lift / (1.0 - rate + rate * lift)
    return scores
