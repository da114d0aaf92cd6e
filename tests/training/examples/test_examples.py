from datetime import date

import duckdb
import numpy as np
import pytest

from features import block_of, current_states, feature_set_of
from features.errors import BadInput
from tests.oracles.acquisitions import acquired
from tests.training.banks import synthetic_tables
from tests.training.hand_bank import HOLDINGS, build_undated_bank
from training import DatedExamples, HiddenHoldings

JUNE = date(2024, 6, 30)


def period(states, year, month):
    return states.calendar.period_of(date(year, month, 1))


def pairs(states, batch):
    """What a batch says was acquired, as (customer, product)."""
    return {
        (states.customer_id(batch.block.positions[row]), states.catalogue.product_ids[product])
        for row, product in zip(*np.nonzero(batch.acquired), strict=True)
    }


class TestDatedExamples:
    @pytest.mark.parametrize(
        ("month", "horizon", "expected"),
        [
            (1, 1, {("bob", "card")}),
            (2, 1, {("ann", "fund")}),
            (3, 1, {("cat", "fund"), ("cat", "loan")}),
            (3, 2, {("cat", "fund"), ("cat", "loan"), ("ann", "loan"), ("firm", "pool")}),
            # bob holds the card at the end of March, so opening another in June acquires nothing
            (3, 3, {("cat", "fund"), ("cat", "loan"), ("ann", "loan"), ("firm", "pool")}),
            # cat's loan of April is held, whenever it was recorded
            (4, 1, {("ann", "loan"), ("firm", "pool")}),
            (4, 2, {("ann", "loan"), ("firm", "pool"), ("bob", "card")}),
            (5, 1, {("bob", "card")}),
        ],
    )
    def test_labels_are_the_acquisitions_of_the_horizon(self, hand_states, month, horizon, expected):
        examples = DatedExamples(hand_states, (period(hand_states, 2024, month),), horizon)
        (batch,) = examples.batches()
        assert pairs(hand_states, batch) == expected
        assert not (batch.acquired & ~batch.block.candidates).any()

    def test_a_customer_is_there_once_known(self, hand_states):
        months = [period(hand_states, 2024, month) for month in (3, 1)]
        batches = list(DatedExamples(hand_states, tuple(months), 1).batches())
        assert [batch.block.period for batch in batches] == sorted(months)
        known = [[hand_states.customer_id(position) for position in batch.block.positions] for batch in batches]
        assert known == [["ann", "bob", "cat"], ["ann", "bob", "cat", "firm"]]

    @pytest.mark.parametrize(("age", "horizon"), [(1, 1), (4, 1), (6, 3)])
    def test_labels_agree_with_the_accounts_one_by_one(self, session_folder, states, age, horizon):
        accounts = duckdb.sql(
            "SELECT customer_id, product_id, opened_on, closed_on "
            f"FROM read_parquet('{synthetic_tables(session_folder)}/accounts/*.parquet')"
        ).fetchall()
        t = states.as_of_period - age
        as_of, until = states.calendar.end_of(t), states.calendar.end_of(t + horizon)
        touched = {account[:2] for account in accounts}
        expected = {pair for pair in touched if acquired(accounts, *pair, as_of, until)}
        (batch,) = DatedExamples(states, (t,), horizon).batches()
        candidates = {
            (states.customer_id(batch.block.positions[row]), states.catalogue.product_ids[product])
            for row, product in zip(*np.nonzero(batch.block.candidates), strict=True)
        }
        found = pairs(states, batch)
        assert found == expected & candidates
        assert len(found) > 10

    def test_labels_not_known_yet_are_refused(self, hand_states):
        june = period(hand_states, 2024, 6)
        assert hand_states.as_of_period == june
        assert DatedExamples(hand_states, (june - 2,), 2).latest_period == june
        with pytest.raises(BadInput, match=r"acquisitions up to 2024-07-31 are not known yet.*2024-06-30"):
            DatedExamples(hand_states, (june - 4, june - 1), 2)

    def test_no_period_is_refused(self, hand_states):
        with pytest.raises(BadInput, match="no period to learn from"):
            DatedExamples(hand_states, (), 1)

    def test_holdings_are_those_known_when_the_last_label_is(self, hand_states):
        examples = DatedExamples(hand_states, tuple(period(hand_states, 2024, month) for month in (3, 1)), 1)
        held = examples.holdings().toarray()
        found = {
            (hand_states.customer_id(row), hand_states.catalogue.product_ids[column])
            for row, column in zip(*np.nonzero(held), strict=True)
        }
        assert found == {("ann", "card"), ("ann", "fund"), ("bob", "fund"), ("cat", "fund")}  # cat's loan: not known
        assert set(held[held != 0].tolist()) == {1.0}


