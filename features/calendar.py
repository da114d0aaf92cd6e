"""Periods: the steps in which holdings are remembered and acquisitions predicted.

A period is an integer that grows by one; which stretch of days it stands for depends on the frequency.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

HISTORY_BITS = 64
"""Periods that a history word remembers, the period of ``as_of`` included."""

_EPOCH = date(1970, 1, 1).toordinal()
_MONDAY_OFFSET = 3  # 1970-01-01 was a Thursday: days since then plus 3 count from a Monday


class Frequency(StrEnum):
    """How long a period is."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"


_PERIODS_PER_YEAR = {Frequency.WEEK: 52, Frequency.MONTH: 12, Frequency.QUARTER: 4}


@dataclass(frozen=True)
class Calendar:
    """Converts between dates and periods, in Python, in NumPy and in SQL."""

    frequency: Frequency = Frequency.MONTH

    @property
    def periods_per_year(self) -> int:
        """Whole periods in a year (weeks: 52), the length of a season's cycle."""
        return _PERIODS_PER_YEAR[self.frequency]

    def period_of(self, day: date) -> int:
        """The period that `day` falls in."""
        if self.frequency is Frequency.WEEK:
            return ((day - date(1970, 1, 1)).days + _MONDAY_OFFSET) // 7
        if self.frequency is Frequency.MONTH:
            return day.year * 12 + day.month - 1
        return day.year * 4 + (day.month - 1) // 3

    def start_of(self, period: int) -> date:
        """The first day of `period`."""
        if self.frequency is Frequency.WEEK:
            return date(1970, 1, 1) + timedelta(days=period * 7 - _MONDAY_OFFSET)
        if self.frequency is Frequency.MONTH:
            return date(period // 12, period % 12 + 1, 1)
        return date(period // 4, period % 4 * 3 + 1, 1)

    def end_of(self, period: int) -> date:
        """The last day of `period`: the ``as_of`` at which its facts are all in."""
        return self.start_of(period + 1) - timedelta(days=1)

    def as_of_day(self, period: int) -> int:
        """Days from 1970-01-01 to the last day of `period`."""
        return self.start_of(period + 1).toordinal() - 1 - _EPOCH

    def periods_of(self, days: ArrayLike) -> NDArray[np.int64]:
        """The period of each date in `days` (datetime64[D], same shape)."""
        days = np.asarray(days, dtype="datetime64[D]")
        if self.frequency is Frequency.WEEK:
            return (days.astype(np.int64) + _MONDAY_OFFSET) // 7
        months = days.astype("datetime64[M]").astype(np.int64) + 1970 * 12
        return months if self.frequency is Frequency.MONTH else months // 3

    def sql_period(self, day: str) -> str:
        """SQL for the period of the date expression `day`, the same in DuckDB and Spark."""
        if self.frequency is Frequency.WEEK:
            return f"CAST(floor((datediff('day', DATE '1970-01-01', {day}) + {_MONDAY_OFFSET}) / 7) AS BIGINT)"
        if self.frequency is Frequency.MONTH:
            return f"CAST(year({day}) * 12 + month({day}) - 1 AS BIGINT)"
        return f"CAST(year({day}) * 4 + quarter({day}) - 1 AS BIGINT)"

    def sql_day_within(self, day: str) -> str:
        """SQL for the days from the start of its period to the date expression `day`, in DuckDB and Spark."""
        if self.frequency is Frequency.WEEK:
            since_monday = f"datediff('day', DATE '1970-01-01', {day}) + {_MONDAY_OFFSET}"
            return f"CAST({since_monday} - 7 * {self.sql_period(day)} AS INTEGER)"
        if self.frequency is Frequency.MONTH:
            return f"CAST(day({day}) - 1 AS INTEGER)"
        return f"CAST(datediff('day', make_date(year({day}), quarter({day}) * 3 - 2, 1), {day}) AS INTEGER)"

    def season_of(self, period: int) -> int:
        """Which part of the year `period` is, from 0."""
        if self.frequency is Frequency.WEEK:
            return min(self.start_of(period).timetuple().tm_yday // 7, 51)
        return period % self.periods_per_year
