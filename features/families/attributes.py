"""Features of who the customer is: the profile's version known at the date."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..contracts import BIRTH_DATE, BRANCH_ID, FOUNDED_ON, KIND, ONBOARDED_ON, RM_ID
from ..kernels import kernel
from ..states import CustomerStates
from ..states.profile import MISSING_CODE
from ..states.segments import age_in_years
from .family import Beside, FeatureFamily
from .feature import Feature, Measure, Subject, Title, TopicKey

_REFERENCES = (BRANCH_ID, RM_ID)  # who serves the customer: for lists, not for models


class ProfileFeatures(FeatureFamily):
    """Numbers and codes as they are, dates as years before the date."""

    name = "profile"
    title = Title("profile", "客户画像")
    beside = (Beside.SEGMENT,)

    def define(self, states: CustomerStates) -> list[Feature]:
        """One column for each column of the profile that any customer fills."""
        profile = states.profile
        self._numbers = [name for name, column in profile.numbers.items() if not np.isnan(column).all()]
        self._codes = [name for name in profile.codes if name not in _REFERENCES and profile.vocabularies[name]]
        self._days = list(profile.days)
        return [
            *(
                Feature(
                    group=name, meaning=f"{name} of the customer", dtype="number", topic=_attribute(name),
                    measure=Measure.LEVEL, sources=frozenset({name}),
                )
                for name in self._numbers
            ),
            *(
                Feature(
                    group=name, meaning=f"{name}, as the rank of the text among {_texts(states, name)}", dtype="code",
                    topic=_attribute(name), measure=Measure.LEVEL, sources=frozenset({name}), vocabulary=name,
                )
                for name in self._codes
            ),
            *(
                Feature(
                    group=f"years_since_{name}", meaning=f"years since {name}; negative: ahead", dtype="years",
                    topic=_DATES.get(name) or TopicKey(f"date:{name}", Subject.UNSPOKEN), measure=Measure.AGO,
                    sources=frozenset({name}),
                )
                for name in self._days
            ),
            Feature(
                group="season", meaning="which part of the year comes next, from 0", dtype="code",
                topic=TopicKey("season", Subject.SEASON), measure=Measure.LEVEL,
            ),
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


_NOT_SAID = ("gender", KIND)
"""Nobody is told that it is for being a man or a woman; that somebody is a company goes without saying."""

_DATES = {
    BIRTH_DATE: TopicKey("age", Subject.AGE),
    FOUNDED_ON: TopicKey("founded", Subject.FOUNDED),
    ONBOARDED_ON: TopicKey("onboarding", Subject.ONBOARDING),
}
"""Topics of the dates that there are words for."""


def _attribute(name: str) -> TopicKey:
    subject = Subject.UNSPOKEN if name in _NOT_SAID else Subject.ATTRIBUTE
    return TopicKey(f"attribute:{name}", subject, name)


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
