"""A search for a decision that breaks a rule, on any path to a customer.

The paths: a campaign's block, one customer alone, a client who asks, customers who are not personalised. What must hold
is said here in a few words each and read off the tables' rows, with nothing of the code that decides.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from serving.decisions import Policy, Reason
from serving.decisions.policy.sections import ContactRule, EligibilityRule, Floor
from serving.decisions.policy.suitability_pack import Elderly, Funds
from serving.decisions.reason_codes import reasons_in
from tests.features.banks import Row
from tests.oracles.policy import Event

from .random_banks import N_CUSTOMERS
from .random_policies import Case, cases, compiled, decided, random_case

pytestmark = pytest.mark.slow

RATINGS = ("R1", "R2", "R3", "R4", "R5")


def search(max_examples: int) -> settings:
    # a case is drawn from one number, which cannot usefully be made smaller
    return settings(
        max_examples=max_examples,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow],
    )


# ------------------------------------------------------------------------------------------------------------ the paths


@dataclass(frozen=True)
class Path:
    """Decisions on some customers of a case, shown all that they may have."""

    name: str
    case: Case
    decisions: Any
    customers: list[str]

    def offers(self) -> Iterator[Shown]:
        for row, customer_id in enumerate(self.customers):
            customer = Customer(self.case, customer_id)
            for place, product in enumerate(self.decisions.products[row]):
                if product >= 0:
                    yield Shown(self, row, place, customer, self.case.product_ids[product])


@dataclass(frozen=True)
class Shown:
    """One offer."""

    path: Path
    row: int
    place: int
    customer: Customer
    product_id: str

    @property
    def policy(self) -> Policy:
        return self.path.case.policy

    @property
    def product(self) -> Row:
        return self.path.case.bank.products[self.product_id]

    @property
    def was_asked_for(self) -> bool:
        return self.product_id in self.path.case.asked

    @property
    def steps(self) -> int:
        return int(self.path.decisions.steps[self.row, self.place])

    @property
    def rating(self) -> int:
        """1 to 5; 0: not rated."""
        given = [self.product[name] for name in ("risk_rating", "issuer_risk_rating") if self.product[name]]
        if not given and self.product["family"] in self.policy.suitability.rated_families:
            return 5
        return max((RATINGS.index(rating) + 1 for rating in given), default=0)

    @property
    def is_above_tolerance(self) -> bool:
        allowed = self.policy.suitability.pack.allowed
        return self.rating > 0 and RATINGS[self.rating - 1] not in allowed.get(self.customer.profile["risk_level"], ())

    @property
    def is_risky_for_the_elderly(self) -> bool:
        elderly = self.policy.suitability.pack.elderly
        if elderly is None or self.customer.profile["kind"] == "corporate":
            return False
        is_risky = self.rating >= RATINGS.index(elderly.from_rating) + 1
        return is_risky and not self.customer.is_younger_than(elderly.from_age)

    def __str__(self) -> str:
        asked = ", asked for" if self.was_asked_for else ""
        return f"{self.path.name}: {self.product_id} to {self.customer.customer_id}{asked}"


def paths(case: Case) -> Iterator[Path]:
    """Every way by which the customers of a case can be offered something."""
    everything = case.product_ids
    refusals = tuple(
        Event(customer_id, "consent", case.day, purpose="personalisation", granted=False)
        for customer_id in case.customers
    )
    policy = compiled(case)
    for name, change in (
        ("in a block", {}),
        ("in a campaign", {"asked": ()}),
        ("asked for everything", {"asked": everything}),
        ("not personalised", {"asked": (), "events": (*case.events, *refusals)}),
        ("not personalised, asked for everything", {"asked": everything, "events": (*case.events, *refusals)}),
    ):
        changed = replace(case, limit=len(everything), **change)
        yield Path(name, changed, decided(changed, policy), list(case.customers))
    for row in (0, len(case.customers) - 1):
        alone = replace(case, limit=len(everything))
        yield Path("alone", alone, decided(alone, policy, rows=[row]), [case.customers[row]])


# ----------------------------------------------------------------------------------------------- what the tables say


@dataclass(frozen=True)
class Customer:
    """What the tables and the newer events say of a customer."""

    case: Case
    customer_id: str

    def rows(self, table: str) -> list[Row]:
        return self.case.bank.rows_of.get((table, self.customer_id), [])

    def events(self, *kinds: str) -> list[Event]:
        mine = [e for e in self.case.events if e.customer_id == self.customer_id and e.day <= self.case.day]
        return sorted((event for event in mine if event.kind in kinds), key=lambda event: event.day)

    @property
    def end(self) -> date:
        return self.case.bank.calendar.end_of(self.case.period)

    def was_recorded(self, *days: date | None) -> bool:
        """By the decision's day, and in what the bank was built of."""
        return all(day is None or day <= min(self.case.day, self.case.bank.as_of) for day in days)

    @cached_property
    def profile(self) -> Row:
        known = [row for row in self.rows("customers") if (row["valid_from"] or date.min) <= self.end]
        nothing = dict.fromkeys(self.rows("customers")[0])
        return max(known, key=lambda row: row["valid_from"] or date.min, default=nothing)

    def is_younger_than(self, age: float) -> bool:
        """False where nobody knows."""
        born = self.profile["birth_date"] if self.profile["kind"] == "retail" else self.profile["founded_on"]
        if born is None:
            return False
        # someone born on 29 February is a year older on 1 March
        birthdays = [(born.year + years, born.month, born.day) for years in range(1, 130)]
        today = (self.case.day.year, self.case.day.month, self.case.day.day)
        return sum(birthday <= today for birthday in birthdays) < age

    @cached_property
    def holds(self) -> set[str]:
        held = {
            row["product_id"]
            for row in self.rows("accounts")
            if (row["opened_on"] or date.min) <= self.end
            and (row["recorded_on"] or date.min) <= self.end
            and (row["closed_on"] or date.max) > self.end
        }
        for event in self.events("opened", "closed"):
            held = held | {event.product_id} if event.kind == "opened" else held - {event.product_id}
        return held

    @cached_property
    def assets(self) -> float | None:
        products = self.case.bank.products
        amounts = [
            row["average_balance"]
            for row in self.rows("balances")
            if self.case.bank.calendar.period_of(row["period"]) == self.case.period
            and products[row["product_id"]]["family"] not in self.case.policy.debts
        ]
        amounts += [event.amount for event in self.events("balance_jump")]
        return sum(amounts) if amounts else None

    def refused(self, purpose: str, channel: str | None) -> bool:
        """Whether the newest answer is a refusal; of several on one day one is enough."""
        answers = [
            (row["changed_on"], row["granted"])
            for row in self.rows("consents")
            if row["purpose"] == purpose
            and row["channel"] == channel
            and self.was_recorded(row["changed_on"], row["recorded_on"])
        ]
        answers += [
            (event.day, event.granted)
            for event in self.events("consent")
            if event.purpose == purpose and event.channel == channel
        ]
        newest = max((day for day, _ in answers), default=None)
        return (newest, False) in answers

    @cached_property
    def contacts(self) -> list[Row]:
        """Those made and known; ``known_outcome`` and ``known_outcome_on`` as far as they are."""
        made = []
        for row in self.rows("contacts"):
            known_on = max(row["contacted_on"], row["recorded_on"] or date.min)
            if row["arm"] == "control" or not self.was_recorded(known_on):
                continue
            answered_on = max(known_on, row["outcome_on"] or date.min)
            is_answered = row["outcome"] is not None and answered_on <= self.case.day
            outcome = {"known_outcome": row["outcome"], "known_outcome_on": answered_on} if is_answered else {}
            made.append({"known_outcome": None, "until": None} | row | outcome)
        made += [
            {
                "product_id": event.product_id,
                "channel": event.channel,
                "contacted_on": event.day,
                "known_outcome": event.outcome,
                "known_outcome_on": event.day,
                "until": event.until,
            }
            for event in self.events("outcome")
        ]
        return made

    @cached_property
    def complains(self) -> bool:
        """Whether a complaint is open that nothing has resolved since it was known."""
        known_on = [
            max(row["opened_on"], row["recorded_on"] or date.min)
            for row in self.rows("complaints")
            if self.was_recorded(row["opened_on"], row["recorded_on"])
            and (row["resolved_on"] or date.max) > self.case.day
        ]
        for event in self.events("complaint_opened", "complaint_resolved"):
            if event.kind == "complaint_opened":
                known_on.append(event.day)
            else:
                known_on = [day for day in known_on if day > event.day]
        return bool(known_on)


