"""Rewriting the future changes nothing that was known at an earlier date."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from features import block_of, feature_set_of
from features.blocks import CustomerBlock
from features.build import BuildConfig, build_states
from features.calendar import Calendar, Frequency
from features.contracts import TIER
from features.states import CustomerStates
from features.states.segments import retiered

from .banks import NEWEST_DAY, RandomBank, Tables, write_parquet
from .rewriting import rewrite_after

MONTHS = Calendar()
JUNE = MONTHS.period_of(NEWEST_DAY)


def build(folder: Path, tables: Tables, config: BuildConfig | None = None, as_of: date = NEWEST_DAY) -> CustomerStates:
    write_parquet(folder / "tables", tables)
    return build_states(folder / "tables", folder / "workspace", config, as_of=as_of).states


def everyone_known(states: CustomerStates, period: int) -> CustomerBlock:
    return block_of(states, states.known_at(period), period)


def assert_same_knowledge(one: CustomerBlock, other: CustomerBlock) -> None:
    """Bit for bit, customers by id and features by name."""
    ids, other_ids = ([b.states.customer_id(row) for row in b.positions] for b in (one, other))
    assert ids == other_ids
    assert len(ids) > 0
    tiers, other_tiers = (b.states.profile.vocabularies[TIER] for b in (one, other))
    np.testing.assert_array_equal(retiered(one.segments, tiers, other_tiers), other.segments)
    for name in ("words", "held", "candidates", "kinds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name, strict=True)
    columns, other_columns = (
        dict(zip(feature_set_of(b.states).names, b.features.T.view(np.uint32), strict=True)) for b in (one, other)
    )
    common = columns.keys() & other_columns.keys()
    assert {"held:card", "tier", "segment_holding_share:card", "products_held"} <= common
    differing = [name for name in sorted(common) if not np.array_equal(columns[name], other_columns[name])]
    assert differing == []
    for name in columns.keys() ^ other_columns.keys():  # what nobody had or used by then
        values = (columns | other_columns)[name].view(np.float32)
        assert np.all(np.isnan(values) | (values == 0)), name
    kept_from = MONTHS.start_of(max(b.states.as_of_period for b in (one, other)) - 35)
    maturities, other_maturities = (visible_maturities(b, kept_from) for b in (one, other))
    assert maturities == other_maturities
    assert len(maturities) > 0


def visible_maturities(block: CustomerBlock, kept_from: date) -> list[tuple[object, ...]]:
    """Customer, product, opening, when the bank knew, maturity, and whether still open, of what `block` could see."""
    states, columns = block.states, block.states.maturities.columns
    as_of_day = states.calendar.as_of_day(block.period)
    maturities: list[tuple[object, ...]] = []
    for position in block.positions:
        for event in range(*states.maturities.indptr[position : position + 2]):
            if columns["known_on"][event] > as_of_day or columns["matures_on"][event] < days(kept_from):
                continue
            dates = (int(columns[name][event]) for name in ("happened_on", "known_on", "matures_on"))
            closed_on = int(columns["closed_on"][event])
            closing = closed_on if closed_on <= as_of_day else None
            product_id = states.catalogue.product_ids[columns["product"][event]]
            maturities.append((states.customer_id(position), product_id, *dates, closing))
    return maturities


def days(day: date) -> int:
    return (day - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("seed", "frequency", "age"),
    [
        (1, Frequency.MONTH, 1),
        (2, Frequency.MONTH, 3),
        (3, Frequency.MONTH, 6),
        (4, Frequency.MONTH, 11),
        (5, Frequency.MONTH, 4),
        (6, Frequency.WEEK, 3),
        (7, Frequency.WEEK, 8),
        (8, Frequency.QUARTER, 2),
    ],
)
def test_rewriting_the_future_changes_nothing_known_before(
    tmp_path: Path, seed: int, frequency: Frequency, age: int
) -> None:
    calendar, config = Calendar(frequency), BuildConfig(period=frequency)
    bank = RandomBank(seed, calendar)
    tables, period = bank.tables(), bank.newest - age
    other_future = rewrite_after(tables, period, calendar, seed)
    assert tables["accounts"] != other_future["accounts"]
    one = build(tmp_path / "one", tables, config)
    other = build(tmp_path / "other", other_future, config)
    assert one.as_of_period == other.as_of_period == bank.newest
    for earlier in (period, period - 2):
        assert_same_knowledge(everyone_known(one, earlier), everyone_known(other, earlier))


@pytest.mark.parametrize(("seed", "age"), [(21, 2), (22, 7)])
def test_a_view_of_a_past_date_is_what_a_build_of_that_date_was(tmp_path: Path, seed: int, age: int) -> None:
    tables, period = RandomBank(seed, MONTHS).tables(), JUNE - age
    # memory ends 63 periods before the newest: an account opened just before that was still in the older build's
    remembered = MONTHS.start_of(JUNE - 62)
    forgotten = MONTHS.start_of(period - 63)
    tables["accounts"] = [
        row
        for row in tables["accounts"]
        if not any(day and forgotten <= day < remembered for day in (row["opened_on"], row["closed_on"]))
    ]
    later = build(tmp_path / "later", tables)
    then = build(tmp_path / "then", tables, as_of=MONTHS.end_of(period))
    assert then.as_of_period == period
    assert_same_knowledge(everyone_known(then, period), everyone_known(later, period))


@pytest.mark.parametrize(("seed", "age"), [(31, 1), (32, 5)])
def test_the_days_on_which_holdings_began_are_those_known_then(tmp_path: Path, seed: int, age: int) -> None:
    tables, period = RandomBank(seed, MONTHS).tables(), JUNE - age
    end = MONTHS.end_of(period)
    one = begun(build(tmp_path / "one", tables, as_of=end))
    other = begun(build(tmp_path / "other", rewrite_after(tables, period, MONTHS, seed), as_of=end))
    assert one == other
    assert len(one) > 5


def begun(states: CustomerStates) -> dict[tuple[str, str], int]:
    """The day within its period on which each holding began, by customer and product."""
    days_begun = {
        (states.customer_id(row), product_id): states.history.day_begun(row, column)
        for row in range(states.n_customers)
        for column, product_id in enumerate(states.catalogue.product_ids)
    }
    return {pair: day for pair, day in days_begun.items() if day is not None}


# --------------------------------------------------------------------------------- ways in which the future got in

CUSTOMER = {"kind": "retail", "valid_from": None, "onboarded_on": None, "tier": None, "city": None}


def customer(customer_id: str, **columns: object) -> dict:
    return CUSTOMER | {"customer_id": customer_id} | columns


def account(account_id: str, customer_id: str, opened_on: date | None, **columns: object) -> dict:
    row = {"account_id": account_id, "customer_id": customer_id, "product_id": "card", "opened_on": opened_on}
    return row | {"closed_on": None, "recorded_on": None} | columns


def small_bank(**tables: list[dict]) -> Tables:
    bank = RandomBank(0, MONTHS).tables()
    known = {"customers": [customer("c1")], "accounts": [account("a1", "c1", date(2023, 7, 1))]}
    return {"products": bank["products"]} | known | tables


def feature(states: CustomerStates, name: str, customer_id: str, period: int) -> float:
    block = block_of(states, np.array([states.position_of(customer_id)]), period)
    return float(block.features[0, feature_set_of(states).names.index(name)])


def test_a_later_version_with_a_known_text_does_not_renumber_the_texts(tmp_path: Path) -> None:
    # the rank went by min(valid_from), which passes over the versions that have always held
    always, later = customer("c1", city="b"), customer("c1", city="b", valid_from=date(2024, 6, 1))
    second = customer("c2", city="a", valid_from=date(2024, 1, 1))
    without = build(tmp_path / "without", small_bank(customers=[always, second]))
    with_ = build(tmp_path / "with", small_bank(customers=[always, second, later]))
    for states in (without, with_):
        assert feature(states, "city", "c1", JUNE - 2) == 0
        assert feature(states, "city", "c2", JUNE - 2) == 1


def test_a_later_customer_without_versions_does_not_renumber_the_texts(tmp_path: Path) -> None:
    old = [customer("c1", city="m", onboarded_on=date(2020, 1, 1)), customer("c2", city="n")]
    new = customer("c3", city="a", onboarded_on=date(2024, 6, 3))
    for folder, customers in (("without", old), ("with", [*old, new])):
        states = build(tmp_path / folder, small_bank(customers=customers))
        assert feature(states, "city", "c2", JUNE - 1) == 0  # known from the beginning
        assert feature(states, "city", "c1", JUNE - 1) == 1


def test_a_partner_counts_from_when_he_became_a_customer(tmp_path: Path) -> None:
    # before, those who would become customers later were partners without products
    customers = [customer("c1"), customer("c2"), customer("c3", onboarded_on=date(2024, 6, 3))]
    payments = [
        {"payer_id": "c1", "payee_id": payee, "period": date(2024, 5, 1), "count": 1, "amount": 5.0}
        for payee in ("c2", "c3")
    ]
    accounts = [account("a1", "c2", date(2023, 7, 1))]
    states = build(tmp_path, small_bank(customers=customers, payments=payments, accounts=accounts))
    assert feature(states, "partner_holding_share:card", "c1", JUNE - 1) == 1 / 1
    assert feature(states, "partner_holding_share:card", "c1", JUNE) == 1 / 2
    assert np.isnan(feature(states, "partner_holding_share:card", "c1", JUNE - 2))


def test_an_old_account_recorded_later_does_not_bring_older_balances_in(tmp_path: Path) -> None:
    # memory's depth went by the oldest account alone
    balances = [
        {"customer_id": "c1", "product_id": "card", "period": MONTHS.start_of(JUNE - age), "average_balance": amount}
        for age, amount in ((1, 20.0), (13, 10.0))
    ]
    accounts = [account("a1", "c1", date(2024, 1, 1))]
    late = account("a2", "c1", date(2022, 1, 1), recorded_on=date(2024, 6, 20))
    for folder, known in (("without", accounts), ("with", [*accounts, late])):
        states = build(tmp_path / folder, small_bank(accounts=known, balances=balances))
        change = feature(states, "balance_change_12", "c1", JUNE - 1)
        assert change == pytest.approx(np.log((20 + 1) / (10 + 1)), rel=1e-6)


def test_a_customer_not_known_yet_is_like_nobody_in_particular(tmp_path: Path) -> None:
    # before, such a customer fell into the segment of the bank's first one
    customers = [
        customer("c0", kind="corporate", tier="VIP"),
        customer("c1", tier="VIP", valid_from=date(2024, 6, 1)),
    ]
    states = build(tmp_path, small_bank(customers=customers, accounts=[account("a1", "c0", date(2023, 7, 1))]))
    block = block_of(states, np.array([1]), JUNE - 1)
    assert block.versions.tolist() == [-1]
    assert block.kinds.tolist() == [0]
    no_tier, no_age = 1, 6  # after the only tier; after five age bands and the first
    assert block.segments.tolist() == [(0 * 2 + no_tier) * 7 + no_age]
    assert block.candidates[0].tolist() == states.catalogue.on_sale(date(2024, 5, 31)).tolist()


def test_labels_see_what_was_recorded_later_and_features_do_not(tmp_path: Path) -> None:
    accounts = [
        account("a1", "c1", date(2024, 5, 7), recorded_on=date(2024, 6, 12)),
        account("a0", "c1", date(2023, 1, 1), product_id="deposit"),
    ]
    states = build(tmp_path, small_bank(accounts=accounts))
    position = np.array([0])
    assert states.history.opened_within(position, JUNE - 2, 1)[0].tolist() == [True, False, False, False, False]
    assert feature(states, "held:card", "c1", JUNE - 1) == 0
    assert feature(states, "held:card", "c1", JUNE) == 1
