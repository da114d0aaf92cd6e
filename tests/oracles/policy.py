"""What a policy lets one customer be offered: read off the tables' rows, rule by rule, as its description says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from features.calendar import Calendar
from serving.decisions import Policy, Reason
from serving.decisions.policy.sections import After, QuietScope, Scope

from .history import Account, HistoryOracle

Row = dict[str, Any]
Reasons = set[Reason]

RATINGS = ("R1", "R2", "R3", "R4", "R5")


@dataclass(frozen=True)
class Event:
    """Something newer than the tables, as a `FreshEvent` has it."""

    customer_id: str
    kind: str
    day: date
    product_id: str | None = None
    channel: str | None = None
    outcome: str | None = None
    until: date | None = None
    purpose: str | None = None
    granted: bool | None = None
    amount: float | None = None
    conversation: str | None = None


@dataclass(frozen=True)
class Offer:
    """A product shown, with the factors of its priority and the steps to take first."""

    product_id: str
    propensity: float
    value: float
    context: float
    lever: float
    priority: float
    steps: frozenset[str] = frozenset()


@dataclass(frozen=True)
class OneDecision:
    """One customer's decision; `reasons` has every product of the catalogue."""

    reasons: dict[str, Reasons]
    offers: list[Offer]
    triggers: set[str]
    service_actions: set[str]
    personalised: bool


@dataclass(frozen=True)
class Question:
    """What is asked of a policy, and what others have found out: all by product id.

    `scale` gives the expected balance over a typical one's of a product and assets (None: unknown); `in_question`
    names the products that may be offered, None all.
    """

    policy: Policy
    channel: str
    day: date
    propensities: Mapping[str, float]
    popularity: Mapping[str, float]
    lifetime_margin: Mapping[str, float]
    scale: Callable[[str, float | None], float]
    evidence: Mapping[str, int]
    limit: int
    asked: tuple[str, ...] = ()
    in_question: frozenset[str] | None = None


class PolicyOracle:
    """Decides from the rows of a bank's tables, looked at up to the end of the period `newest`."""

    def __init__(self, tables: Mapping[str, Sequence[Row]], calendar: Calendar, newest: int) -> None:
        self.calendar, self.newest = calendar, newest
        self.products = sorted(tables["products"], key=lambda row: row["product_id"])
        self.rows: dict[str, dict[str, list[Row]]] = {}
        for name in ("customers", "accounts", "balances", "activity", "contacts", "consents", "complaints"):
            self.rows[name] = {}
            for row in tables.get(name, ()):
                self.rows[name].setdefault(row["customer_id"], []).append(row)
        self.words: dict[tuple[str, int], dict[str, list[bool]]] = {}

    def decide_one(
        self, customer_id: str, period: int, question: Question, events: Iterable[Event] = ()
    ) -> OneDecision:
        """The decision on one customer, of whom the states at the end of `period` and the later `events` tell."""
        seen = [event for event in events if event.customer_id == customer_id and event.day <= question.day]
        facts = Facts(self, customer_id, period, question.policy, question.day, seen)
        triggers = triggers_of(facts)
        found = {product["product_id"]: layers(product, facts, question) for product in self.products}
        personalised = not personalisation_refused(facts, question)
        offers = arbitrate(found, triggers, personalised, facts, question)
        return OneDecision(
            reasons={product_id: judged.reasons for product_id, judged in found.items()},
            offers=offers,
            triggers=triggers,
            service_actions=service_actions_of(facts, triggers),
            personalised=personalised,
        )

    def of(self, table: str, customer_id: str) -> list[Row]:
        return self.rows[table].get(customer_id, [])

    def held_by_period(self, customer_id: str, period: int) -> dict[str, list[bool]]:
        """Of each product: held at the end of `period`, of the one before, and so on, as known at the end of it."""
        if (customer_id, period) not in self.words:
            accounts = [
                Account(r["customer_id"], r["product_id"], r["opened_on"], r["closed_on"], r["recorded_on"])
                for r in self.of("accounts", customer_id)
            ]
            history = HistoryOracle(accounts, self.calendar, self.newest)
            self.words[customer_id, period] = {
                product["product_id"]: history.word(customer_id, product["product_id"], period)
                for product in self.products
            }
        return self.words[customer_id, period]


# ------------------------------------------------------------------------------------------------- what is known


