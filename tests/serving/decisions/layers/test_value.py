from datetime import date

import numpy as np
import pytest

from features import CustomerStates, block_of, build_states, current_states
from features.calendar import Calendar
from features.errors import BadInput
from serving.decisions.layers import value as valuing
from serving.decisions.layers.value import PRIOR_DROPS, RIDGE, ProductValue
from tests.training.banks import write_bank

MONTHS = Calendar()
JUNE = MONTHS.period_of(date(2024, 6, 30))
MAY = JUNE - 1


def product(product_id, family, margin=""):
    return {
        "product_id": product_id, "name": product_id, "family": family, "customer_kind": "retail",
        "annual_margin": str(margin),
    }  # fmt: skip


def account(customer_id, product_id, opened_on="2023-06-15", closed_on=""):
    return {
        "account_id": f"{customer_id}-{product_id}", "customer_id": customer_id, "product_id": product_id,
        "opened_on": opened_on, "closed_on": closed_on,
    }  # fmt: skip


def balance(customer_id, product_id, amount, period="2024-06"):
    return {
        "customer_id": customer_id, "product_id": product_id, "period": period, "average_balance": repr(float(amount)),
    }  # fmt: skip


def states_of(folder, products, accounts, balances=()) -> CustomerStates:
    names = sorted({row["customer_id"] for row in accounts})
    tables = {"products": products, "accounts": accounts}
    tables["customers"] = [{"customer_id": name, "kind": "retail"} for name in names]
    if balances:
        tables["balances"] = list(balances)
    write_bank(folder / "tables", tables)
    return build_states(folder / "tables", folder / "workspace", as_of=date(2024, 6, 30)).states


def value_of(states, period=JUNE, debts=(), max_life_years=30.0) -> ProductValue:
    return ProductValue.of(states, period, owed(states, debts), max_life_years=max_life_years)


def owed(states, product_ids):
    return np.isin(states.catalogue.product_ids, product_ids)


def value(log_assets=(0.0,), elasticity=(0.0,), margins=(1.0,), life_years=(1.0,)) -> ProductValue:
    return ProductValue(*(np.array(column) for column in (margins, life_years, log_assets, elasticity)))


class TestMargins:
    def test_where_the_catalogue_gives_none_the_median_of_those_it_gives(self, tmp_path):
        products = [product("a", "f", 100), product("b", "f"), product("c", "f", 500), product("d", "f", 260)]
        states = states_of(tmp_path, products, [account("c1", "a")])
        assert value_of(states).margins.tolist() == [100, 260, 500, 260]

    def test_one_everywhere_when_it_gives_none_at_all(self, tmp_path):
        states = states_of(tmp_path, [product("a", "f"), product("b", "f")], [account("c1", "a")])
        assert value_of(states).margins.tolist() == [1, 1]

    @pytest.mark.parametrize(
        ("discount_rate", "expected"), [(0, 200), (0.1, 100 / 1.1 + 100 / 1.1**2), (1, 100 / 2 + 100 / 4)]
    )
    def test_over_a_life_of_two_years(self, discount_rate, expected):
        found = value(margins=[100.0], life_years=[2.0]).lifetime_margins(discount_rate)
        assert found == pytest.approx([expected], rel=1e-14)

    def test_a_rate_near_zero_is_near_no_rate(self):
        # the textbook's 1 - (1 + r)^-L is 0 here
        assert value(margins=[100.0], life_years=[2.0]).lifetime_margins(1e-17) == pytest.approx([200], rel=1e-14)

    def test_part_of_a_year_earns_part_of_its_margin(self):
        found = value(margins=[100.0], life_years=[0.5]).lifetime_margins(0.04)
        assert found == pytest.approx([100 * (1 - 1.04**-0.5) / 0.04])


