"""What one customer is offered, why, and with what that was decided: as people and programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from features import CustomerBlock

from .decisions import CompiledPolicy, Context, Decisions
from .decisions.layers.suitability import CLIENT_ASKED_STEP, ELDERLY_STEP
from .decisions.policy.sections import TRIGGERS
from .decisions.reasons.spoken import SpokenReason
from .language import Language


@dataclass(frozen=True)
class Versions:
    """What a decision was made with.

    Attributes
    ----------
    model : version of the bundle in the registry
    states : the build of customer states
    as_of : the last day whose facts the states know
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


@dataclass(frozen=True)
class Suggestion:
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


@dataclass(frozen=True)
class ServiceAction:
    """Something owed to the customer, before any offer."""

    action: str
    text: str
    text_zh: str


@dataclass(frozen=True)
class Recommendation:
    """What one customer is offered, best first.

    Attributes
    ----------
    day : of the decision
    personalised : False where the customer refused it: products are then ranked by popularity
    service_actions : come before the suggestions
    triggers : names of what makes now the right time
    """

    customer_id: str
    channel: str
    day: str
    personalised: bool
    service_actions: tuple[ServiceAction, ...]
    triggers: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]
    versions: Versions

    def to_dict(self, language: Language = Language.EN) -> dict[str, Any]:
        """As the service and ``nextproduct recommend --json`` give it, texts in one language."""
        return {
            "customer_id": self.customer_id,
            "channel": self.channel,
            "day": self.day,
            "personalised": self.personalised,
            "service_actions": [
                {"action": action.action, "text": _text(action, language)} for action in self.service_actions
            ],
            "triggers": list(self.triggers),
            "recommendations": [
                {name: value for name, value in vars(suggestion).items() if name not in ("steps", "reasons")}
                | {
                    "steps": list(suggestion.steps),
                    "reasons": [
                        {"kind": r.kind, "topic": r.topic, "strength": r.strength, "text": _text(r, language)}
                        for r in suggestion.reasons
                    ],
                }
                for suggestion in self.suggestions
            ],
            "versions": self.versions.to_dict(),
        }


def recommendation_of(
    block: CustomerBlock, decisions: Decisions, policy: CompiledPolicy, context: Context, versions: Versions,
    reasons: Sequence[tuple[SpokenReason, ...]], row: int = 0,
) -> Recommendation:  # fmt: skip
    """What was decided for customer `row` of `block`, with the reasons of each offer, or none at all."""
    catalogue = block.states.catalogue.products
    personal = bool(decisions.personalised[row])

    def factor(values: Any, place: int) -> float | None:
        return float(values[row, place]) if personal else None

    offered = [(place, int(product)) for place, product in enumerate(decisions.products[row]) if product >= 0]
    suggestions = tuple(
        Suggestion(
            rank=place + 1,
            product_id=catalogue[product].product_id,
            name=catalogue[product].name,
            name_zh=catalogue[product].name_zh,
            family=catalogue[product].family,
            propensity=factor(decisions.propensities, place),
            value=factor(decisions.values, place),
            context=factor(decisions.contexts, place),
            lever=factor(decisions.levers, place),
            priority=float(decisions.priorities[row, place]),
            client_asked=catalogue[product].product_id in context.asked,
            steps=_steps(policy, int(decisions.steps[row, place])),
            reasons=reasons[place] if reasons else (),
        )
        for place, product in offered
    )
    actions = policy.policy.service_actions
    return Recommendation(
        customer_id=block.states.customer_id(int(block.positions[row])),
        channel=context.channel,
        day=context.day.isoformat(),
        personalised=personal,
        service_actions=tuple(
            ServiceAction(action.action, action.text, action.text_zh)
            for number, action in enumerate(actions)
            if decisions.service_actions[row] >> number & 1
        ),
        # what makes the time right is read off the customer's own accounts
        triggers=tuple(
            name for number, name in enumerate(TRIGGERS) if personal and decisions.triggers[row] >> number & 1
        ),
        suggestions=suggestions,
        versions=versions,
    )


def _steps(policy: CompiledPolicy, bits: int) -> tuple[str, ...]:
    pack = policy.policy.suitability.pack
    steps = []
    if bits & CLIENT_ASKED_STEP and pack.client_asked:
        steps.append(pack.client_asked.step)
    if bits & ELDERLY_STEP and pack.elderly:
        steps.append(pack.elderly.step)
    return tuple(steps)


def _text(spoken: SpokenReason | ServiceAction, language: Language) -> str:
    return spoken.text_zh if language is Language.ZH else spoken.text