# ---------------------------------------------------------------------------------------------- what no offer may be


def is_held(offer: Shown) -> bool:
    return offer.product_id in offer.customer.holds


def is_not_sold(offer: Shown) -> bool:
    days = (offer.customer.end, offer.path.case.day)
    begins, ends = offer.product["on_sale_from"] or date.min, offer.product["on_sale_to"] or date.max
    return not all(begins <= day <= ends for day in days)


def is_for_the_other_kind(offer: Shown) -> bool:
    kind = offer.customer.profile["kind"]
    return kind is not None and offer.product["customer_kind"] not in (kind, "both")


def breaks_the_catalogues_ages(offer: Shown) -> bool:
    least, most = offer.product["min_age"], offer.product["max_age"]
    is_unknown = not offer.customer.is_younger_than(1000)
    too_young = least is not None and offer.customer.is_younger_than(least)
    too_old = most is not None and not offer.customer.is_younger_than(most + 1)
    return too_young or too_old or (is_unknown and (least is not None or most is not None))


def breaks_the_catalogues_tier(offer: Shown) -> bool:
    order = list(offer.policy.tiers)
    least, tier = offer.product["min_tier"], offer.customer.profile["tier"]
    return least is not None and (tier not in order or order.index(tier) < order.index(least))


def breaks_the_catalogues_balance(offer: Shown) -> bool:
    least, assets = offer.product["min_balance"], offer.customer.assets
    return least is not None and (assets is None or assets < least)


