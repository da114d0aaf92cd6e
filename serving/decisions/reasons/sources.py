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
from features.kernels import kernel
from training import Bundle
from training.models import MODELS, Popularity, Propensity

from ..compiled import CompiledPolicy, Context
from ..decide import Decisions
from ..policy.sections import TRIGGERS
from .grounds import FURTHER, RULE, TRIGGER, Grounds
from .topics import PATTERN, SIMILAR, Topics
from .wording import SIMILAR_CLIENTS
from .wording_client import Client
from .wording_parts import Said
from .wording_triggers import LATER, SAME_PRODUCTS, TriggerWords, rule_sentence

LEAST_LIFT = 1.1
"""Of a rule that is said: below it, its lift would be "1.0 times as often"."""

_RULES_KEPT = 4096  # in words
_PLACES = {code: place for place, code in enumerate(FURTHER)}
_RULE_PLACE, _PATTERN_PLACE, _SIMILAR_PLACE = _PLACES[RULE], _PLACES[PATTERN], _PLACES[SIMILAR]
_TRIGGER_PLACES = tuple(_PLACES[TRIGGER + name] for name in TRIGGERS)
_NOTHING: frozenset[str] = frozenset()


class Sources:
    """Everything that could be said of the offers to some customers of a block, weighed together.

    Attributes
    ----------
    offered : of each customer, the products offered, -1: nothing, or nothing that may be explained; all as many
    features : float64, shape (n, k, n_features); what each feature adds to the log-odds of each offer
    rules : of each customer and offer, the strongest association rule; None: there are none
    ranked : of each customer and offer, the grounds that are strong enough, the strongest first, then -1
    strengths : how much each of them adds to the logarithm of priority
    """

    def __init__(
        self,
        bundle: Bundle,
        block: CustomerBlock,
        decisions: Decisions,
        policy: CompiledPolicy,
        rows: NDArray[np.int64] | None,
        products: NDArray[np.int32],
        context: Context,
    ) -> None:
        """`rows` : of the block; none: all."""
        self.block, self.decisions, self.policy = block, decisions, policy
        self.rows: list[int] = list(range(block.n_customers)) if rows is None else rows.tolist()
        self.offered: list[list[int]] = products.tolist()
        self.day: date = context.day
        self.topics = Topics.of(block.states)
        attributes = policy.policy.attributes
        self.grounds = Grounds.of(self.topics, frozenset((*attributes.not_spoken, *attributes.not_used)))
        mine = block if rows is None or len(rows) == block.n_customers else block.take(rows)
        explained = bundle.contributions(mine, products)
        self.features: NDArray[np.float64] = explained.features
        self.rules = bundle.strongest_rules(mine, products)
        self.ranked, self.strengths = self.grounds.ranked(self._weighed(explained.models, products))

    def client(self, number: int) -> Client:
        """The customer `number` of these, from 0."""
        return Client(self.block, self.rows[number], self.decisions.facts, self.topics)

    def further(self, client: Client, number: int, place: int, ground: int) -> tuple[Said | None, frozenset[str]]:
        """What is said of a ground of `FURTHER` to that customer, for the offer at `place`, and the codes of what would
        say the same beside it."""
        code, topics = self.grounds.codes[ground], self.topics
        if code == SIMILAR:
            return SIMILAR_CLIENTS, _NOTHING
        if code in (RULE, PATTERN):
            rule = None if self.rules is None else self.rules.rule(number, place)
            if rule is not None and rule.lift >= LEAST_LIFT:  # models of holdings alone mean it too
                return _of_rule(rule.held, rule.product, rule.lift, topics)
            return (SAME_PRODUCTS if self._hold_any[number] else None), _NOTHING
        name = code.removeprefix(TRIGGER)
        if name == "later":
            return LATER, _NOTHING
        trigger, policy = TRIGGERS.index(name), self.policy
        words = TriggerWords(client, self.decisions.found_triggers, policy.triggers, policy.policy, self.day)
        named = [topics.holds[product] for product in words.products(trigger)]
        return words.sentence(trigger), frozenset({*_COVERED.get(name, ()), *named})

    @cached_property
    def _hold_any(self) -> list[bool]:
        """Of each customer, whether any product is held."""
        held: NDArray[np.bool_] = np.asarray((self.block.words & np.uint64(1)).any(axis=1))
        return [bool(held[row]) for row in self.rows]

    def _weighed(self, models: Mapping[str, NDArray[np.float64]], products: NDArray[np.int32]) -> NDArray[np.float64]:
        """Float64, shape (n, k, n_grounds): how much each ground adds to the logarithm of priority.

        Parameters
        ----------
        models : what models that are not explained by features add, each of shape (n, k)
        """
        n_topics = len(self.topics.topics)
        strengths = np.empty((*products.shape, n_topics + len(FURTHER)))
        self.topics.sum_up(self.features, strengths)
        further = strengths[..., n_topics:]
        said = {PATTERN: np.zeros(products.shape), SIMILAR: np.zeros(products.shape)}
        for name, values in models.items():
            if name in _MODELS:
                said[_MODELS[name]] += values
        lifts = np.ones(products.shape) if self.rules is None else self.rules.lifts
        _weigh(lifts, said[PATTERN], said[SIMILAR], strengths[..., self.topics.similar], further)
        later = self.policy.policy.contact_policy.later
        raising = 1.0 if later is None else later.weight
        raised = self.decisions.silences.raised if raising > 1 and self.decisions.silences.raised.any() else None
        triggers: list[int] = self.decisions.triggers.tolist()
        for number, row in enumerate(self.rows):
            bits = triggers[row]
            if not bits and raised is None:
                continue
            for product, mine in zip(self.offered[number], further[number], strict=True):
                if product < 0:
                    continue
                if raised is not None and raised.item(row, product):
                    mine[_PLACES[TRIGGER + "later"]] = log(raising)
                self._weigh_triggers(bits, product, mine)
        return strengths

    def _weigh_triggers(self, bits: int, product: int, further: NDArray[np.float64]) -> None:
        weights = self.policy.triggers.weights
        for trigger, place in enumerate(_TRIGGER_PLACES):
            if bits >> trigger & 1 and (weight := weights.item(trigger, product)) > 1:
                further[place] = log(weight)


