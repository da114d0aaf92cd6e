"""Data that trip a model: every bank trains and scores with every model, or is refused by name."""

from datetime import date

import numpy as np
import pytest

from features import block_of, current_states
from features.build import build_states
from features.errors import BadInput, NotReady
from tests.training.banks import light, write_bank
from training.jobs.train import fit_bundle

MONTHS = [date(2024 + month // 12, month % 12 + 1, 10).isoformat() for month in range(13)]
"""A day in each of 13 months."""

PRODUCTS = ("card", "fund", "gold", "loan", "save")
CONFIG = light(train_periods=4)


class Bank:
    """Sixty retail and twenty corporate customers who open an account every third month or so; to be spoilt."""

    def __init__(self):
        rng = np.random.default_rng(7)
        self.customers = [
            {
                "customer_id": f"c{number:02}",
                "kind": "retail" if number < 60 else "corporate",
                "onboarded_on": "2023-06-01",
                "tier": ("basic", "gold")[number % 2],
                "birth_date": f"{1950 + number % 50}-05-05" if number < 60 else "",
                "shoe_size": str(36 + number % 9),
            }
            for number in range(80)
        ]
        self.products = [
            {"product_id": name, "name": name, "name_zh": "", "family": name[0], "customer_kind": "both"}
            for name in PRODUCTS
        ]
        self.accounts, self.balances = [], []
        for customer in self.customers:
            order = rng.permutation(len(PRODUCTS))
            months = np.flatnonzero(rng.random(len(MONTHS)) < 0.3)
            for product, month in zip(order, months, strict=False):
                self.open_account(customer["customer_id"], PRODUCTS[product], MONTHS[month])
                for later in MONTHS[month:]:
                    self.balances.append(
                        {
                            "customer_id": customer["customer_id"],
                            "product_id": PRODUCTS[product],
                            "period": later[:7],
                            "average_balance": str(rng.integers(1, 900)),
                        }
                    )

    def open_account(self, customer, product, day):
        account = {"account_id": f"a{len(self.accounts)}", "customer_id": customer, "product_id": product}
        self.accounts.append(account | {"opened_on": day})

    def keep(self, kept):
        """Only the accounts that `kept` says, with their balances."""
        self.accounts = [row for row in self.accounts if kept(row)]
        pairs = {(row["customer_id"], row["product_id"]) for row in self.accounts}
        self.balances = [row for row in self.balances if (row["customer_id"], row["product_id"]) in pairs]

    def forget(self, customers):
        """Take out all that the customers ever had."""
        self.keep(lambda row: row["customer_id"] not in customers)

    def states(self, folder):
        tables = {name: getattr(self, name) for name in ("customers", "products", "accounts", "balances")}
        build_states(write_bank(folder / "tables", {name: rows for name, rows in tables.items() if rows}), folder)
        return current_states(folder)


@pytest.fixture
def bank():
    return Bank()


def assert_trains_and_scores(states):
    """Every model gives a probability to every candidate, alone as among all; the bundle and everybody's block."""
    bundle, validation = fit_bundle(states, CONFIG)
    assert set(validation) == set(bundle.names)
    everyone = block_of(states, np.arange(states.n_customers), states.as_of_period)
    assert everyone.candidates.any()
    for name in bundle.names:
        found = bundle.propensities(everyone, name)
        assert np.isfinite(found).all(), name
        assert ((found[everyone.candidates] > 0) & (found[everyone.candidates] < 1)).all(), name
        alone = bundle.propensities(everyone.take(np.array([3])), name)
        assert alone.tobytes() == found[[3]].tobytes(), name
    return bundle, everyone


def sold(product_id, **more):
    return {"product_id": product_id, "name": product_id, "family": "more", "customer_kind": "both"} | more


def test_products_that_nobody_or_everybody_acquired(bank, tmp_path):
    bank.products += [sold("v_late"), sold("w_never"), sold("x_gone", on_sale_to="2020-01-01"), sold("y_had")]
    bank.open_account("c05", "v_late", MONTHS[9])  # for the first time in the validation periods
    for customer in bank.customers:
        bank.open_account(customer["customer_id"], "y_had", "2023-07-01")
    states = bank.states(tmp_path)
    bundle, everyone = assert_trains_and_scores(states)
    column = {name: states.catalogue.position_of(name) for name in ("v_late", "w_never", "x_gone", "y_had")}
    assert not everyone.candidates[:, [column["x_gone"], column["y_had"]]].any()
    for name in bundle.names:
        found = bundle.propensities(everyone, name)
        usual = found[:, : len(PRODUCTS)][everyone.candidates[:, : len(PRODUCTS)]].mean()
        # for sale for months and not acquired once: less than any other, but not nothing
        assert 0 < found[:, column["w_never"]].mean() < usual, name


def test_a_segment_of_one_and_customers_with_no_history(bank, tmp_path):
    bank.customers[3] |= {"tier": "royal", "birth_date": "1901-01-01"}
    bank.forget({"c04", "c70"})
    _, everyone = assert_trains_and_scores(bank.states(tmp_path))
    assert np.sum(everyone.segments == everyone.segments[3]) == 1
    assert not everyone.words[[4, 70]].any()


def test_a_kind_of_one(bank, tmp_path):
    for customer in bank.customers[61:]:
        customer["kind"] = "retail"
    _, everyone = assert_trains_and_scores(bank.states(tmp_path))
    assert np.sum(everyone.kinds == 1) == 1


def test_a_kind_of_nobody_to_learn_from(bank, tmp_path):
    for customer in bank.customers[60:]:
        customer["onboarded_on"] = "2025-01-05"
    bank.forget({customer["customer_id"] for customer in bank.customers[60:]})
    bundle, everyone = assert_trains_and_scores(bank.states(tmp_path))
    for name in bundle.names:
        # they came in the last month: what the bank's other customers do
        assert len(np.unique(bundle.propensities(everyone, name)[70])) > 1, name


def test_constant_columns_and_one_of_nothing_but_missing_values(bank, tmp_path):
    for customer in bank.customers:
        customer |= {"shoe_size": "42", "tier": "basic", "region": "north", "birth_date": ""}
    assert_trains_and_scores(bank.states(tmp_path))


def test_nothing_but_what_is_required(bank, tmp_path):
    bank.customers = [{name: row[name] for name in ("customer_id", "kind")} for row in bank.customers]
    bank.balances = []
    assert_trains_and_scores(bank.states(tmp_path))


@pytest.mark.parametrize("empty", [(4, 10), (8, 12)], ids=["training and test", "validation and the newest"])
def test_periods_without_data(bank, tmp_path, empty):
    months = tuple(MONTHS[month][:7] for month in empty)
    bank.keep(lambda row: not row["opened_on"].startswith(months))
    bank.balances = [row for row in bank.balances if row["period"] not in months]
    assert_trains_and_scores(bank.states(tmp_path))


def test_nobody_acquires_anything_to_learn_from(bank, tmp_path):
    bank.accounts = [
        row if row["opened_on"] >= MONTHS[8] else row | {"opened_on": "2023-07-01"} for row in bank.accounts
    ]
    assert_trains_and_scores(bank.states(tmp_path))


def test_one_product(bank, tmp_path):
    bank.products = bank.products[:1]
    bank.keep(lambda row: row["product_id"] == "card")
    assert_trains_and_scores(bank.states(tmp_path))


def test_four_customers(bank, tmp_path):
    bank.forget({customer["customer_id"] for customer in bank.customers[4:]})
    bank.customers = bank.customers[:4]
    bank.open_account("c01", "save", MONTHS[12])
    assert_trains_and_scores(bank.states(tmp_path))


def test_undated_holdings_with_a_product_nobody_holds_and_customers_of_whom_nothing_is_known(bank, tmp_path):
    bank.products.append(sold("w_never"))
    bank.forget({f"c{number:02}" for number in range(40)})
    bank.customers = [{name: row[name] for name in ("customer_id", "kind")} for row in bank.customers]
    bank.accounts, bank.balances = [row | {"opened_on": ""} for row in bank.accounts], []
    assert_trains_and_scores(bank.states(tmp_path))


class TestRefusedByName:
    def test_no_products(self, bank, tmp_path):
        bank.products, bank.accounts, bank.balances = [], [], []
        with pytest.raises(BadInput, match="products"):
            bank.states(tmp_path)

    def test_a_history_of_two_months(self, bank, tmp_path):
        bank.keep(lambda row: row["opened_on"] >= MONTHS[11])
        with pytest.raises(BadInput, match="history is too short"):
            fit_bundle(bank.states(tmp_path), CONFIG)

    def test_no_acquisition_on_the_validation_dates(self, bank, tmp_path):
        bank.keep(lambda row: row["opened_on"] < MONTHS[7])
        bank.open_account("c05", "save", MONTHS[12])
        with pytest.raises(NotReady, match="no acquisition on the validation dates"):
            fit_bundle(bank.states(tmp_path), CONFIG)

    def test_undated_holdings_of_one_customer(self, bank, tmp_path):
        bank.forget({f"c{number:02}" for number in range(1, 80)})
        bank.accounts, bank.balances = [row | {"opened_on": ""} for row in bank.accounts], []
        with pytest.raises(BadInput, match="nobody to validate on could have acquired anything"):
            fit_bundle(bank.states(tmp_path), CONFIG)