def breaks_the_catalogues_relations(offer: Shown) -> bool:
    held = offer.customer.holds
    return bool(set(offer.product["requires"] or ()) - held or set(offer.product["excludes"] or ()) & held)


def is_rated_and_the_assessment_is_missing_or_expired(offer: Shown) -> bool:
    profile, today = offer.customer.profile, offer.path.case.day
    assessed, expires = profile["risk_assessed_on"], profile["risk_expires_on"]
    is_missing = profile["risk_level"] is None or (assessed is None and expires is None)
    if assessed is not None:
        oldest = today - timedelta(days=offer.policy.suitability.pack.valid_days)
        is_missing = is_missing or not oldest <= assessed <= today
    return offer.rating > 0 and (is_missing or (expires is not None and expires < today))


def is_above_tolerance_unasked(offer: Shown) -> bool:
    return not offer.was_asked_for and offer.is_above_tolerance


def is_risky_for_the_elderly_unasked(offer: Shown) -> bool:
    return not offer.was_asked_for and offer.is_risky_for_the_elderly


def goes_past_what_a_client_may_ask_for(offer: Shown) -> bool:
    """Above tolerance or risky for the elderly, and no pack lets this client have it."""
    asked = offer.policy.suitability.pack.client_asked
    level = offer.customer.profile["risk_level"]
    may_ask = set(asked.allows) if asked is not None and level not in (None, *asked.barred_levels) else set()
    return (offer.is_above_tolerance and "RISK_ABOVE_TOLERANCE" not in may_ask) or (
        offer.is_risky_for_the_elderly and "ELDERLY_HIGH_RISK" not in may_ask
    )


def lacks_a_step_or_has_one_too_many(offer: Shown) -> bool:
    is_set_aside = offer.is_above_tolerance or offer.is_risky_for_the_elderly
    return offer.steps != is_set_aside + 2 * offer.is_risky_for_the_elderly


def is_beyond_the_customers_means(offer: Shown) -> bool:
    assets = offer.customer.assets
    return any(
        offer.rating >= RATINGS.index(funds.from_rating) + 1
        and funds.min_assets is not None
        and (assets is None or assets < funds.min_assets)
        for funds in offer.policy.suitability.pack.funds
    )


def goes_to_one_who_refused_marketing(offer: Shown) -> bool:
    return not offer.was_asked_for and offer.customer.refused("marketing", None)


def goes_through_a_refused_channel(offer: Shown) -> bool:
    return not offer.was_asked_for and offer.customer.refused("marketing", offer.path.case.channel)


