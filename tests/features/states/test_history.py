from collections.abc import Sequence
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import BuildConfig, build_states
from features.calendar import HISTORY_BITS, Calendar, Frequency
from features.errors import BadInput
from features.states.history import NO_DAY, HoldingsHistory
from tests.features.banks import NEWEST_DAY, RandomBank, Tables, write_parquet
from tests.oracles.history import Account, HistoryOracle

CUSTOMERS = ("c0", "c1", "c2")
PRODUCTS = ("p0", "p1")
MONTHS = Calendar()
NEWEST = MONTHS.period_of(NEWEST_DAY)


def pack(accounts: list[Account], calendar: Calendar, newest: int) -> HoldingsHistory:
    """The history of CUSTOMERS and PRODUCTS, from the accounts known at the end of `newest`."""
    end = calendar.end_of(newest)
    known = sorted((a for a in accounts if a.is_known_on(end)), key=lambda a: (a.customer, a.product))

    def ages(days: list[date | None]) -> np.ndarray:
        return np.array(
            [-1 if day is None or day > end else newest - calendar.period_of(day) for day in days], np.int32
        )

    never = calendar.period_of(date(1900, 1, 1))
    recorded = [max((day for day in (a.opened_on, a.recorded_on) if day is not None), default=None) for a in known]
    return HoldingsHistory.from_accounts(
        n_customers=len(CUSTOMERS),
        n_products=len(PRODUCTS),
        as_of_period=newest,
        customers=np.array([CUSTOMERS.index(a.customer) for a in known], np.int64),
        products=np.array([PRODUCTS.index(a.product) for a in known], np.int16),
        opened_ages=ages([a.opened_on for a in known]),
        closed_ages=ages([a.closed_on for a in known]),
        opened_days=np.array([day_within(a, calendar) for a in known], np.int16),
        recorded_periods=np.array([calendar.period_of(day) if day else never for day in recorded], np.int32),
    )


def day_within(account: Account, calendar: Calendar) -> int:
    if account.opened_on is None or (account.closed_on is not None and account.closed_on <= account.opened_on):
        return NO_DAY
    return (account.opened_on - calendar.start_of(calendar.period_of(account.opened_on))).days


def began_on(history: HoldingsHistory, calendar: Calendar, position: int = 0, product: int = 0) -> date | None:
    """The day, from the period that the words show and the day kept."""
    day = history.day_begun(position, product)
    if day is None:
        return None
    held = bits(history.words_at(np.array([position]), history.as_of_period)[0, product])
    return calendar.start_of(history.as_of_period - held.index(False) + 1) + timedelta(days=day)


def bits(word: np.uint64) -> list[bool]:
    return [bool(int(word) >> age & 1) for age in range(HISTORY_BITS)]


def assert_history_agrees(
    history: HoldingsHistory,
    oracle: HistoryOracle,
    customers: Sequence[str],
    products: Sequence[str],
    ages: Sequence[int],
) -> None:
    everyone = np.arange(len(customers))
    for (row, customer), (column, product_) in product(enumerate(customers), enumerate(products)):
        began = began_on(history, oracle.calendar, row, column)
        assert began == oracle.began_on(customer, product_), f"{customer} {product_}"
    for age in ages:
        period = oracle.newest - age
        words = history.words_at(everyone, period)
        held = history.holdings_at(period).toarray()
        opened = {h: history.opened_within(everyone, period, h) for h in (1, 3) if h <= age}
        for (row, customer), (column, product_) in product(enumerate(customers), enumerate(products)):
            where = f"{customer} {product_} {age} periods before the newest"
            assert bits(words[row, column]) == oracle.word(customer, product_, period), where
            assert held[row, column] == oracle.held(customer, product_, period, period), where
            for horizon, acquired in opened.items():
                assert acquired[row, column] == oracle.acquired(customer, product_, period, horizon), (where, horizon)
        for window in (1, 3, 24, 80):
            added = history.added_within(period, window)
            exposure, drops = history.spells(period, window)
            for column, product_ in enumerate(products):
                where = f"{product_} in {window} periods, {age} before the newest"
                assert added[column] == oracle.added_within(product_, period, window), where
                assert (exposure[column], drops[column]) == oracle.spells(product_, period, window), where


