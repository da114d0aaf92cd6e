from datetime import date

import numpy as np
import pytest

from features.contracts import BIRTH_DATE, FOUNDED_ON, KIND, ONBOARDED_ON, TIER
from features.states.history import HoldingsHistory
from features.states.profile import ALWAYS, MISSING_CODE, MISSING_DAY, Profile
from features.states.segments import (
    ACQUISITION_WINDOW,
    DAYS_PER_YEAR,
    SHRINKAGE,
    adoption_by_segment,
    ages_in_years,
    retiered,
    segment_count,
    segments_of,
)
from tests.features.test_calendar import MONTHS

TIERS = ("ordinary", "VIP")
N_TIERS, N_BANDS = len(TIERS) + 1, 7
RETAIL, CORPORATE = 0, 1
JUNE = MONTHS.period_of(date(2024, 6, 30))
TODAY = MONTHS.as_of_day(JUNE)


def years_ago(years: float) -> int:
    """The last day that lies `years` years before today or longer."""
    return TODAY - int(np.ceil(years * DAYS_PER_YEAR))


def profile(*rows: tuple[int, int, int, int]) -> Profile:
    """One customer a row: kind, tier, day of birth, day of founding."""
    kind, tier, born, founded = (np.array(column, np.int32) for column in zip(*rows, strict=True))
    n = len(rows)
    return Profile(
        indptr=np.arange(n + 1),
        valid_from=np.full(n, ALWAYS, np.int32),
        numbers={},
        codes={KIND: kind, TIER: tier},
        days={BIRTH_DATE: born, FOUNDED_ON: founded, ONBOARDED_ON: np.full(n, MISSING_DAY, np.int32)},
        vocabularies={KIND: ("retail", "corporate"), TIER: TIERS},
    )


def segment(kind: int, tier: int, band: int) -> int:
    return (kind * N_TIERS + tier) * N_BANDS + band


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((RETAIL, 0, years_ago(24.9), MISSING_DAY), segment(RETAIL, 0, 0)),
        ((RETAIL, 0, years_ago(25), MISSING_DAY), segment(RETAIL, 0, 1)),
        ((RETAIL, 1, years_ago(64.9), MISSING_DAY), segment(RETAIL, 1, 4)),
        ((RETAIL, 1, years_ago(65), MISSING_DAY), segment(RETAIL, 1, 5)),
        ((RETAIL, 1, MISSING_DAY, MISSING_DAY), segment(RETAIL, 1, 6)),
        ((RETAIL, MISSING_CODE, years_ago(100), years_ago(1)), segment(RETAIL, 2, 5)),
        ((CORPORATE, 0, MISSING_DAY, years_ago(2.9)), segment(CORPORATE, 0, 0)),
        ((CORPORATE, 0, MISSING_DAY, years_ago(3)), segment(CORPORATE, 0, 1)),
        ((CORPORATE, 0, MISSING_DAY, years_ago(20)), segment(CORPORATE, 0, 3)),
        ((CORPORATE, MISSING_CODE, years_ago(40), MISSING_DAY), segment(CORPORATE, 2, 6)),
        ((RETAIL, 0, TODAY + 400, MISSING_DAY), segment(RETAIL, 0, 0)),
    ],
)
def test_a_segment_is_kind_tier_and_age_band(row: tuple[int, int, int, int], expected: int) -> None:
    one = profile(row)
    assert segment_count(one) == 2 * N_TIERS * N_BANDS
    assert segments_of(one, np.array([0]), TODAY).tolist() == [expected]


def test_a_customer_not_known_yet_is_in_the_segment_of_unknowns_whoever_comes_first() -> None:
    for first in ((CORPORATE, 1, MISSING_DAY, years_ago(5)), (RETAIL, 0, years_ago(30), MISSING_DAY)):
        assert segments_of(profile(first), np.array([-1]), TODAY).tolist() == [segment(RETAIL, 2, 6)]


