"""Calendar dates in kernels: Hinnant, "chrono-Compatible Low-Level Date Algorithms". Days count from 1970-01-01."""

from __future__ import annotations

from features.kernels import kernel

_SHIFT = 719_468  # days from 0000-03-01 to 1970-01-01
_CYCLE = 146_097  # days of 400 years


@kernel
def civil_of(day):  # type: ignore[no-untyped-def]
    """Year, month and day of the month of a day."""
    z = day + _SHIFT
    era = z // _CYCLE
    day_of_era = z - era * _CYCLE
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return year, month, day_of_year - (153 * shifted + 2) // 5 + 1


@kernel
def day_of(year, month, day_of_month):  # type: ignore[no-untyped-def]
    """The day of a date; 29 February of a common year is 1 March."""
    shifted_year = year - (1 if month <= 2 else 0)
    era = shifted_year // 400
    year_of_era = shifted_year - era * 400
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day_of_month - 1
    return era * _CYCLE + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - _SHIFT