def goes_to_one_who_complains(offer: Shown) -> bool:
    is_silent = offer.policy.contact_policy.open_complaint == "silent"
    return not offer.was_asked_for and is_silent and offer.customer.complains


def breaks_a_silence(offer: Shown) -> bool:
    if offer.was_asked_for:
        return False
    return any(has_silenced(rule, offer) for rule in offer.policy.contact_policy.rules)


def has_silenced(rule: ContactRule, offer: Shown) -> bool:
    """Whether, up to a contact not long ago, there were as many as the rule counts within its days."""
    products = offer.path.case.bank.products
    days = []
    for contact in offer.customer.contacts:
        concerns = {
            "product": contact["product_id"] == offer.product_id,
            "family": products[contact["product_id"]]["family"] == offer.product["family"],
            "channel": contact["channel"] == offer.path.case.channel,
            "all": True,
        }
        if concerns[rule.scope.value]:
            if rule.after.outcome == "contacted":
                days.append(contact["contacted_on"])
            elif contact["known_outcome"] == rule.after.outcome:
                days.append(contact["known_outcome_on"])
    for last in days:
        since = last - timedelta(days=rule.after.within_days)
        is_recent = offer.path.case.day <= last + timedelta(days=rule.silent_days)
        if is_recent and sum(since < day <= last for day in days) >= rule.after.times:
            return True
    return False


def was_put_off(offer: Shown) -> bool:
    """The customer said "later", nothing since, and it is not yet later."""
    later = offer.policy.contact_policy.later
    about = [c for c in offer.customer.contacts if c["product_id"] == offer.product_id and c["known_outcome"]]
    if later is None or offer.was_asked_for or not about:
        return False
    newest = max(contact["known_outcome_on"] for contact in about)
    of_that_day = [contact for contact in about if contact["known_outcome_on"] == newest]
    return all(
        contact["known_outcome"] == "later"
        and (contact["until"] or newest + timedelta(days=later.after_days)) > offer.path.case.day
        for contact in of_that_day
    )


def is_lifted_past_the_ceiling(offer: Shown) -> bool:
    ceiling = offer.policy.arbitration.lever_ceiling
    lever = float(offer.path.decisions.levers[offer.row, offer.place])
    return not 1 / ceiling * (1 - 1e-6) <= lever <= ceiling * (1 + 1e-6)


def is_weighted_beyond_the_limits(offer: Shown) -> bool:
    low, high = offer.policy.arbitration.context_limits
    return not low * (1 - 1e-6) <= float(offer.path.decisions.contexts[offer.row, offer.place]) <= high * (1 + 1e-6)


def is_not_in_question(offer: Shown) -> bool:
    case = offer.path.case
    row = case.customers.index(offer.customer.customer_id)
    return case.in_question is not None and not case.in_question[row, case.product_ids.index(offer.product_id)]


FORBIDDEN: tuple[Callable[[Shown], bool], ...] = (
    is_held,
    is_not_sold,
    is_for_the_other_kind,
    breaks_the_catalogues_ages,
    breaks_the_catalogues_tier,
    breaks_the_catalogues_balance,
    breaks_the_catalogues_relations,
    is_rated_and_the_assessment_is_missing_or_expired,
    is_above_tolerance_unasked,
    is_risky_for_the_elderly_unasked,
    goes_past_what_a_client_may_ask_for,
    lacks_a_step_or_has_one_too_many,
    is_beyond_the_customers_means,
    goes_to_one_who_refused_marketing,
    goes_through_a_refused_channel,
    goes_to_one_who_complains,
    breaks_a_silence,
    was_put_off,
    is_lifted_past_the_ceiling,
    is_weighted_beyond_the_limits,
    is_not_in_question,
)


@search(60)
@given(cases(n_customers=30))
def test_no_path_offers_what_is_forbidden(case: Case) -> None:
    for path in paths(case):
        for offer in path.offers():
            broken = [forbidden.__name__ for forbidden in FORBIDDEN if forbidden(offer)]
            assert not broken, f"{offer}: {', '.join(broken)}"


# ------------------------------------------------------------------------------------------------------------ the order