def test_ages_in_years() -> None:
    ages = ages_in_years(np.array([TODAY, TODAY - 365, TODAY + 365, MISSING_DAY], np.int32), TODAY)
    np.testing.assert_array_equal(ages, np.array([0, 365 / 365.2425, -365 / 365.2425, np.nan], np.float32))


def test_retiered_segments_keep_kind_and_band_and_go_by_the_tiers_name() -> None:
    segments = np.array([segment(kind, tier, 4) for kind in (RETAIL, CORPORATE) for tier in (0, 1, 2)], np.int32)
    assert retiered(segments, TIERS, TIERS).tolist() == segments.tolist()

    wanted = ("gold", "VIP", "ordinary")

    def renumbered(kind: int, tier: int) -> int:
        return (kind * (3 + 1) + tier) * N_BANDS + 4

    found = retiered(segments, TIERS, wanted).tolist()
    assert found == [renumbered(kind, tier) for kind in (RETAIL, CORPORATE) for tier in (2, 1, 3)]
    # "ordinary" is gone: it counts as none, which is now the first
    assert retiered(segments[:3], TIERS, ("VIP",)).tolist() == [(0 * 2 + tier) * N_BANDS + 4 for tier in (1, 0, 1)]


def test_rates_of_a_segment_are_mixed_with_those_of_200_customers_of_the_kind() -> None:
    young, old = (RETAIL, 0, years_ago(20), MISSING_DAY), (RETAIL, 0, years_ago(70), MISSING_DAY)
    company = (CORPORATE, 1, MISSING_DAY, years_ago(5))
    customers = profile(young, young, young, old, company)
    history = HoldingsHistory.from_accounts(
        n_customers=5,
        n_products=1,
        as_of_period=JUNE,
        customers=np.array([0, 1, 3, 4]),
        products=np.zeros(4, np.int16),
        opened_ages=np.array([0, 2, 3, 1], np.int32),  # three adds within three periods, one before
        closed_ages=np.array([-1, 1, -1, -1], np.int32),  # customer 1 held it for one period
        opened_days=np.zeros(4, np.int16),
        recorded_periods=np.array([JUNE, JUNE - 2, JUNE - 3, JUNE], np.int32),  # customer 4's a period late
    )
    assert (SHRINKAGE, ACQUISITION_WINDOW) == (200, 3)
    holding, acquisition = adoption_by_segment(customers, history, MONTHS, depth=3)
    assert holding.shape == acquisition.shape == (3, segment_count(customers), 1)

    def rates(array: np.ndarray, age: int) -> list[float]:
        own = [segment(RETAIL, 0, 0), segment(RETAIL, 0, 5), segment(CORPORATE, 1, 1)]
        return array[age, own, 0].tolist()

    # now: customers 0, 3 and 4 hold; retail: 2 of 4
    retail = 2 / 4
    assert rates(holding, 0) == pytest.approx(
        [(1 + 200 * retail) / (3 + 200), (1 + 200 * retail) / (1 + 200), (1 + 200 * 1) / (1 + 200)]
    )
    # adds within three periods: customers 0 and 1 (dropped since) of retail, customer 4
    retail = 2 / 3 / 4
    assert rates(acquisition, 0) == pytest.approx(
        [(2 / 3 + 200 * retail) / (3 + 200), (0 + 200 * retail) / (1 + 200), (1 / 3 + 200 * 1 / 3) / (1 + 200)]
    )
    # a period before: customer 3 alone held; customer 4's account was not recorded yet
    retail = 1 / 4
    assert rates(holding, 1) == pytest.approx([(0 + 200 * retail) / (3 + 200), (1 + 200 * retail) / (1 + 200), 0])
    # two periods before: added within three periods, seen from there: customers 1 and 3
    retail = 2 / 3 / 4
    assert rates(acquisition, 2) == pytest.approx(
        [(1 / 3 + 200 * retail) / (3 + 200), (1 / 3 + 200 * retail) / (1 + 200), 0]
    )
    # a segment without customers has the rate of its kind; a kind without customers none
    assert holding[0, segment(RETAIL, 1, 3), 0] == pytest.approx(2 / 4)
    assert np.all(np.isfinite(holding))