class TestHiddenHoldings:
    def rows(self, examples):
        states = examples.states
        return [
            (states.customer_id(batch.block.positions[row]), states.catalogue.product_ids[product], batch, row)
            for batch in examples.batches()
            for row, product in zip(*np.nonzero(batch.acquired), strict=True)
        ]

    def everyone(self, states):
        return np.arange(states.n_customers)

    def test_each_product_is_hidden_in_turn(self, undated_states):
        rows = self.rows(HiddenHoldings(undated_states, self.everyone(undated_states)))
        asked = [(customer, product) for customer, product, *_ in rows]
        # u5's stamp is no longer on sale: it cannot be suggested, so it is not asked for
        assert sorted(asked) == sorted((c, p) for c, held in HOLDINGS.items() for p in held if p != "stamp")

    def test_one_product_is_hidden_of_each_customer(self, undated_states):
        def asked(seed):
            rows = self.rows(HiddenHoldings(undated_states, self.everyone(undated_states), once=True, seed=seed))
            return [(customer, product) for customer, product, *_ in rows]

        assert [customer for customer, _ in asked(3)] == ["u1", "u2", "u3", "u5"]
        assert all(product in HOLDINGS[customer] for customer, product in asked(3))
        assert asked(3) == asked(3)
        assert len({tuple(asked(seed)) for seed in range(20)}) > 1

    def test_what_is_hidden_is_a_candidate_never_held(self, undated_states):
        for customer, product, batch, row in self.rows(HiddenHoldings(undated_states, self.everyone(undated_states))):
            block, column = batch.block, undated_states.catalogue.position_of(product)
            assert batch.acquired[row].sum() == 1
            assert block.words[row, column] == 0
            assert block.candidates[row, column]
            others = {undated_states.catalogue.position_of(p) for p in HOLDINGS[customer]} - {column}
            assert set(np.flatnonzero(block.held[row])) == others

    def test_no_feature_gives_it_away(self, undated_states, tmp_path):
        """Broken before: the hidden product's balance stayed among the features."""
        for customer, product, batch, row in self.rows(HiddenHoldings(undated_states, self.everyone(undated_states))):
            if (customer, product) not in {("u1", "fund"), ("u3", "card")}:
                continue
            build_undated_bank(tmp_path / customer, without=(customer, product))
            never = current_states(tmp_path / customer)
            block = block_of(never, np.array([never.position_of(customer)]), never.as_of_period)
            # asked the same way, so that what is left out for everybody is left out here too
            block = block.without(np.zeros(block.words.shape, dtype=np.bool_))
            assert set(feature_set_of(undated_states).names) == set(feature_set_of(never).names)
            for name, value in zip(feature_set_of(never).names, block.features[0], strict=True):
                if name.partition(":")[0] == "segment_holding_share":
                    continue  # of all similar customers, whoever is asked
                hidden = batch.block.features[row, feature_set_of(undated_states).names.index(name)]
                assert hidden == value or (np.isnan(hidden) and np.isnan(value)), name

    def test_holdings_are_those_of_the_customers_only(self, undated_states):
        positions = np.array([undated_states.position_of("u1"), undated_states.position_of("u3")])
        held = HiddenHoldings(undated_states, positions).holdings().toarray()
        assert held.sum(axis=1).tolist() == [2, 0, 3, 0, 0]
        assert HiddenHoldings(undated_states, positions).holdings().nnz == 5
