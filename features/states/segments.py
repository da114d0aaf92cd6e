"""Groups of similar customers: kind, tier and age band, and what each group holds and acquires."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..calendar import Calendar
from ..chunks import BLOCK_SIZE
from ..contracts import BIRTH_DATE, FOUNDED_ON, KIND, KINDS, TIER
from ..kernels import kernel
from .history import HoldingsHistory
from .profile import MISSING_CODE, MISSING_DAY, Profile

DAYS_PER_YEAR = 365.2425
RETAIL_AGE_BANDS = (25.0, 35.0, 45.0, 55.0, 65.0)
CORPORATE_AGE_BANDS = (3.0, 10.0, 20.0)
_CORPORATE = KINDS.index("corporate")
_BANDS = max(len(RETAIL_AGE_BANDS), len(CORPORATE_AGE_BANDS)) + 2  # one more for unknown

SEGMENT_SOURCES = frozenset({KIND, TIER, BIRTH_DATE, FOUNDED_ON})
"""Columns of customers that segments are made of; whatever reads a segment is made of them too."""

SHRINKAGE = 200.0
"""Customers' worth of the whole bank's rate that a segment's own rate is mixed with, so small groups stay sane."""

ACQUISITION_WINDOW = 3
"""Periods over which a segment's acquisitions are counted."""


def segment_count(profile: Profile) -> int:
    """How many segments there are: every kind, tier (or none) and age band (or unknown)."""
    return len(KINDS) * (len(profile.vocabularies[TIER]) + 1) * _BANDS


def ages_in_years(born: NDArray[np.int32], as_of_day: int) -> NDArray[np.float32]:
    """Years from `born` (days since 1970, `MISSING_DAY`: NaN) to `as_of_day`."""
    years = np.empty(len(born), dtype=np.float32)
    _find_ages(born, as_of_day, years)
    return years


def segments_of(profile: Profile, versions: NDArray[np.int64], as_of_day: int) -> NDArray[np.int32]:
    """Shape (len(versions),): the segment of each profile version.

    Of a customer not known yet (-1) nothing is known: retail, no tier, no age.
    """
    codes, days = profile.codes, profile.days
    segments = np.empty(len(versions), dtype=np.int32)
    _find_segments(
        versions, codes[KIND], codes[TIER], days[BIRTH_DATE], days[FOUNDED_ON], len(profile.vocabularies[TIER]),
        as_of_day, segments,
    )  # fmt: skip
    return segments


def retiered(segments: NDArray[np.int32], tiers: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.int32]:
    """Segments numbered by the tiers of one vocabulary, renumbered by another; a tier it lacks counts as none."""
    translation = np.array([*(wanted.index(t) if t in wanted else len(wanted) for t in tiers), len(wanted)])
    groups, band = np.divmod(segments, _BANDS)
    kind, tier = np.divmod(groups, len(tiers) + 1)
    return ((kind * (len(wanted) + 1) + translation[tier]) * _BANDS + band).astype(np.int32)


def adoption_by_segment(
    profile: Profile, history: HoldingsHistory, calendar: Calendar, depth: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What each segment held and acquired, looking from each of the last `depth` periods.

    Returns
    -------
    holding_share : float32, shape (depth, n_segments, n_products); share of the segment's customers who hold
    acquisition_rate : float32, same shape; acquisitions a customer and period over `ACQUISITION_WINDOW` periods,
        as far as known at that date
    Both are shrunk towards the rate of all customers of the kind by `SHRINKAGE` customers' weight.
    """
    n_segments, n_products = segment_count(profile), history.n_products
    shape = (depth, n_segments, n_products)
    holding_share = np.zeros(shape, dtype=np.float32)
    acquisition_rate = np.zeros(shape, dtype=np.float32)
    per_kind = n_segments // len(KINDS)
    for age in range(depth):
        held = np.zeros(shape[1:])
        added = np.zeros(shape[1:])
        sizes = np.zeros(n_segments)
        period = history.as_of_period - age
        as_of_day = calendar.as_of_day(period)
        known = profile.known_at(period, as_of_day)
        for start in range(0, len(known), BLOCK_SIZE):
            positions = known[start : start + BLOCK_SIZE]
            segments = segments_of(profile, profile.versions_at(positions, period), as_of_day)
            _count(segments, history.words_at(positions, period), held, added, sizes)
        for counts, out in ((held, holding_share), (added / ACQUISITION_WINDOW, acquisition_rate)):
            for kind in range(len(KINDS)):
                own = slice(kind * per_kind, (kind + 1) * per_kind)
                overall = counts[own].sum(axis=0) / max(sizes[own].sum(), 1.0)
                out[age, own] = (counts[own] + SHRINKAGE * overall) / (sizes[own, None] + SHRINKAGE)
    return holding_share, acquisition_rate


@kernel
def age_in_years(born, as_of_day):  # type: ignore[no-untyped-def]
    """One of `ages_in_years`, for other kernels."""
    if born == MISSING_DAY:
        return np.float32(np.nan)
    return np.float32((as_of_day - np.float64(born)) / DAYS_PER_YEAR)


@kernel
def _find_ages(born, as_of_day, years):  # type: ignore[no-untyped-def]
    for row in range(len(born)):
        years[row] = age_in_years(born[row], as_of_day)


@kernel
def _band_of(age, bands):  # type: ignore[no-untyped-def]
    if np.isnan(age):
        return _BANDS - 1
    band = 0
    for begin in bands:
        band += age >= begin
    return band


@kernel
def _find_segments(versions, kinds, tiers, born, founded, n_tiers, as_of_day, segments):  # type: ignore[no-untyped-def]
    for row in range(len(versions)):
        version = versions[row]
        kind, tier, band = 0, n_tiers, _BANDS - 1
        if version >= 0:
            kind = max(kinds[version], 0)
            if tiers[version] != MISSING_CODE:
                tier = tiers[version]
            if kind == _CORPORATE:
                band = _band_of(age_in_years(founded[version], as_of_day), CORPORATE_AGE_BANDS)
            else:
                band = _band_of(age_in_years(born[version], as_of_day), RETAIL_AGE_BANDS)
        segments[row] = (kind * (n_tiers + 1) + tier) * _BANDS + band


@kernel
def _count(segments, words, held, added, sizes):  # type: ignore[no-untyped-def]
    for row in range(len(segments)):
        segment = segments[row]
        sizes[segment] += 1
        for product in range(words.shape[1]):
            word = words[row, product]
            if word == 0:
                continue
            held[segment, product] += word & np.uint64(1)
            adds = word & ~(word >> np.uint64(1))
            for age in range(ACQUISITION_WINDOW):
                added[segment, product] += (adds >> np.uint64(age)) & np.uint64(1)
