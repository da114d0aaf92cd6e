"""Features of use: channels, money in and out, payment counterparties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..panels import Panel
from .family import Feature, FeatureFamily

if TYPE_CHECKING:
    from ..block import CustomerBlock
    from ..states import CustomerStates

_SPAN = 4


class ActivityFeatures(FeatureFamily):
    """The last period's figure of each channel, flow and counterparty measure, beside the mean of the three before."""

    name = "activity"

    def define(self, states: CustomerStates) -> list[Feature]:
        """Only what the bank brought: a measure nobody has gives no column."""
        features: list[Feature] = []
        self._panels: list[str] = []
        for name, prefix, what, dtype in (
            ("activity", "use", "events through {}", "count"),
            ("flows", "flow", "{} over all channels", "amount"),
            ("payments", "payments", "{} of payments between customers", "amount"),
        ):
            panel: Panel = getattr(states, name)
            if len(panel.keys) == 0:
                continue
            self._panels.append(name)
            for key in panel.key_names:
                meaning = what.format(key)
                features.append(Feature(f"{prefix}:{key}", f"{meaning} in the period", dtype))
                features.append(Feature(f"{prefix}_before:{key}", f"{meaning}, mean of the 3 periods before", dtype))
        return features

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """A period without a row counts as zero where the customer has any row for that key."""
        age = block.states.age_of(block.period)
        column = 0
        for name in self._panels:
            panel: Panel = getattr(block.states, name)
            n = len(panel.key_names)
            series = panel.by_group(block.positions, age + np.arange(_SPAN), np.arange(n), n)
            unknown = np.isnan(series).all(axis=2)
            series = np.nan_to_num(series)
            now = series[:, :, 0]
            before = (series[:, :, 1] + series[:, :, 2] + series[:, :, 3]) / np.float32(3)
            out[:, column : column + 2 * n : 2] = np.where(unknown, np.nan, now)
            out[:, column + 1 : column + 2 * n : 2] = np.where(unknown, np.nan, before)
            column += 2 * n
