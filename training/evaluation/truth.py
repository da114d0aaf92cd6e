"""The truth of a synthetic bank, where its tables are one: what the best possible ranking would have said."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates
from features.errors import NextProductError
from features.sources.synthetic import TRUTH_FOLDER, Truth


class TrueProbabilities:
    """Scores blocks of `states` by the true probabilities of acquisition in the month that follows."""

    def __init__(self, truth: Truth, states: CustomerStates) -> None:
        self._truth = truth
        self._rows = np.searchsorted(np.asarray(truth.customer_ids).astype(np.bytes_), states.customer_ids)
        self._columns = np.array([truth.product_ids.index(product) for product in states.catalogue.product_ids])
        self._of_period = lru_cache(maxsize=1)(truth.probability)

    @classmethod
    def beside(cls, states: CustomerStates) -> TrueProbabilities | None:
        """The truth beside the tables that `states` were built from; None when there is none, or of another bank."""
        try:
            truth = Truth.open(Path(states.manifest.tables).parent / TRUTH_FOLDER)
        except NextProductError:
            return None
        ids = np.asarray(truth.customer_ids).astype(np.bytes_)
        same = set(states.catalogue.product_ids) <= set(truth.product_ids) and np.isin(states.customer_ids, ids).all()
        return cls(truth, states) if same and states.manifest.frequency == "month" else None

    def covers(self, periods: range) -> bool:
        """Whether the truth of every one of `periods` is published."""
        return bool(periods) and periods[0] in self._truth.periods and periods[-1] in self._truth.periods

    def __call__(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Float32, shape (n_customers, n_products)."""
        return self._of_period(block.period)[self._rows[block.positions]][:, self._columns]