@dataclass
class Facts:
    """What the bank knows of a customer on the decision's day."""

    oracle: PolicyOracle
    customer_id: str
    period: int
    policy: Policy
    day: date
    events: list[Event]

    @cached_property
    def newest_day(self) -> date:
        """The last day the tables are looked at."""
        return self.oracle.calendar.end_of(self.oracle.newest)

    def is_known(self, *days: date | None) -> bool:
        """Whether what happened and was recorded on `days` was recorded, and is so by the decision's day."""
        known = latest(*days)
        return known <= self.newest_day and known <= self.day

    def events_of(self, kind: str) -> list[Event]:
        """In the order of their days; those of one day as they came."""
        return sorted((event for event in self.events if event.kind == kind), key=lambda event: event.day)

    # ------------------------------------------------------------------------------------------------- who it is

    @cached_property
    def profile(self) -> Row:
        """The version known at the end of the period; of one who was not known then, nothing."""
        end = self.oracle.calendar.end_of(self.period)
        versions = [
            row
            for row in self.oracle.of("customers", self.customer_id)
            if row["valid_from"] is None or row["valid_from"] <= end
        ]
        return max(versions, key=lambda row: row["valid_from"] or date.min, default={})

    @property
    def kind(self) -> str | None:
        return self.profile.get("kind")

    @cached_property
    def born(self) -> date | None:
        return self.profile.get({"retail": "birth_date", "corporate": "founded_on"}.get(self.kind or "", ""))

    @cached_property
    def age(self) -> int | None:
        return None if self.born is None else completed_years(self.born, self.day)

    @property
    def tier(self) -> str | None:
        """The customer's tier, where the policy defines it."""
        tier = self.profile.get("tier")
        return tier if tier in self.policy.tiers else None

    @cached_property
    def life_stage(self) -> str | None:
        if self.kind != "retail" or self.age is None:
            return None
        for name, stage in self.policy.life_stages.items():
            if stage.from_age <= self.age <= stage.to_age:
                return name
        return None

    @property
    def level(self) -> str | None:
        return self.profile.get("risk_level")

    # ------------------------------------------------------------------------------------------------- what he has

    @cached_property
    def words(self) -> dict[str, list[bool]]:
        """Of each product: held now, at the end of the period before the states', and so on."""
        words = {p: list(word) for p, word in self.oracle.held_by_period(self.customer_id, self.period).items()}
        for event in sorted(self.events, key=lambda event: event.day):
            if event.kind in ("opened", "closed"):
                words[event.product_id][0] = event.kind == "opened"
        return words

    @cached_property
    def held(self) -> set[str]:
        return {product_id for product_id, word in self.words.items() if word[0]}

    @cached_property
    def family_of(self) -> dict[str, str]:
        return {product["product_id"]: product["family"] for product in self.oracle.products}

    @cached_property
    def balances(self) -> dict[tuple[str, int], float]:
        """By product and periods before the states'; what is not there is unknown."""
        found = {}
        for row in self.oracle.of("balances", self.customer_id):
            age = self.period - self.oracle.calendar.period_of(row["period"])
            if age >= 0:
                found[row["product_id"], age] = row["average_balance"]
        return found

    def assets(self, age: int = 0) -> float | None:
        known = [
            amount
            for (product_id, when), amount in self.balances.items()
            if when == age and self.family_of[product_id] not in self.policy.debts
        ]
        known += [event.amount for event in self.events_of("balance_jump") if age == 0]
        return sum(known) if known else None

    def debts(self) -> float:
        return sum(
            amount
            for (product_id, when), amount in self.balances.items()
            if when == 0 and self.family_of[product_id] in self.policy.debts
        )

    def inflow(self, age: int = 0) -> float | None:
        known = [
            row["inflow"]
            for row in self.oracle.of("activity", self.customer_id)
            if row["inflow"] is not None and self.period - self.oracle.calendar.period_of(row["period"]) == age
        ]
        known += [event.amount for event in self.events_of("balance_jump") if age == 0 and event.amount > 0]
        return sum(known) if known else None

    def is_due(self, families: Sequence[str], within_days: int) -> bool:
        """Whether an account of a product of `families` is open and matures soon."""
        for row in self.oracle.of("accounts", self.customer_id):
            if (
                self.family_of[row["product_id"]] in families
                and row["matures_on"] is not None
                and self.day <= row["matures_on"] <= self.day + timedelta(days=within_days)
                and self.is_known(row["opened_on"], row["recorded_on"])
                and not (row["closed_on"] is not None and self.is_known(row["closed_on"]))
                and all(event.product_id != row["product_id"] for event in self.events_of("closed"))
            ):
                return True
        return False

    # -------------------------------------------------------------------------------------------- what was said

    @cached_property
    def contacts(self) -> list[Contact]:
        """Contacts made and known, in the order in which they were made."""
        made = []
        rows = [row for row in self.oracle.of("contacts", self.customer_id) if row["arm"] == "treated"]
        for row in sorted(rows, key=lambda row: (row["contacted_on"], row["contact_id"])):
            known_on = latest(row["contacted_on"], row["recorded_on"])
            if not self.is_known(known_on):
                continue
            contact = Contact(row["contacted_on"], row["product_id"], row["channel"])
            answered_on = latest(known_on, row["outcome_on"])
            if row["outcome"] is not None and answered_on <= self.day:
                contact.outcome, contact.answered_on = row["outcome"], answered_on
            made.append(contact)
        return made + [
            Contact(
                event.day, event.product_id, event.channel, event.outcome, event.day, event.until, event.conversation
            )
            for event in self.events_of("outcome")
        ]

    def consents(self, purpose: str, channel: str | None) -> list[tuple[date, bool]]:
        """The days and the answers about a purpose, through a channel or (None) altogether."""
        answers = [
            (row["changed_on"], row["granted"])
            for row in self.oracle.of("consents", self.customer_id)
            if (row["purpose"], row["channel"]) == (purpose, channel)
            and self.is_known(row["changed_on"], row["recorded_on"])
        ]
        answers += [
            (event.day, event.granted)
            for event in self.events_of("consent")
            if (event.purpose, event.channel) == (purpose, channel)
        ]
        return answers

    @cached_property
    def has_open_complaint(self) -> bool:
        open_since = []
        for row in self.oracle.of("complaints", self.customer_id):
            known_on = latest(row["opened_on"], row["recorded_on"])
            resolved = row["resolved_on"] is not None and row["resolved_on"] <= self.day
            if self.is_known(known_on) and not resolved:
                open_since.append(known_on)
        for event in sorted(self.events, key=lambda event: event.day):
            if event.kind == "complaint_opened":
                open_since.append(event.day)
            if event.kind == "complaint_resolved":
                open_since = [day for day in open_since if day > event.day]
        return bool(open_since)


