"""Blocks of a bank whose holdings can be seen by eye."""

import re
from datetime import date

import numpy as np
import pytest

from features import block_of, blocks_of, feature_set_of
from features.build import build_states
from features.errors import BadInput, NotFound
from features.states import CustomerStates
from tests.features.banks import NEWEST_DAY, write_parquet
from tests.features.test_time import JUNE, account, customer, small_bank

CARD, DEPOSIT, FUND, LOAN, POOL = range(5)
ALL_BITS = 2**64 - 1


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> CustomerStates:
    folder = tmp_path_factory.mktemp("hand")
    customers = [
        customer("both", kind="corporate"),
        customer("person", birth_date=date(1990, 1, 1), tier="VIP"),
        customer("stranger", onboarded_on=date(2024, 6, 5), valid_from=date(2024, 6, 5)),
    ]
    accounts = [
        account("a1", "person", date(2024, 5, 2)),
        account("a2", "person", None, product_id="deposit"),
        account("a3", "both", date(2024, 1, 1), product_id="fund", closed_on=date(2024, 4, 30)),
        account("a4", "person", date(2024, 2, 1), product_id="loan", closed_on=date(2024, 6, 1)),
    ]
    write_parquet(folder / "tables", small_bank(customers=customers, accounts=accounts))
    return build_states(folder / "tables", folder / "workspace", as_of=NEWEST_DAY).states


def positions(states: CustomerStates, *customer_ids: str) -> np.ndarray:
    return np.array([states.position_of(customer_id) for customer_id in customer_ids])


def test_a_candidate_is_not_held_on_sale_and_for_this_kind_of_customer(states: CustomerStates) -> None:
    # in June the loan is off sale; the pool is for companies, the card for people
    june = block_of(states, positions(states, "person", "both"), JUNE)
    assert june.held[0].tolist() == [True, True, False, False, False]
    assert june.candidates.tolist() == [[False, False, True, False, False], [False, True, True, False, True]]
    # in March the fund is not on sale yet, the card not yet held; the loan, on sale, is held
    march = block_of(states, positions(states, "person", "both"), JUNE - 3)
    assert march.held[0].tolist() == [False, True, False, True, False]
    assert march.candidates.tolist() == [[True, False, False, False, False], [False, True, False, True, True]]


def test_who_was_not_known_may_acquire_what_is_on_sale_to_anybody(states: CustomerStates) -> None:
    block = block_of(states, positions(states, "stranger"), JUNE - 1)
    assert block.versions.tolist() == [-1]
    assert block.candidates.tolist() == [[True, True, True, True, True]]


def test_words_and_kinds_of_a_block(states: CustomerStates) -> None:
    block = block_of(states, positions(states, "person", "both"), JUNE)
    assert block.words[0].tolist() == [0b11, ALL_BITS, 0, 0b11110, 0]
    assert block.words[1].tolist() == [0, 0, 0b111000, 0, 0]
    assert block.kinds.tolist() == [0, 1]
    assert (block.n_customers, block.n_products) == (2, 5)


def test_hidden_products_were_never_held_and_may_be_acquired_again(states: CustomerStates) -> None:
    block = block_of(states, positions(states, "person", "both"), JUNE)
    hidden = np.zeros((2, 5), dtype=bool)
    hidden[0, CARD] = hidden[0, LOAN] = True
    without = block.without(hidden)
    assert without.words[0].tolist() == [0, ALL_BITS, 0, 0, 0]
    assert without.words[1].tolist() == block.words[1].tolist()
    assert without.candidates[0].tolist() == [True, False, True, False, False]  # the loan is off sale
    names = feature_set_of(states).names
    assert without.features[0, names.index("products_held")] == 1
    assert without.features[0, names.index("age_since_drop:loan")].tolist() != 0
    assert np.isnan(without.features[0, names.index("age_since_drop:loan")])


def test_what_can_be_bought_on_an_occasion_is_not_held_and_alone_a_candidate(states: CustomerStates) -> None:
    block = block_of(states, positions(states, "person", "both"), JUNE)
    buyable = np.zeros((2, 5), dtype=bool)
    buyable[0, DEPOSIT] = buyable[1, CARD] = True
    availability = np.linspace(0.1, 1.0, 10, dtype=np.float32).reshape(2, 5)
    offered = block.offered(buyable, availability)
    assert offered.candidates is buyable
    np.testing.assert_array_equal(offered.take(np.array([1])).availability, availability[[1]])
    assert offered.words[0].tolist() == [0b11, ALL_BITS - 1, 0, 0b11110, 0]
    assert offered.words[1].tolist() == block.words[1].tolist()


def test_taken_rows_are_the_same_customers(states: CustomerStates) -> None:
    block = block_of(states, positions(states, "person", "both", "stranger"), JUNE)
    features = block.features
    rows = np.array([2, 0, 2])
    taken = block.take(rows)
    for name in ("positions", "words", "versions", "candidates", "segments", "held", "kinds"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(block, name)[rows], err_msg=name)
    np.testing.assert_array_equal(taken.features, features[rows])


def test_blocks_hold_every_known_customer_once_in_order(states: CustomerStates) -> None:
    assert [block.positions.tolist() for block in blocks_of(states, JUNE, size=2)] == [[0, 1], [2]]
    assert [block.positions.tolist() for block in blocks_of(states, JUNE - 1, size=2)] == [[0, 1]]


def test_customers_are_found_by_id(states: CustomerStates) -> None:
    assert [states.customer_id(row) for row in range(3)] == ["both", "person", "stranger"]
    for unknown in ("perso", "personx", "strangers", "", "zz", "\0", "person\0", "stranger\0", "péson", "\ud800"):
        told = re.escape(f"customer {unknown!r} is not in the states of 2024-06-30")
        with pytest.raises(NotFound, match=told):
            states.position_of(unknown)
        with pytest.raises(NotFound, match=told):
            states.positions_of(["both", unknown, "nobody"])
    assert states.positions_of(["stranger", "both", "stranger"]).tolist() == [2, 0, 2]
    assert states.positions_of([]).tolist() == []
    assert states.ids_of(np.array([2, 0, 2])) == ["stranger", "both", "stranger"]


def test_a_period_out_of_memory_is_refused(states: CustomerStates) -> None:
    assert states.manifest.first_period == JUNE - 5
    assert states.manifest.depth == 6
    for period in (JUNE + 1, JUNE - 6):
        with pytest.raises(BadInput, match="is outside what the states remember: 6 periods up to 2024-06-30"):
            block_of(states, np.array([0]), period)
