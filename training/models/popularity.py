"""Popularity: what similar customers who could acquire a product did lately. The baseline every model is beside."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from features import CustomerBlock

from ..examples import Examples
from .protocol import Model, ModelConfig


class PopularityConfig(ModelConfig):
    """Settings of popularity."""

    window: int | None = Field(default=12, ge=1)
    """Periods before the last training date, that one included, whose acquisitions count; none: all of them."""

    shrinkage: float = Field(default=100.0, gt=0)
    """Candidates that the level above counts for: a segment with as many of its own is pulled halfway to it."""


class Popularity(Model):
    """Share of a segment's candidates who acquired the product: a probability of acquisition within the horizon.

    Few candidates make a rate uncertain, so each level is shrunk to the one above by a pseudo-count s (the posterior
    mean under a beta prior): ``(acquired + s * rate above) / (candidates + s)``; a product's rate in a segment to its
    rate among all customers, and that to the rate of all products together. No rate is ever exactly 0.
    """

    name: ClassVar[str] = "popularity"
    Config: ClassVar[type[ModelConfig]] = PopularityConfig
    config: PopularityConfig

    def _fit(self, examples: Examples) -> None:
        shape = (examples.n_segments, examples.n_products)
        counts: dict[int, NDArray[np.int64]] = {}
        for batch in examples.batches():
            of_period = counts.setdefault(batch.block.period, np.zeros((2, *shape), np.int64))
            _count(batch.block.segments, batch.block.candidates, of_period[0])
            _count(batch.block.segments, batch.acquired, of_period[1])
        totals = np.zeros((2, *shape))
        for period, of_period in counts.items():
            if self.config.window is None or period > max(counts) - self.config.window:
                totals += of_period
        self._rates = self._rates_of(candidates=totals[0], acquired=totals[1])

    def _rates_of(self, candidates: NDArray[np.float64], acquired: NDArray[np.float64]) -> NDArray[np.float32]:
        """Shape (n_segments + 1, n_products); the last row is that of all customers."""
        everything = (acquired.sum() + 0.5) / (candidates.sum() + 1.0)
        by_product = self._shrink(acquired.sum(axis=0), candidates.sum(axis=0), everything)
        by_segment = self._shrink(acquired, candidates, by_product)
        return np.vstack([by_segment, by_product]).astype(np.float32)

    def _shrink(
        self, acquired: NDArray[np.float64], candidates: NDArray[np.float64], above: NDArray[np.float64] | float
    ) -> NDArray[np.float64]:
        return (acquired + self.config.shrinkage * above) / (candidates + self.config.shrinkage)

    def _score(self, block: CustomerBlock) -> NDArray[np.float32]:
        # a segment that the fit did not have: the rates of all customers, the last row, still hold
        segments = np.minimum(block.segments, self._rates.shape[0] - 1)
        return self._rates.take(segments, axis=0)

    def _save(self, folder: Path) -> None:
        np.save(folder / "rates.npy", self._rates)

    def _load(self, folder: Path) -> None:
        self._rates = np.load(folder / "rates.npy", allow_pickle=False)


@njit(cache=True, nogil=True)
def _count(segments, cells, counts):  # type: ignore[no-untyped-def]
    """Add the true `cells` (n, n_products) to `counts` (n_segments, n_products), each in its row's segment."""
    n_customers, n_products = cells.shape
    for row in range(n_customers):
        for product in range(n_products):
            counts[segments[row], product] += cells[row, product]