@st.composite
def days(draw: st.DrawFn, calendar: Calendar) -> date:
    """Days of the last 70 periods and some after them; ends of periods, and recent ones, more often than others."""
    age = draw(st.one_of(st.integers(-2, 6), st.integers(7, 70), st.sampled_from((62, 63, 64, 65, 200))))
    start, end = calendar.start_of(NEWEST_OF[calendar] - age), calendar.end_of(NEWEST_OF[calendar] - age)
    return draw(st.one_of(st.just(start), st.just(end), st.dates(start, end)))


CALENDARS = [Calendar(frequency) for frequency in Frequency]
NEWEST_OF = {calendar: calendar.period_of(NEWEST_DAY) for calendar in CALENDARS}


@st.composite
def banks(draw: st.DrawFn) -> tuple[Calendar, list[Account]]:
    calendar = draw(st.sampled_from(CALENDARS))
    accounts = []
    for _ in range(draw(st.integers(0, 8))):
        opened = draw(st.none() | days(calendar))
        closed = draw(st.none() | days(calendar))
        recorded = draw(st.none() | days(calendar))
        if opened and closed and closed < opened:
            opened, closed = closed, opened
        accounts.append(
            Account(draw(st.sampled_from(CUSTOMERS)), draw(st.sampled_from(PRODUCTS)), opened, closed, recorded)
        )
    return calendar, accounts


@settings(max_examples=60, deadline=None)
@given(banks())
def test_a_history_packed_from_accounts_says_what_the_accounts_say(bank: tuple[Calendar, list[Account]]) -> None:
    calendar, accounts = bank
    newest = NEWEST_OF[calendar]
    oracle = HistoryOracle(accounts, calendar, newest)
    assert_history_agrees(pack(accounts, calendar, newest), oracle, CUSTOMERS, PRODUCTS, (0, 1, 3, 30, 63))


def accounts_of(tables: Tables) -> list[Account]:
    return [
        Account(row["customer_id"], row["product_id"], row["opened_on"], row["closed_on"], row["recorded_on"])
        for row in tables["accounts"]
    ]


@pytest.mark.parametrize(
    ("seed", "frequency"),
    [(1, Frequency.MONTH), (2, Frequency.MONTH), (3, Frequency.WEEK), (4, Frequency.QUARTER), (5, Frequency.MONTH)],
)
def test_a_history_built_from_tables_says_what_the_accounts_say(
    tmp_path: Path, seed: int, frequency: Frequency
) -> None:
    calendar = Calendar(frequency)
    bank = RandomBank(seed, calendar)
    tables = bank.tables()
    needed = {name: tables[name] for name in ("customers", "products", "accounts")}
    write_parquet(tmp_path / "tables", needed)
    states = build_states(
        tmp_path / "tables", tmp_path / "workspace", BuildConfig(period=frequency), as_of=NEWEST_DAY
    ).states
    oracle = HistoryOracle(accounts_of(tables), calendar, bank.newest)
    customers = [states.customer_id(row) for row in range(states.n_customers)]
    assert customers == sorted(bank.customer_ids)
    assert states.manifest.n_accounts == sum(a.is_known_on(NEWEST_DAY) for a in oracle.accounts)
    assert_history_agrees(states.history, oracle, customers, states.catalogue.product_ids, (0, 1, 3, 17))


# ---------------------------------------------------------------------------------- examples that can be seen by eye


def one(
    opened: date | None, closed: date | None = None, recorded: date | None = None, *more: Account
) -> HoldingsHistory:
    return pack([Account("c0", "p0", opened, closed, recorded), *more], MONTHS, NEWEST)


def word(history: HoldingsHistory, age: int = 0) -> int:
    return int(history.words_at(np.array([0]), NEWEST - age)[0, 0])


def acquired(history: HoldingsHistory, age: int, horizon: int = 1) -> bool:
    return bool(history.opened_within(np.array([0]), NEWEST - age, horizon)[0, 0])