@dataclass
class Contact:
    """A contact made, and its outcome as far as it is known."""

    made_on: date
    product_id: str
    channel: str | None
    outcome: str | None = None
    answered_on: date | None = None
    until: date | None = None
    conversation: str | None = None


# ------------------------------------------------------------------------------------------------------- the layers


@dataclass
class Judged:
    """What the layers found of a product: why it is not offered, and what to do first where it is."""

    reasons: Reasons
    steps: set[str] = field(default_factory=set)

    @property
    def is_excluded(self) -> bool:
        return bool(self.reasons - {Reason.PERSONALISATION_REFUSED})


def layers(product: Row, facts: Facts, question: Question) -> Judged:
    """All layers but the arbitration."""
    asked = product["product_id"] in question.asked
    unsuitable, steps = suitability(product, facts, asked)
    reasons = candidate(product, facts) | eligibility(product, facts, question) | unsuitable
    if not asked:
        reasons |= marketing_consent(facts, question) | contact_policy(product, facts, question)
    if personalisation_refused(facts, question):
        reasons |= {Reason.PERSONALISATION_REFUSED}
    return Judged(reasons, steps)


def candidate(product: Row, facts: Facts) -> Reasons:
    reasons = set()
    if product["product_id"] in facts.held:
        reasons.add(Reason.HELD)
    for day in (facts.oracle.calendar.end_of(facts.period), facts.day):
        if not (product["on_sale_from"] or day) <= day <= (product["on_sale_to"] or day):
            reasons.add(Reason.NOT_ON_SALE)
    if facts.kind is not None and product["customer_kind"] not in (facts.kind, "both"):
        reasons.add(Reason.WRONG_CUSTOMER_KIND)
    return reasons


