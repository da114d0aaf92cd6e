"""Random policies, newer events and whole cases over a random bank, and strategies that search among them.

Numbers are drawn so that products of them are exact, and such that rules are met exactly as often as missed. A case is
drawn whole from one number: hypothesis, left to draw its hundreds of parts, would vary a few of them at a time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st

from features.contracts import KINDS, OUTCOMES, RISK_LEVELS, RISK_RATINGS
from serving.decisions import Policy
from serving.decisions.policy.sections import DIMENSIONS, ELIGIBILITY_SETTINGS, EligibilityRule, Floor, Rule
from tests.oracles.policy import Event

from .random_banks import (
    AGES,
    CHANNELS,
    DEBTS,
    FAMILIES,
    FAVOURITE_DAYS,
    LARGE_UNIT,
    LONGEST,
    RATED,
    SEEDS,
    TIERS,
    UNDEFINED_CHANNEL,
    UNIT,
    VALID_DAYS,
    Bank,
    bank_of,
)

WEIGHTS = (0.5, 0.75, 1.25, 1.5, 2.0)
SPANS = (1, 2, 3, 5, 7, 10, 14, 20, 30, 45, 60)
EIGHTHS = tuple(eighth / 8 for eighth in range(1, 8))
PROPENSITIES = tuple(part / 32 for part in range(0, 28, 3))
FLOORS = (0, 3 / 32, 6 / 32, 12 / 32)
LIFE_STAGES = {
    "young": {"from_age": 18, "to_age": 24},
    "family": {"from_age": 25, "to_age": 59},
    "old": {"from_age": 65, "to_age": 120},
}
TRIGGERS = (
    "maturing",
    "large_inflow",
    "salary_started",
    "salary_stopped",
    "loan_nearly_repaid",
    "balance_falling",
    "next_tier",
    "life_stage_birthday",
)
EVENTS = ("opened", "closed", "outcome", "outcome", "consent", "complaint_opened", "complaint_resolved", "balance_jump")

Section = dict[str, Any]


class Chance:
    """What is drawn again and again."""

    def __init__(self, chance: random.Random) -> None:
        self.random = chance

    def happens(self, probability: float) -> bool:
        return self.random.random() < probability

    def one_of(self, *values):
        return self.random.choice(values)

    def some(self, values: Sequence, least: int = 0, most: int = 2) -> list:
        values = list(values)
        most = min(most, len(values))
        return self.random.sample(values, k=self.random.randint(min(least, most), most))


# ----------------------------------------------------------------------------------------------------------- policies


class RandomPolicy(Chance):
    """Draws a valid policy over the products of a bank, with dates around `day`."""

    def __init__(self, chance: random.Random, bank: Bank, day: date) -> None:
        super().__init__(chance)
        self.product_ids, self.day = bank.product_ids, day
        self.channels = ["rm", *self.some(CHANNELS[1:])]
        self.random.shuffle(self.channels)
        self.life_stages = self.one_of(LIFE_STAGES, LIFE_STAGES, {"old": LIFE_STAGES["old"]}, {})

    def policy(self) -> Policy:
        tiers, triggers = self._tiers(), self._triggers()
        if not any(tiers.values()):
            triggers.pop("next_tier", None)
        return Policy.model_validate(
            {
                "policy": "drawn",
                "version": "1",
                "owner": "risk",
                "decision_day": self.one_of("today", "as_of"),
                "tiers": tiers,
                "debts": self.one_of(DEBTS, DEBTS, DEBTS, (), ("loans",), ("deposits",)),
                "channels": {
                    name: {"cost": self.one_of(0, 0.5, 16), "cost_per_minute": self.one_of(0, 0.25, 2)}
                    for name in self.channels
                },
                "life_stages": self.life_stages,
                "eligibility": self._eligibility(),
                "suitability": {"pack": self._pack(), "rated_families": self.some(RATED)},
                "consent": {
                    "marketing_without_record": self.one_of("allowed", "allowed", "allowed", "allowed", "refused"),
                    "personalisation_without_record": self.one_of(
                        "allowed", "allowed", "allowed", "allowed", "refused"
                    ),
                },
                "contact_policy": self._contact_policy(),
                "triggers": triggers,
                "service_actions": self._service_actions(list(triggers)),
                "floors": self._floors(),
                "context": [
                    {"rule": f"weight-{number}", "for": self._scope(), "weight": self.one_of(*WEIGHTS)}
                    for number in range(self.one_of(0, 2, 4))
                ],
                **self._levers_and_arbitration(),
            }
        )

    def _tiers(self) -> dict[str, float | None]:
        names = list(TIERS)
        if self.happens(0.4):
            names.insert(self.random.randint(0, len(names)), "bronze")
        assets = sorted(self.random.sample(range(1, 9), k=len(names)))
        return {
            name: float(LARGE_UNIT * number) if self.happens(0.7) else None
            for name, number in zip(names, assets, strict=True)
        }

    def _scope(self, must_name: str | None = None) -> Section:
        names = {
            "product": self.product_ids,
            "family": FAMILIES,
            "tier": TIERS,
            "life_stage": list(self.life_stages),
            "kind": KINDS,
            "channel": self.channels,
        }
        possible = [dimension for dimension in DIMENSIONS if names[dimension]]
        chosen = set(self.some(possible, most=self.one_of(1, 1, 2, 3))) | ({must_name} if must_name else set())
        return {
            name: self.some(names[name], 1, 4 if name in ("product", "tier") else 2)
            for name in DIMENSIONS
            if name in chosen
        }

    def _eligibility(self) -> list[EligibilityRule]:
        rules: list[EligibilityRule] = []
        for number in range(self.one_of(0, 0, 2, 4, 6)):
            scope = self._scope("product" if self.happens(0.4) else None)
            wanted = {
                "min_age": self.one_of(18, 25, 30, 24.5),
                "max_age": self.one_of(60, 65, 70, 65.5),
                "min_tier": self.one_of(*TIERS),
                "min_balance": self.one_of(0, LARGE_UNIT, 2 * LARGE_UNIT, 4 * LARGE_UNIT),
            }
            if scope.get("product") or self.happens(0.1):
                others = [product_id for product_id in self.product_ids if product_id not in scope.get("product", ())]
                one, *several = self.some(others, 2, 3)
                wanted |= {"requires": [one], "excludes": several}
            kept = self.some(list(wanted), 1)
            section = {"rule": f"eligible-{number}", "for": scope, **{name: wanted[name] for name in kept}}
            rule = EligibilityRule.model_validate(section)
            if not any(disagree(rule, other, ELIGIBILITY_SETTINGS) for other in rules):
                rules.append(rule)
        return rules

    def _pack(self) -> Section:
        reach = self.one_of([1, 2, 3, 4, 5], [2, 3, 4, 5, 5], sorted(self.random.choices(range(6), k=5)))
        lost = self.some(RISK_RATINGS[1:], most=1) if self.happens(0.2) else []  # what is allowed need not be all below
        asked = {
            "allows": self.one_of(*[["RISK_ABOVE_TOLERANCE", "ELDERLY_HIGH_RISK"]] * 3, ["ELDERLY_HIGH_RISK"], []),
            "step": "confirm",
            "barred_levels": self.some(RISK_LEVELS[:3]),
        }
        elderly = {"from_age": self.one_of(60, 65, 70), "from_rating": self.one_of(*RISK_RATINGS[:4]), "step": "talk"}
        return {
            "pack": "drawn",
            "allowed": {
                level: [rating for rating in RISK_RATINGS[:most] if rating not in lost]
                for level, most in zip(RISK_LEVELS, reach, strict=True)
            },
            "valid_days": self.one_of(*VALID_DAYS),
            "elderly": self.one_of(elderly, elderly, None),
            "funds": [self._funds() for _ in range(self.one_of(0, 0, 0, 1, 2))],
            "client_asked": self.one_of(asked, asked, asked, None),
        }

    def _funds(self) -> Section:
        limits = {
            "min_assets": self.one_of(0, UNIT, LARGE_UNIT, 2 * LARGE_UNIT),
            "max_debt_to_assets": self.one_of(0, 0.25, 0.5, 1, 2),
        }
        return {"from_rating": self.one_of(*RISK_RATINGS), **{name: limits[name] for name in self.some(limits, 1)}}

    def _contact_policy(self) -> Section:
        rules = [
            {
                "rule": f"quiet-{number}",
                "after": {
                    "outcome": self.one_of("contacted", "contacted", "declined", "accepted", "later", "no_answer"),
                    "times": self.one_of(1, 1, 2, 2, 3, 4),
                    "within_days": self.one_of(*SPANS),
                },
                "silent_days": self.one_of(*SPANS, 90),
                "scope": self.one_of("product", "product", "family", "channel", "all"),
            }
            for number in range(self.one_of(0, 1, 2, 3, 5))
        ]
        later = {
            "after_days": self.one_of(0, 1, 2, 7, 14),
            "for_days": self.one_of(1, 2, 7, 30),
            "weight": self.one_of(*WEIGHTS),
        }
        return {
            "rules": rules,
            "later": self.one_of(later, later, later, None),
            "open_complaint": self.one_of("silent", "silent", "ignored"),
        }

    def _triggers(self) -> Section:
        least = (0, UNIT, LARGE_UNIT, 2 * LARGE_UNIT)
        conditions = {
            "maturing": {"family": self._families(), "within_days": self.one_of(1, 7, 30, 60)},
            "large_inflow": {
                "times": self.one_of(1.25, 1.5, 2, 3, 4),
                "over_periods": self.random.randint(1, 12),
                "least": self.one_of(*least),
            },
            "salary_started": {
                "product": self.some(self.product_ids, 1, 3),
                "within_periods": self.one_of(1, 2, 3, 12),
            },
            "salary_stopped": {
                "product": self.some(self.product_ids, 1, 3),
                "within_periods": self.one_of(1, 2, 3, 12),
            },
            "loan_nearly_repaid": {
                "family": self._families(),
                "left": self.one_of(*EIGHTHS),
                "within_days": self.one_of(1, 30, 90),
            },
            "balance_falling": {
                "to": self.one_of(*EIGHTHS),
                "over_periods": self.random.randint(1, 12),
                "least": self.one_of(*least),
            },
            "next_tier": {"within": self.one_of(*EIGHTHS), "kind": self.some(KINDS, 1)},
            "life_stage_birthday": {"ages": self.some(AGES, 1, 3), "within_days": self.one_of(1, 7, 30)},
        }
        chosen = self.some(TRIGGERS, *self.one_of((0, 0), (2, 6), (6, 8)))
        return {name: conditions[name] | {"raises": self._raises()} for name in chosen}

    def _families(self) -> list[str]:
        return self.some(FAMILIES, 1)

    def _raises(self) -> Section | None:
        raised = {"product": self.some(self.product_ids, 1, 3), "family": self._families()}
        kept = self.some(raised, most=2)
        weight = self.one_of(1.25, 1.5, 2.0)
        return {name: raised[name] for name in kept} | {"weight": weight} if kept else None

    def _service_actions(self, triggers: list[str]) -> list[Section]:
        occasions = ("risk_assessment_expired", "open_complaint", *triggers)
        return [
            {"action": f"action-{number}", "when": self.one_of(*occasions), "text": "Do it.", "text_zh": "请处理。"}
            for number in range(self.one_of(0, 2, 8))
        ]

    def _floors(self) -> list[Floor]:
        rules: list[Floor] = []
        for number in range(self.one_of(0, 1, 3)):
            rule = Floor.model_validate(
                {"rule": f"floor-{number}", "for": self._scope(), "floor": self.one_of(*FLOORS)}
            )
            if not any(disagree(rule, other, ("floor",)) for other in rules):
                rules.append(rule)
        return rules

    def _levers_and_arbitration(self) -> Section:
        ceiling = self.one_of(1, 1.5, 2, 4)
        factors = [factor for factor in (*WEIGHTS, 4.0) if 1 / ceiling <= factor <= ceiling] or [1.0]
        levers = [
            {
                "rule": f"lever-{number}",
                "for": self._scope(),
                "factor": self.one_of(*factors),
                "owner": "marketing",
                "expires": self.day + timedelta(days=self.one_of(-30, -1, 0, 0, 1, 30)),
            }
            for number in range(self.one_of(0, 2, 4))
        ]
        arbitration = {
            "max_life_years": self.one_of(1, 10),
            "discount_rate": self.one_of(0, 0.05),
            "context_limits": self.one_of((0.25, 4), (0.5, 1.5), (1, 1), (0.01, 100)),
            "lever_ceiling": ceiling,
            "ramp": self.one_of(None, {"evidence": self.one_of(8, 64), "weight": self.one_of(1, 1.25, 1.5, 3)}),
        }
        return {"levers": levers, "arbitration": arbitration}


def disagree(one: Rule, other: Rule, settings: tuple[str, ...]) -> bool:
    """Whether both set something differently, for some of the same, and are equally particular."""
    if one.scope.named != other.scope.named or not one.scope.overlaps(other.scope):
        return False
    pairs = [(getattr(one, name), getattr(other, name)) for name in settings]
    return any(mine not in (None, ()) and its not in (None, ()) and mine != its for mine, its in pairs)


# -------------------------------------------------------------------------------------------------------------- events


class RandomEvents(Chance):
    """Draws events of customers, most from `end`, the last day of the states, on; some after the decision's `day`."""

    def __init__(self, chance: random.Random, bank: Bank, end: date, day: date) -> None:
        super().__init__(chance)
        self.product_ids, self.end, self.day = bank.product_ids, end, day

    def event(self, customer_id: str) -> Event:
        kind = self.one_of(*EVENTS)
        event = Event(customer_id, kind, self._day())
        product_id = self.one_of(*self.product_ids)
        if kind in ("opened", "closed"):
            return replace(event, product_id=product_id)
        if kind == "outcome":
            outcome = self.one_of("later", *OUTCOMES)
            until = max(event.day, self.day + timedelta(days=self.one_of(-30, -7, -6, -1, 0, 1, 9)))
            return replace(
                event,
                product_id=product_id,
                channel=self.one_of("rm", *CHANNELS, UNDEFINED_CHANNEL),
                outcome=outcome,
                until=until if outcome == "later" and self.happens(0.5) else None,
                conversation=self.one_of(None, f"{event.day}"),  # of one day, so that they are one contact
            )
        if kind == "consent":
            return replace(
                event,
                purpose=self.one_of("marketing", "marketing", "personalisation"),
                channel=self.one_of(None, None, "rm", *CHANNELS),
                granted=self.happens(0.5),
            )
        if kind == "balance_jump":
            return replace(event, amount=float(UNIT * self.one_of(-8, -1, 1, 8, 16)))
        return event

    def _day(self) -> date:
        days = (self.day - self.end).days
        if self.happens(0.15):  # the states may have heard of something since
            return self.end - timedelta(days=self.random.randint(1, 20))
        return self.end + timedelta(days=self.one_of(0, days, days, days + 1, self.random.randint(0, days)))


