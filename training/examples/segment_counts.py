"""What each segment could acquire and did acquire, and the rates that come of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.kernels import kernel

from .examples import Batch


class SegmentCounts:
    """Candidates and acquisitions of each segment and product, by date, of as many batches as there are."""

    def __init__(self, n_segments: int, n_products: int) -> None:
        self._shape = (n_segments, n_products)
        self._by_period: dict[int, NDArray[np.int64]] = {}

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        counts = self._by_period.setdefault(batch.block.period, np.zeros((2, *self._shape), np.int64))
        _count(batch.block.segments, batch.block.candidates, counts[0])
        _count(batch.block.segments, batch.acquired, counts[1])

    def totals(self, window: int | None = None) -> NDArray[np.float64]:
        """Candidates and acquisitions, shape (2, n_segments, n_products), of the last `window` periods, or of all."""
        totals = np.zeros((2, *self._shape))
        for period, counts in self._by_period.items():
            if window is None or period > max(self._by_period) - window:
                totals += counts
        return totals

    def rates(self, window: int | None, shrinkage: float) -> NDArray[np.float32]:
        """Acquisitions a candidate, float32, shape (n_segments + 1, n_products); the last row is that of all customers.

        Few candidates make a rate uncertain, so each level is shrunk to the one above by a pseudo-count s, the
        posterior mean under a beta prior: ``(acquired + s * rate above) / (candidates + s)``; a product's rate in a
        segment to its rate among all customers, and that to the rate of all products together. No rate is ever
        exactly 0.

        Parameters
        ----------
        window : the last periods that count; None: all
        shrinkage : s, in candidates
        """
        candidates, acquired = self.totals(window)
        everything = (acquired.sum() + 0.5) / (candidates.sum() + 1.0)
        by_product = _shrunk(acquired.sum(axis=0), candidates.sum(axis=0), everything, shrinkage)
        by_segment = _shrunk(acquired, candidates, by_product, shrinkage)
        return np.vstack([by_segment, by_product]).astype(np.float32)


def rates_of(rates: NDArray[np.float32], segments: NDArray[np.int32]) -> NDArray[np.float32]:
    """The rows of `rates`, as `SegmentCounts.rates` gives them, of some customers' segments."""
    return _rates_of(rates, segments)


@kernel(inline="always")
def segment_in(rates, segment):  # type: ignore[no-untyped-def]
    """The row of `rates` for a segment; of one that the fit did not have, the last: the rates of all customers."""
    return min(segment, len(rates) - 1)


@kernel
def _rates_of(rates, segments):  # type: ignore[no-untyped-def]
    found = np.empty((len(segments), rates.shape[1]), rates.dtype)
    for row in range(len(segments)):
        found[row] = rates[segment_in(rates, segments[row])]
    return found


def _shrunk(
    acquired: NDArray[np.float64], candidates: NDArray[np.float64], above: NDArray[np.float64] | float, weight: float
) -> NDArray[np.float64]:
    return (acquired + weight * above) / (candidates + weight)


@kernel
def _count(segments, cells, counts):  # type: ignore[no-untyped-def]
    """Add the true `cells` (n, n_products) to `counts` (n_segments, n_products), each in its row's segment."""
    n_customers, n_products = cells.shape
    for row in range(n_customers):
        for product in range(n_products):
            counts[segments[row], product] += cells[row, product]
