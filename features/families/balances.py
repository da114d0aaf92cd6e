"""Features of money kept with the bank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..kernels import kernel
from ..states import CustomerStates
from .family import Feature, FeatureFamily

_CHANGES = (1, 3, 12)
_BACK = np.array((0, *_CHANGES))  # periods that any feature looks at
_FAMILY_CHANGE = 1 + _CHANGES.index(3)


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
        ages = block.states.age_of(block.period) + _BACK
        series = block.states.balances.by_group(block.positions, ages, self._groups, n)
        first = 1 + len(_CHANGES)
        ratios = np.empty((block.n_customers, len(_CHANGES) + n), dtype=np.float32)
        _compare(series, ratios, out[:, 0], out[:, first : first + n])
        np.log(ratios, out=ratios)  # not in the kernel: NumPy's own may differ in the last bit
        out[:, 1:first] = ratios[:, : len(_CHANGES)]
        out[:, first + n :] = ratios[:, len(_CHANGES) :]


@kernel
def _ratio(now, before):  # type: ignore[no-untyped-def]
    """(now + 1) / (before + 1); amounts below zero, overdrafts, count as zero."""
    above = (np.float32(0) if now < 0 else now) + np.float32(1)
    below = (np.float32(0) if before < 0 else before) + np.float32(1)
    return above / below


@kernel
def _compare(series, ratios, total, now):  # type: ignore[no-untyped-def]
    """Write the newest amounts, of all groups in `total` and by group in `now`, and their ratios to those before."""
    n_groups, n_steps = series.shape[1:]
    sums = np.empty(n_steps, dtype=np.float32)
    for row in range(series.shape[0]):
        sums[:] = np.nan  # where nothing is known
        for group in range(n_groups):
            for step in range(n_steps):
                value = series[row, group, step]
                if np.isnan(sums[step]):
                    sums[step] = value
                elif not np.isnan(value):
                    sums[step] += value
            now[row, group] = series[row, group, 0]
            ratios[row, n_steps - 1 + group] = _ratio(series[row, group, 0], series[row, group, _FAMILY_CHANGE])
        total[row] = sums[0]
        for step in range(1, n_steps):
            ratios[row, step - 1] = _ratio(sums[0], sums[step])
