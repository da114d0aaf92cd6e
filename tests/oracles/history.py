"""Holdings through time, one account and one day at a time."""

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from features.calendar import Calendar

MEMORY = 64


@dataclass(frozen=True)
class Account:
    customer: str
    product: str
    opened_on: date | None = None
    closed_on: date | None = None
    recorded_on: date | None = None

    def is_known_on(self, day: date) -> bool:
        opened = self.opened_on is None or self.opened_on <= day
        return opened and (self.recorded_on is None or self.recorded_on <= day)

    def is_open_on(self, day: date) -> bool:
        opened = self.opened_on is None or self.opened_on <= day
        return opened and not (self.closed_on is not None and self.closed_on <= day)


@dataclass(frozen=True)
class HistoryOracle:
    """What the bank can say at the end of period `newest`, its memory reaching 64 periods back from there."""

    accounts: list[Account]
    calendar: Calendar
    newest: int

    def of(self, customer: str, product: str) -> list[Account]:
        known = self.calendar.end_of(self.newest)
        return [a for a in self.accounts if (a.customer, a.product) == (customer, product) and a.is_known_on(known)]

    def held(self, customer: str, product: str, period: int, known_at: int) -> bool:
        """Held at the end of `period`, as the bank knew at the end of `known_at`."""
        known = self.calendar.end_of(known_at)
        return self._any_open([a for a in self.of(customer, product) if a.is_known_on(known)], period)

    def word(self, customer: str, product: str, period: int) -> list[bool]:
        """Held 0, 1, ... 63 periods before `period`, as known then."""
        known = self.calendar.end_of(period)
        accounts = [a for a in self.of(customer, product) if a.is_known_on(known)]
        return [self._any_open(accounts, period - age) for age in range(MEMORY)]

    def began_on(self, customer: str, product: str) -> date | None:
        """The first day of what the ends of periods up to the newest one show as held; None: beyond memory, or not."""
        word = self.word(customer, product, self.newest)
        if not word[0] or all(word):
            return None
        day = self.calendar.start_of(self.newest - word.index(False) + 1)
        while not any(a.is_open_on(day) for a in self.of(customer, product)):
            day += timedelta(days=1)
        return day

    def _any_open(self, accounts: list[Account], period: int) -> bool:
        if not accounts:
            return False
        oldest = self.newest - MEMORY + 1
        day = self.calendar.end_of(max(period, oldest))  # before memory: as in the oldest period remembered
        return any(a.is_open_on(day) for a in accounts)

    def acquired(self, customer: str, product: str, period: int, horizon: int) -> bool:
        """Opened in (period, period + horizon] and not held at its end, whenever that became known."""
        start, end = self.calendar.end_of(period), self.calendar.end_of(period + horizon)
        accounts = self.of(customer, product)
        opened = any(a.opened_on is not None and start < a.opened_on <= end for a in accounts)
        return opened and not any(a.is_open_on(start) for a in accounts)

    def added_within(self, product: str, period: int, window: int) -> int:
        """Adds of `product` in the `window` periods up to `period`, over all customers, as known at its end."""
        return sum(
            now and not before
            for customer in self.customers
            for now, before in self._steps(customer, product, period)[:window]
        )

    def spells(self, product: str, period: int, window: int) -> tuple[int, int]:
        """Customer-periods that began with `product` held and in memory, and how many of them it did not outlast."""
        remembered = MEMORY - 1 - (self.newest - period)
        steps = [
            step
            for customer in self.customers
            for step in self._steps(customer, product, period)[: min(window, remembered)]
        ]
        return sum(before for _, before in steps), sum(before and not now for now, before in steps)

    def _steps(self, customer: str, product: str, period: int) -> list[tuple[bool, bool]]:
        """Held at the end and at the start of `period` and of each one before it."""
        return list(pairwise(self.word(customer, product, period)))

    @property
    def customers(self) -> set[str]:
        return {account.customer for account in self.accounts}