# --------------------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Case:
    """A policy, some customers of a bank, and all else that a decision on them is made of.

    Attributes
    ----------
    number : what it was drawn from
    period : the states' period, the newest one or somewhat earlier
    customers : ids, in the order of the block's rows
    propensities : float32, shape (n_customers, n_products)
    evidence : int64, shape (n_products,)
    margins : float64, shape (n_products,), put in place of what a typical account earns in its life; None: as learned
    in_question : bool, shape (n_customers, n_products), or None
    """

    number: int
    bank: Bank
    period: int
    policy: Policy
    channel: str
    day: date
    asked: tuple[str, ...]
    customers: tuple[str, ...]
    events: tuple[Event, ...]
    propensities: np.ndarray
    evidence: np.ndarray
    margins: np.ndarray | None
    in_question: np.ndarray | None
    limit: int

    def __repr__(self) -> str:
        return f"random_case({self.number}, n_customers={len(self.customers)}, seeds=[{self.bank.seed}])"

    def _repr_pretty_(self, printer, cycle) -> None:
        # hypothesis would print every field of a dataclass
        printer.text(repr(self))

    @property
    def product_ids(self) -> tuple[str, ...]:
        return self.bank.product_ids


def random_case(number: int, n_customers: int = 40, seeds: Sequence[int] = SEEDS) -> Case:
    """The case of a number."""
    bank = bank_of(seeds[number % len(seeds)])
    chance = Chance(random.Random(number))
    period = bank.newest - min(chance.one_of(0, 0, 0, 0, 1, 2), bank.states.manifest.depth - 1)
    end = bank.calendar.end_of(period)
    day = end + timedelta(days=chance.one_of(*FAVOURITE_DAYS, chance.random.randint(0, LONGEST)))
    policy = RandomPolicy(chance.random, bank, day).policy()
    customers = chance.random.sample(bank.customer_ids, k=n_customers)
    events = RandomEvents(chance.random, bank, end, day)
    with_events = customers[:14]
    n_products = len(bank.product_ids)
    grid = chance.one_of(PROPENSITIES, PROPENSITIES, PROPENSITIES[:2])
    ramp = policy.arbitration.ramp
    shares = [chance.one_of(0, 1, 4, 7, 8, 9) for _ in bank.product_ids]
    margins = np.array([chance.one_of(0.0, 16.0, 32.0, 64.0) for _ in bank.product_ids])
    in_question = np.array([[chance.happens(0.7) for _ in bank.product_ids] for _ in customers])
    return Case(
        number=number,
        bank=bank,
        period=period,
        policy=policy,
        channel=chance.one_of("rm", *policy.channels),
        day=day,
        asked=tuple(chance.random.sample(bank.product_ids, k=chance.one_of(0, 1, 4, n_products))),
        customers=tuple(customers),
        events=tuple(events.event(chance.one_of(*with_events)) for _ in range(chance.one_of(0, 8, 24))),
        propensities=np.array([[chance.one_of(*grid) for _ in bank.product_ids] for _ in customers], dtype=np.float32),
        evidence=np.array(shares, dtype=np.int64) * (8 if ramp is None else ramp.evidence // 8),
        margins=chance.one_of(None, margins),
        in_question=chance.one_of(None, None, in_question),
        limit=chance.one_of(1, 2, 3, n_products, n_products + 2),
    )


def numbers() -> st.SearchStrategy[int]:
    return st.integers(0, 2**32)


def cases(n_customers: int = 40, seeds: Sequence[int] = SEEDS) -> st.SearchStrategy[Case]:
    """Cases of some customers each, over the banks of `seeds`."""
    return numbers().map(lambda number: random_case(number, n_customers, seeds))


def policies(bank: Bank, day: date) -> st.SearchStrategy[Policy]:
    """Valid policies over the products of a bank, with dates around `day`."""
    return numbers().map(lambda number: RandomPolicy(random.Random(number), bank, day).policy())


# ----------------------------------------------------------------------------------------------------------- decisions


def compiled(case: Case, policy: Policy | None = None):
    """The case's policy, or another one, as arrays."""
    from serving.decisions import CompiledPolicy

    found = CompiledPolicy.of(policy or case.policy, case.bank.states, case.period, case.evidence)
    if case.margins is None:
        return found
    return replace(found, margins=case.margins, value=replace(found.value, elasticity=np.zeros(len(case.margins))))


def decided(case: Case, policy=None, rows=None, **other):
    """The fast code's decisions on the case's customers (those at `rows`), `policy` being `compiled`.

    `other` replaces parts of the case: asked, channel, day, events, in_question, limit, propensities.
    """
    from serving.decisions import Context, FreshEvent, FreshEvents, decide

    case = replace(case, **other)
    rows = np.arange(len(case.customers)) if rows is None else np.asarray(rows)
    fresh = FreshEvents.of(case.bank.states, [FreshEvent(**vars(event)) for event in case.events])
    block = case.bank.block_of([case.customers[row] for row in rows], case.period)
    return decide(
        case.propensities[rows],
        fresh.lay_over(block, case.day),
        policy or compiled(case),
        Context(channel=case.channel, day=case.day, asked=case.asked),
        limit=case.limit,
        products=None if case.in_question is None else case.in_question[rows],
        fresh=fresh,
    )
