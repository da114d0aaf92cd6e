"""How large a synthetic bank is, which months it covers, and how its customers are cut into blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from ...calendar import Calendar
from ...errors import BadConfiguration

RETAIL = "retail"
CORPORATE = "corporate"

CALENDAR = Calendar()
"""The synthetic bank lives in months."""

BURN_IN = 24
"""Months lived before the first published one, so that holdings, momentum and balances have settled."""

_EPOCH = date(1970, 1, 1)
_ID_DIGITS = {CORPORATE: 6, RETAIL: 7}
_ID_LETTER = {CORPORATE: "C", RETAIL: "R"}


@dataclass(frozen=True)
class BlockPlan:
    """Customers that are simulated together.

    Attributes
    ----------
    kind : retail or corporate
    part : number of the block's files, corporate blocks first, so that parts follow the order of customer ids
    index : number of the block among those of its kind
    first : number of its first customer, from 1
    size : customers
    digits : digits of a customer id
    """

    kind: str
    part: int
    index: int
    first: int
    size: int
    digits: int

    @property
    def customer_ids(self) -> NDArray[np.str_]:
        """Shape (size,), ascending."""
        letter = _ID_LETTER[self.kind]
        return np.array([f"{letter}{number:0{self.digits}d}" for number in range(self.first, self.first + self.size)])


@dataclass(frozen=True)
class SyntheticBank:
    """The settings of a synthetic bank.

    Attributes
    ----------
    retail, corporate : customers of each kind, those who join or leave on the way included
    periods : months of balances, activity, payments and contacts, the last one included
    last_month : the last month, YYYY-MM; no fact is later than its last day
    seed : the same settings and seed give the same files, byte for byte
    block_size : customers simulated together; memory grows with it
    truth_periods : how many last dates publish their truth; all of them when None

    Raises
    ------
    BadConfiguration : a setting is impossible
    """

    retail: int = 20_000
    corporate: int = 1_000
    periods: int = 36
    last_month: str = "2026-06"
    seed: int = 20260101
    block_size: int = 20_000
    truth_periods: int | None = None

    def __post_init__(self) -> None:
        if self.retail < 0 or self.corporate < 0 or self.retail + self.corporate == 0:
            raise BadConfiguration(
                f"a synthetic bank needs customers: retail={self.retail} and corporate={self.corporate} "
                "must not be negative nor both zero"
            )
        if not 3 <= self.periods <= 600:
            raise BadConfiguration(f"periods={self.periods} of a synthetic bank must lie between 3 and 600 months")
        if not re.fullmatch(r"(19[7-9]\d|20\d\d)-(0[1-9]|1[0-2])", self.last_month):
            raise BadConfiguration(f"last_month={self.last_month!r} must be a month from 1970 on, written YYYY-MM")
        if self.seed < 0:
            raise BadConfiguration(f"seed={self.seed} must not be negative")
        if self.block_size < 1:
            raise BadConfiguration(f"block_size={self.block_size} must be at least 1")
        if self.truth_periods is not None and not 1 <= self.truth_periods <= self.periods:
            raise BadConfiguration(f"truth_periods={self.truth_periods} must lie between 1 and periods={self.periods}")

    @property
    def last_period(self) -> int:
        """The last month."""
        return CALENDAR.period_of(date.fromisoformat(f"{self.last_month}-01"))

    @property
    def first_period(self) -> int:
        """The first month of balances, activity, payments and contacts."""
        return self.last_period - self.periods + 1

    @property
    def published_periods(self) -> range:
        """The months whose ends are dates with a published truth."""
        return range(self.last_period - (self.truth_periods or self.periods) + 1, self.last_period + 1)

    @property
    def blocks(self) -> tuple[BlockPlan, ...]:
        """The blocks in the order of their customers' ids."""
        plans: list[BlockPlan] = []
        for kind, total in ((CORPORATE, self.corporate), (RETAIL, self.retail)):
            digits = max(_ID_DIGITS[kind], len(str(total)))
            for index, start in enumerate(range(0, total, self.block_size)):
                size = min(self.block_size, total - start)
                plans.append(BlockPlan(kind, len(plans), index, start + 1, size, digits))
        return tuple(plans)

    def random_of(self, plan: BlockPlan) -> np.random.Generator:
        """The block's own source of chance: no other block changes what it draws."""
        key = (0 if plan.kind == RETAIL else 1, plan.index)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def random_of_month(self, period: int) -> np.random.Generator:
        """The source of chance for what all blocks share in a month (its campaigns)."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(2, period)))


def first_day(period: int) -> int:
    """Days from 1970-01-01 to the first day of `period`."""
    return (CALENDAR.start_of(period) - _EPOCH).days


def last_day(period: int) -> int:
    """Days from 1970-01-01 to the last day of `period`."""
    return first_day(period + 1) - 1


def day_of(day: date) -> int:
    """Days from 1970-01-01 to `day`."""
    return (day - _EPOCH).days
