"""Popularity: what similar customers who could acquire a product did lately. The baseline every model is beside."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features import CustomerBlock

from ..examples import Examples, SegmentCounts, rates_of
from .protocol import Model, ModelConfig


class PopularityConfig(ModelConfig):
    """Settings of popularity."""

    window: int | None = Field(default=12, ge=1)
    """Periods before the last training date, that one included, whose acquisitions count; none: all of them."""

    shrinkage: float = Field(default=100.0, gt=0)
    """Candidates that the level above counts for: a segment with as many of its own is pulled halfway to it."""


class Popularity(Model):
    """Share of a segment's candidates who acquired the product: a probability of acquisition within the horizon, shrunk
    to the product's rate among all customers, see `SegmentCounts.rates`."""

    name: ClassVar[str] = "popularity"
    Config: ClassVar[type[ModelConfig]] = PopularityConfig
    config: PopularityConfig

    def _fit(self, examples: Examples) -> None:
        counts = SegmentCounts(examples.n_segments, examples.n_products)
        for batch in examples.batches():
            counts.add(batch)
        self._rates = counts.rates(self.config.window, self.config.shrinkage)

    def _score(self, block: CustomerBlock) -> NDArray[np.float32]:
        return rates_of(self._rates, block.segments)

    def _save(self, folder: Path) -> None:
        np.save(folder / "rates.npy", self._rates)

    def _load(self, folder: Path) -> None:
        self._rates = np.load(folder / "rates.npy", allow_pickle=False)