def eligibility(product: Row, facts: Facts, question: Question) -> Reasons:
    own = {name: product[name] for name in ("min_age", "max_age", "min_tier", "min_balance", "requires", "excludes")}
    return unmet(own, facts) | unmet(policys_conditions(product, facts, question), facts)


def policys_conditions(product: Row, facts: Facts, question: Question) -> Row:
    """Each condition as the most particular of the rules that set it says."""
    conditions = {}
    for name in ("min_age", "max_age", "min_tier", "min_balance", "requires", "excludes"):
        rules = [
            rule
            for rule in facts.policy.eligibility
            if getattr(rule, name) not in (None, ()) and fits(rule.scope, product, facts, question.channel)
        ]
        if rules:
            conditions[name] = getattr(most_particular(rules), name)
    return conditions


def unmet(conditions: Row, facts: Facts) -> Reasons:
    reasons = set()
    least_age, greatest_age = conditions.get("min_age"), conditions.get("max_age")
    if facts.age is None:
        if least_age is not None or greatest_age is not None:
            reasons.add(Reason.TOO_YOUNG)
    else:
        if least_age is not None and facts.age < least_age:
            reasons.add(Reason.TOO_YOUNG)
        if greatest_age is not None and facts.age > greatest_age:
            reasons.add(Reason.TOO_OLD)
    if conditions.get("min_tier") is not None:
        order = list(facts.policy.tiers)
        if facts.tier is None or order.index(facts.tier) < order.index(conditions["min_tier"]):
            reasons.add(Reason.TIER_TOO_LOW)
    if conditions.get("min_balance") is not None:
        assets = facts.assets()
        if assets is None or assets < conditions["min_balance"]:
            reasons.add(Reason.BALANCE_TOO_LOW)
    if not set(conditions.get("requires") or ()) <= facts.held:
        reasons.add(Reason.MISSING_PREREQUISITE)
    if set(conditions.get("excludes") or ()) & facts.held:
        reasons.add(Reason.EXCLUDED_BY_HOLDING)
    return reasons


def rating_of(product: Row, policy: Policy) -> int:
    """1 to 5; 0: not judged."""
    ratings = [product[name] for name in ("risk_rating", "issuer_risk_rating") if product[name] is not None]
    if ratings:
        return max(RATINGS.index(rating) + 1 for rating in ratings)
    return 5 if product["family"] in policy.suitability.rated_families else 0


def assessment_missing(facts: Facts) -> bool:
    assessed, expires = facts.profile.get("risk_assessed_on"), facts.profile.get("risk_expires_on")
    if facts.level is None or (assessed is None and expires is None):
        return True
    return assessed is not None and assessed > facts.day


def assessment_expired(facts: Facts) -> bool:
    assessed, expires = facts.profile.get("risk_assessed_on"), facts.profile.get("risk_expires_on")
    if expires is not None and facts.day > expires:
        return True
    return assessed is not None and (facts.day - assessed).days > facts.policy.suitability.pack.valid_days


def suitability(product: Row, facts: Facts, asked: bool) -> tuple[Reasons, set[str]]:
    """Reasons, and the steps by which the client's own wish takes some of them away."""
    pack = facts.policy.suitability.pack
    rating = rating_of(product, facts.policy)
    if not rating:
        return set(), set()
    reasons = set()
    if facts.level is not None and RATINGS[rating - 1] not in pack.allowed[facts.level]:
        reasons.add(Reason.RISK_ABOVE_TOLERANCE)
    if assessment_missing(facts):
        reasons.add(Reason.RISK_ASSESSMENT_MISSING)
    if assessment_expired(facts):
        reasons.add(Reason.RISK_ASSESSMENT_EXPIRED)
    if pack.elderly is not None and facts.kind != "corporate":
        is_old = facts.age is None or facts.age >= pack.elderly.from_age
        if is_old and rating >= rank(pack.elderly.from_rating):
            reasons.add(Reason.ELDERLY_HIGH_RISK)
    if any(rating >= rank(funds.from_rating) and means_are_missing(funds, facts) for funds in pack.funds):
        reasons.add(Reason.FUNDS_MISMATCH)
    if not asked or pack.client_asked is None or facts.level in (None, *pack.client_asked.barred_levels):
        return reasons, set()
    set_aside = {reason for reason in reasons if reason.name in pack.client_asked.allows}
    steps = {"client_asked"} if set_aside else set()
    if Reason.ELDERLY_HIGH_RISK in set_aside:
        steps.add("elderly")
    return reasons - set_aside, steps