def test_an_account_is_held_from_the_end_of_its_first_month_to_the_month_before_it_closes() -> None:
    history = one(date(2024, 2, 10), date(2024, 5, 3))
    # June: no, May: closed, April, March, February: held
    assert word(history) == 0b11100
    assert [word(history, age) for age in (1, 2, 3, 4, 5)] == [0b1110, 0b111, 0b11, 0b1, 0]
    assert [acquired(history, age) for age in (3, 4, 5, 6)] == [False, False, True, False]


def test_an_account_closed_on_the_last_day_of_a_month_is_not_held_at_its_end() -> None:
    assert word(one(date(2024, 4, 1), date(2024, 5, 31))) == 0b100
    assert word(one(date(2024, 4, 1), date(2024, 6, 1))) == 0b110


def test_an_account_opened_on_the_last_day_of_a_month_is_held_at_its_end() -> None:
    assert word(one(date(2024, 4, 30))) == 0b111


def test_opened_and_closed_within_a_month_is_never_held_but_an_acquisition() -> None:
    history = one(date(2024, 4, 3), date(2024, 4, 28))
    assert word(history) == 0
    assert acquired(history, age=3)
    assert not acquired(history, age=2)


def test_a_second_account_of_a_product_held_is_no_acquisition() -> None:
    second = Account("c0", "p0", date(2024, 5, 15))
    assert not acquired(one(date(2024, 1, 1), None, None, second), age=2)
    # after the first one has closed it is
    assert acquired(one(date(2024, 1, 1), date(2024, 3, 1), None, second), age=2)


def test_an_account_recorded_late_is_invisible_until_recorded_and_then_known_from_its_opening() -> None:
    history = one(date(2024, 2, 10), None, date(2024, 5, 2))
    assert word(history, age=2) == 0  # at the end of April nobody knew
    assert word(history, age=1) == 0b1111  # at the end of May: February to May
    assert word(history, age=0) == 0b11111
    assert history.holdings_at(NEWEST - 2).nnz == 0
    assert history.holdings_at(NEWEST - 1).nnz == 1


def test_labels_see_what_was_recorded_late() -> None:
    history = one(date(2024, 2, 10), None, date(2024, 5, 2))
    assert acquired(history, age=5)  # February, whenever it was recorded
    second = Account("c0", "p0", date(2024, 4, 10))
    # at the end of March it was held, though the bank did not know: the second account is no acquisition
    assert not acquired(one(date(2024, 2, 10), None, date(2024, 5, 2), second), age=3)


def test_recorded_within_the_month_of_opening_is_on_time() -> None:
    assert len(one(date(2024, 2, 10), None, date(2024, 2, 29)).late_pairs) == 0
    assert len(one(date(2024, 2, 10), None, date(2024, 3, 1)).late_pairs) == 1


def test_an_unknown_opening_was_long_ago_and_is_never_an_acquisition() -> None:
    history = one(None)
    everything = 2**64 - 1
    assert [word(history, age) for age in (0, 1, 63)] == [everything] * 3
    assert not any(acquired(history, age) for age in range(1, 64))
    assert word(one(None, date(2024, 5, 3))) == everything - 0b11


def test_views_of_the_past_show_no_add_where_memory_ends() -> None:
    # a broken version shifted zeros in: every account older than memory looked opened 63 - age periods before
    long_ago = NEWEST_DAY - timedelta(days=366 * 20)
    for history in (one(long_ago), one(None, None, long_ago)):
        assert word(history, age=10) == 2**64 - 1
    dropped = one(long_ago, date(2024, 1, 5))
    assert word(dropped, age=2) == 2**64 - 1 - 0b1111


def test_what_opened_beyond_the_newest_period_is_refused() -> None:
    history = one(date(2024, 2, 10))
    for age, horizon in ((0, 1), (2, 3), (1, 0)):
        with pytest.raises(BadInput, match="not known"):
            history.opened_within(np.array([0]), NEWEST - age, horizon)


