"""One customer as words need it, and which of a topic's features words are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.contracts import ONBOARDED_ON
from features.families import Feature

from ..layers.facts import CustomerFacts
from .topics import AsOf, Topic, Topics
from .wording_parts import Said

Sentence = Callable[[Topic, "Client", int, NDArray[np.float64]], Said | None]
"""What is said of a topic, for a customer, for offering a product; None: nothing. The last is float64, shape
(n_features,): what each feature adds to the product's log-odds."""


class Client:
    """One customer of a block, as words need it; made for everybody to whom anything is said, so next to nothing is
    looked up beforehand.

    Attributes
    ----------
    facts : of the block, on the decision's day
    values : float32, shape (n_features,)
    names : what the products are called, by position
    as_of : what the block is as of
    """

    def __init__(self, block: CustomerBlock, row: int, facts: CustomerFacts, topics: Topics) -> None:
        self.block, self.row, self.facts = block, row, facts
        self.values: NDArray[np.float32] = block.features[row]
        self.names: tuple[Said, ...] = topics.names
        self.as_of: AsOf = topics.as_of(block.period)

    def value(self, topic: Topic, index: int = 0) -> float:
        """Of one of a topic's features."""
        return self.values.item(topic.places[index])

    @property
    def kind(self) -> int:
        """Index into `KINDS`; ``len(KINDS)``: not known."""
        return self.facts.kinds.item(self.row)

    def word(self, product: int) -> int:
        """The holdings history of a product: bit k is set when it was held k periods ago."""
        return self.block.words.item(self.row, product)

    def holds_any(self, family: str) -> bool:
        """Whether a product of the family is held."""
        products = self.block.states.catalogue.products
        held = (self.block.words[self.row] & np.uint64(1)).nonzero()[0].tolist()
        return any(products[product].family == family for product in held)

    def n_partners(self, window: int) -> int:
        """Payment partners of the `window` newest periods who are clients: those whose holdings are features."""
        if window not in self._n_partners:
            self._n_partners[window] = self._count_partners(window)
        return self._n_partners[window]

    @cached_property
    def _n_partners(self) -> dict[int, int]:
        return {}

    def _count_partners(self, window: int) -> int:
        # one by one, because the kernel that does it for blocks wakes threads, which takes longer than a few partners
        block, states = self.block, self.block.states
        period, profile, as_of_day = block.period, states.profile, states.calendar.as_of_day(block.period)
        position = block.positions[self.row : self.row + 1]
        _, partners = states.partners.of(position, states.age_of(period), window)
        count = 0
        for partner in partners.tolist():
            first, end = profile.indptr[partner : partner + 2].tolist()
            version = first - 1 + int(np.searchsorted(profile.valid_from[first:end], period, side="right"))
            count += version >= first and int(profile.days[ONBOARDED_ON][version]) <= as_of_day
        return count


def unsaid(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> None:
    """Of a topic that there are no words for."""


def raising(topic: Topic, added: NDArray[np.float64]) -> list[int]:
    """Which of a topic's features speak for the product, the strongest first.

    Parameters
    ----------
    added : float64, shape (n_features,); what each feature adds to its log-odds
    """
    parts: list[float] = added.take(topic.columns).tolist()
    return sorted([index for index, part in enumerate(parts) if part > 0], key=parts.__getitem__, reverse=True)


def of_strongest(say: Callable[[Topic, Client, Feature, float], Said | None]) -> Sentence:
    """A sentence of the strongest feature of which there is anything to `say`."""

    def found(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
        for index in raising(topic, added):
            words = say(topic, client, topic.features[index], client.value(topic, index))
            if words is not None:
                return words
        return None

    return found
