from datetime import date

import numpy as np
import pytest

from features import block_of, feature_set_of
from features.build import build_states
from features.states import current_states
from tests.training import banks
from tests.training.hand_bank import ACCOUNTS, CUSTOMERS, PRODUCTS
from training.uplift import Design, trials_of

# contact, customer, product, day, campaign, arm, probability of the arm, recorded
CONTACTS = [
    ("k1", "ann", "fund", "2024-03-04", "spring", "treated", "", ""),  # buys on March 15
    ("k2", "cat", "fund", "2024-03-05", "spring", "control", "", ""),  # buys on April 1
    ("k3", "bob", "fund", "2024-03-05", "spring", "treated", "", ""),  # holds it already
    ("k4", "firm", "pool", "2024-05-02", "", "treated", "0.8", ""),  # buys on May 15
    ("k5", "ann", "loan", "2024-05-02", "", "control", "0.3", ""),  # buys on May 3
    ("k6", "bob", "loan", "2024-05-10", "", "treated", "", ""),  # a relationship manager's own idea
    ("k7", "cat", "card", "2024-05-05", "everybody", "treated", "", ""),  # nobody was held back
    ("k8", "firm", "card", "2024-05-02", "sure", "treated", "1.0", ""),  # not drawn at random
    ("k9", "bob", "card", "2024-06-20", "", "treated", "0.5", ""),  # buys in June
    ("k10", "cat", "card", "2024-04-10", "", "control", "0.5", "2024-06-15"),  # known late
]


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contacts")
    names = ("contact_id", "customer_id", "product_id", "contacted_on", "campaign_id", "arm", "propensity_of_arm")
    accounts = ("customer_id", "product_id", "opened_on", "closed_on", "recorded_on")
    tables = banks.write_bank(
        folder / "tables",
        {
            "customers": CUSTOMERS,
            "products": PRODUCTS,
            "accounts": [
                {"account_id": f"a{number}"} | dict(zip(accounts, row, strict=True))
                for number, row in enumerate(ACCOUNTS)
            ],
            "contacts": [{"channel": "app"} | dict(zip((*names, "recorded_on"), row, strict=True)) for row in CONTACTS],
        },
    )
    build_states(tables, folder)
    return current_states(folder)


def period(states, year, month):
    return states.calendar.period_of(date(year, month, 1))


def told(states, trials):
    """(customer, product, treated, probability of that, acquired) of each trial."""
    return [
        (states.customer_id(customer), states.catalogue.product_ids[product], treated, round(p, 6), acquired)
        for customer, product, treated, p, acquired in zip(
            trials.customers.tolist(),
            trials.products.tolist(),
            trials.treated.tolist(),
            trials.p_treated.tolist(),
            trials.acquired.tolist(),
            strict=True,
        )
    ]


SPRING = [
    ("ann", "fund", True, round(2 / 3, 6), True),
    ("cat", "fund", False, round(2 / 3, 6), False),
]
LATE = ("cat", "card", False, 0.5, False)
MAY = [("ann", "loan", False, 0.7, True), ("firm", "pool", True, 0.8, True)]


def test_are_contacts_drawn_at_random_about_candidates(states):
    trials = trials_of(states, horizon=1)
    assert told(states, trials) == [*SPRING, LATE, *MAY, ("bob", "card", True, 0.5, True)]
    months = [(2024, 2), (2024, 2), (2024, 3), (2024, 4), (2024, 4), (2024, 5)]
    assert trials.periods.tolist() == [period(states, *month) for month in months]
    assert trials.weights == pytest.approx([3 / 2, 3, 2, 1 / 0.3, 1 / 0.8, 2])


def test_a_longer_horizon_sees_more_and_waits_longer(states):
    trials = trials_of(states, horizon=2)
    # April 1 is within two months of a contact in March; of contacts in June the second month is not over
    assert told(states, trials) == [SPRING[0], (*SPRING[1][:4], True), LATE, *MAY]


def test_what_was_not_known_yet_is_not_used(states):
    trials = trials_of(states, horizon=1, known_to=period(states, 2024, 5))
    assert told(states, trials) == [*SPRING, *MAY]


def test_only_later_contacts(states):
    trials = trials_of(states, horizon=1, later_than=period(states, 2024, 4))
    assert told(states, trials) == [*MAY, ("bob", "card", True, 0.5, True)]


def test_only_the_newest(states):
    assert told(states, trials_of(states, horizon=1, newest=1)) == [("bob", "card", True, 0.5, True)]


def test_rows_are_what_was_known_before_the_contact(states):
    trials = trials_of(states, horizon=1)
    for row in range(len(trials)):
        block = block_of(states, trials.customers[[row]], int(trials.periods[row]))
        expected = trials.design.rows(block.features, trials.products[[row]])
        assert np.array_equal(trials.rows[[row]], expected, equal_nan=True)


def test_rows_end_with_the_log_odds_of_the_propensity(states):
    def propensities(block):
        return np.full(block.candidates.shape, 0.2, dtype=np.float32)

    trials = trials_of(states, horizon=1, propensities=propensities)
    assert trials.rows[:, -1] == pytest.approx(np.log(0.2 / 0.8))
    assert trials.design.log_odds(trials.rows) == pytest.approx(np.log(0.2 / 0.8))
    without = trials_of(states, horizon=1)
    assert np.array_equal(trials.rows[:, :-1], without.rows, equal_nan=True)


def test_a_row_speaks_of_customer_and_product(states):
    design, names = Design.of(states), feature_set_of(states).names
    block = block_of(states, np.arange(states.n_customers), states.as_of_period)
    fund = states.catalogue.position_of("fund")
    rows = design.rows(block.features, np.full(states.n_customers, fund))
    assert rows.shape == (states.n_customers, design.width)
    tenure = next(
        row for row in range(len(design.product_columns)) if names[design.product_columns[row, 0]] == "tenure:card"
    )
    own = rows[:, len(design.customer_columns) + tenure]
    assert np.array_equal(own, block.features[:, names.index("tenure:fund")], equal_nan=True)
    families = states.catalogue.families
    assert (rows[:, design.width - design.products.shape[1]] == families.index("funds")).all()


def test_without_contacts_there_are_none(hand_states, undated_states):
    assert len(trials_of(hand_states, horizon=1)) == 0
    assert len(trials_of(undated_states, horizon=1)) == 0