def test_adds_and_spells_of_one_account() -> None:
    history = one(date(2024, 2, 10), date(2024, 5, 3))
    # held at the ends of February, March and April; at risk in March, April and May, in which it ended
    assert [history.added_within(NEWEST, window).tolist() for window in (4, 5, 99)] == [[0, 0], [1, 0], [1, 0]]
    assert [history.added_within(NEWEST - age, 1)[0] for age in (3, 4, 5)] == [0, 1, 0]
    for age, window, exposure, drops in ((0, 1, 0, 0), (0, 2, 1, 1), (0, 12, 3, 1), (2, 12, 2, 0), (4, 12, 0, 0)):
        found = [counts[0] for counts in history.spells(NEWEST - age, window)]
        assert found == [exposure, drops], (age, window)


def test_adds_and_spells_show_late_accounts_once_they_are_recorded() -> None:
    late = one(date(2024, 2, 10), date(2024, 5, 3), date(2024, 4, 2))
    assert [late.added_within(NEWEST - age, 6)[0] for age in (0, 2, 3)] == [1, 1, 0]
    assert [counts[0] for counts in late.spells(NEWEST - 2, 6)] == [2, 0]  # March and April
    assert [counts[0] for counts in late.spells(NEWEST - 3, 6)] == [0, 0]


def test_where_memory_ends_nothing_is_added_and_no_time_is_at_risk() -> None:
    always = one(None)
    for age in (0, 10):
        assert always.added_within(NEWEST - age, 64)[0] == 0
        assert always.spells(NEWEST - age, 64)[0][0] == 63 - age  # the oldest period remembered began before memory


# ----------------------------------------------------------------------------------------- the day a holding began on


def test_a_holding_began_on_the_day_of_its_first_account() -> None:
    assert began_on(one(date(2024, 2, 10)), MONTHS) == date(2024, 2, 10)
    assert began_on(one(date(2024, 2, 29), None, None, Account("c0", "p0", date(2024, 2, 10))), MONTHS) == date(
        2024, 2, 10
    )
    # one that goes on when the first one ends, or begins in the month in which it ended, continues it
    for second in (date(2024, 3, 31), date(2024, 4, 1), date(2024, 4, 30)):
        history = one(date(2024, 2, 10), date(2024, 4, 1), None, Account("c0", "p0", second))
        assert began_on(history, MONTHS) == date(2024, 2, 10), second
    # not held at the end of April
    history = one(date(2024, 2, 10), date(2024, 4, 1), None, Account("c0", "p0", date(2024, 5, 7)))
    assert began_on(history, MONTHS) == date(2024, 5, 7)


def test_in_its_first_period_too_a_gap_within_is_no_interruption() -> None:
    second = Account("c0", "p0", date(2024, 5, 20))
    assert began_on(one(date(2024, 5, 3), date(2024, 5, 10), None, second), MONTHS) == date(2024, 5, 3)
    # never open, not for a day
    assert began_on(one(date(2024, 5, 3), date(2024, 5, 3), None, second), MONTHS) == date(2024, 5, 20)


def test_what_is_recorded_late_counts_from_its_opening() -> None:
    assert began_on(one(date(2024, 2, 10), None, date(2024, 5, 2)), MONTHS) == date(2024, 2, 10)
    # closes the gap between two others
    others = Account("c0", "p0", date(2024, 1, 5), date(2024, 2, 5)), Account("c0", "p0", date(2024, 4, 8))
    assert began_on(one(date(2024, 2, 20), date(2024, 4, 1), None, *others), MONTHS) == date(2024, 1, 5)
    assert began_on(one(date(2024, 2, 20), date(2024, 4, 1), date(2024, 6, 1), *others), MONTHS) == date(2024, 1, 5)


def test_no_day_where_none_is_known() -> None:
    for history in (
        one(None),
        one(None, None, None, Account("c0", "p0", date(2024, 5, 7))),
        one(MONTHS.start_of(NEWEST - 63)),  # the oldest period remembered
        one(date(2024, 2, 10), date(2024, 5, 7)),  # not held
    ):
        assert began_on(history, MONTHS) is None
    assert began_on(one(MONTHS.start_of(NEWEST - 62)), MONTHS) == MONTHS.start_of(NEWEST - 62)
    assert one(date(2024, 5, 7)).day_begun(1, 0) is None
    assert one(date(2024, 5, 7)).day_begun(0, 1) is None
