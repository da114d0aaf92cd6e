"""The facets by which customers are told apart in an evaluation: what was known of them when they were asked about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates
from features.contracts import BIRTH_DATE, FOUNDED_ON, KINDS, ONBOARDED_ON, TIER
from features.states.profile import MISSING_CODE, MISSING_DAY
from features.states.segments import CORPORATE_AGE_BANDS, RETAIL_AGE_BANDS, ages_in_years

from .slices import Facet

TENURE_YEARS = (1.0, 3.0, 10.0)
"""Years since the customer joined at which tenure bands begin."""

FIRST_SEEN_PERIODS = 3
"""Customers whom the bank did not know as many periods before are called new."""

UNKNOWN = "unknown"


class CustomerFacets:
    """Kind, tier, tenure, holdings, new or known, and age: each of a bounded number of labels."""

    def __init__(self, states: CustomerStates) -> None:
        self._tiers = states.profile.vocabularies[TIER]
        retail = _bands("aged {}", RETAIL_AGE_BANDS)
        corporate = _bands("company of {} years", CORPORATE_AGE_BANDS)
        self._n_retail_bands = len(retail)
        self.facets: tuple[Facet, ...] = (
            Facet("kind", KINDS),
            Facet("tier", (*self._tiers, UNKNOWN)),
            Facet("tenure", (*_bands("{} years", TENURE_YEARS), UNKNOWN)),
            Facet("holdings", ("never held anything", "holds nothing now", "holds 1 or 2", "holds 3 or more")),
            Facet("acquaintance", (f"first seen within {FIRST_SEEN_PERIODS} periods", "seen before")),
            Facet("age", (*retail, *corporate, UNKNOWN)),
        )

    def codes(self, block: CustomerBlock) -> NDArray[np.int16]:
        """Int16, shape (n_customers, n_facets); places in each facet's labels."""
        states = block.states
        profile, kinds = states.profile, block.kinds
        known, versions = block.versions >= 0, np.maximum(block.versions, 0)
        as_of_day = states.calendar.as_of_day(block.period)

        def years_since(column: str) -> NDArray[np.float32]:
            return ages_in_years(np.where(known, profile.days[column][versions], MISSING_DAY), as_of_day)

        tier = np.where(known, profile.codes[TIER][versions], MISSING_CODE)
        held = block.held.sum(axis=1)
        ever = (block.words != 0).any(axis=1)
        ages, companies = (
            _banded(years_since(BIRTH_DATE), RETAIL_AGE_BANDS),
            _banded(years_since(FOUNDED_ON), CORPORATE_AGE_BANDS),
        )
        unknown_age = len(self.facets[-1].labels) - 1
        is_company = kinds == KINDS.index("corporate")
        age = np.where(
            is_company,
            np.where(companies < 0, unknown_age, companies + self._n_retail_bands),
            np.where(ages < 0, unknown_age, ages),
        )
        tenure = _banded(years_since(ONBOARDED_ON), TENURE_YEARS)
        seen = states.are_known_at(block.positions, block.period - FIRST_SEEN_PERIODS)
        columns = (
            kinds,
            np.where(tier == MISSING_CODE, len(self._tiers), tier),
            np.where(tenure < 0, len(TENURE_YEARS) + 1, tenure),
            np.where(held > 2, 3, np.where(held > 0, 2, np.where(ever, 1, 0))),
            seen,
            age,
        )
        return np.stack([np.asarray(column) for column in columns], axis=1).astype(np.int16)


def _bands(label: str, limits: Sequence[float]) -> tuple[str, ...]:
    """What each band is called, `label` naming what is counted."""
    whole = [int(limit) for limit in limits]
    between = (f"{low} to {high - 1}" for low, high in pairwise(whole))
    return tuple(
        label.format(band).replace(" 1 years", " 1 year")
        for band in (f"less than {whole[0]}", *between, f"{whole[-1]} or more")
    )


def _banded(years: NDArray[np.float32], limits: Sequence[float]) -> NDArray[np.int64]:
    """The band of each; -1 where unknown."""
    bands = np.searchsorted(np.asarray(limits), years, side="right")
    return np.where(np.isnan(years), -1, bands)
