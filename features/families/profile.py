"""Features of who the customer is: the profile's version known at the date."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..contracts import BRANCH_ID, RM_ID
from ..kernels import kernel
from ..states import CustomerStates
from ..states.profile import MISSING_CODE
from ..states.segments import age_in_years
from .family import Feature, FeatureFamily

_REFERENCES = (BRANCH_ID, RM_ID)  # who serves the customer: for lists, not for models


class ProfileFeatures(FeatureFamily):
    """Numbers and codes as they are, dates as years before the date."""

    name = "profile"

    def define(self, states: CustomerStates) -> list[Feature]:
        """One column for each column of the profile that any customer fills."""
        profile = states.profile
        self._numbers = [name for name, column in profile.numbers.items() if not np.isnan(column).all()]
        self._codes = [name for name in profile.codes if name not in _REFERENCES and profile.vocabularies[name]]
        self._days = list(profile.days)
        return [
            *(Feature(name, f"{name} of the customer", "number") for name in self._numbers),
            *(Feature(name, f"{name}, as the rank of the text among {_texts(states, name)}", "code")
              for name in self._codes),
            *(Feature(f"years_since_{name}", f"years since {name}; negative: ahead", "years") for name in self._days),
            Feature("season", "which part of the year comes next, from 0", "code"),
        ]  # fmt: skip

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """Gather the versions; customers not known yet keep NaN but for the season."""
        profile, calendar = block.states.profile, block.states.calendar
        _lay_out(
            block.versions,
            _gathered(profile.numbers, self._numbers, block.versions, np.float32),
            _gathered(profile.codes, self._codes, block.versions, np.int32),
            _gathered(profile.days, self._days, block.versions, np.int32),
            calendar.as_of_day(block.period),
            calendar.season_of(block.period + 1),
            out,
        )


def _gathered(columns: dict[str, NDArray], names: list[str], versions: NDArray[np.int64], dtype: type) -> NDArray:
    """Shape (len(names), len(versions)); of customers not known yet, whose version is -1, anything."""
    found: NDArray = np.empty((len(names), len(versions)), dtype=dtype)
    for place, name in enumerate(names):
        columns[name].take(versions, out=found[place], mode="clip")
    return found


@kernel
def _lay_out(versions, numbers, codes, days, as_of_day, season, out):  # type: ignore[no-untyped-def]
    n_numbers, n_codes = len(numbers), len(codes)
    for row in range(len(versions)):
        out[row, out.shape[1] - 1] = season
        if versions[row] < 0:
            continue
        for place in range(n_numbers):
            out[row, place] = numbers[place, row]
        for place in range(n_codes):
            if codes[place, row] != MISSING_CODE:
                out[row, n_numbers + place] = codes[place, row]
        for place in range(len(days)):
            out[row, n_numbers + n_codes + place] = age_in_years(days[place, row], as_of_day)


def _texts(states: CustomerStates, name: str) -> str:
    words = states.profile.vocabularies[name]
    return ", ".join(words[:4]) + (", ..." if len(words) > 4 else "")
