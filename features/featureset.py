"""The feature set: every family's columns side by side, the dictionary that says what each one is, and the blocks of
customers that it describes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from . import families
from .blocks import CustomerBlock, candidates_of
from .chunks import BLOCK_SIZE
from .errors import BadInput
from .families import Feature, FeatureFamily
from .states import CustomerStates
from .states.segments import segments_of


class FeatureSet:
    """All features that some states give, in a fixed order.

    Attributes
    ----------
    families : those whose columns they are, in order
    features : what is declared of each column
    names : the columns' names

    Raises
    ------
    BadInput : when an attribute of customers has the name of another feature
    """

    def __init__(self, states: CustomerStates) -> None:
        self.families: tuple[FeatureFamily, ...] = tuple(family(states) for family in families.FAMILIES)
        self.features: tuple[Feature, ...] = tuple(feature for family in self.families for feature in family.features)
        self.names: tuple[str, ...] = tuple(feature.name for feature in self.features)
        twice = sorted(name for name, times in Counter(self.names).items() if times > 1)
        if twice:
            raise BadInput(
                f"the attribute {twice[0]!r} of customers has the name of a feature: give it another one in the table "
                "or in the mapping file, and build again"
            )

    def compute(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Float32, shape (n_customers, n_features); NaN: not known or not applicable."""
        out = np.full((block.n_customers, len(self.features)), np.nan, dtype=np.float32)
        column = 0
        for family in self.families:
            width = len(family.features)
            family.compute(block, out[:, column : column + width])
            column += width
        return out

    def dictionary(self) -> list[dict[str, str]]:
        """Name, family, dtype and meaning of each feature, in order; its topic, measure and window, in periods; and
        its sources: the attributes of customers by which a policy hides it."""
        return [
            {
                "name": feature.name, "family": family.name, "dtype": feature.dtype, "meaning": feature.meaning,
                "topic": feature.topic.code, "measure": feature.measure.value,
                "window": str(feature.window) if feature.window else "", "sources": ", ".join(sorted(feature.sources)),
            }
            for family in self.families
            for feature in family.features
        ]  # fmt: skip

    def made_of(self, attributes: Collection[str]) -> NDArray[np.int64]:
        """The columns that are made of any of `attributes`, columns of customers."""
        found = [c for c, feature in enumerate(self.features) if not feature.sources.isdisjoint(attributes)]
        return np.array(found, dtype=np.int64)


def feature_set_of(states: CustomerStates) -> FeatureSet:
    """The features that `states` give."""
    return states.derived(FeatureSet)


def block_of(states: CustomerStates, positions: NDArray[np.int64], period: int) -> CustomerBlock:
    """What was known of the customers at `positions` at the end of `period`.

    Raises
    ------
    BadInput : when `period` lies ahead of the states or before their memory
    """
    states.age_of(period)
    versions = states.profile.versions_at(positions, period)
    words = states.history.words_at(positions, period)
    return CustomerBlock(
        states=states,
        feature_set=feature_set_of(states),
        positions=positions,
        period=period,
        words=words,
        versions=versions,
        candidates=candidates_of(states, words, versions, period),
        segments=segments_of(states.profile, versions, states.calendar.as_of_day(period)),
    )


def blocks_of(states: CustomerStates, period: int, size: int = BLOCK_SIZE) -> Iterator[CustomerBlock]:
    """Every customer known at `period`, a block at a time."""
    known = states.known_at(period)
    for start in range(0, len(known), size):
        yield block_of(states, known[start : start + size], period)
