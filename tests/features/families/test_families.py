from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features import block_of, feature_set_of
from features.build import BuildConfig, build_states
from features.calendar import Calendar, Frequency
from features.errors import BadInput
from features.families import FAMILIES
from features.states import CustomerStates
from tests.features.banks import NEWEST_DAY, RandomBank, Tables, write_parquet
from tests.oracles.features import FeatureOracle

BANKS = [
    (11, Frequency.MONTH, 36),
    (12, Frequency.MONTH, 64),
    (13, Frequency.MONTH, 8),
    (14, Frequency.WEEK, 36),
    (15, Frequency.QUARTER, 24),
]


def build(folder: Path, tables: Tables, frequency: Frequency, history_periods: int) -> CustomerStates:
    write_parquet(folder / "tables", tables)
    config = BuildConfig(period=frequency, history_periods=history_periods)
    return build_states(folder / "tables", folder / "workspace", config, as_of=NEWEST_DAY).states


@pytest.fixture(scope="module", params=BANKS, ids=lambda bank: f"{bank[0]}-{bank[1]}-{bank[2]}")
def bank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[CustomerStates, Tables]:
    seed, frequency, history_periods = request.param
    tables = RandomBank(seed, Calendar(frequency)).tables()
    return build(tmp_path_factory.mktemp("bank"), tables, frequency, history_periods), tables


@pytest.mark.parametrize("age", [0, 1, 5])
def test_every_feature_equals_the_oracle_of_its_name(bank: tuple[CustomerStates, Tables], age: int) -> None:
    states, tables = bank
    period = states.as_of_period - age
    oracle = FeatureOracle(tables, states.calendar, states.as_of_period, states.manifest.depth)
    block = block_of(states, np.arange(states.n_customers), period)
    names = feature_set_of(states).names
    for row in range(states.n_customers):
        customer = states.customer_id(row)
        expected = oracle.features(customer, period)
        assert set(names) == set(expected), "every feature has an oracle and every oracle a feature"
        np.testing.assert_allclose(
            block.features[row],
            [expected[name] for name in names],
            rtol=1e-5,
            atol=1e-5,
            err_msg=f"{customer} {age} periods before the newest; columns: {list(enumerate(names))}",
        )


def test_customers_known_at_a_date_equal_the_oracles(bank: tuple[CustomerStates, Tables]) -> None:
    states, tables = bank
    oracle = FeatureOracle(tables, states.calendar, states.as_of_period)
    for age in range(states.manifest.depth):
        period = states.as_of_period - age
        known = [states.customer_id(row) for row in states.known_at(period)]
        assert known == [c for c in map(states.customer_id, range(states.n_customers)) if oracle.is_known(c, period)]


def test_each_family_has_its_columns_in_the_dictionary(bank: tuple[CustomerStates, Tables]) -> None:
    states, _ = bank
    dictionary = feature_set_of(states).dictionary()
    assert [row["name"] for row in dictionary] == list(feature_set_of(states).names)
    assert len(set(feature_set_of(states).names)) == len(feature_set_of(states).names)
    assert {row["family"] for row in dictionary} == {family.name for family in FAMILIES}
    assert all(row["meaning"] and row["dtype"] for row in dictionary)


def test_a_bank_without_optional_tables_has_no_columns_for_them(tmp_path: Path) -> None:
    tables = RandomBank(16, Calendar()).tables()
    needed = {name: tables[name] for name in ("customers", "products", "accounts")}
    states = build(tmp_path, needed, Frequency.MONTH, 36)
    families = {row["family"] for row in feature_set_of(states).dictionary()}
    assert families == {"holdings", "profile", "adoption"}
    assert not any(name.startswith("partner") for name in feature_set_of(states).names)
    empty: Tables = {name: [] for name in ("balances", "activity", "payments", "contacts", "complaints")}
    oracle = FeatureOracle(tables | empty, states.calendar, states.as_of_period)
    features = block_of(states, np.arange(states.n_customers), states.as_of_period).features
    for row in range(states.n_customers):
        expected = oracle.features(states.customer_id(row), states.as_of_period)
        np.testing.assert_allclose(
            features[row], [expected[name] for name in feature_set_of(states).names], rtol=1e-5, atol=1e-5
        )


def test_an_attribute_with_the_name_of_a_feature_is_refused(tmp_path: Path) -> None:
    # two columns of one name: a model asking for one would be given either
    bank = RandomBank(17, Calendar(), n_customers=3).tables()
    folder = write_parquet(tmp_path / "tables", {name: bank[name] for name in ("customers", "products", "accounts")})
    customers = pq.read_table(folder / "customers.parquet")
    names = ["season" if name == "score" else name for name in customers.column_names]
    pq.write_table(customers.rename_columns(names), folder / "customers.parquet")
    states = build_states(folder, tmp_path / "workspace", as_of=NEWEST_DAY).states
    with pytest.raises(BadInput, match="the attribute 'season' of customers has the name of a feature"):
        _ = feature_set_of(states)
