"""A family of features that nobody has heard of: whatever it declares must be enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates, families
from features.families import Feature, FeatureFamily, Measure, Subject, Title, TopicKey

COLUMN = "means_each"
TOPIC = "means"
TITLE = Title("Income for each product held", "每个持有产品对应的收入")


class ToyFamily(FeatureFamily):
    """Income divided by what is held: made of an attribute, under a name that does not say so."""

    name = "means"
    title = Title("means", "财力")

    def define(self, states: CustomerStates) -> list[Feature]:
        """One column."""
        return [
            Feature(
                group=COLUMN, meaning="income divided by products held and one", dtype="amount",
                topic=TopicKey(TOPIC, Subject.FIGURE, title=TITLE), measure=Measure.LEVEL,
                sources=frozenset({"income"}),
            )
        ]  # fmt: skip

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """Of a customer not known yet, nothing."""
        income = block.states.profile.numbers["income"].take(block.versions, mode="clip")
        out[:, 0] = np.where(block.versions < 0, np.nan, income / (1 + block.held.sum(axis=1)))


def register(monkeypatch) -> None:
    """As a line in the list of families would."""
    monkeypatch.setattr(families, "FAMILIES", (*families.FAMILIES, ToyFamily))
