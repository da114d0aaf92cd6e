"""Where to look for what is known of one customer on a day: a row of the states, and the events newer than them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from features import CustomerBlock, CustomerStates
from features.calendar import Calendar
from features.catalogue import Product
from features.contracts import OUTCOMES, PURPOSES
from features.states.events import EventLog
from features.states.profile import ALWAYS, MISSING_DAY

from ...decisions import FreshEvents
from ...decisions.layers.facts import days_since_epoch
from ...language import Language

_EPOCH = date(1970, 1, 1).toordinal()


class NewerEvent(NamedTuple):
    """One event laid over the states; days since 1970-01-01, products and conversations by number, -1: none."""

    kind: int
    day: int
    product: int
    channel: str | None
    outcome: str | None
    purpose: str | None
    granted: bool
    conversation: int


class Stretch(NamedTuple):
    """Days from the first to the last one, both included."""

    first_day: date
    last_day: date

    @classmethod
    def of(cls, calendar: Calendar, period: int) -> Stretch:
        """The days of a period."""
        return cls(calendar.start_of(period), calendar.end_of(period))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"first_day": self.first_day.isoformat(), "last_day": self.last_day.isoformat()}


@dataclass(frozen=True)
class Known:
    """One customer as known on a day.

    Attributes
    ----------
    position : row of the states
    version : of the profile; -1: the customer was not known yet
    day : since 1970-01-01; what became known later is not seen
    newer : events laid over the states, in the order in which they became known
    jump : what balance jumps among them add to the assets; None: there are none
    """

    states: CustomerStates
    position: int
    period: int
    version: int
    day: int
    newer: tuple[NewerEvent, ...]
    jump: float | None

    @classmethod
    def of(cls, block: CustomerBlock, row: int, fresh: FreshEvents, day: date) -> Known:
        """Customer `row` of `block`, with the events of `fresh` up to `day`."""
        here, today = block.positions[row : row + 1], days_since_epoch(day)
        start, stop = fresh.rows_of(here)[0].tolist()
        newer = tuple(
            NewerEvent(
                kind, when, product, word_of(fresh.channels, channel), word_of(OUTCOMES, outcome),
                word_of(PURPOSES, purpose), granted, conversation,
            )
            for kind, when, _, product, channel, outcome, purpose, granted, _, conversation in zip(
                *(column[start:stop].tolist() for column in fresh.arrays), strict=True
            )
            if when <= today
        )  # fmt: skip
        jump = float(fresh.jumps(here, day)[0, 0])
        return cls(
            block.states, int(here[0]), block.period, int(block.versions[row]), today, newer,
            None if np.isnan(jump) else jump,
        )  # fmt: skip

    def entries_of(self, log: EventLog) -> Iterator[dict[str, Any]]:
        """What the customer has in a log of the states and the bank knew by the day, oldest first."""
        start, stop = log.indptr[self.position : self.position + 2].tolist()
        columns = {name: column[start:stop].tolist() for name, column in log.columns.items()}
        for values in zip(*columns.values(), strict=True):
            entry = dict(zip(columns, values, strict=True))
            if entry["known_on"] <= self.day:
                yield entry

    @property
    def profile_since(self) -> Stretch | None:
        """The period from which on the bank has had the profile as it is; None: the tables do not say, or have none."""
        since = ALWAYS if self.version < 0 else int(self.states.profile.valid_from[self.version])
        return None if since == ALWAYS else Stretch.of(self.states.calendar, since)

    def text(self, column: str) -> str | None:
        """A text of the profile; None where there is none."""
        return None if self.version < 0 else self.states.profile.text(column, self.version)

    def date(self, column: str) -> date | None:
        """A date of the profile; None where there is none."""
        days = MISSING_DAY if self.version < 0 else int(self.states.profile.days[column][self.version])
        return None if days == MISSING_DAY else date_of(days)

    def product(self, position: int) -> Product:
        """The catalogue's product at a position."""
        return self.states.catalogue.products[position]


def date_of(days: int) -> date:
    """The date that lies `days` after 1970-01-01."""
    return date.fromordinal(days + _EPOCH)


def named(product: Product, language: Language) -> dict[str, Any]:
    """Id, name in `language` and family, for JSON; a product without Chinese name keeps its English one."""
    name = product.name_zh if language is Language.ZH and product.name_zh else product.name
    return {"product_id": product.product_id, "name": name, "family": product.family}


def stretch_for_json(stretch: Stretch | None) -> dict[str, Any] | None:
    """A stretch of days for JSON."""
    return None if stretch is None else stretch.to_dict()


def iso(day: date | None) -> str | None:
    """A date for JSON."""
    return None if day is None else day.isoformat()


def word_of(words: tuple[str, ...], code: int) -> str | None:
    """The text behind a code; -1: none."""
    return words[code] if code >= 0 else None
