from datetime import date, timedelta

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar import Calendar, Frequency

WEEKS, MONTHS, QUARTERS = (Calendar(frequency) for frequency in Frequency)
CALENDARS = (WEEKS, MONTHS, QUARTERS)
DAYS = st.dates(date(1950, 1, 1), date(2100, 12, 31))


@settings(max_examples=60, deadline=None)
@given(st.lists(DAYS, min_size=1, max_size=40))
def test_python_numpy_and_sql_agree_on_the_period_of_a_day(days: list[date]) -> None:
    with duckdb.connect() as connection:
        for calendar in CALENDARS:
            expected = [calendar.period_of(day) for day in days]
            assert calendar.periods_of(np.array(days, dtype="datetime64[D]")).tolist() == expected
            sql = calendar.sql_period("day")
            rows = connection.execute(
                f"SELECT {sql} FROM (SELECT unnest(?::DATE[]) AS day, unnest(?) AS i) ORDER BY i",
                [days, list(range(len(days)))],
            ).fetchall()
            assert [period for (period,) in rows] == expected
            within = connection.execute(
                f"SELECT {calendar.sql_day_within('day')} FROM (SELECT unnest(?::DATE[]) AS day, unnest(?) AS i)"
                " ORDER BY i",
                [days, list(range(len(days)))],
            ).fetchall()
            starts = [calendar.start_of(period) for period in expected]
            assert [day for (day,) in within] == [(d - start).days for d, start in zip(days, starts, strict=True)]


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: calendar.frequency)
@given(day=DAYS)
def test_a_day_lies_within_its_period_and_periods_follow_each_other(calendar: Calendar, day: date) -> None:
    period = calendar.period_of(day)
    assert calendar.start_of(period) <= day <= calendar.end_of(period)
    assert calendar.end_of(period) + timedelta(days=1) == calendar.start_of(period + 1)
    assert calendar.period_of(calendar.start_of(period)) == period
    assert calendar.period_of(calendar.end_of(period)) == period
    assert date(1970, 1, 1) + timedelta(days=calendar.as_of_day(period)) == calendar.end_of(period)


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: calendar.frequency)
@given(day=DAYS)
def test_a_season_is_a_part_of_the_year(calendar: Calendar, day: date) -> None:
    assert 0 <= calendar.season_of(calendar.period_of(day)) < calendar.periods_per_year


def test_months() -> None:
    february = MONTHS.period_of(date(2024, 2, 29))
    assert february == 2024 * 12 + 1
    assert MONTHS.start_of(february) == date(2024, 2, 1)
    assert MONTHS.end_of(february) == date(2024, 2, 29)
    assert MONTHS.end_of(february - 2) == date(2023, 12, 31)
    assert MONTHS.season_of(february) == 1
    assert MONTHS.as_of_day(MONTHS.period_of(date(1970, 1, 1))) == 30


def test_quarters() -> None:
    second = QUARTERS.period_of(date(2024, 4, 1))
    assert second == 2024 * 4 + 1
    assert QUARTERS.period_of(date(2024, 3, 31)) == second - 1
    assert (QUARTERS.start_of(second), QUARTERS.end_of(second)) == (date(2024, 4, 1), date(2024, 6, 30))
    assert QUARTERS.season_of(second) == 1


def test_weeks_begin_on_monday() -> None:
    monday = date(2024, 7, 1)
    assert monday.isoweekday() == 1
    week = WEEKS.period_of(monday)
    assert WEEKS.period_of(date(2024, 6, 30)) == week - 1
    assert WEEKS.period_of(date(2024, 7, 7)) == week
    assert (WEEKS.start_of(week), WEEKS.end_of(week)) == (monday, date(2024, 7, 7))
    assert WEEKS.period_of(date(1970, 1, 1)) == 0
    assert WEEKS.period_of(date(1969, 12, 28)) == -1
    assert WEEKS.season_of(WEEKS.period_of(date(2024, 12, 31))) == 51
