"""What the layers of a decision ask of each customer: group, age, tier, risk assessment, assets and debts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.contracts import BIRTH_DATE, FOUNDED_ON, KIND, KINDS, RISK_LEVEL, TIER
from features.kernels import kernel
from features.states.panels import Panel
from features.states.profile import MISSING_DAY, Profile

from .civil import civil_of
from .rule_tables import Groups

RETAIL = KINDS.index("retail")
MISSING_ASSESSMENT, EXPIRED_ASSESSMENT = 1, 2
"""What is wrong with a risk assessment, as bits."""


@dataclass(frozen=True)
class CustomerFacts:
    """What is known of the customers of a block on the day of a decision; arrays of shape (n_customers,).

    Attributes
    ----------
    groups : int32; group of the policy's rules
    kinds : int8; index into `KINDS`, ``len(KINDS)``: not known
    ages : float32; completed years, of companies since they were founded; NaN: not known
    tiers : int16; rank among the policy's tiers, -1: none
    levels : int8; risk level, 1 to 5, 0: none
    assessments : int8; bits of what is wrong with the assessment
    assets : float32; average balances of the period over all products but debts, NaN: none known
    debts : float32; average balances of the period that are owed
    """

    groups: NDArray[np.int32]
    kinds: NDArray[np.int8]
    ages: NDArray[np.float32]
    tiers: NDArray[np.int16]
    levels: NDArray[np.int8]
    assessments: NDArray[np.int8]
    assets: NDArray[np.float32]
    debts: NDArray[np.float32]

    @classmethod
    def empty(cls, n: int) -> CustomerFacts:
        """Arrays for `n` customers, to be filled."""
        return cls(
            np.empty(n, np.int32), np.empty(n, np.int8), np.empty(n, np.float32), np.empty(n, np.int16),
            np.empty(n, np.int8), np.empty(n, np.int8), np.empty(n, np.float32), np.empty(n, np.float32),
        )  # fmt: skip


class Profiles(NamedTuple):
    """The columns of the states' profile that facts are made of, shape (n_versions,), and ranks of tiers.

    Attributes
    ----------
    ranks : int16, shape (n_words + 1,); of each text of a tier among the policy's, -1: none; last, that of no tier
    """

    kinds: NDArray[np.int32]
    tiers: NDArray[np.int32]
    born: NDArray[np.int32]
    founded: NDArray[np.int32]
    levels: NDArray[np.float32]
    assessed: NDArray[np.int32]
    expires: NDArray[np.int32]
    ranks: NDArray[np.int16]

    @classmethod
    def of(cls, profile: Profile, groups: Groups) -> Profiles:
        """Those of `profile`, tiers ranked as in `groups`."""
        words = profile.vocabularies[TIER]
        ranks = [groups.tiers.index(word) if word in groups.tiers else -1 for word in words]
        return cls(
            profile.codes[KIND],
            profile.codes[TIER],
            profile.days[BIRTH_DATE],
            profile.days[FOUNDED_ON],
            profile.numbers[RISK_LEVEL],
            profile.days["risk_assessed_on"],
            profile.days["risk_expires_on"],
            np.array([*ranks, -1], dtype=np.int16),
        )


class Series(NamedTuple):
    """A panel of the states, as kernels read it."""

    indptr: NDArray[np.int64]
    keys: NDArray[np.int16]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, panel: Panel) -> Series:
        """Those of `panel`."""
        return cls(panel.indptr, panel.keys, panel.values)


class Stages(NamedTuple):
    """What tells groups and facts of customers apart.

    Attributes
    ----------
    n_tiers : tiers of the policy
    from_ages, to_ages : float32, shape (n_stages,); completed years of each stage of life
    debts : bool, shape (n_products,); whose balances are owed
    valid_days : days for which a risk assessment holds at most
    """

    n_tiers: int
    from_ages: NDArray[np.float32]
    to_ages: NDArray[np.float32]
    debts: NDArray[np.bool_]
    valid_days: int


class Moment(NamedTuple):
    """When a decision is made.

    Attributes
    ----------
    day : since 1970-01-01, and its date
    age : periods between that of the block and the newest of the states
    """

    day: int
    year: int
    month: int
    day_of_month: int
    age: int

    @classmethod
    def of(cls, day: date, age: int) -> Moment:
        """`day`, seen from a period of that `age`."""
        return cls(days_since_epoch(day), day.year, day.month, day.day, age)


def days_since_epoch(day: date) -> int:
    """Days from 1970-01-01 to `day`."""
    return (day - date(1970, 1, 1)).days


@kernel
def _completed_years(born, today):  # type: ignore[no-untyped-def]
    year, month, day_of_month = civil_of(np.int64(born))
    years = today.year - year
    if today.month < month or (today.month == month and today.day_of_month < day_of_month):
        years -= 1
    return years


@kernel
def rows(start, stop, positions, versions, jumps, profiles, balances, stages, today, found):  # type: ignore[no-untyped-def]
    """Write the facts of some rows into `found`, the arrays of `CustomerFacts`; `jumps` as `FreshEvents.jumps`."""
    groups, kinds, ages, tiers, levels, assessments, assets, owed = found
    n_kinds, n_stages = len(KINDS), len(stages.from_ages)
    for row in range(start, stop):
        version = versions[row]
        kind, tier, level = n_kinds, np.int64(-1), np.int64(0)
        born, assessed, expires = np.int64(MISSING_DAY), np.int64(MISSING_DAY), np.int64(MISSING_DAY)
        if version >= 0:
            if profiles.kinds[version] >= 0:
                kind = np.int64(profiles.kinds[version])
                born = np.int64(profiles.born[version] if kind == RETAIL else profiles.founded[version])
            tier = np.int64(profiles.ranks[profiles.tiers[version]])  # without a tier, -1: the last one
            if profiles.levels[version] >= 1:
                level = np.int64(profiles.levels[version])
            assessed, expires = np.int64(profiles.assessed[version]), np.int64(profiles.expires[version])
        completed = np.float32(np.nan)
        if born != MISSING_DAY:
            completed = np.float32(_completed_years(born, today))
        stage = n_stages
        if kind == RETAIL:
            for candidate in range(n_stages):
                if stages.from_ages[candidate] <= completed <= stages.to_ages[candidate]:
                    stage = candidate
        wrong = 0
        if level == 0 or (assessed == MISSING_DAY and expires == MISSING_DAY) or assessed > today.day:
            wrong |= MISSING_ASSESSMENT
        over = assessed != MISSING_DAY and today.day > assessed + stages.valid_days
        if over or (expires != MISSING_DAY and today.day > expires):
            wrong |= EXPIRED_ASSESSMENT
        own, due, known = 0.0, 0.0, False
        for series in range(balances.indptr[positions[row]], balances.indptr[positions[row] + 1]):
            value = balances.values[series, today.age]
            if value == value:
                if stages.debts[balances.keys[series]]:
                    due += value
                else:
                    own += value
                    known = True
        if jumps[row, 0] == jumps[row, 0]:
            own += jumps[row, 0]
            known = True
        tier_group = tier if tier >= 0 else stages.n_tiers
        groups[row] = (kind * (stages.n_tiers + 1) + tier_group) * (n_stages + 1) + stage
        kinds[row], ages[row], tiers[row] = kind, completed, tier
        levels[row], assessments[row] = level, wrong
        assets[row] = own if known else np.nan
        owed[row] = due