@search(40)
@given(cases(n_customers=12))
def test_products_come_in_the_order_of_their_priorities(case: Case) -> None:
    for path in paths(case):
        decisions = path.decisions
        for row in range(len(path.customers)):
            products = [product for product in decisions.products[row] if product >= 0]
            keys = [
                (case.product_ids[product] not in path.case.asked, -float(decisions.priorities[row, place]), product)
                for place, product in enumerate(products)
            ]
            assert keys == sorted(keys), f"{path.name}: {path.customers[row]}"
            factors = (decisions.propensities, decisions.values, decisions.contexts, decisions.levers)
            multiplied = np.prod([factor[row, : len(products)] for factor in factors], axis=0, dtype=np.float64)
            if decisions.personalised[row]:
                np.testing.assert_allclose(decisions.priorities[row, : len(products)], multiplied, rtol=1e-5)


@search(25)
@given(cases(n_customers=12))
def test_what_is_not_excluded_is_offered_and_nothing_else(case: Case) -> None:
    for path in paths(case):
        for row, customer_id in enumerate(path.customers):
            shown = {case.product_ids[product] for product in path.decisions.products[row] if product >= 0}
            free = {
                product_id
                for product_id, bits in zip(case.product_ids, path.decisions.excluded[row], strict=True)
                if not set(reasons_in(int(bits))) - {Reason.PERSONALISATION_REFUSED}
            }
            if path.case.in_question is not None:
                mask = path.case.in_question[case.customers.index(customer_id)]
                free -= {product_id for product_id, may_be in zip(case.product_ids, mask, strict=True) if not may_be}
            assert shown == free, f"{path.name}: {customer_id}"


@search(15)
@given(cases(n_customers=12))
def test_a_limit_only_cuts_the_list(case: Case) -> None:
    policy = compiled(case)
    whole = decided(case, policy, limit=len(case.product_ids))
    for limit in (1, 3):
        cut = decided(case, policy, limit=limit)
        np.testing.assert_array_equal(cut.products, whole.products[:, :limit])
        np.testing.assert_array_equal(cut.priorities, whole.priorities[:, :limit])
        outranked = cut.excluded & Reason.OUTRANKED.bit
        np.testing.assert_array_equal(cut.excluded ^ outranked, whole.excluded)
        for row, products in enumerate(whole.products[:, limit:]):
            assert set(np.flatnonzero(outranked[row])) == {product for product in products if product >= 0}


@search(15)
@given(cases(n_customers=12))
def test_a_floor_keeps_out_what_is_below_it(case: Case) -> None:
    floor = 12 / 32
    everywhere = Floor.model_validate({"rule": "everywhere", "floor": floor})
    arbitration = case.policy.arbitration.model_copy(update={"ramp": None})
    policy = case.policy.model_copy(update={"floors": (everywhere,), "arbitration": arbitration})
    decisions = decided(case, compiled(case, policy))
    for row in np.flatnonzero(decisions.personalised):
        for place, product in enumerate(decisions.products[row]):
            if product >= 0 and case.product_ids[product] not in case.asked:
                assert decisions.propensities[row, place] >= floor
                assert case.propensities[row, product] >= floor


@search(15)
@given(cases(n_customers=12))
def test_one_not_personalised_is_shown_the_same_whatever_models_and_business_say(case: Case) -> None:
    refusals = tuple(
        Event(customer_id, "consent", case.day, purpose="personalisation", granted=False)
        for customer_id in case.customers
    )
    anonymous = replace(case, events=(*case.events, *refusals))
    plain = case.policy.model_copy(update={"levers": (), "context": (), "floors": ()})
    before = decided(anonymous)
    after = decided(anonymous, compiled(case, plain), propensities=1 - case.propensities)
    assert not before.personalised.any()
    assert_same_rows(after, before, np.arange(len(case.customers)))
    assert set(np.unique(before.propensities)) <= {0}
    for factors in (before.values, before.contexts, before.levers):
        np.testing.assert_array_equal(factors, before.products >= 0)


# ------------------------------------------------------------------------------------------------- one path, one answer


ARRAYS = (
    "products",
    "propensities",
    "values",
    "contexts",
    "levers",
    "priorities",
    "excluded",
    "personalised",
    "triggers",
    "service_actions",
    "steps",
)


