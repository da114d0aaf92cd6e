"""One customer as words need it, and which of a topic's features words are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features import Calendar, CustomerBlock
from features.contracts import ONBOARDED_ON

from ..layers.facts import CustomerFacts
from .topics import Topic
from .wording_parts import Said, period_name

_PARTNER_WINDOW = 12  # periods, as in features.families.adoption

Sentence = Callable[[Topic, "Client", int, NDArray[np.float64]], Said | None]
"""What is said of a topic, for a customer, for offering a product, given what each feature adds; None: nothing."""


@dataclass(frozen=True)
class Client:
    """One customer of a block, as words need it.

    Attributes
    ----------
    facts : of the block, on the decision's day
    names : what the products are called, by position
    """

    block: CustomerBlock
    row: int
    facts: CustomerFacts
    names: tuple[Said, ...]

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """Shape (n_features,)."""
        found: NDArray[np.float32] = self.block.features[self.row]
        return found

    def value(self, topic: Topic, index: int = 0) -> float:
        """Of one of a topic's features."""
        return float(self.values.item(topic.columns.item(index)))

    @property
    def period(self) -> int:
        """The period of ``as_of``."""
        return self.block.period

    @property
    def calendar(self) -> Calendar:
        """Of the states."""
        return self.block.states.calendar

    @property
    def kind(self) -> int:
        """Index into `KINDS`; ``len(KINDS)``: not known."""
        return int(self.facts.kinds[self.row])

    @cached_property
    def now(self) -> Said:
        """The period of ``as_of``."""
        return period_name(self.period, self.calendar)

    def word(self, product: int) -> int:
        """The holdings history of a product: bit k is set when it was held k periods ago."""
        return int(self.block.words[self.row, product])

    def holds_any(self, family: str | None = None) -> bool:
        """Whether a product, of the family, is held."""
        products = self.block.states.catalogue.products
        held = (self.block.words[self.row] & np.uint64(1)).nonzero()[0].tolist()
        return any(family is None or products[product].family == family for product in held)

    @cached_property
    def n_partners(self) -> int:
        """Payment partners who are clients: those whose holdings are features.

        One by one, because the kernel that does it for blocks wakes threads, which takes longer than a few partners.
        """
        block, states = self.block, self.block.states
        profile, as_of_day = states.profile, states.calendar.as_of_day(self.period)
        position = block.positions[self.row : self.row + 1]
        _, partners = states.partners.of(position, states.age_of(self.period), _PARTNER_WINDOW)
        count = 0
        for partner in partners.tolist():
            first, end = profile.indptr[partner : partner + 2].tolist()
            version = first - 1 + int(np.searchsorted(profile.valid_from[first:end], self.period, side="right"))
            count += version >= first and int(profile.days[ONBOARDED_ON][version]) <= as_of_day
        return count

    def ago(self, periods: int) -> Said:
        """The name of an earlier period."""
        return period_name(self.period - periods, self.calendar)

    def remembers(self, window: int) -> bool:
        """Whether openings of the last `window` periods would be known."""
        manifest = self.block.states.manifest
        return manifest.dated and self.period - window + 1 >= manifest.first_period


def raising(topic: Topic, client: Client, parts: NDArray[np.float64]) -> Iterator[tuple[str, float]]:
    """Name and value of the features that speak for the product, the strongest first."""
    added = parts.tolist()
    for index in sorted(range(len(added)), key=added.__getitem__, reverse=True):
        if not added[index] > 0:
            return
        yield topic.features[index], client.value(topic, index)


def of_strongest(
    say: Callable[[Topic, Client, str, float], Said | None],
) -> Callable[[Topic, Client, int, NDArray[np.float64]], Said | None]:
    """A sentence of the strongest feature of which there is anything to `say`."""

    def found(topic: Topic, client: Client, product: int, parts: NDArray[np.float64]) -> Said | None:
        said = (say(topic, client, name, value) for name, value in raising(topic, client, parts))
        return next((words for words in said if words is not None), None)

    return found
