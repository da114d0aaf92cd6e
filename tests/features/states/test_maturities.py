"""Maturities in customer states are what the tables say, as known at the date of the build."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from features.build import BuildConfig, build_states
from features.states import CustomerStates
from features.states.events import NEVER
from tests.features.banks import NEWEST_DAY, RandomBank, Row, Tables, write_parquet
from tests.features.test_calendar import MONTHS

JUNE = MONTHS.period_of(NEWEST_DAY)
COLUMNS = ("product", "happened_on", "known_on", "matures_on", "closed_on")


def build(
    folder: Path, accounts: list[Row], customers: list[Row] | None = None, config: BuildConfig | None = None
) -> CustomerStates:
    tables: Tables = {"products": RandomBank(0, MONTHS).tables()["products"], "accounts": accounts}
    tables["customers"] = customers or [{"customer_id": name, "kind": "retail"} for name in ("c0", "c1", "c2")]
    write_parquet(folder / "tables", tables)
    return build_states(folder / "tables", folder / "workspace", config, as_of=NEWEST_DAY).states


def account(account_id: str, customer_id: str, **days: date) -> Row:
    return {"account_id": account_id, "customer_id": customer_id, "product_id": "deposit"} | days


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def maturities_of(states: CustomerStates, customer_id: str) -> list[tuple[int, ...]]:
    """The customer's rows of COLUMNS."""
    position = states.position_of(customer_id)
    rows = slice(*states.maturities.indptr[position : position + 2])
    return list(zip(*(states.maturities.columns[name][rows].tolist() for name in COLUMNS), strict=True))


def test_maturities_are_what_the_accounts_say(tmp_path: Path) -> None:
    opened, matures = date(2024, 3, 5), date(2024, 9, 5)
    states = build(
        tmp_path,
        [
            account("a1", "c1", opened_on=opened, matures_on=matures),
            account("a2", "c1", opened_on=opened, matures_on=date(2024, 6, 5), closed_on=date(2024, 6, 6)),
            account("a3", "c1", opened_on=opened),
            account("a4", "c2", opened_on=opened, matures_on=matures, recorded_on=date(2024, 6, 30)),
            account("a5", "c2", opened_on=opened, matures_on=matures, recorded_on=date(2024, 7, 1)),
            account("a6", "c2", opened_on=opened, matures_on=date(2024, 8, 1), closed_on=date(2024, 7, 15)),
        ],
    )
    deposit = states.catalogue.position_of("deposit")
    start, autumn = day("2024-03-05"), day("2024-09-05")
    assert maturities_of(states, "c0") == []
    assert maturities_of(states, "c1") == [  # by maturity
        (deposit, start, start, day("2024-06-05"), day("2024-06-06")),
        (deposit, start, start, autumn, NEVER),
    ]
    assert maturities_of(states, "c2") == [
        (deposit, start, start, day("2024-08-01"), NEVER),  # a closing that lies ahead is not known
        (deposit, start, day("2024-06-30"), autumn, NEVER),
    ]
    assert states.maturities.vocabularies["product"] == states.catalogue.product_ids
    kinds = {name: column.dtype for name, column in states.maturities.columns.items()}
    assert kinds == dict.fromkeys(COLUMNS, np.dtype(np.int32)) | {"product": np.dtype(np.int16)}


def test_an_account_without_opening_was_known_from_its_recording_or_always(tmp_path: Path) -> None:
    matures = date(2024, 9, 5)
    states = build(
        tmp_path,
        [
            account("a0", "c0", opened_on=date(2024, 1, 1)),
            account("a1", "c1", matures_on=matures, recorded_on=date(2024, 5, 2)),
            account("a2", "c2", matures_on=matures),
        ],
    )
    deposit, always = states.catalogue.position_of("deposit"), day("0001-01-01")
    assert maturities_of(states, "c1") == [(deposit, always, day("2024-05-02"), day("2024-09-05"), NEVER)]
    assert maturities_of(states, "c2") == [(deposit, always, always, day("2024-09-05"), NEVER)]


def test_what_matured_before_the_periods_kept_is_left_out(tmp_path: Path) -> None:
    opened = date(2020, 1, 1)
    accounts = [
        account("a0", "c0", opened_on=opened, matures_on=date(2024, 3, 31)),
        account("a1", "c1", opened_on=opened, matures_on=date(2024, 4, 1)),
    ]
    states = build(tmp_path, accounts, config=BuildConfig(history_periods=3))
    assert [len(maturities_of(states, name)) for name in ("c0", "c1")] == [0, 1]


@pytest.mark.parametrize("seed", [31, 32, 33])
def test_maturities_of_a_random_bank_are_what_its_accounts_say(tmp_path: Path, seed: int) -> None:
    tables = RandomBank(seed, MONTHS).tables()
    states = build(tmp_path, tables["accounts"], tables["customers"])
    kept_from = MONTHS.start_of(JUNE - 35)
    expected: dict[str, list[tuple]] = {states.customer_id(row): [] for row in range(states.n_customers)}
    for row in sorted(tables["accounts"], key=lambda row: (row["matures_on"] or date.min, row["account_id"])):
        opened = row["opened_on"] or date.min
        known = max(opened, row["recorded_on"] or date.min)
        if row["matures_on"] is None or row["matures_on"] < kept_from or known > NEWEST_DAY:
            continue
        product, epoch = states.catalogue.position_of(row["product_id"]), date(1970, 1, 1)
        dates = [(moment - epoch).days for moment in (opened, known, row["matures_on"])]
        closed = row["closed_on"]
        dates.append((closed - epoch).days if closed and closed <= NEWEST_DAY else NEVER)
        expected[row["customer_id"]].append((product, *dates))
    assert {name: maturities_of(states, name) for name in expected} == expected
    assert sum(map(len, expected.values())) > 10