def assert_same_rows(one, other, rows) -> None:
    """`one` is what stands at `rows` of `other`, bit for bit."""
    for name in ARRAYS:
        mine, its = getattr(one, name), getattr(other, name)[rows]
        assert mine.dtype == its.dtype, name
        assert mine.tobytes() == np.ascontiguousarray(its).tobytes(), name


@search(20)
@given(cases(n_customers=N_CUSTOMERS))
def test_a_customer_alone_is_decided_as_in_the_block(case: Case) -> None:
    policy = compiled(case)
    block = decided(case, policy)
    for row in [*range(10), N_CUSTOMERS - 1]:
        own = tuple(event for event in case.events if event.customer_id == case.customers[row])
        assert_same_rows(decided(case, policy, rows=[row], events=own), block, [row])
    shuffled = np.random.default_rng(case.number).permutation(N_CUSTOMERS)
    for rows in (shuffled, shuffled[:12], shuffled[:100]):
        assert_same_rows(decided(case, policy, rows=rows), block, rows)


@search(15)
@given(cases(n_customers=12))
def test_deciding_twice_or_with_a_policy_compiled_anew_gives_the_same_bits(case: Case) -> None:
    policy = compiled(case)
    once = decided(case, policy)
    everyone = np.arange(len(case.customers))
    assert_same_rows(decided(case, policy), once, everyone)
    assert_same_rows(decided(case, compiled(case)), once, everyone)


@search(15)
@given(cases(n_customers=12))
def test_what_happens_after_the_day_is_not_seen(case: Case) -> None:
    policy = compiled(case)
    seen = tuple(event for event in case.events if event.day <= case.day)
    later = tuple(replace(event, day=event.day + timedelta(days=100)) for event in case.events)
    everyone = np.arange(len(case.customers))
    assert_same_rows(decided(case, policy, events=(*seen, *later)), decided(case, policy, events=seen), everyone)


# ------------------------------------------------------------------------------------------------------ newer events


@search(15)
@given(cases(n_customers=12))
def test_what_was_just_bought_is_offered_no_more(case: Case) -> None:
    policy = compiled(case)
    before = decided(case, policy)
    bought = {row: products[0] for row, products in enumerate(before.products) if products[0] >= 0}
    events = tuple(
        Event(case.customers[row], "opened", case.day, product_id=case.product_ids[product])
        for row, product in bought.items()
    )
    after = decided(case, policy, events=(*case.events, *events), asked=case.product_ids)
    for row, product in bought.items():
        assert product not in after.products[row]
        assert Reason.HELD in reasons_in(int(after.excluded[row, product]))


@search(15)
@given(cases(n_customers=12))
def test_one_who_just_refused_is_offered_nothing_unasked(case: Case) -> None:
    for channel in (None, case.channel):
        refusals = tuple(
            Event(customer_id, "consent", case.day, purpose="marketing", channel=channel, granted=False)
            for customer_id in case.customers
        )
        decisions = decided(case, events=(*case.events, *refusals), limit=len(case.product_ids))
        shown = {case.product_ids[product] for product in decisions.products.ravel() if product >= 0}
        assert shown <= set(case.asked)


# ------------------------------------------------------------------------------------------------- asking, and levers


@search(20)
@given(cases(n_customers=12))
def test_asking_for_a_product_changes_nothing_about_the_others(case: Case) -> None:
    policy = compiled(case)
    unasked = decided(case, policy, asked=())
    asked = decided(case, policy)
    others = [place for place, product_id in enumerate(case.product_ids) if product_id not in case.asked]
    before_arbitration = ~Reason.OUTRANKED.bit
    np.testing.assert_array_equal(
        asked.excluded[:, others] & before_arbitration, unasked.excluded[:, others] & before_arbitration
    )


@search(20)
@given(cases(n_customers=12))
def test_asking_never_takes_a_product_away(case: Case) -> None:
    policy = compiled(case)
    unasked = decided(case, policy, asked=(), limit=len(case.product_ids))
    asked = decided(case, policy, limit=len(case.product_ids))
    for before, after in zip(unasked.products, asked.products, strict=True):
        assert set(before) - {-1} <= set(after)