@lru_cache(_RULES_KEPT)
def _of_rule(held: tuple[int, ...], product: int, lift: float, topics: Topics) -> tuple[Said, frozenset[str]]:
    """The words of a rule, and what it says too."""
    covered = frozenset({RULE, PATTERN, *(topics.holds[p] for p in held)})
    return rule_sentence(held, product, lift, topics.names), covered


@kernel
def _weigh(lifts, pattern, similar, of_topic, further):  # type: ignore[no-untyped-def]
    """Write how much the grounds of `FURTHER` add where there are no triggers; `of_topic` : that of similar clients."""
    for row in range(lifts.shape[0]):
        for place in range(lifts.shape[1]):
            mine = further[row, place]
            mine[:] = 0.0
            lift = lifts[row, place]
            mine[_RULE_PLACE] = np.log(lift) if lift >= LEAST_LIFT else 0.0
            mine[_PATTERN_PLACE] = pattern[row, place]
            mine[_SIMILAR_PLACE] = similar[row, place] + of_topic[row, place]


_MODELS = {name: SIMILAR if name == Popularity.name else PATTERN for name in MODELS if name != Propensity.name}
"""What models that are not explained by features look at; a propensity without its features says nothing."""

_COVERED = {
    "large_inflow": ("money_in",),
    "balance_falling": ("balance_total",),
    "next_tier": (f"attribute:{TIER}",),
    "life_stage_birthday": ("age",),
}
"""Topics that a trigger's sentence says too."""
