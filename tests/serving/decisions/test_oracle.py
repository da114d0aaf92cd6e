"""The oracle itself, on sentences of the policy's description that can be counted on fingers."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from features.calendar import Calendar
from serving.decisions import Policy, Reason
from serving.decisions.policy.sections import After, Floor
from tests.oracles.policy import (
    Event,
    OneDecision,
    PolicyOracle,
    Question,
    answer,
    birthday,
    completed_years,
    is_silent,
    most_particular,
)

JUNE = date(2024, 6, 30)


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        (date(1959, 7, 1), date(2024, 6, 30), 64),
        (date(1959, 7, 1), date(2024, 7, 1), 65),
        (date(1960, 2, 29), date(2023, 2, 28), 62),
        (date(1960, 2, 29), date(2023, 3, 1), 63),
        (date(1960, 2, 29), date(2024, 2, 29), 64),
    ],
)
def test_ages_are_completed_years(born: date, day: date, age: int) -> None:
    assert completed_years(born, day) == age
    assert birthday(born, age) <= day < birthday(born, age + 1)


@pytest.mark.parametrize(
    ("days", "today", "silent"),
    [
        ((1, 10), 20, True),  # 9 days lie between the first and the last: they fall within 10
        ((1, 11), 20, False),
        ((1, 10), 24, True),  # the 14th day after the last
        ((1, 10), 25, False),
        ((1, 2, 20, 29), 43, True),  # any two of them
        ((5, 5), 5, True),
        ((5,), 5, False),
    ],
)
def test_silence_follows_contacts_that_fall_within_days(days: tuple[int, ...], today: int, silent: bool) -> None:
    start = date(2024, 1, 1)
    after = After(outcome="contacted", times=2, within_days=10)
    found = is_silent([start + timedelta(days=day) for day in days], after, 14, start + timedelta(days=today))
    assert found == silent


def test_the_newest_answer_counts_and_of_two_on_one_day_the_refusal() -> None:
    first, second = date(2024, 1, 1), date(2024, 1, 2)
    assert answer([]) is None
    assert answer([(second, True), (first, False)]) is True
    assert answer([(first, True), (second, True), (second, False)]) is False


def test_a_rule_that_names_a_product_beats_one_that_names_all_else() -> None:
    of_product = Floor.model_validate({"rule": "a", "for": {"product": "p"}, "floor": 0})
    of_all_else = {"family": "f", "tier": "t", "life_stage": "s", "kind": "retail", "channel": "rm"}
    particular = Floor.model_validate({"rule": "b", "for": of_all_else, "floor": 0})
    assert most_particular([particular, of_product]) is of_product
    assert most_particular([particular, Floor(rule="c", floor=0)]) is particular


def hand_bank() -> dict[str, list[dict]]:
    nothing = dict.fromkeys(
        [
            "risk_rating",
            "issuer_risk_rating",
            "on_sale_from",
            "on_sale_to",
            "contact_minutes",
            "min_age",
            "max_age",
            "min_tier",
            "min_balance",
            "requires",
            "excludes",
        ]
    )
    return {
        "customers": [
            {
                "customer_id": "ann",
                "kind": "retail",
                "valid_from": None,
                "birth_date": date(1959, 7, 1),
                "tier": "gold",
                "risk_level": "C2",
                "risk_assessed_on": date(2024, 1, 1),
                "risk_expires_on": None,
            }
        ],
        "products": [
            nothing | {"product_id": "card", "family": "cards", "customer_kind": "retail"},
            nothing | {"product_id": "fund", "family": "funds", "customer_kind": "both", "risk_rating": "R3"},
            nothing | {"product_id": "loan", "family": "loans", "customer_kind": "both", "max_age": 64},
        ],
        "accounts": [],
    }


def hand_policy(**sections) -> Policy:
    pack = {
        "pack": "hand",
        "allowed": {f"C{level}": [f"R{rating}" for rating in range(1, level + 1)] for level in range(1, 6)},
        "valid_days": 365,
        "client_asked": {"allows": ["RISK_ABOVE_TOLERANCE"], "step": "confirm", "barred_levels": ["C1"]},
    }
    heading = {"policy": "hand", "version": "1", "owner": "risk", "decision_day": "today", "channels": {"rm": {}}}
    return Policy.model_validate(heading | {"suitability": {"pack": pack}} | sections)


def decide_ann(policy: Policy, day: date = JUNE, asked: tuple[str, ...] = (), *events: Event) -> OneDecision:
    products = ("card", "fund", "loan")
    question = Question(
        policy=policy,
        channel="rm",
        day=day,
        propensities={"card": 0.25, "fund": 0.5, "loan": 0.125},
        popularity={"card": 1, "fund": 2, "loan": 3},
        lifetime_margin=dict.fromkeys(products, 8),
        scale=lambda product_id, assets: 1,
        evidence=dict.fromkeys(products, 1000),
        limit=2,
        asked=asked,
    )
    oracle = PolicyOracle(hand_bank(), Calendar(), Calendar().period_of(JUNE))
    return oracle.decide_one("ann", Calendar().period_of(JUNE), question, events)


def shown(decision: OneDecision) -> list[str]:
    return [offer.product_id for offer in decision.offers]


def test_what_ann_is_offered() -> None:
    decision = decide_ann(hand_policy())
    assert shown(decision) == ["card", "loan"]
    assert [offer.priority for offer in decision.offers] == [0.25 * 8, 0.125 * 8]
    assert decision.reasons == {"card": set(), "fund": {Reason.RISK_ABOVE_TOLERANCE}, "loan": set()}


def test_ann_is_too_old_for_the_loan_from_her_birthday_on() -> None:
    decision = decide_ann(hand_policy(), date(2024, 7, 1))
    assert decision.reasons["loan"] == {Reason.TOO_OLD}


def test_what_ann_asks_for_comes_first_with_its_step() -> None:
    decision = decide_ann(hand_policy(), JUNE, ("fund",))
    assert shown(decision) == ["fund", "card"]
    assert [set(offer.steps) for offer in decision.offers] == [{"client_asked"}, set()]
    assert decision.reasons["loan"] == {Reason.OUTRANKED}


def test_ann_says_later() -> None:
    later = {"later": {"after_days": 3, "for_days": 2, "weight": 2}}
    policy = hand_policy(contact_policy=later, arbitration={"ramp": None})
    said = Event("ann", "outcome", JUNE, product_id="card", channel="rm", outcome="later")
    assert decide_ann(policy, date(2024, 7, 2), (), said).reasons["card"] == {Reason.RECENTLY_CONTACTED}
    contexts = [decide_ann(policy, date(2024, 7, day), (), said).offers[0].context for day in (3, 4, 5)]
    assert contexts == [2, 2, 1]


def test_ann_refuses_to_be_profiled() -> None:
    refusal = Event("ann", "consent", JUNE, purpose="personalisation", granted=False)
    decision = decide_ann(hand_policy(), JUNE, (), refusal)
    assert not decision.personalised
    assert [(offer.product_id, offer.priority) for offer in decision.offers] == [("loan", 3), ("card", 1)]
    assert all(Reason.PERSONALISATION_REFUSED in reasons for reasons in decision.reasons.values())
