"""Features of money kept with the bank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..kernels import kernel
from ..states import CustomerStates
from .family import FeatureFamily
from .feature import Feature, Measure, Subject, Title, TopicKey

_FAMILY_CHANGE = 2  # which of the changes of the total, counted from 1, those of product families look back as far as
_TOTAL = TopicKey("balance_total", Subject.BALANCES)


class BalanceFeatures(FeatureFamily):
    """Average balance by product family, and how the total moved."""

    name = "balances"
    title = Title("balances", "余额")
    changes = (1, 3, 12)
    """Periods that changes look back; those of product families as far as the second."""

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
        topics = {family: TopicKey(f"balance:{family}", Subject.BALANCES, family) for family in self._families}
        of_family = self.changes[_FAMILY_CHANGE - 1]
        return [
            Feature(
                group="balance_total", meaning="average balance of the period over all products", dtype="amount",
                topic=_TOTAL, measure=Measure.LEVEL,
            ),
            *(
                Feature(
                    group=f"balance_change_{n}", meaning=f"log ratio of total balance to that {n} periods before",
                    dtype="log_ratio", topic=_TOTAL, measure=Measure.CHANGE, window=n,
                )
                for n in self.changes
            ),
            *(
                Feature(
                    group="balance", key=family, meaning=f"average balance of the period in {family}", dtype="amount",
                    topic=topic, measure=Measure.LEVEL,
                )
                for family, topic in topics.items()
            ),
            *(
                Feature(
                    group="balance_change", key=family,
                    meaning=f"log ratio of balance in {family} to {of_family} periods before",
                    dtype="log_ratio", topic=topic, measure=Measure.CHANGE, window=of_family,
                )
                for family, topic in topics.items()
            ),
        ]  # fmt: skip

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """Sums by family over the last periods, then ratios; nothing where they would give a hidden holding away."""
        if not self.features or block.partly_hidden:
            return
        n = len(self._families)
        ages = block.states.age_of(block.period) + np.array((0, *self.changes))
        series = block.states.balances.by_group(block.positions, ages, self._groups, n)
        n_changes = len(self.changes)
        first = 1 + n_changes
        ratios = np.empty((block.n_customers, n_changes + n), dtype=np.float32)
        _compare(series, ratios, out[:, 0], out[:, first : first + n])
        np.log(ratios, out=ratios)  # not in the kernel: NumPy's own may differ in the last bit
        out[:, 1:first] = ratios[:, :n_changes]
        out[:, first + n :] = ratios[:, n_changes:]


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