def means_are_missing(funds: Any, facts: Facts) -> bool:
    assets = facts.assets()
    if assets is None:
        return True
    if funds.min_assets is not None and assets < funds.min_assets:
        return True
    return funds.max_debt_to_assets is not None and facts.debts() > funds.max_debt_to_assets * assets


def answer(answers: list[tuple[date, bool]]) -> bool | None:
    """The newest answer; of two on one day the refusal."""
    if not answers:
        return None
    newest = max(day for day, _ in answers)
    return all(granted for day, granted in answers if day == newest)


def marketing_consent(facts: Facts, question: Question) -> Reasons:
    reasons = set()
    altogether = answer(facts.consents("marketing", None))
    if altogether is None:
        altogether = facts.policy.consent.marketing_without_record == "allowed"
    if not altogether:
        reasons.add(Reason.MARKETING_REFUSED)
    if answer(facts.consents("marketing", question.channel)) is False:
        reasons.add(Reason.CHANNEL_REFUSED)
    return reasons


def personalisation_refused(facts: Facts, question: Question) -> bool:
    altogether = answer(facts.consents("personalisation", None))
    if altogether is None:
        altogether = facts.policy.consent.personalisation_without_record == "allowed"
    return not altogether or answer(facts.consents("personalisation", question.channel)) is False


def contact_policy(product: Row, facts: Facts, question: Question) -> Reasons:
    policy = facts.policy.contact_policy
    reasons = set()
    for rule in policy.rules:
        days = days_of(rule.after, [c for c in facts.contacts if counts(c, rule.scope, product, facts, question)])
        if is_silent(days, rule.after, rule.silent_days, facts.day):
            if rule.after.outcome == "declined":
                reasons.add(Reason.RECENTLY_DECLINED)
            elif rule.after.times > 1:
                reasons.add(Reason.CONTACT_LIMIT_REACHED)
            else:
                reasons.add(Reason.RECENTLY_CONTACTED)
    if later_of(product, facts) == "silent":
        reasons.add(Reason.RECENTLY_CONTACTED)
    if policy.open_complaint == "silent" and facts.has_open_complaint:
        reasons.add(Reason.OPEN_COMPLAINT)
    return reasons


def counts(contact: Contact, scope: QuietScope, product: Row, facts: Facts, question: Question) -> bool:
    """Whether the contact is one that may quiet the product in this channel."""
    if scope is QuietScope.PRODUCT:
        return contact.product_id == product["product_id"]
    if scope is QuietScope.FAMILY:
        return facts.family_of[contact.product_id] == product["family"]
    return scope is QuietScope.ALL or contact.channel == question.channel


def days_of(after: After, contacts: list[Contact]) -> list[date]:
    """The days of the contacts, or of the outcomes of a kind, in order: a conversation of several outcomes is one
    contact."""
    if after.outcome == "contacted":
        conversations = {contact.conversation: contact.made_on for contact in contacts if contact.conversation}
        others = [contact.made_on for contact in contacts if not contact.conversation]
        return sorted([*conversations.values(), *others])
    return sorted(contact.answered_on for contact in contacts if contact.outcome == after.outcome)


def is_silent(days: list[date], after: After, silent_days: int, today: date) -> bool:
    for first, last in zip(days, days[after.times - 1 :], strict=False):
        if (last - first).days < after.within_days and today <= last + timedelta(days=silent_days):
            return True
    return False


def later_of(product: Row, facts: Facts) -> str | None:
    """Whether a "later" about the product silences or raises it now."""
    later = facts.policy.contact_policy.later
    answered = [c for c in facts.contacts if c.product_id == product["product_id"] and c.outcome is not None]
    if later is None or not answered:
        return None
    # of two known on one day that of the later contact: they are in the order in which they were made
    newest = max(reversed(answered), key=lambda contact: (contact.answered_on, contact.made_on))
    if newest.outcome != "later":
        return None
    raised_from = newest.until or newest.answered_on + timedelta(days=later.after_days)
    if facts.day < raised_from:
        return "silent"
    return "raised" if facts.day < raised_from + timedelta(days=later.for_days) else None


