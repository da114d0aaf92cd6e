"""Features of use: channels, money in and out, payment counterparties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..kernels import kernel
from ..states import CustomerStates
from ..states.panels import Panel
from .family import FeatureFamily
from .feature import Feature, Measure, Subject, Title, TopicKey

_FLOWS = {"inflow": "money_in", "outflow": "money_out"}


class ActivityFeatures(FeatureFamily):
    """The last period's figure of each channel, flow and counterparty measure, beside the mean of those before."""

    name = "activity"
    title = Title("activity", "活跃度")
    mean_of = 3
    """Periods before the last that it is compared with."""

    def define(self, states: CustomerStates) -> list[Feature]:
        """Only what the bank brought: a measure nobody has gives no column."""
        features: list[Feature] = []
        self._panels: list[tuple[str, NDArray[np.int64]]] = []
        for name, prefix, what, dtype in (
            ("activity", "use", "events through {}", "count"),
            ("flows", "flow", "{} over all channels", "amount"),
            ("payments", "payments", "{} of payments between customers", "amount"),
        ):
            panel: Panel = getattr(states, name)
            if len(panel.keys) == 0:
                continue
            self._panels.append((name, np.arange(len(panel.key_names))))
            for key in panel.key_names:
                meaning, topic = what.format(key), _topic_of(name, key)
                features.append(
                    Feature(
                        group=prefix, key=key, meaning=f"{meaning} in the period", dtype=dtype, topic=topic,
                        measure=Measure.LEVEL,
                    )
                )  # fmt: skip
                features.append(
                    Feature(
                        group=f"{prefix}_before", key=key, dtype=dtype, topic=topic, measure=Measure.MEAN,
                        meaning=f"{meaning}, mean of the {self.mean_of} periods before", window=self.mean_of,
                    )
                )  # fmt: skip
        return features

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """A period without a row counts as zero where the customer has any row for that key."""
        ages = block.states.age_of(block.period) + np.arange(1 + self.mean_of)
        column = 0
        for name, keys in self._panels:
            panel: Panel = getattr(block.states, name)
            n = len(keys)
            _compare(panel.by_group(block.positions, ages, keys, n), out[:, column : column + 2 * n])
            column += 2 * n


def _topic_of(panel: str, key: str) -> TopicKey:
    """For a person, whom and how much a customer pays are one thing."""
    if panel == "activity":
        return TopicKey(f"use:{key}", Subject.USE, key)
    if panel == "payments":
        return TopicKey("payments", Subject.PAYMENTS)
    return TopicKey(_FLOWS[key], Subject.MONEY, key)


@kernel
def _compare(series, out):  # type: ignore[no-untyped-def]
    """The newest of the figures of each key beside the mean of those before, NaN in `series` as zero."""
    n_before = series.shape[2] - 1
    for row in range(series.shape[0]):
        for key in range(series.shape[1]):
            figures, known = series[row, key], False
            for step in range(n_before + 1):
                if np.isnan(figures[step]):
                    figures[step] = 0
                else:
                    known = True
            if not known:
                continue
            before = figures[1]
            for step in range(2, n_before + 1):
                before += figures[step]
            out[row, 2 * key] = figures[0]
            out[row, 2 * key + 1] = before / np.float32(n_before)