@search(20)
@given(cases(n_customers=12))
def test_levers_weights_and_triggers_lift_nothing_past_an_exclusion(case: Case) -> None:
    quiet = case.policy.triggers.model_copy(update=dict.fromkeys(type(case.policy.triggers).model_fields))
    plain = case.policy.model_copy(update={"levers": (), "context": (), "triggers": quiet, "service_actions": ()})
    whole = replace(case, limit=len(case.product_ids))
    lifted, flat = decided(whole), decided(whole, compiled(case, plain))
    np.testing.assert_array_equal(lifted.excluded, flat.excluded)
    for mine, its in zip(lifted.products, flat.products, strict=True):
        assert set(mine) == set(its)


# ----------------------------------------------------------------------------------------------------------- tightening


def with_pack(policy: Policy, **changes) -> Policy:
    pack = policy.suitability.pack.model_copy(update=changes)
    return policy.model_copy(update={"suitability": policy.suitability.model_copy(update={"pack": pack})})


def with_contact_policy(policy: Policy, **changes) -> Policy:
    return policy.model_copy(update={"contact_policy": policy.contact_policy.model_copy(update=changes)})


def with_eligibility(policy: Policy, change: Callable[[EligibilityRule], dict[str, Any]]) -> Policy:
    rules = tuple(rule.model_copy(update=change(rule)) for rule in policy.eligibility)
    return policy.model_copy(update={"eligibility": rules})


def raise_ages(policy: Policy) -> Policy:
    return with_eligibility(policy, lambda rule: {} if rule.min_age is None else {"min_age": rule.min_age + 10})


def lower_ages(policy: Policy) -> Policy:
    return with_eligibility(policy, lambda rule: {} if rule.max_age is None else {"max_age": rule.max_age - 10})


def raise_balances(policy: Policy) -> Policy:
    return with_eligibility(
        policy, lambda rule: {} if rule.min_balance is None else {"min_balance": rule.min_balance + 1000}
    )


def raise_tiers(policy: Policy) -> Policy:
    highest = list(policy.tiers)[-1]
    return with_eligibility(policy, lambda rule: {} if rule.min_tier is None else {"min_tier": highest})


def require_more(policy: Policy) -> Policy:
    more = sorted({product for rule in policy.eligibility for product in rule.requires})
    return with_eligibility(policy, lambda rule: {"requires": tuple(more)} if rule.requires else {})


def exclude_more(policy: Policy) -> Policy:
    more = sorted({product for rule in policy.eligibility for product in rule.excludes})
    return with_eligibility(policy, lambda rule: {"excludes": tuple(more)} if rule.excludes else {})


def set_an_age_nobody_had_set(policy: Policy) -> Policy:
    if any(rule.min_age is not None for rule in policy.eligibility):
        return policy
    rule = EligibilityRule.model_validate({"rule": "new", "min_age": 30})
    return policy.model_copy(update={"eligibility": (*policy.eligibility, rule)})


def allow_one_level_less(policy: Policy) -> Policy:
    allowed = policy.suitability.pack.allowed
    shifted = dict(zip(allowed, [(), *list(allowed.values())[:-1]], strict=True))
    return with_pack(policy, allowed=shifted)


