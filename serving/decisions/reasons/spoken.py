"""Reasons for an offer that an RM can say aloud: the strongest few, in English and Chinese.

Three sources are ranked together, because all speak of one thing, the logarithm of priority = propensity x value x
context x lever:

- what a topic of the model's features adds to the log-odds of the propensity (d log p = (1 - p) d log-odds, and the
  propensities of banking products are small);
- a trigger that raises the product, which multiplies the context by its weight: log(weight);
- the strongest association rule of what the customer holds: log(lift), times as often as similar customers.

Only what speaks for the product is said. What follows from an attribute that the policy marks ``not_spoken`` or
``not_used`` is not said; the intercept, what else the customer could acquire and what products like it say are nothing
about the customer and never are. To who is not to be personalised nothing personal is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import log
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.contracts import BIRTH_DATE, TIER
from training import Bundle
from training.models import MODELS, Popularity, Propensity
from training.models.association_rules import Rule

from ..compiled import CompiledPolicy, Context
from ..decide import Decisions
from ..fresh import FreshEvents
from ..policy.sections import TRIGGERS
from .topics import AGE, PATTERN, SEGMENT_ATTRIBUTES, SIMILAR, Topics
from .wording import SIMILAR_CLIENTS, sentence
from .wording_client import Client
from .wording_parts import Said
from .wording_triggers import (
    ASKED,
    LATER,
    NOTHING_IN_PARTICULAR,
    ON_SALE,
    POPULAR,
    SAME_PRODUCTS,
    TAKEN,
    TriggerWords,
    rule_sentence,
)

LEAST_STRENGTH = 0.05
"""Below it a reason is too weak to be said: about 5% more priority."""

LEAST_LIFT = 1.1
"""Of a rule that is said: below it, its lift would be "1.0 times as often"."""

ReasonKind = Literal["model", "holdings", "trigger", "popularity", "asked"]


@dataclass(frozen=True)
class SpokenReason:
    """One reason for one offer.

    Attributes
    ----------
    topic : stable code, such as ``balance_total``, ``holds:fund_money``, ``trigger:maturing``, ``rule``
    strength : how much it adds to the logarithm of priority; 0 where that is not known
    """

    kind: ReasonKind
    topic: str
    strength: float
    text: str
    text_zh: str


def reasons_for(
    bundle: Bundle,
    block: CustomerBlock,
    decisions: Decisions,
    policy: CompiledPolicy,
    row: int,
    *,
    most: int = 3,
    context: Context | None = None,
) -> list[tuple[SpokenReason, ...]]:
    """Reasons for what the customer at `row` is offered: of each product, in the order of rank, `most` at most.

    The strongest comes first, ties by the topic's code; before all others that the client asked for it. There is always
    at least one.

    Parameters
    ----------
    block, decisions, policy : what was decided, from what, and by which rules
    context : of the decision; without it nothing was asked for, and the day is that on which one is made now
    """
    ranked = decisions.products[row]
    offered = ranked[ranked >= 0].astype(np.int64)
    asked = set(np.flatnonzero(policy.asked(context)).tolist()) if context is not None and context.asked else set()
    if not decisions.personalised[row]:
        general = [_asked() if product in asked else _popularity(policy, product) for product in offered.tolist()]
        return [(reason,) for reason in general]
    if not len(offered):
        return []
    source = _Sources(bundle, block, decisions, policy, row, offered, context)
    found = []
    for place, product in enumerate(offered.tolist()):
        first = [_asked()] if product in asked else []
        reasons = first + _strongest(source.of(place), most - len(first))
        found.append(tuple(reasons) or (_said("model", "general", 0.0, NOTHING_IN_PARTICULAR),))
    return found


class _Candidate(NamedTuple):
    """A reason that has not been put into words yet.

    Attributes
    ----------
    covers : topics that would say the same beside it
    say : its words; None: there are none
    """

    kind: ReasonKind
    topic: str
    strength: float
    say: Callable[[], Said | None]
    covers: frozenset[str] = frozenset()

    def repeats(self, other: _Candidate) -> bool:
        return self.topic in other.covers or other.topic in self.covers or not self.covers.isdisjoint(other.covers)


def _strongest(candidates: Iterable[_Candidate], most: int) -> list[SpokenReason]:
    chosen: list[_Candidate] = []
    reasons: list[SpokenReason] = []
    for candidate in sorted(candidates, key=lambda candidate: (-candidate.strength, candidate.topic)):
        if len(chosen) >= most:
            break
        if any(candidate.repeats(other) for other in chosen):
            continue
        words = candidate.say()
        if words is not None:
            chosen.append(candidate)
            reasons.append(_said(candidate.kind, candidate.topic, candidate.strength, words))
    return reasons


def _said(kind: ReasonKind, topic: str, strength: float, words: Said) -> SpokenReason:
    return SpokenReason(kind, topic, strength, words.text, words.text_zh)


def _asked() -> SpokenReason:
    return _said("asked", "asked", 0.0, ASKED)


def _popularity(policy: CompiledPolicy, product: int) -> SpokenReason:
    """What may be said to anybody: no numbers, nothing of the customer."""
    popularity = policy.popularity
    words = POPULAR if popularity[product] > popularity.mean() else TAKEN if popularity[product] > 0 else ON_SALE
    return _said("popularity", "popularity", 0.0, words)


class _Sources:
    """Everything that could be said of the offers to one customer."""

    def __init__(
        self,
        bundle: Bundle,
        block: CustomerBlock,
        decisions: Decisions,
        policy: CompiledPolicy,
        row: int,
        offered: NDArray[np.int64],
        context: Context | None,
    ) -> None:
        alone = block if block.n_customers == 1 else block.take(np.array([row], dtype=np.int64))
        self.bundle, self.block, self.row = bundle, block, row
        self.offered = offered.tolist()
        self.policy = policy
        self.contributions = bundle.contributions(alone, offered[None, :])
        self.topics = Topics.of(block.states)
        self.sums = self.topics.sums(self.contributions.features[0])
        attributes = policy.policy.attributes
        self.silenced = frozenset((*attributes.not_spoken, *attributes.not_used))
        self.client = Client(block, row, decisions.facts, self.topics.names)
        bits = int(decisions.triggers[row])
        self.found = [(number, name) for number, name in enumerate(TRIGGERS) if bits >> number & 1]
        self.raised = decisions.silences.raised[row]
        day = context.day if context is not None else policy.decision_day(FreshEvents.none())
        self.trigger_words = TriggerWords(self.client, decisions.found_triggers, policy.triggers, policy.policy, day)

    def of(self, place: int) -> Iterator[_Candidate]:
        """What could be said of the offer at `place`."""
        product = self.offered[place]
        rule = self.bundle.strongest_rule(self.block, self.row, product)
        if rule is not None and not rule.lift >= LEAST_LIFT:
            rule = None
        models = self._of_models(place)
        if rule is not None:
            yield _Candidate("holdings", "rule", log(rule.lift), partial(self._rule, rule), self._covered_by(rule))
        yield from self._of_holdings(models[PATTERN], rule)
        yield from self._of_features(place, models[SIMILAR])
        yield from self._of_triggers(product)

    def _of_models(self, place: int) -> dict[str, float]:
        """What models that are not explained by features add, by topic."""
        found = {SIMILAR: 0.0, PATTERN: 0.0}
        for name, values in self.contributions.models.items():
            if name in _MODELS:
                found[_MODELS[name]] += float(values[0, place])
        return found

    def _of_features(self, place: int, similar: float) -> Iterator[_Candidate]:
        sums = self.sums[place]
        for index in (sums > LEAST_STRENGTH).nonzero()[0].tolist():
            topic = self.topics.topics[index]
            if topic.code != SIMILAR and self.silenced.isdisjoint(topic.attributes):
                parts = self.contributions.features[0, place]
                say = partial(self._topic, index, self.offered[place], parts)
                yield _Candidate("model", topic.code, float(sums[index]), say)
        similar += float(sums[self.topics.similar])
        if similar > LEAST_STRENGTH and self.silenced.isdisjoint(SEGMENT_ATTRIBUTES):
            yield _Candidate("model", SIMILAR, similar, lambda: SIMILAR_CLIENTS)

    def _topic(self, index: int, product: int, parts: NDArray[np.float64]) -> Said | None:
        topic = self.topics.topics[index]
        return sentence(topic, self.client, product, parts[topic.columns])

    def _of_holdings(self, pattern: float, rule: Rule | None) -> Iterator[_Candidate]:
        """What models of holdings alone say: the rule, if there is one."""
        if not pattern > LEAST_STRENGTH:
            return
        if rule is not None:
            yield _Candidate("holdings", PATTERN, pattern, partial(self._rule, rule), self._covered_by(rule))
        elif self.client.holds_any():
            yield _Candidate("holdings", PATTERN, pattern, lambda: SAME_PRODUCTS)

    def _rule(self, rule: Rule) -> Said:
        return rule_sentence(rule, self.topics.names)

    def _covered_by(self, rule: Rule) -> frozenset[str]:
        return frozenset({"rule", PATTERN, *self._holds(rule.held)})

    def _holds(self, products: Iterable[int]) -> Iterator[str]:
        ids = self.block.states.catalogue.products
        return (f"holds:{ids[product].product_id}" for product in products)

    def _of_triggers(self, product: int) -> Iterator[_Candidate]:
        for number, name in self.found:
            weight = float(self.policy.triggers.weights[number, product])
            if weight > 1 and self.silenced.isdisjoint(_ATTRIBUTES.get(name, ())):
                covers = frozenset({*_COVERED.get(name, ()), *self._holds(self.trigger_words.products(number))})
                say = partial(self.trigger_words.sentence, number)
                yield _Candidate("trigger", f"trigger:{name}", log(weight), say, covers)
        later = self.policy.policy.contact_policy.later
        if later is not None and later.weight > 1 and self.raised[product]:
            yield _Candidate("trigger", "trigger:later", log(later.weight), lambda: LATER)


_MODELS = {name: SIMILAR if name == Popularity.name else PATTERN for name in MODELS if name != Propensity.name}
"""What models that are not explained by features look at; a propensity without its features says nothing."""

_ATTRIBUTES = {"next_tier": (TIER,), "life_stage_birthday": (BIRTH_DATE, AGE)}
"""Columns of customers that a trigger's sentence speaks of."""

_COVERED = {
    "large_inflow": ("money_in",),
    "balance_falling": ("balance_total",),
    "next_tier": (f"attribute:{TIER}",),
    "life_stage_birthday": ("age",),
}
"""Topics that a trigger's sentence says too."""
