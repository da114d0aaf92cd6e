"""What could be said of the offers to some customers: how strongly each ground speaks for each, and its words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property, lru_cache
from math import log

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.contracts import TIER
from training import Bundle
from training.models import MODELS, Popularity, Propensity
from training.models.association_rules import Rule

from ..compiled import CompiledPolicy, Context
from ..decide import Decisions
from ..fresh import FreshEvents
from ..policy.sections import TRIGGERS
from .grounds import FURTHER, RULE, TRIGGER, Grounds
from .topics import PATTERN, SIMILAR, Topics
from .wording import SIMILAR_CLIENTS, sentence
from .wording_client import Client
from .wording_parts import Said
from .wording_triggers import LATER, SAME_PRODUCTS, TriggerWords, rule_sentence

LEAST_LIFT = 1.1
"""Of a rule that is said: below it, its lift would be "1.0 times as often"."""

_RULES_KEPT = 4096  # in words
_PLACES = {code: place for place, code in enumerate(FURTHER)}
_NOTHING: frozenset[str] = frozenset()


class Sources:
    """Everything that could be said of the offers to some customers of a block, weighed together.

    Attributes
    ----------
    offered : of each customer, the products offered, -1: nothing, or nothing that may be explained; all as many
    features : float64, shape (n, k, n_features); what each feature adds to the log-odds of each offer
    rules : of each customer and offer, the strongest association rule; None: none that is said
    strengths : float64, shape (n, k, n_grounds); how much each ground adds to the logarithm of priority
    ranked : of each customer and offer, the grounds that are strong enough, the strongest first
    """

    def __init__(
        self,
        bundle: Bundle,
        block: CustomerBlock,
        decisions: Decisions,
        policy: CompiledPolicy,
        rows: NDArray[np.int64],
        products: NDArray[np.int32],
        context: Context | None,
    ) -> None:
        self.block, self.decisions, self.policy = block, decisions, policy
        self.rows: list[int] = rows.tolist()
        self.offered: list[list[int]] = products.tolist()
        self.day: date = context.day if context is not None else policy.decision_day(FreshEvents.none())
        self.topics = Topics.of(block.states)
        attributes = policy.policy.attributes
        self.grounds = Grounds.of(self.topics, frozenset((*attributes.not_spoken, *attributes.not_used)))
        explained = bundle.contributions(block if len(rows) == block.n_customers else block.take(rows), products)
        self.features: NDArray[np.float64] = explained.features
        self.rules = [
            [_spoken_rule(bundle, block, row, product) for product in offered]
            for row, offered in zip(self.rows, self.offered, strict=True)
        ]
        self.strengths = self._strengths(explained.models, products)
        self.ranked = self.grounds.ranked(self.strengths)

    def of(self, number: int) -> SourcesOfClient:
        """Of the customer `number` of these, from 0."""
        return SourcesOfClient(self, number)

    def _strengths(self, models: Mapping[str, NDArray[np.float64]], products: NDArray[np.int32]) -> NDArray[np.float64]:
        """`strengths`; `models` : what models that are not explained by features add, each of shape (n, k)."""
        n_topics = len(self.topics.topics)
        strengths = np.zeros((*products.shape, n_topics + len(FURTHER)))
        strengths[..., :n_topics] = self.topics.sums(self.features)
        further = strengths[..., n_topics:]
        for name, values in models.items():
            if name in _MODELS:
                further[..., _PLACES[_MODELS[name]]] += values
        further[..., _PLACES[SIMILAR]] += strengths[..., self.topics.similar]
        later = self.policy.policy.contact_policy.later
        raising = 1.0 if later is None else later.weight
        triggers, raised = self.decisions.triggers, self.decisions.silences.raised
        for number, row in enumerate(self.rows):
            bits = triggers.item(row)
            for place, product in enumerate(self.offered[number]):
                if product < 0:
                    continue
                rule = self.rules[number][place]
                if rule is not None:
                    further[number, place, _PLACES[RULE]] = log(rule.lift)
                if raising > 1 and raised.item(row, product):
                    further[number, place, _PLACES[TRIGGER + "later"]] = log(raising)
                if bits:
                    self._weigh_triggers(bits, product, further[number, place])
        return strengths

    def _weigh_triggers(self, bits: int, product: int, further: NDArray[np.float64]) -> None:
        for trigger, name in enumerate(TRIGGERS):
            weight = self.policy.triggers.weights.item(trigger, product)
            if bits >> trigger & 1 and weight > 1:
                further[_PLACES[TRIGGER + name]] = log(weight)


class SourcesOfClient:
    """What could be said of the offers to one customer.

    Attributes
    ----------
    ranked : of each offer, the grounds that are strong enough to be said, the strongest first, ties by code
    strengths : float64, shape (k, n_grounds)
    """

    def __init__(self, sources: Sources, number: int) -> None:
        self.ranked: list[list[int]] = sources.ranked[number]
        self.strengths: NDArray[np.float64] = sources.strengths[number]
        self._offered, self._rules = sources.offered[number], sources.rules[number]
        self._features: NDArray[np.float64] = sources.features[number]
        self._client = Client(sources.block, sources.rows[number], sources.decisions.facts, sources.topics.names)
        self._sources, self._topics = sources, sources.topics

    def words(self, place: int, ground: int) -> Said | None:
        """What is said of a ground for the offer at `place`; None: nothing."""
        if ground < len(self._topics.topics):
            topic = self._topics.topics[ground]
            return sentence(topic, self._client, self._offered[place], self._features[place].take(topic.columns))
        code = self._sources.grounds.codes[ground]
        if code == SIMILAR:
            return SIMILAR_CLIENTS
        if code.startswith(TRIGGER):
            name = code.removeprefix(TRIGGER)
            return LATER if name == "later" else self._trigger_words.sentence(TRIGGERS.index(name))
        if (rule := self._rules[place]) is not None:  # models of holdings alone mean it too
            return _of_rule(rule, self._topics)[0]
        return SAME_PRODUCTS if self._client.holds_any() else None

    def covers(self, place: int, ground: int) -> frozenset[str]:
        """Codes of what would say the same beside a ground."""
        if ground < len(self._topics.topics):
            return _NOTHING
        code = self._sources.grounds.codes[ground]
        if code in (RULE, PATTERN) and (rule := self._rules[place]) is not None:
            return _of_rule(rule, self._topics)[1]
        name = code.removeprefix(TRIGGER)
        if name not in TRIGGERS:
            return _NOTHING
        named = self._trigger_words.products(TRIGGERS.index(name))
        return frozenset({*_COVERED.get(name, ()), *(self._topics.holds[product] for product in named)})

    @cached_property
    def _trigger_words(self) -> TriggerWords:
        sources, policy = self._sources, self._sources.policy
        found = sources.decisions.found_triggers
        return TriggerWords(self._client, found, policy.triggers, policy.policy, sources.day)


def _spoken_rule(bundle: Bundle, block: CustomerBlock, row: int, product: int) -> Rule | None:
    rule = bundle.strongest_rule(block, row, product) if product >= 0 else None
    return rule if rule is not None and rule.lift >= LEAST_LIFT else None


@lru_cache(_RULES_KEPT)
def _of_rule(rule: Rule, topics: Topics) -> tuple[Said, frozenset[str]]:
    """The words of a rule, and what it says too."""
    return rule_sentence(rule, topics.names), frozenset({RULE, PATTERN, *(topics.holds[p] for p in rule.held)})


_MODELS = {name: SIMILAR if name == Popularity.name else PATTERN for name in MODELS if name != Propensity.name}
"""What models that are not explained by features look at; a propensity without its features says nothing."""

_COVERED = {
    "large_inflow": ("money_in",),
    "balance_falling": ("balance_total",),
    "next_tier": (f"attribute:{TIER}",),
    "life_stage_birthday": ("age",),
}
"""Topics that a trigger's sentence says too."""
