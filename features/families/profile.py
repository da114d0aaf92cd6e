"""Features of who the customer is: the profile's version known at the date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..contracts import BRANCH_ID, RM_ID
from ..profile import MISSING_CODE
from ..segments import ages_in_years
from .family import Feature, FeatureFamily

if TYPE_CHECKING:
    from ..block import CustomerBlock
    from ..states import CustomerStates

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
        known: NDArray[np.bool_] | slice = block.versions >= 0
        versions = block.versions[known]
        if len(versions) == block.n_customers:
            known = slice(None)  # everybody, as a rule: writing a whole column is several times as fast
        as_of_day = calendar.as_of_day(block.period)
        column = 0
        for name in self._numbers:
            out[known, column] = profile.numbers[name][versions]
            column += 1
        for name in self._codes:
            codes = profile.codes[name][versions]
            out[known, column] = np.where(codes == MISSING_CODE, np.nan, codes)
            column += 1
        for name in self._days:
            out[known, column] = ages_in_years(profile.days[name][versions], as_of_day)
            column += 1
        out[:, column] = calendar.season_of(block.period + 1)


def _texts(states: CustomerStates, name: str) -> str:
    words = states.profile.vocabularies[name]
    return ", ".join(words[:4]) + (", ..." if len(words) > 4 else "")
