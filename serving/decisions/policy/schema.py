"""The policy: what a risk officer says may be offered to whom, as one typed, versioned file.

`loading` reads it; `rule_tables` turns it into arrays. Sections follow the layers of a decision. Every rule has a
name, by which decisions, ``why-not`` and ``policy diff`` speak of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations, pairwise
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from features.contracts import BRANCH_ID, RISK_LEVEL, RM_ID
from features.states.segments import SEGMENT_SOURCES

from .sections import (
    TRIGGERS,
    Arbitration,
    Attributes,
    Channel,
    Consent,
    ContactPolicy,
    ContextWeight,
    EligibilityRule,
    Fairness,
    Floor,
    Lever,
    LifeStage,
    Name,
    Names,
    Rule,
    Section,
    ServiceAction,
    Suitability,
    Triggers,
)


class Policy(Section):
    """The whole of a policy file."""

    policy: Name
    """Its name."""
    version: str = Field(min_length=1)
    """Raised by whoever changes it, so that people can tell two policies of one name apart."""
    owner: str = Field(min_length=1)
    """Who answers for it."""
    decision_day: Literal["today", "as_of"]
    """On which day ages, assessments, silences and levers are judged: today at the bank, or the last day that the
    states know, for demonstrations and for data of the past. No event moves it."""
    tiers: dict[str, float | None] = Field(default_factory=dict)
    """From the lowest to the highest: the assets from which a customer belongs to it, where there is such a figure."""
    debts: Names = ()
    """Families whose balances are owed to the bank."""
    channels: dict[Name, Channel] = Field(min_length=1)
    """The first one is used where a request names none."""
    life_stages: dict[Name, LifeStage] = Field(default_factory=dict)
    """Stages of the lives of persons, for rules to speak of."""
    attributes: Attributes = Attributes()
    eligibility: tuple[EligibilityRule, ...] = ()
    """What customers must meet, rule by rule."""
    suitability: Suitability
    consent: Consent = Consent()
    contact_policy: ContactPolicy = ContactPolicy()
    triggers: Triggers = Triggers()
    service_actions: tuple[ServiceAction, ...] = Field(default=(), max_length=16)
    """What is owed to customers, in the order in which it is listed."""
    floors: tuple[Floor, ...] = ()
    """The least propensities with which products are offered."""
    context: tuple[ContextWeight, ...] = ()
    """Weights that fit customers and channels."""
    levers: tuple[Lever, ...] = ()
    """What the business wants more or less of, for a time."""
    arbitration: Arbitration = Arbitration()
    fairness: Fairness = Fairness()

    @property
    def default_channel(self) -> str:
        """The channel of a request that names none."""
        return next(iter(self.channels))

    @property
    def name(self) -> str:
        """Name and version, as decisions carry it."""
        return f"{self.policy}@{self.version}"

    @model_validator(mode="after")
    def _check(self) -> Policy:
        found = tuple(contradictions(self))
        if found:
            raise Contradictions(found)
        return self


class Contradiction(NamedTuple):
    """Something in a policy that cannot hold, and the keys that lead to where the file says it."""

    key: tuple[str | int, ...]
    message: str


class Contradictions(ValueError):
    """All that in a policy cannot hold together."""

    def __init__(self, found: tuple[Contradiction, ...]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, one.key))}: {one.message}" for one in found))
        self.found = found


NEEDED_ATTRIBUTES = frozenset({
    *SEGMENT_SOURCES, RISK_LEVEL, "risk_assessed_on", "risk_expires_on", BRANCH_ID, RM_ID, "age",
})  # fmt: skip
"""Attributes that rules, lists or the groups of similar customers cannot do without: `Attributes.not_used` may not name
them. Of those that segments are made of it would be untrue that models do not see them: popularity, rules, transition
and the fall-back read the segment beside the features."""


def contradictions(policy: Policy) -> Iterator[Contradiction]:
    """What in a policy cannot hold together, as far as the file itself tells."""
    seen: set[str] = set()
    for key, name in _rule_names(policy):
        if name in seen:
            yield Contradiction(
                key, f"the name {name!r} is given to two rules: decisions and `policy diff` speak of rules by name"
            )
        seen.add(name)
    yield from _disordered(policy)
    yield from _unknown_names(policy)
    yield from _competing(policy)
    ceiling = policy.arbitration.lever_ceiling
    for index, lever in enumerate(policy.levers):
        if not 1 / ceiling <= lever.factor <= ceiling:
            yield Contradiction(
                ("levers", index, "factor"),
                f"{lever.rule!r} has factor {lever.factor:g}, outside what lever_ceiling {ceiling:g} allows: "
                f"{1 / ceiling:g} to {ceiling:g}",
            )
    for index, name in enumerate(policy.attributes.not_used):
        if name in NEEDED_ATTRIBUTES:
            yield Contradiction(
                ("attributes", "not_used", index),
                f"{name!r} cannot be left unused: rules by age, tier, kind or risk, or lists by branch or RM, need it, "
                "and models compare with customers of the same kind, tier and age",
            )


def _disordered(policy: Policy) -> Iterator[Contradiction]:
    reached = None
    for tier, assets in policy.tiers.items():
        if assets is not None and reached is not None and assets <= reached:
            yield Contradiction(
                ("tiers", tier), f"assets must rise from each tier to the next, and {assets:,g} follows {reached:,g}"
            )
        reached = reached if assets is None else assets
    stages = sorted(policy.life_stages.items(), key=lambda item: item[1].from_age)
    for (first, earlier), (second, later) in pairwise(stages):
        if earlier.to_age >= later.from_age:
            yield Contradiction(
                ("life_stages", second), f"{first!r} and {second!r} both have customers aged {later.from_age}"
            )


def _competing(policy: Policy) -> Iterator[Contradiction]:
    for (_, one), (index, other) in combinations(enumerate(policy.eligibility), 2):
        for setting in one.settings.keys() & other.settings.keys():
            if one.settings[setting] != other.settings[setting] and _compete(one, other):
                yield Contradiction(
                    ("eligibility", index, setting),
                    f"rules {one.rule!r} and {other.rule!r} both set {setting}, for some of the same customers and "
                    "products, and neither is more particular",
                )
    for (_, low), (index, high) in combinations(enumerate(policy.floors), 2):
        if low.floor != high.floor and _compete(low, high):
            yield Contradiction(
                ("floors", index, "floor"),
                f"rules {low.rule!r} and {high.rule!r} compete, and neither is more particular",
            )


def _compete(one: Rule, other: Rule) -> bool:
    return one.scope.named == other.scope.named and one.scope.overlaps(other.scope)


def _rule_names(policy: Policy) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for section in ("eligibility", "contact_policy.rules", "floors", "context", "levers"):
        rules = policy.contact_policy.rules if "." in section else getattr(policy, section)
        for index, rule in enumerate(rules):
            yield (*section.split("."), index, "rule"), rule.rule
    for index, action in enumerate(policy.service_actions):
        yield ("service_actions", index, "action"), action.action


SCOPED_SECTIONS = ("eligibility", "floors", "context", "levers")
"""The sections whose rules have scopes."""


def _unknown_names(policy: Policy) -> Iterator[Contradiction]:
    known: dict[str, Collection[str]] = {
        "tier": policy.tiers,
        "life_stage": policy.life_stages,
        "channel": policy.channels,
    }
    for section in SCOPED_SECTIONS:
        for index, rule in enumerate(getattr(policy, section)):
            for dimension, names in known.items():
                for number, name in enumerate(getattr(rule.scope, dimension)):
                    if name not in names:
                        yield Contradiction(
                            (section, index, "for", dimension, number),
                            f"rule {rule.rule!r} is for {dimension} {name!r}, which the policy does not define",
                        )
    for index, rule in enumerate(policy.eligibility):
        if rule.min_tier is not None and rule.min_tier not in policy.tiers:
            yield Contradiction(
                ("eligibility", index, "min_tier"),
                f"rule {rule.rule!r} asks for tier {rule.min_tier!r}, which the policy does not define",
            )
    for index, action in enumerate(policy.service_actions):
        if action.when in TRIGGERS and getattr(policy.triggers, action.when) is None:
            yield Contradiction(
                ("service_actions", index, "when"),
                f"action {action.action!r} waits for {action.when!r}, which is not among the policy's triggers",
            )
    if policy.triggers.next_tier is not None and not any(policy.tiers.values()):
        yield Contradiction(("triggers", "next_tier"), "no tier of the policy says from which assets it is reached")
