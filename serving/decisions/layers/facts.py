"""What the layers of a decision ask of each customer: group, age, tier, risk assessment, assets and debts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.contracts import BIRTH_DATE, FOUNDED_ON, KIND, KINDS, RISK_LEVEL, TIER
from features.profile import MISSING_DAY

from .civil import civil_of
from .rule_tables import Groups

RETAIL = KINDS.index("retail")
FEW = 64
"""Customers below which waking the threads costs more than the arithmetic, in all kernels of a decision."""

CHUNK = 256
"""Customers that a thread takes at a time, in all kernels of a decision."""

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


class _Profiles(NamedTuple):
    kinds: NDArray[np.int32]
    tiers: NDArray[np.int32]
    born: NDArray[np.int32]
    founded: NDArray[np.int32]
    levels: NDArray[np.float32]
    assessed: NDArray[np.int32]
    expires: NDArray[np.int32]


class _Balances(NamedTuple):
    indptr: NDArray[np.int64]
    keys: NDArray[np.int16]
    values: NDArray[np.float32]


def facts_of(
    block: CustomerBlock,
    groups: Groups,
    debts: NDArray[np.bool_],
    day: date,
    valid_days: int,
    jumps: NDArray[np.float32],
) -> CustomerFacts:
    """The facts of `block` on `day`.

    Parameters
    ----------
    debts : bool, shape (n_products,); whose balances are owed
    valid_days : days for which a risk assessment holds at most
    jumps : float32, shape (n_customers,); what newer events add to the assets, NaN: nothing
    """
    states, n = block.states, block.n_customers
    profile, panel = states.profile, states.balances
    words = profile.vocabularies[TIER]
    ranks = np.array([groups.tiers.index(word) if word in groups.tiers else -1 for word in words] + [-1], np.int16)
    profiles = _Profiles(
        profile.codes[KIND],
        profile.codes[TIER],
        profile.days[BIRTH_DATE],
        profile.days[FOUNDED_ON],
        profile.numbers[RISK_LEVEL],
        profile.days["risk_assessed_on"],
        profile.days["risk_expires_on"],
    )
    found = CustomerFacts(
        np.empty(n, np.int32), np.empty(n, np.int8), np.empty(n, np.float32), np.empty(n, np.int16),
        np.empty(n, np.int8), np.empty(n, np.int8), np.empty(n, np.float32), np.empty(n, np.float32),
    )  # fmt: skip
    arguments = (
        block.positions, block.versions, profiles, ranks, groups.shape, groups.from_ages, groups.to_ages,
        days_since_epoch(day), (day.year, day.month, day.day), valid_days,
        _Balances(panel.indptr, panel.keys, panel.values), states.age_of(block.period), debts, jumps,
        tuple(vars(found).values()),
    )  # fmt: skip
    if n < FEW:
        _rows(0, n, *arguments)
    else:
        _many(*arguments)
    return found


def days_since_epoch(day: date) -> int:
    """Days from 1970-01-01 to `day`."""
    return (day - date(1970, 1, 1)).days


@numba.njit(cache=True, nogil=True)
def _completed_years(born, today):  # type: ignore[no-untyped-def]
    year, month, day_of_month = civil_of(np.int64(born))
    years = today[0] - year
    if today[1] < month or (today[1] == month and today[2] < day_of_month):
        years -= 1
    return years


@numba.njit(cache=True, nogil=True)
def _rows(  # type: ignore[no-untyped-def]
    start, stop, positions, versions, profiles, ranks, shape, from_ages, to_ages, day, today, valid_days, balances,
    age, debts, jumps, found,
):  # fmt: skip
    groups, kinds, ages, tiers, levels, assessments, assets, owed = found
    n_kinds, n_tiers, n_stages = shape[0] - 1, shape[1] - 1, shape[2] - 1
    for row in range(start, stop):
        version = versions[row]
        kind, tier, level = n_kinds, np.int64(-1), np.int64(0)
        born, assessed, expires = np.int64(MISSING_DAY), np.int64(MISSING_DAY), np.int64(MISSING_DAY)
        if version >= 0:
            if profiles.kinds[version] >= 0:
                kind = np.int64(profiles.kinds[version])
                born = np.int64(profiles.born[version] if kind == RETAIL else profiles.founded[version])
            tier = np.int64(ranks[profiles.tiers[version]])  # without a tier, -1: the last one
            if profiles.levels[version] >= 1:
                level = np.int64(profiles.levels[version])
            assessed, expires = np.int64(profiles.assessed[version]), np.int64(profiles.expires[version])
        completed = np.float32(np.nan)
        if born != MISSING_DAY:
            completed = np.float32(_completed_years(born, today))
        stage = n_stages
        if kind == RETAIL:
            for candidate in range(n_stages):
                if from_ages[candidate] <= completed <= to_ages[candidate]:
                    stage = candidate
        wrong = 0
        if level == 0 or (assessed == MISSING_DAY and expires == MISSING_DAY) or assessed > day:
            wrong |= MISSING_ASSESSMENT
        if (expires != MISSING_DAY and day > expires) or (assessed != MISSING_DAY and day > assessed + valid_days):
            wrong |= EXPIRED_ASSESSMENT
        own, due, known = 0.0, 0.0, False
        for series in range(balances.indptr[positions[row]], balances.indptr[positions[row] + 1]):
            value = balances.values[series, age]
            if value == value:
                if debts[balances.keys[series]]:
                    due += value
                else:
                    own += value
                    known = True
        if jumps[row] == jumps[row]:
            own += jumps[row]
            known = True
        tier_group = tier if tier >= 0 else n_tiers
        groups[row] = (kind * (n_tiers + 1) + tier_group) * (n_stages + 1) + stage
        kinds[row], ages[row], tiers[row] = kind, completed, tier
        levels[row], assessments[row] = level, wrong
        assets[row] = own if known else np.nan
        owed[row] = due


@numba.njit(cache=True, nogil=True, parallel=True)
def _many(  # type: ignore[no-untyped-def]
    positions, versions, profiles, ranks, shape, from_ages, to_ages, day, today, valid_days, balances, age, debts,
    jumps, found,
):  # fmt: skip
    n = len(positions)
    for chunk in numba.prange((n + CHUNK - 1) // CHUNK):
        _rows(
            chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), positions, versions, profiles, ranks, shape, from_ages,
            to_ages, day, today, valid_days, balances, age, debts, jumps, found,
        )  # fmt: skip
