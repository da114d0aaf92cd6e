"""The vectorised decision and its slow twin agree: reasons bit for bit, offers, order, factors, triggers, actions."""

from __future__ import annotations

from collections.abc import Sequence
from math import isclose

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from serving.decisions.policy.sections import TRIGGERS
from serving.decisions.reason_codes import reasons_in
from tests.oracles.policy import OneDecision, Question

from .random_banks import N_CUSTOMERS
from .random_policies import Case, cases, compiled, decided

pytestmark = pytest.mark.slow

STEPS = ("client_asked", "elderly")


def search(max_examples: int) -> settings:
    return settings(
        max_examples=max_examples,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # the number of a case is not worth making smaller
        suppress_health_check=[HealthCheck.too_slow],
    )


@search(150)
@given(cases())
def test_decisions_are_those_of_the_oracle(case: Case) -> None:
    compare_rows(case, range(len(case.customers)))


@search(60)
@given(cases(n_customers=N_CUSTOMERS))
def test_decisions_in_a_large_block_are_those_of_the_oracle(case: Case) -> None:
    compare_rows(case, [*range(20), *range(N_CUSTOMERS - 10, N_CUSTOMERS)])  # the events are of the first ones


def compare_rows(case: Case, rows: Sequence[int]) -> None:
    policy = compiled(case)
    decisions = decided(case, policy)
    for row in rows:
        asked = question(case, policy, row)
        expected = case.bank.oracle.decide_one(case.customers[row], case.period, asked, case.events)
        compare(case, decisions, row, expected)


def question(case: Case, policy, row: int) -> Question:
    """What the oracle is asked about one customer, with what others found out taken from the fast code."""
    products = case.product_ids

    def by_product(values) -> dict[str, float]:
        return {product_id: float(value) for product_id, value in zip(products, values, strict=True)}

    def scale(product_id: str, assets: float | None) -> float:
        known = np.array([np.nan if assets is None else assets], dtype=np.float32)
        return float(policy.value.scales(known)[0, products.index(product_id)])

    return Question(
        policy=case.policy,
        channel=case.channel,
        day=case.day,
        propensities=by_product(case.propensities[row]),
        popularity=by_product(policy.popularity),
        lifetime_margin=by_product(policy.margins),
        scale=scale,
        evidence=by_product(case.evidence),
        limit=case.limit,
        asked=case.asked,
        in_question=None
        if case.in_question is None
        else frozenset(p for p, may_be in zip(products, case.in_question[row], strict=True) if may_be),
    )


def compare(case: Case, decisions, row: int, expected: OneDecision) -> None:
    who = case.customers[row]
    bits = decisions.excluded[row].tolist()
    if bits != [sum(1 << reason for reason in expected.reasons[product_id]) for product_id in case.product_ids]:
        found = {product_id: set(reasons_in(one)) for product_id, one in zip(case.product_ids, bits, strict=True)}
        differing = {p: (found[p], expected.reasons[p]) for p in found if found[p] != expected.reasons[p]}
        raise AssertionError(f"{who}: reasons found, and expected, {differing}")
    assert decisions.personalised[row] == expected.personalised, who
    assert named(TRIGGERS, decisions.triggers[row]) == expected.triggers, who
    actions = [action.action for action in case.policy.service_actions]
    assert named(actions, decisions.service_actions[row]) == expected.service_actions, who
    compare_offers(case, decisions, row, expected)


def named(names, bits) -> set[str]:
    return {name for place, name in enumerate(names) if int(bits) >> place & 1}


def compare_offers(case: Case, decisions, row: int, expected: OneDecision) -> None:
    who, offers = case.customers[row], expected.offers
    n_empty = min(case.limit, len(case.product_ids)) - len(offers)
    shown = [case.product_ids[product] if product >= 0 else None for product in decisions.products[row]]
    assert shown == [offer.product_id for offer in offers] + [None] * n_empty, who
    for name, array in (
        ("propensity", decisions.propensities),
        ("value", decisions.values),
        ("context", decisions.contexts),
        ("lever", decisions.levers),
        ("priority", decisions.priorities),
    ):
        numbers = [getattr(offer, name) for offer in offers] + [0.0] * n_empty
        found = array[row].tolist()
        is_close = all(isclose(one, other, rel_tol=1e-5) for one, other in zip(found, numbers, strict=True))
        assert is_close, f"{name} of {who}: {found}, expected {numbers}"
    steps = [named(STEPS, bits) for bits in decisions.steps[row]]
    assert steps == [set(offer.steps) for offer in offers] + [set()] * n_empty, who