def let_assessments_expire_sooner(policy: Policy) -> Policy:
    return with_pack(policy, valid_days=max(policy.suitability.pack.valid_days // 2, 1))


def protect_the_elderly_earlier(policy: Policy) -> Policy:
    return with_pack(policy, elderly=Elderly(from_age=50, from_rating="R1", step="talk"))


def ask_for_means(policy: Policy) -> Policy:
    more = Funds(from_rating="R2", min_assets=50_000, max_debt_to_assets=0.1)
    return with_pack(policy, funds=(*policy.suitability.pack.funds, more))


def rate_all_families(policy: Policy) -> Policy:
    families = ("cards", "deposits", "funds", "loans", "wealth")
    return policy.model_copy(update={"suitability": policy.suitability.model_copy(update={"rated_families": families})})


def bar_all_levels(policy: Policy) -> Policy:
    asked = policy.suitability.pack.client_asked
    if asked is None:
        return policy
    return with_pack(policy, client_asked=asked.model_copy(update={"barred_levels": ("C1", "C2", "C3", "C4", "C5")}))


def let_the_client_ask_for_nothing(policy: Policy) -> Policy:
    return with_pack(policy, client_asked=None)


def take_silence_for_a_refusal(policy: Policy) -> Policy:
    consent = policy.consent.model_copy(update={"marketing_without_record": "refused"})
    return policy.model_copy(update={"consent": consent})


def be_silent_for_longer(policy: Policy) -> Policy:
    rules = tuple(r.model_copy(update={"silent_days": r.silent_days + 20}) for r in policy.contact_policy.rules)
    return with_contact_policy(policy, rules=rules)


def be_silent_after_fewer_contacts(policy: Policy) -> Policy:
    rules = tuple(
        rule.model_copy(update={"after": rule.after.model_copy(update={"times": max(rule.after.times - 1, 1)})})
        for rule in policy.contact_policy.rules
    )
    return with_contact_policy(policy, rules=rules)


def count_contacts_over_more_days(policy: Policy) -> Policy:
    rules = tuple(
        rule.model_copy(update={"after": rule.after.model_copy(update={"within_days": rule.after.within_days + 9})})
        for rule in policy.contact_policy.rules
    )
    return with_contact_policy(policy, rules=rules)


def add_a_silence(policy: Policy) -> Policy:
    rule = ContactRule.model_validate(
        {"rule": "new", "after": {"outcome": "contacted"}, "silent_days": 10, "scope": "product"}
    )
    return with_contact_policy(policy, rules=(*policy.contact_policy.rules, rule))


def be_silent_while_one_complains(policy: Policy) -> Policy:
    return with_contact_policy(policy, open_complaint="silent")


def put_off_for_longer(policy: Policy) -> Policy:
    later = policy.contact_policy.later
    longer = None if later is None else later.model_copy(update={"after_days": later.after_days + 10})
    return with_contact_policy(policy, later=longer)


def raise_floors(policy: Policy) -> Policy:
    floors = tuple(rule.model_copy(update={"floor": min(rule.floor + 3 / 32, 0.99)}) for rule in policy.floors)
    return policy.model_copy(update={"floors": floors})


def give_no_ramp(policy: Policy) -> Policy:
    return policy.model_copy(update={"arbitration": policy.arbitration.model_copy(update={"ramp": None})})


TIGHTENINGS = (
    raise_ages,
    lower_ages,
    raise_balances,
    raise_tiers,
    require_more,
    exclude_more,
    set_an_age_nobody_had_set,
    allow_one_level_less,
    let_assessments_expire_sooner,
    protect_the_elderly_earlier,
    ask_for_means,
    rate_all_families,
    bar_all_levels,
    let_the_client_ask_for_nothing,
    take_silence_for_a_refusal,
    be_silent_for_longer,
    be_silent_after_fewer_contacts,
    count_contacts_over_more_days,
    add_a_silence,
    be_silent_while_one_complains,
    put_off_for_longer,
    raise_floors,
    give_no_ramp,
)


@search(60)
@given(cases(n_customers=30))
def test_tightening_a_rule_never_adds_an_offer(case: Case) -> None:
    whole = replace(case, limit=len(case.product_ids))
    before = decided(whole)
    for tighten in random.Random(case.number).sample(TIGHTENINGS, k=6):
        after = decided(whole, compiled(whole, tighten(case.policy)))
        for row, (offered, still) in enumerate(zip(before.products, after.products, strict=True)):
            added = set(still) - set(offered) - {-1}
            assert not added, f"{tighten.__name__}: {case.customers[row]} gets {added}"


# ------------------------------------------------------------------------------------------------- the search is real


def test_the_search_meets_offers_of_all_sorts() -> None:
    """Rated ones, personalised ones and not, with each step, on every path: what is never offered proves nothing."""
    met = Counter[str]()
    for number in range(30):
        for path in paths(random_case(number, n_customers=30)):
            for offer in path.offers():
                met[path.name] += 1
                met["rated"] += offer.rating > 0
                met["step of the client's wish"] += offer.steps & 1
                met["step for the elderly"] += offer.steps >> 1
                met["personalised"] += bool(path.decisions.personalised[offer.row])
                met["lifted"] += path.decisions.levers[offer.row, offer.place] != 1
                met["weighted"] += path.decisions.contexts[offer.row, offer.place] != 1
    assert min(met.values()) >= 5, met
    assert len(met) == 12
