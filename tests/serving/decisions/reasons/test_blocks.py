"""Reasons for many customers at once: of each the same, to the last bit, as of that customer alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts import KINDS
from features.states import current_states
from serving.decisions import decide
from serving.decisions.reasons.spoken import reasons_for, reasons_for_block
from training import CHAMPION, Bundle, Tracking

from .reasons_fixtures import Desk, policy_with

LIMIT = 3
POLICIES = ({}, {"not_spoken": ["tier", "age"], "not_used": ["income"]}, {"not_spoken": ["birth_date", "region"]})


@pytest.fixture(scope="module")
def states(trained):
    return current_states(trained)


@pytest.fixture(scope="module")
def bundle(trained):
    return Bundle.open(Tracking(trained).version(CHAMPION).folder)


@pytest.fixture(scope="module")
def desks(bundle, states):
    """The blend and the propensity model, each under every policy."""
    explained = Bundle(
        replace(bundle.manifest, selected="propensity"), bundle.catalogue, bundle.layout, bundle.models,
        bundle.calibrations, bundle.fallback, bundle.blend, bundle.uplift,
    )  # fmt: skip
    return [Desk.of(each, states, policy_with(**silent)) for each in (bundle, explained) for silent in POLICIES]


class Watched:
    """A bundle that remembers what it was asked to explain."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.asked: list[np.ndarray] = []

    def contributions(self, block, products):
        self.asked.append(products)
        return self.bundle.contributions(block, products)

    def strongest_rules(self, block, products):
        return self.bundle.strongest_rules(block, products)


def exactly(reasons):
    """With every bit of the strengths."""
    return [[(r.kind, r.topic, r.strength.hex(), r.text, r.text_zh) for r in offer] for offer in reasons]


def refusing(desk, want: int) -> list[int]:
    """Customers with an offer who are not to be personalised."""
    block = desk.block(*range(desk.states.n_customers))
    decisions = desk.decide(block)
    found = np.flatnonzero(~decisions.personalised & (decisions.products[:, 0] >= 0))
    assert len(found) >= want
    return found[:want].tolist()


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_of_each_the_same_as_alone(desks, data):
    desk = data.draw(st.sampled_from(desks))
    n, n_products = desk.states.n_customers, len(desk.states.catalogue)
    positions = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=33))
    most, limit = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    asked = data.draw(st.lists(st.integers(0, n_products - 1), max_size=2, unique=True))
    context = desk.context(*(desk.states.catalogue.product_ids[product] for product in asked))

    def decided(*wanted: int):
        block = desk.block(*wanted)
        return block, decide(desk.bundle.propensities(block), block, desk.policy, context, limit=limit)

    block, decisions = decided(*positions)
    together = reasons_for_block(desk.bundle, block, decisions, desk.policy, most=most, context=context)
    assert len(together) == len(positions)
    for row, position in enumerate(positions):
        one = reasons_for(desk.bundle, block, decisions, desk.policy, row, most=most, context=context)
        alone = reasons_for(desk.bundle, *decided(position), desk.policy, 0, most=most, context=context)
        assert exactly(together[row]) == exactly(one) == exactly(alone)
        assert len(one) == (decisions.products[row] >= 0).sum()


def test_blocks_hold_customers_of_every_kind(desks):
    """What the test above draws from."""
    block = desks[0].block(*range(desks[0].states.n_customers))
    assert set(block.kinds.tolist()) == set(range(len(KINDS)))
    assert 0 < desks[0].decide(block).personalised.mean() < 1


def test_all_are_explained_in_one_go_but_who_refused(desks):
    desk = desks[0]
    positions = [*range(0, 60, 4), *refusing(desk, 3)]
    block = desk.block(*positions)
    decisions = desk.decide(block, limit=LIMIT)
    watched = Watched(desk.bundle)
    reasons = reasons_for_block(watched, block, decisions, desk.policy, context=desk.context())
    (explained,) = watched.asked
    assert len(explained) == len(positions)
    for row, personal in enumerate(decisions.personalised.tolist()):
        offered = decisions.products[row]
        if personal:
            assert set(explained[row].tolist()) | {-1} == set(offered.tolist()) | {-1}
            continue
        assert (explained[row] == -1).all(), "of who refused, nothing is computed"
        assert [[reason.kind for reason in offer] for offer in reasons[row]] == [["popularity"]] * (offered >= 0).sum()


def test_where_all_refused_nothing_is_explained(desks):
    desk = desks[0]
    block = desk.block(*refusing(desk, 4))
    watched = Watched(desk.bundle)
    reasons = reasons_for_block(watched, block, desk.decide(block), desk.policy, context=desk.context())
    assert watched.asked == []
    assert all(reason.kind == "popularity" for offers in reasons for offer in offers for reason in offer)


def test_of_nobody_there_are_none(desks):
    desk = desks[0]
    block = desk.block(0).take(np.zeros(0, dtype=np.int64))
    assert reasons_for_block(desk.bundle, block, desk.decide(block), desk.policy, context=desk.context()) == []