# ------------------------------------------------------------------------------------------------------ the triggers


def triggers_of(facts: Facts) -> set[str]:
    """The names of the triggers that the customer sets off."""
    triggers = facts.policy.triggers
    return {
        name
        for name, holds in TRIGGERS.items()
        if getattr(triggers, name) is not None and holds(facts, getattr(triggers, name))
    }


def maturing(facts: Facts, trigger: Any) -> bool:
    return facts.is_due(trigger.family, trigger.within_days)


def large_inflow(facts: Facts, trigger: Any) -> bool:
    now = facts.inflow()
    before = [facts.inflow(age) for age in range(1, trigger.over_periods + 1)]
    if now is None or all(amount is None for amount in before):
        return False
    mean = sum(amount or 0 for amount in before) / trigger.over_periods
    return now >= trigger.least and now >= trigger.times * mean


def salary_started(facts: Facts, trigger: Any) -> bool:
    return any(
        facts.words[product][0] and facts.words[product][age] and not facts.words[product][age + 1]
        for product in trigger.product
        for age in range(trigger.within_periods)
    )


def salary_stopped(facts: Facts, trigger: Any) -> bool:
    if any(facts.words[product][0] for product in trigger.product):
        return False
    return any(
        not facts.words[product][age] and facts.words[product][age + 1]
        for product in trigger.product
        for age in range(trigger.within_periods)
    )


def loan_nearly_repaid(facts: Facts, trigger: Any) -> bool:
    for product in facts.held:
        if facts.family_of[product] not in trigger.family or (product, 0) not in facts.balances:
            continue
        most = max(amount for (other, _), amount in facts.balances.items() if other == product)
        if 0 < facts.balances[product, 0] <= trigger.left * most:
            return True
    return facts.is_due(trigger.family, trigger.within_days)


def balance_falling(facts: Facts, trigger: Any) -> bool:
    before = [facts.assets(age) for age in range(1, trigger.over_periods + 1)]
    known = [amount for amount in before if amount is not None]
    now = facts.assets()
    if now is None or not known:
        return False
    mean = sum(known) / len(known)
    return mean >= trigger.least and now <= trigger.to * mean


def next_tier(facts: Facts, trigger: Any) -> bool:
    assets = facts.assets()
    if facts.kind not in trigger.kind or facts.tier is None or assets is None:
        return False
    order = list(facts.policy.tiers)
    for tier in order[order.index(facts.tier) + 1 :]:
        if facts.policy.tiers[tier] is not None:
            return assets >= (1 - trigger.within) * facts.policy.tiers[tier]
    return False


def life_stage_birthday(facts: Facts, trigger: Any) -> bool:
    if facts.kind != "retail" or facts.born is None:
        return False
    birthdays = [birthday(facts.born, age) for age in trigger.ages]
    return any(abs((day - facts.day).days) <= trigger.within_days for day in birthdays)


TRIGGERS = {
    trigger.__name__: trigger
    for trigger in (
        maturing,
        large_inflow,
        salary_started,
        salary_stopped,
        loan_nearly_repaid,
        balance_falling,
        next_tier,
        life_stage_birthday,
    )
}


def service_actions_of(facts: Facts, triggers: set[str]) -> set[str]:
    occasions = set(triggers)
    if assessment_expired(facts):
        occasions.add("risk_assessment_expired")
    if facts.has_open_complaint:
        occasions.add("open_complaint")
    return {action.action for action in facts.policy.service_actions if action.when in occasions}


# ------------------------------------------------------------------------------------------------------- arbitration


def arbitrate(
    found: dict[str, Judged], triggers: set[str], personalised: bool, facts: Facts, question: Question
) -> list[Offer]:
    """The offers, the first one first; adds the reasons of the last layer to `found`."""
    possible = []
    for product in facts.oracle.products:
        product_id = product["product_id"]
        if found[product_id].is_excluded:
            continue
        has_floor = personalised and product_id not in question.asked
        if has_floor and question.propensities[product_id] < floor_of(product, facts, question):
            found[product_id].reasons.add(Reason.PROPENSITY_BELOW_FLOOR)
            continue
        if question.in_question is not None and product_id not in question.in_question:
            continue
        steps = frozenset(found[product_id].steps)
        if personalised:
            possible.append(personal_offer(product, triggers, steps, facts, question))
        else:
            possible.append(Offer(product_id, 0, 1, 1, 1, question.popularity[product_id], steps))
    # of what is the same in the numbers that decisions have, the order of multiplying must not break a tie
    possible.sort(
        key=lambda offer: (offer.product_id not in question.asked, -np.float32(offer.priority), offer.product_id)
    )
    for offer in possible[question.limit :]:
        found[offer.product_id].reasons.add(Reason.OUTRANKED)
    return possible[: question.limit]


