import gzip
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from features import block_of, feature_set_of
from features.build import build_states
from features.errors import BadInput
from features.sources import BankTables
from features.sources.importers import import_coil
from features.sources.importers.coil import NUMBERS, PREMIUMS, PRODUCTS, TARGET, TYPES

from .test_importers import REAL_DATA, assert_clean, needs_real_data, query

POLICIES = [product for product, *_ in PRODUCTS if product != TARGET]
COLUMNS = [*TYPES, *NUMBERS, *(f"P{policy}" for policy in POLICIES), *(f"A{policy}" for policy in POLICIES), TARGET]


def write_policies(folder: Path, *customers: dict[str, int]) -> Path:
    """A row for each of `customers`, 1 in every column of the area and 0 elsewhere but for what is given."""
    folder.mkdir()
    rows = [
        ",".join(str(customer.get(column, int(column.startswith("M")))) for column in COLUMNS) for customer in customers
    ]
    text = "\n".join([",".join(COLUMNS), *rows, ""])
    (folder / "coil2000_train.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def two_customers(folder: Path) -> Path:
    """The first has two cars and a boat, of which the premiums are known, and a mobile home; the second has nothing."""
    return write_policies(
        folder,
        {"APERSAUT": 2, "PPERSAUT": 6, "APLEZIER": 1, "PPLEZIER": 1, TARGET: 1, "MOSTYPE": 33, "MKOOPKLA": 7},
        {"MOSTYPE": 3},
    )


def test_a_kind_of_policy_is_held_once_however_many_there_are(tmp_path: Path) -> None:
    import_coil(two_customers(tmp_path / "source"), tmp_path / "tables")
    accounts = query(tmp_path / "tables", "accounts", "SELECT account_id, customer_id, product_id ORDER BY ALL")
    assert accounts == [
        ("00001-CARAVAN", "00001", "CARAVAN"),
        ("00001-PERSAUT", "00001", "PERSAUT"),
        ("00001-PLEZIER", "00001", "PLEZIER"),
    ]


def test_a_premium_is_the_balance_of_its_policy(tmp_path: Path) -> None:
    import_coil(two_customers(tmp_path / "source"), tmp_path / "tables")
    balances = query(tmp_path / "tables", "balances", "SELECT customer_id, product_id, average_balance ORDER BY ALL")
    assert balances == [("00001", "PERSAUT", 1000.0), ("00001", "PLEZIER", 1.0)]


def test_only_the_area_becomes_attributes(tmp_path: Path) -> None:
    import_coil(two_customers(tmp_path / "source"), tmp_path / "tables")
    with BankTables.open(tmp_path / "tables") as tables:
        numbers = {attribute.name: attribute.is_number for attribute in tables.attributes}
    assert numbers == {name.lower(): True for name in NUMBERS} | {name.lower(): False for name in TYPES}
    customers = query(tmp_path / "tables", "customers", "SELECT customer_id, kind, mostype, moshoofd, mkoopkla")
    assert customers == [("00001", "retail", "33", "01", 7), ("00002", "retail", "03", "01", 1)]


def test_a_hidden_policy_is_not_given_away_by_its_premium(tmp_path: Path) -> None:
    """The reason why premiums are no attributes."""
    import_coil(two_customers(tmp_path / "source"), tmp_path / "tables")
    states = build_states(tmp_path / "tables", tmp_path / "workspace").states
    assert not states.manifest.dated
    block = block_of(states, np.array([0]), states.as_of_period)
    names = feature_set_of(states).names
    assert block.features[0, names.index("balance:cars")] == 1000
    hidden = np.zeros(block.held.shape, dtype=bool)
    hidden[0, states.catalogue.position_of("PERSAUT")] = True
    assert not (block.without(hidden).features[0] == 1000).any()


def test_a_missing_file_or_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty holds no coil2000_train\.csv\.gz"):
        import_coil(tmp_path / "empty", tmp_path / "tables")
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="has no column MOSTYPE"):
        import_coil(other, tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


@needs_real_data
def test_the_real_data_pass_every_check(tmp_path: Path) -> None:
    import_coil(REAL_DATA / "coil2000", tmp_path / "tables")
    # the counts of the challenge's documentation: 5,822 customers, 348 with a mobile home policy
    rows = assert_clean(tmp_path / "tables", date(2000, 2, 1))
    assert (rows["customers"], rows["products"]) == (5_822, 86 - 43 - 21)
    held = dict(query(tmp_path / "tables", "accounts", "SELECT product_id, count(*) GROUP BY 1"))
    assert held[TARGET] == 348
    assert set(held) == {*POLICIES, TARGET}


@needs_real_data
def test_holdings_and_premiums_are_those_of_the_file_row_by_row(tmp_path: Path) -> None:
    import_coil(REAL_DATA / "coil2000", tmp_path / "tables")
    with gzip.open(REAL_DATA / "coil2000" / "coil2000_train.csv.gz", "rt", encoding="utf-8-sig") as file:
        header, *lines = [line.split(",") for line in file.read().splitlines()]
    expected_accounts, expected_balances = [], []
    for number, line in enumerate(lines, start=1):
        row = dict(zip(header, map(int, line), strict=True))
        held = {product for product, *_ in PRODUCTS if row[TARGET if product == TARGET else f"A{product}"] > 0}
        expected_accounts += [(f"{number:05}", product) for product in sorted(held)]
        expected_balances += [
            (f"{number:05}", product, PREMIUMS[row[f"P{product}"]]) for product in sorted(held - {TARGET})
        ]
    assert query(tmp_path / "tables", "accounts", "SELECT customer_id, product_id ORDER BY ALL") == expected_accounts
    balances = query(tmp_path / "tables", "balances", "SELECT customer_id, product_id, average_balance ORDER BY ALL")
    assert balances == expected_balances