class TestLife:
    PRODUCTS = (product("a", "f"), product("b", "f"), product("c", "g"), product("d", "h"))

    @pytest.fixture(scope="class")
    @classmethod
    def states(cls, tmp_path_factory):
        """A year after everything opened; d was never sold."""
        accounts = [account(f"a{n}", "a") for n in range(8)]
        accounts += [account(f"a{n}", "a", closed_on="2024-01-10") for n in (8, 9)]
        accounts += [account(f"b{n}", "b") for n in range(5)]
        accounts += [account(f"c{n}", "c", closed_on="2023-12-05") for n in range(4)]
        return states_of(tmp_path_factory.mktemp("life"), list(cls.PRODUCTS), accounts)

    def test_is_one_over_the_rate_of_ending_shrunk_to_the_familys_and_the_banks(self, states):
        k = PRIOR_DROPS
        # July to June; July to January for two, in which they ended; July to December for c
        exposure, drops = {"a": 8 * 12 + 2 * 7, "b": 5 * 12, "c": 4 * 6, "d": 0}, {"a": 2, "b": 0, "c": 4, "d": 0}
        bank = sum(drops.values()) / sum(exposure.values())
        f = (2 + k) / (exposure["a"] + exposure["b"] + k / bank)
        family = {"a": f, "b": f, "c": (4 + k) / (exposure["c"] + k / bank), "d": bank}
        hazards = [(drops[p] + k) / (exposure[p] + k / family[p]) for p in "abcd"]
        np.testing.assert_allclose(value_of(states).life_years, [1 / (12 * hazard) for hazard in hazards])

    def test_is_no_longer_than_believed(self, states):
        assert value_of(states, max_life_years=0.5).life_years.tolist() == [0.5] * 4

    def test_ends_that_are_still_to_come_are_not_known(self, states):
        november = JUNE - 7
        assert value_of(states, november).life_years.tolist() == [30] * 4
        assert max(value_of(states, november + 1).life_years) < 30

    def test_what_ended_more_than_two_years_ago_is_forgotten(self, tmp_path):
        accounts = [account("c1", "a", "2020-03-01", "2022-06-15"), account("c2", "b", "2020-03-01")]
        assert value_of(states_of(tmp_path, list(self.PRODUCTS), accounts)).life_years.tolist() == [30] * 4

    def test_holdings_without_dates_last_as_long_as_believed(self, tmp_path):
        accounts = [account("c1", "a", opened_on=""), account("c2", "b", opened_on="", closed_on="2024-03-01")]
        states = states_of(tmp_path, list(self.PRODUCTS), accounts)
        assert value_of(states, max_life_years=7).life_years.tolist() == [7] * 4


