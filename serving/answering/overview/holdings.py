"""What the customer has: products held and just closed, and their balances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from features.calendar import HISTORY_BITS
from features.catalogue import Product

from ...decisions.fresh import BALANCE_JUMP, CLOSED, OPENED
from ...language import Language
from .known import Known, Stretch, date_of, iso, named, stretch_for_json

CHANGE_PERIODS = 3
"""Periods over which a balance's change is told."""


@dataclass(frozen=True)
class Holding:
    """A product that the customer holds.

    Attributes
    ----------
    held_since : the day from which on it has been held without interruption, as `HoldingsHistory.day_begun` has it; of
        a fresh one the day on which it was opened. None: not known
    held_since_period : where the day is not known, the period in which it lies; None: it lies before the states' memory
        or in its oldest period, or an account does not say when it was opened
    is_fresh : opened by an event newer than the states
    matures_on : days, from today on, on which accounts of it mature, the first one first
    """

    product: Product
    held_since: date | None
    held_since_period: Stretch | None
    is_fresh: bool
    matures_on: tuple[date, ...]

    def to_dict(self, language: Language) -> dict[str, Any]:
        """For JSON."""
        return named(self.product, language) | {
            "held_since": iso(self.held_since),
            "held_since_period": stretch_for_json(self.held_since_period),
            "fresh": self.is_fresh,
            "matures_on": [day.isoformat() for day in self.matures_on],
        }


@dataclass(frozen=True)
class ClosedProduct:
    """A product that an event newer than the states has closed."""

    product: Product
    closed_on: date

    def to_dict(self, language: Language) -> dict[str, Any]:
        """For JSON."""
        return named(self.product, language) | {"closed_on": self.closed_on.isoformat()}


@dataclass(frozen=True)
class Balance:
    """What the customer has, or owes, in one product.

    Attributes
    ----------
    average : of `Balances.period`
    change : since the average of `Balances.change_since`; None: that one is not known
    is_debt : owed, as the policy counts it
    """

    product: Product
    average: float
    change: float | None
    is_debt: bool

    def to_dict(self, language: Language) -> dict[str, Any]:
        """For JSON."""
        return named(self.product, language) | {"average": self.average, "change": self.change, "debt": self.is_debt}


@dataclass(frozen=True)
class Balances:
    """The balances known of the newest period.

    Attributes
    ----------
    period : of which averages, assets and debts are
    change_since : the period `CHANGE_PERIODS` before, with whose averages they are compared
    assets : all that is no debt, `jump` included, as decisions count it; None: nothing is known
    debts : all that is owed
    jump : what events newer than the states add to the assets; None: there are none
    jump_days : from the first of those events to the last
    """

    period: Stretch
    change_since: Stretch
    assets: float | None
    debts: float
    jump: float | None
    jump_days: Stretch | None
    of_products: tuple[Balance, ...]

    def to_dict(self, language: Language) -> dict[str, Any]:
        """For JSON."""
        return {
            "period": self.period.to_dict(),
            "change_since": self.change_since.to_dict(),
            "assets": self.assets,
            "debts": self.debts,
            "jump": self.jump,
            "jump_days": stretch_for_json(self.jump_days),
            "products": [balance.to_dict(language) for balance in self.of_products],
        }


def holdings_of(known: Known) -> tuple[tuple[Holding, ...], tuple[ClosedProduct, ...]]:
    """What is held, and what newer events have closed, each in the order of product ids."""
    here = np.array([known.position], dtype=np.int64)
    words = dict(enumerate(known.states.history.words_at(here, known.period)[0].tolist()))
    changed = _changed_by_events(known, words)
    maturities = _maturities(known)
    holdings = []
    for product, word in words.items():
        is_held, day = changed.get(product, (word & 1, None))
        if is_held:
            since, period = _held_since(known, product, word) if day is None else (date_of(day), None)
            due = tuple(maturities.get(product, ()))
            holdings.append(Holding(known.product(product), since, period, day is not None, due))
    closed = tuple(
        ClosedProduct(known.product(product), date_of(day))
        for product, (is_held, day) in sorted(changed.items())
        if not is_held
    )
    return tuple(holdings), closed


def balances_of(known: Known, debts: tuple[str, ...], assets: float, owed: float) -> Balances:
    """The balances, in the order of product ids.

    Parameters
    ----------
    debts : families whose balances are owed
    assets, owed : the customer's facts; NaN: no assets known
    """
    panel, age = known.states.balances, known.states.age_of(known.period)
    found = []
    for series in range(panel.indptr[known.position], panel.indptr[known.position + 1]):
        amounts = panel.values[series, age:].tolist()
        if np.isnan(amounts[0]):
            continue
        change = amounts[0] - amounts[CHANGE_PERIODS] if len(amounts) > CHANGE_PERIODS else np.nan
        product = known.product(int(panel.keys[series]))
        is_debt = product.family in debts
        found.append(Balance(product, amounts[0], None if np.isnan(change) else change, is_debt))
    calendar, jumped = known.states.calendar, [event.day for event in known.newer if event.kind == BALANCE_JUMP]
    return Balances(
        period=Stretch.of(calendar, known.period),
        change_since=Stretch.of(calendar, known.period - CHANGE_PERIODS),
        assets=None if np.isnan(assets) else assets,
        debts=owed,
        jump=known.jump,
        jump_days=Stretch(date_of(min(jumped)), date_of(max(jumped))) if jumped else None,
        of_products=tuple(found),
    )


def _changed_by_events(known: Known, words: Mapping[int, int]) -> dict[int, tuple[bool, int]]:
    """Products that newer events opened or closed: whether they are held now, and since which day."""
    changed: dict[int, tuple[bool, int]] = {}
    for event in known.newer:
        if event.kind == CLOSED:
            changed[event.product] = False, event.day
        elif event.kind == OPENED:
            is_held, _ = changed.get(event.product, (words[event.product] & 1, 0))
            if not is_held:  # another account of what is held does not interrupt it
                changed[event.product] = True, event.day
    return changed


def _held_since(known: Known, product: int, word: int) -> tuple[date | None, Stretch | None]:
    """The day, or in its place the period, from which on a product has been held."""
    run = ((word + 1) & ~word).bit_length() - 1  # the newest periods in which it was held: ones at the word's end
    if run == HISTORY_BITS:
        return None, None
    states, first = known.states, known.period - run + 1
    # of earlier views the day is not kept
    begun = states.history.day_begun(known.position, product) if known.period == states.as_of_period else None
    if begun is None:
        return None, Stretch.of(states.calendar, first)
    return states.calendar.start_of(first) + timedelta(days=begun), None


def _maturities(known: Known) -> dict[int, list[date]]:
    """By product, of accounts that are open: as the trigger counts them, whatever the time until then."""
    ended = {event.product for event in known.newer if event.kind == CLOSED}
    found: dict[int, list[date]] = {}
    for entry in known.entries_of(known.states.maturities):
        if known.day <= entry["matures_on"] and known.day < entry["closed_on"] and entry["product"] not in ended:
            found.setdefault(entry["product"], []).append(date_of(entry["matures_on"]))
    return found
