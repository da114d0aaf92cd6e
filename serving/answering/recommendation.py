"""What one customer is offered, why, and with what that was decided: as people and programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from features import CustomerBlock

from ..decisions import CompiledPolicy, Context, Decisions
from ..decisions.layers.suitability import CLIENT_ASKED_STEP, ELDERLY_STEP
from ..decisions.policy.sections import TRIGGERS
from ..decisions.reasons.spoken import SpokenReason
from ..decisions.why_not import Excluding, nothing_because, why_not
from ..language import Language, text_in


@dataclass(frozen=True)
class Versions:
    """What a decision was made with.

    Attributes
    ----------
    model : version of the bundle in the registry
    states : the build of customer states
    as_of : the last day of the states' newest period, which may end later than the facts known
    policy : name, version and digest of the policy
    catalogue : digest of the products
    """

    model: str
    states: str
    as_of: str
    policy: str
    catalogue: str

    def to_dict(self) -> dict[str, str]:
        """For JSON and for the columns of a list."""
        return dict(vars(self))


class Suggestion(NamedTuple):
    """One product for one customer.

    Attributes
    ----------
    propensity : calibrated probability of acquisition within the horizon; None where nothing personal was used
    value, context, lever : the other factors of `priority`; None likewise
    steps : what has to be done and recorded before the product is offered
    """

    rank: int
    product_id: str
    name: str
    name_zh: str | None
    family: str
    propensity: float | None
    value: float | None
    context: float | None
    lever: float | None
    priority: float
    client_asked: bool
    steps: tuple[str, ...]
    reasons: tuple[SpokenReason, ...]


class ServiceAction(NamedTuple):
    """Something owed to the customer, before any offer."""

    action: str
    text: str
    text_zh: str


class AskedProduct(NamedTuple):
    """What is answered about a product that the client asked for.

    Attributes
    ----------
    rank : its place among the suggestions; None: it is not offered
    layer, reason : of the first reason why not; None where there is none
    text, text_zh : either in words
    """

    product_id: str
    name: str
    name_zh: str | None
    rank: int | None
    layer: str | None
    reason: str | None
    text: str
    text_zh: str

    def to_dict(self, language: Language) -> dict[str, Any]:
        """For JSON, in one language."""
        return {
            "product_id": self.product_id,
            "name": self.name,
            "name_zh": self.name_zh,
            "offered": self.rank is not None,
            "rank": self.rank,
            "layer": self.layer,
            "reason": self.reason,
            "text": text_in(language, self),
        }


class Recommendation(NamedTuple):
    """What one customer is offered, best first.

    Attributes
    ----------
    day : of the decision
    personalised : False where the customer refused it: products are then ranked by popularity
    service_actions : come before the suggestions
    triggers : names of what makes now the right time
    client_asked : about each product that the client asked for, in the order in which they were asked for
    nothing_because : why there are no suggestions; empty where there are
    """

    customer_id: str
    channel: str
    day: str
    personalised: bool
    service_actions: tuple[ServiceAction, ...]
    triggers: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]
    versions: Versions
    client_asked: tuple[AskedProduct, ...] = ()
    nothing_because: tuple[Excluding, ...] = ()

    def to_dict(self, language: Language = Language.EN) -> dict[str, Any]:
        """As the service and ``nextproduct recommend --json`` give it, texts in one language; what there is nothing to
        say of is left out."""
        found = {
            "customer_id": self.customer_id,
            "channel": self.channel,
            "day": self.day,
            "personalised": self.personalised,
            "service_actions": [
                {"action": action.action, "text": text_in(language, action)} for action in self.service_actions
            ],
            "triggers": self.triggers,
            "recommendations": [
                {
                    "rank": suggestion.rank,
                    "product_id": suggestion.product_id,
                    "name": suggestion.name,
                    "name_zh": suggestion.name_zh,
                    "family": suggestion.family,
                    "propensity": suggestion.propensity,
                    "value": suggestion.value,
                    "context": suggestion.context,
                    "lever": suggestion.lever,
                    "priority": suggestion.priority,
                    "client_asked": suggestion.client_asked,
                    "steps": suggestion.steps,
                    "reasons": [
                        {"kind": r.kind, "topic": r.topic, "strength": r.strength, "text": text_in(language, r)}
                        for r in suggestion.reasons
                    ],
                }
                for suggestion in self.suggestions
            ],
            "versions": self.versions.to_dict(),
        }
        if self.client_asked:
            found["client_asked"] = [asked.to_dict(language) for asked in self.client_asked]
        if self.nothing_because:
            found["nothing_because"] = [
                {"layer": r.layer, "reason": r.reason, "products": r.products, "text": text_in(language, r)}
                for r in self.nothing_because
            ]
        return found


def recommendations_of(
    block: CustomerBlock, decisions: Decisions, policy: CompiledPolicy, context: Context, versions: Versions,
    reasons: Sequence[Sequence[tuple[SpokenReason, ...]]] | None = None,
) -> list[Recommendation]:  # fmt: skip
    """What was decided for each customer of `block`.

    Parameters
    ----------
    reasons : of each customer and offer; None: offers come without
    """
    products, asked, day = block.states.catalogue.products, frozenset(context.asked), context.day.isoformat()
    # numbers are read value by value from here on, and Python's own are several times as fast
    customers = zip(
        block.states.ids_of(block.positions),
        decisions.personalised.tolist(),
        decisions.service_actions.tolist(),
        decisions.triggers.tolist(),
        *(
            values.tolist()
            for values in (
                decisions.products, decisions.propensities, decisions.values, decisions.contexts, decisions.levers,
                decisions.priorities, decisions.steps,
            )
        ),
        strict=True,
    )  # fmt: skip
    found = []
    for row, (customer_id, personal, actions, triggers, *offers) in enumerate(customers):
        suggestions = []
        for place, (product, propensity, value, weight, lever, priority, steps) in enumerate(zip(*offers, strict=True)):
            if product < 0:
                break
            offered = products[product]
            # by place: names cost as much again
            what = (place + 1, offered.product_id, offered.name, offered.name_zh, offered.family)
            factors: _Factors = (propensity, value, weight, lever) if personal else (None, None, None, None)
            to_do = _steps(policy, steps) if steps else ()
            said = reasons[row][place] if reasons else ()
            suggestions.append(Suggestion(*what, *factors, priority, offered.product_id in asked, to_do, said))
        owed = _owed(policy, actions) if actions else ()
        # what makes the time right is read off the customer's own accounts
        why_now = _triggers(triggers) if personal else ()
        about_asked = _about_asked(decisions, block, policy, context, row) if asked else ()
        because = () if suggestions else nothing_because(decisions, row, policy.asked(context) if asked else None)
        what_else = (tuple(suggestions), versions, about_asked, because)
        found.append(Recommendation(customer_id, context.channel, day, personal, owed, why_now, *what_else))
    return found


_Factors = tuple[float | None, float | None, float | None, float | None]


def _about_asked(
    decisions: Decisions, block: CustomerBlock, policy: CompiledPolicy, context: Context, row: int
) -> tuple[AskedProduct, ...]:
    """Of each product once, however often it was asked for."""
    catalogue = block.states.catalogue
    ranks = {product: place + 1 for place, product in enumerate(decisions.products[row].tolist())}
    found = []
    for product_id in dict.fromkeys(context.asked):
        position = catalogue.position_of(product_id)
        product, why = catalogue.products[position], why_not(decisions, block, policy, context, row, position)
        what = (product_id, product.name, product.name_zh, ranks.get(position))
        found.append(AskedProduct(*what, why.layer, why.reason, why.detail, why.detail_zh))
    return tuple(found)


def _owed(policy: CompiledPolicy, bits: int) -> tuple[ServiceAction, ...]:
    return tuple(
        ServiceAction(action.action, action.text, action.text_zh)
        for number, action in enumerate(policy.policy.service_actions)
        if bits >> number & 1
    )


def _steps(policy: CompiledPolicy, bits: int) -> tuple[str, ...]:
    pack = policy.policy.suitability.pack
    steps = []
    if bits & CLIENT_ASKED_STEP and pack.client_asked:
        steps.append(pack.client_asked.step)
    if bits & ELDERLY_STEP and pack.elderly:
        steps.append(pack.elderly.step)
    return tuple(steps)


@lru_cache(4096)
def _triggers(bits: int) -> tuple[str, ...]:
    return tuple(name for number, name in enumerate(TRIGGERS) if bits >> number & 1)