class TestScales:
    def test_follow_the_elasticity_and_stay_within_bounds(self):
        found = value([2.0, 2.0, 2.0, 0.0], [0.5, 1.0, 1.5, 0.0]).scales(np.expm1(np.float32([1, 2, 3, 9])))
        expected = [
            [np.exp(-0.5), np.exp(-1), np.exp(-1.5), 1],
            [1, 1, 1, 1],
            [np.exp(0.5), np.exp(1), np.exp(1.5), 1],
            [5, 5, 5, 1],
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert found.dtype == np.float32
        assert value([9.0], [1.5]).scales(np.float32([1])).tolist() == [[np.float32(0.2)]]

    def test_nothing_known_is_a_typical_holder_and_an_overdraft_is_no_money(self):
        found = value([2.0, 0.5], [0.5, 0.5]).scales(np.float32([np.nan, -300, 0]))
        assert found[0].tolist() == [1, 1]
        np.testing.assert_allclose(found[1:], [[np.exp(-1), np.exp(-0.25)]] * 2, rtol=1e-6)

    def test_a_customer_alone_has_the_bits_he_has_among_many(self):
        rng = np.random.default_rng(5)
        assets = np.append(rng.lognormal(9, 2, 5000), [np.nan, -1, 0, 3e38]).astype(np.float32)
        learned = value(rng.normal(9, 2, 7), np.append(rng.uniform(0, 1.5, 6), 0))
        alone = np.concatenate([learned.scales(assets[row : row + 1]) for row in range(len(assets))])
        assert learned.scales(assets).tobytes() == alone.tobytes()


ELASTICITIES = {"fund": 0.7, "gold": -1.0, "loan": 0.5, "trust": 3.0}
HOLDERS, NOISE = 400, 0.5


class TestElasticity:
    """Everybody has a current account and one of four products, whose balances follow a known law in May."""

    @pytest.fixture(scope="class")
    @classmethod
    def bank(cls, tmp_path_factory):
        rng = np.random.default_rng(11)
        products = [product("current", "deposits"), product("policy", "insurance")]
        products += [product(name, "others") for name in ELASTICITIES]
        accounts, balances = [], []
        logs = {name: rng.normal(9, 1, HOLDERS) for name in ELASTICITIES}
        for name, elasticity in ELASTICITIES.items():
            own = 1 + elasticity * logs[name] + NOISE * rng.standard_normal(HOLDERS)
            for n, (elsewhere, amount) in enumerate(zip(np.expm1(logs[name]), np.expm1(own), strict=True)):
                customer_id = f"{n:03d}-{name}"
                accounts += [account(customer_id, p) for p in ("current", "policy", name)]
                balances += [balance(customer_id, "current", elsewhere, "2024-05")]
                balances += [balance(customer_id, name, max(amount, 0), "2024-05")]
                balances += [balance(customer_id, p, 5, "2024-06") for p in ("current", name)]
        return states_of(tmp_path_factory.mktemp("elasticity"), products, accounts, balances), logs

    @pytest.mark.parametrize("name", ["fund", "loan"])
    def test_of_simulated_balances_is_recovered(self, bank, name):
        states, logs = bank
        learned = value_of(states, MAY, debts=["loan"])
        column = states.catalogue.position_of(name)
        squares = np.sum((logs[name] - logs[name].mean()) ** 2)
        shrinkage = squares / (squares + RIDGE)
        four_errors = 4 * NOISE / np.sqrt(squares) * shrinkage
        assert abs(learned.elasticity[column] - ELASTICITIES[name] * shrinkage) < four_errors < 0.1
        assert learned.log_assets[column] == pytest.approx(logs[name].mean(), rel=1e-6)

    def test_of_what_cannot_be_believed_is_clipped(self, bank):
        states, _ = bank
        learned = value_of(states, MAY, debts=["loan"])
        found = {name: learned.elasticity[states.catalogue.position_of(name)] for name in ("gold", "trust")}
        assert found == {"gold": 0, "trust": 1.5}

    def test_of_a_product_without_balances_is_none(self, bank):
        states, _ = bank
        assert value_of(states, MAY).elasticity[states.catalogue.position_of("policy")] == 0

    def test_sees_no_later_balances(self, bank):
        states, _ = bank
        later = value_of(states, JUNE, debts=["loan"]).elasticity
        assert later == pytest.approx(np.zeros(6), abs=1e-12), "in June all are alike"
        assert value_of(states, MAY - 1).elasticity.tolist() == [0] * 6, "in April there was none"

    def test_is_learned_from_customers_spread_evenly(self, bank, monkeypatch):
        states, logs = bank
        monkeypatch.setattr(valuing, "SAMPLE", 400)
        learned = value_of(states, MAY, debts=["loan"])
        # every fourth customer by id, which is each number's fund
        assert learned.log_assets[states.catalogue.position_of("fund")] == pytest.approx(logs["fund"].mean(), rel=1e-6)
        assert learned.log_assets[states.catalogue.position_of("gold")] == 0
        assert 0.5 < learned.elasticity[states.catalogue.position_of("fund")] < 0.7

    def test_of_a_few_holders_is_shrunk_to_none(self, tmp_path):
        products = [product("current", "deposits"), product("fund", "funds")]
        accounts = [account(f"c{log}", p) for log in (8, 9, 10) for p in ("current", "fund")]
        balances = [balance(row["customer_id"], row["product_id"], np.expm1(int(row["customer_id"][1:])))
                    for row in accounts]  # fmt: skip
        # one holds the fund alone, another has left: neither says how the two go together
        accounts += [account("c1", "fund"), *(account("c2", p, closed_on="2024-06-20") for p in ("current", "fund"))]
        balances += [balance("c1", "fund", 1), balance("c2", "current", 7), balance("c2", "fund", 1)]
        learned = value_of(states_of(tmp_path, products, accounts, balances))
        np.testing.assert_allclose(learned.elasticity, [2 / (2 + RIDGE)] * 2, rtol=1e-5)
        np.testing.assert_allclose(learned.log_assets, [9, 9], rtol=1e-6)

    def test_beyond_memory_is_refused(self, bank):
        states, _ = bank
        with pytest.raises(BadInput, match="outside what the states remember"):
            value_of(states, JUNE - 40)


def test_new_holders_of_the_synthetic_bank_put_in_what_was_expected(trained):
    """Learned eight months ago; those who acquired since, by the balance of their first whole month."""
    states = current_states(trained)
    ago, n_products = 8, len(states.catalogue)
    then = states.as_of_period - ago
    debts = np.array(
        [p.family in ("loans", "bills") or "credit_card" in p.product_id for p in states.catalogue.products]
    )
    learned = ProductValue.of(states, then, debts, max_life_years=10)
    block = block_of(states, states.known_at(then), then)

    def log_balances(age):
        found = states.balances.by_group(block.positions, np.array([age]), np.arange(n_products), n_products)
        return np.log1p(found[:, :, 0])

    of_holders = np.ma.masked_invalid(np.where(block.held, log_balances(ago), np.nan))
    typical = np.broadcast_to(of_holders.mean(axis=0).filled(np.nan), block.held.shape)
    assets = states.balances.by_group(block.positions, np.array([ago]), np.where(debts, -1, 0), 1)[:, 0, 0]
    log_scales = np.log(learned.scales(assets))
    rows = []
    for age in range(1, ago):
        words = states.history.words_at(block.positions, states.as_of_period - age)
        new = ~block.held & ((words & np.uint64(0b11)) == 0b01)
        put_in = log_balances(age - 1)
        usable = new & np.isfinite(put_in) & np.isfinite(typical)
        rows.append(np.column_stack([put_in[usable], typical[usable], log_scales[usable]]))
    put_in, typical, log_scales = np.concatenate(rows).T
    expected = typical + log_scales
    assert np.corrcoef(put_in, expected)[0, 1] > np.corrcoef(put_in, typical)[0, 1]
    assert np.mean((put_in - expected) ** 2) < np.mean((put_in - typical) ** 2)
    # what the typical balance leaves open goes with the scale, by four standard errors of Fisher's z
    left_open = np.corrcoef(put_in - typical, log_scales)[0, 1]
    assert np.arctanh(left_open) > 4 / np.sqrt(len(put_in) - 3)