def personal_offer(product: Row, triggers: set[str], steps: frozenset[str], facts: Facts, question: Question) -> Offer:
    propensity = question.propensities[product["product_id"]]
    value = value_of(product, facts, question)
    context = context_of(product, triggers, facts, question)
    lever = lever_of(product, facts, question)
    priority = propensity * value * context * lever
    return Offer(product["product_id"], propensity, value, context, lever, priority, steps)


def ripeness(product: Row, facts: Facts, question: Question) -> float:
    """What a product has of the evidence with which it stands like any other, at most 1."""
    ramp = facts.policy.arbitration.ramp
    return 1 if ramp is None else min(question.evidence[product["product_id"]] / ramp.evidence, 1)


def floor_of(product: Row, facts: Facts, question: Question) -> float:
    rules = [rule for rule in facts.policy.floors if fits(rule.scope, product, facts, question.channel)]
    return most_particular(rules).floor * ripeness(product, facts, question) if rules else 0


def value_of(product: Row, facts: Facts, question: Question) -> float:
    channel = facts.policy.channels[question.channel]
    cost = channel.cost + channel.cost_per_minute * (product["contact_minutes"] or 0)
    earned = question.lifetime_margin[product["product_id"]] * question.scale(product["product_id"], facts.assets())
    return max(earned - cost, 0)


def context_of(product: Row, triggers: set[str], facts: Facts, question: Question) -> float:
    weight = 1.0
    for rule in facts.policy.context:
        if fits(rule.scope, product, facts, question.channel):
            weight *= rule.weight
    for name in triggers:
        raises = getattr(facts.policy.triggers, name).raises
        if raises is not None and (product["product_id"] in raises.product or product["family"] in raises.family):
            weight *= raises.weight
    if later_of(product, facts) == "raised":
        weight *= facts.policy.contact_policy.later.weight
    ramp = facts.policy.arbitration.ramp
    if ramp is not None:
        weight *= ramp.weight + (1 - ramp.weight) * ripeness(product, facts, question)
    least, most = facts.policy.arbitration.context_limits
    return min(max(weight, least), most)


def lever_of(product: Row, facts: Facts, question: Question) -> float:
    factor = 1.0
    for rule in facts.policy.levers:
        if facts.day <= rule.expires and fits(rule.scope, product, facts, question.channel):
            factor *= rule.factor
    ceiling = facts.policy.arbitration.lever_ceiling
    return min(max(factor, 1 / ceiling), ceiling)


# ------------------------------------------------------------------------------------------------------------ scopes


def fits(scope: Scope, product: Row, facts: Facts, channel: str) -> bool:
    """Whether all that the scope names fits; what is not known fits nothing that is named."""
    values = {
        "product": product["product_id"],
        "family": product["family"],
        "tier": facts.tier,
        "life_stage": facts.life_stage,
        "kind": facts.kind,
        "channel": channel,
    }
    return all(not getattr(scope, name) or value in getattr(scope, name) for name, value in values.items())


def most_particular(rules: Sequence[Any]) -> Any:
    """One that names a product beats all that do not, then family, tier, life stage, kind, channel."""
    dimensions = ("product", "family", "tier", "life_stage", "kind", "channel")
    return max(rules, key=lambda rule: [bool(getattr(rule.scope, name)) for name in dimensions])


# -------------------------------------------------------------------------------------------------------------- days


def completed_years(born: date, day: date) -> int:
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def birthday(born: date, age: int) -> date:
    """Of one born on 29 February: 1 March, where there is no such day."""
    try:
        return born.replace(year=born.year + age)
    except ValueError:
        return date(born.year + age, 3, 1)


def latest(*days: date | None) -> date:
    """What has no date was always known."""
    return max((day for day in days if day is not None), default=date.min)


def rank(rating: str) -> int:
    return RATINGS.index(rating) + 1
