"""Features of money kept with the bank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .family import Feature, FeatureFamily

if TYPE_CHECKING:
    from ..block import CustomerBlock
    from ..states import CustomerStates

_CHANGES = (1, 3, 12)
_BACK = (0, *_CHANGES)  # periods that any feature looks at


class BalanceFeatures(FeatureFamily):
    """Average balance by product family, and how the total moved."""

    name = "balances"

    def define(self, states: CustomerStates) -> list[Feature]:
        """Families of the products that carry balances."""
        catalogue = states.catalogue
        # counted, not sorted: there are millions of them
        carrying = {states.balances.key_names[key] for key in np.flatnonzero(np.bincount(states.balances.keys))}
        self._families = sorted({p.family for p in catalogue.products if p.product_id in carrying})
        if not self._families:
            return []
        self._groups = np.array(
            [self._families.index(p.family) if p.family in self._families else -1 for p in catalogue.products],
            dtype=np.int64,
        )
        return [
            Feature("balance_total", "average balance of the period over all products", "amount"),
            *(
                Feature(f"balance_change_{n}", f"log ratio of total balance to that {n} periods before", "log_ratio")
                for n in _CHANGES
            ),
            *(
                Feature(f"balance:{family}", f"average balance of the period in {family}", "amount")
                for family in self._families
            ),
            *(
                Feature(
                    f"balance_change:{family}", f"log ratio of balance in {family} to 3 periods before", "log_ratio"
                )
                for family in self._families
            ),
        ]

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """Sums by family over the last periods, then ratios; nothing where they would give a hidden holding away."""
        if not self.features or block.partly_hidden:
            return
        n = len(self._families)
        age = block.states.age_of(block.period)
        series = block.states.balances.by_group(block.positions, age + np.array(_BACK), self._groups, n)
        total = _sum_known(series)
        out[:, 0] = total[:, 0]
        for column, back in enumerate(_CHANGES, start=1):
            out[:, column] = _log_ratio(total[:, 0], total[:, _BACK.index(back)])
        first = 1 + len(_CHANGES)
        out[:, first : first + n] = series[:, :, 0]
        out[:, first + n :] = _log_ratio(series[:, :, 0], series[:, :, _BACK.index(3)])


def _sum_known(series: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over axis 1, in order; NaN where nothing is known."""
    total: NDArray[np.float32] = np.full((series.shape[0], series.shape[2]), np.nan, dtype=np.float32)
    for group in range(series.shape[1]):
        value = series[:, group]
        total = np.where(np.isnan(total), value, np.where(np.isnan(value), total, total + value))
    return total


def _log_ratio(now: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
    """log((now + 1) / (before + 1)); amounts below zero, overdrafts, count as zero."""
    ratio = (np.maximum(now, 0) + np.float32(1)) / (np.maximum(before, 0) + np.float32(1))
    return np.log(ratio).astype(np.float32)
