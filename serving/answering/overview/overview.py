"""The overview of one customer, put together from the decision that would be made now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from features.contracts import BRANCH_ID, KINDS, ONBOARDED_ON, RISK_LEVELS, RISK_RATINGS, RM_ID, TIER

from ...decisions import FreshEvents, Policy
from ...decisions.layers import suitability
from ...decisions.layers.facts import EXPIRED_ASSESSMENT, MISSING_ASSESSMENT, CustomerFacts
from ...language import Language
from ..answer import Answer, Question
from ..engine import DecisionEngine
from ..recommendation import ServiceAction, Versions
from .dealings import Complaint, Contact, StandingConsent, complaints_of, consents_of, contacts_of
from .holdings import Balances, ClosedProduct, Holding, balances_of, holdings_of
from .known import Known, Stretch, iso, stretch_for_json


@dataclass(frozen=True)
class Suitability:
    """What risk the customer may be recommended.

    Attributes
    ----------
    risk_level : ``C1`` to ``C5``; None: none on record
    expires_on : the last day on which the assessment holds: the one on record or that which the suitability pack
        allows, whichever comes first; None: neither is known
    is_missing, is_expired : what is wrong with the assessment today; both may be
    allowed_ratings : of ``R1`` to ``R5``, those that no suitability rule keeps from being recommended today
    """

    risk_level: str | None
    assessed_on: date | None
    expires_on: date | None
    is_missing: bool
    is_expired: bool
    allowed_ratings: tuple[str, ...]

    @property
    def is_valid(self) -> bool:
        """Whether the assessment holds today."""
        return not (self.is_missing or self.is_expired)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "risk_level": self.risk_level,
            "assessed_on": iso(self.assessed_on),
            "expires_on": iso(self.expires_on),
            "valid": self.is_valid,
            "missing": self.is_missing,
            "expired": self.is_expired,
            "allowed_ratings": list(self.allowed_ratings),
        }


@dataclass(frozen=True)
class Overview:
    """What is known of one customer on a day, as the decision of that day sees it.

    Attributes
    ----------
    known_to : the last day of which the bank's tables told anything; what happened later is known from events only
    kind : ``retail`` or ``corporate``; None: not known, as in the next four and in `age`
    profile_since : the period from which on these, but for the age, have been on record as they are; None: not known
    age : completed years on `day`, of companies since they were founded
    closed : products that events newer than the states have closed
    contacts : the newest first
    complaints : the open ones
    service_actions : what is owed to the customer before any offer
    versions : of what a decision is made with
    """

    customer_id: str
    day: date
    known_to: date
    kind: str | None
    tier: str | None
    rm_id: str | None
    branch_id: str | None
    onboarded_on: date | None
    profile_since: Stretch | None
    age: int | None
    holdings: tuple[Holding, ...]
    closed: tuple[ClosedProduct, ...]
    balances: Balances
    contacts: tuple[Contact, ...]
    consents: tuple[StandingConsent, ...]
    complaints: tuple[Complaint, ...]
    suitability: Suitability
    service_actions: tuple[ServiceAction, ...]
    versions: Versions

    def to_dict(self, language: Language = Language.EN) -> dict[str, Any]:
        """For JSON, texts in one language."""
        return {
            "customer_id": self.customer_id,
            "day": self.day.isoformat(),
            "known_to": self.known_to.isoformat(),
            "kind": self.kind,
            "tier": self.tier,
            "rm_id": self.rm_id,
            "branch_id": self.branch_id,
            "onboarded_on": iso(self.onboarded_on),
            "profile_since": stretch_for_json(self.profile_since),
            "age": self.age,
            "holdings": [holding.to_dict(language) for holding in self.holdings],
            "closed": [product.to_dict(language) for product in self.closed],
            "balances": self.balances.to_dict(language),
            "contacts": [contact.to_dict(language) for contact in self.contacts],
            "consents": [consent.to_dict() for consent in self.consents],
            "complaints": [complaint.to_dict() for complaint in self.complaints],
            "suitability": self.suitability.to_dict(),
            "service_actions": [
                {"action": action.action, "text": action.text_zh if language is Language.ZH else action.text}
                for action in self.service_actions
            ],
            "versions": self.versions.to_dict(),
        }


def overview_of(
    engine: DecisionEngine, customer_id: str, fresh: FreshEvents | None = None, day: date | None = None
) -> Overview:
    """What is known of one customer.

    Parameters
    ----------
    fresh : what happened since the states were built
    day : on which it is looked at; by default that for which a decision is made now

    Raises
    ------
    NotFound : when the states have no such customer
    """
    day = day or engine.day()
    fresh = FreshEvents.none() if fresh is None else fresh.by(day)
    (answer,) = engine.answer([Question(customer_id, 1, with_reasons=False)], fresh=fresh, day=day)
    return overview_from(answer, engine.policy.policy, fresh)


def overview_from(answer: Answer, policy: Policy, fresh: FreshEvents) -> Overview:
    """What is known of the customer of `answer`, who was decided for by `policy` with `fresh` laid over the states."""
    row, facts = answer.row, answer.decisions.facts
    known = Known.of(answer.block, row, fresh, answer.context.day)
    kind, age = int(facts.kinds[row]), float(facts.ages[row])
    holdings, closed = holdings_of(known)
    return Overview(
        customer_id=answer.recommendation.customer_id,
        day=answer.context.day,
        known_to=date.fromisoformat(known.states.manifest.known_to),
        kind=KINDS[kind] if kind < len(KINDS) else None,
        tier=known.text(TIER),
        rm_id=known.text(RM_ID),
        branch_id=known.text(BRANCH_ID),
        onboarded_on=known.date(ONBOARDED_ON),
        profile_since=known.profile_since,
        age=None if np.isnan(age) else int(age),
        holdings=holdings,
        closed=closed,
        balances=balances_of(known, policy.debts, float(facts.assets[row]), float(facts.debts[row])),
        contacts=contacts_of(known),
        consents=consents_of(known, policy.consent),
        complaints=complaints_of(known),
        suitability=_suitability_of(known, facts, row, policy),
        service_actions=answer.recommendation.service_actions,
        versions=answer.recommendation.versions,
    )


def _suitability_of(known: Known, facts: CustomerFacts, row: int, policy: Policy) -> Suitability:
    level, wrong = int(facts.levels[row]), int(facts.assessments[row])
    assessed, recorded = known.date("risk_assessed_on"), known.date("risk_expires_on")
    ends = [] if recorded is None else [recorded]
    if assessed is not None:
        last = assessed.toordinal() + policy.suitability.pack.valid_days
        ends.append(date.fromordinal(min(last, date.max.toordinal())))
    return Suitability(
        risk_level=RISK_LEVELS[level - 1] if level else None,
        assessed_on=assessed,
        expires_on=min(ends, default=None),
        is_missing=bool(wrong & MISSING_ASSESSMENT),
        is_expired=bool(wrong & EXPIRED_ASSESSMENT),
        allowed_ratings=_allowed_ratings(known, facts, row, policy),
    )


def _allowed_ratings(known: Known, facts: CustomerFacts, row: int, policy: Policy) -> tuple[str, ...]:
    """Asks the decision's layer about one imaginary product of each rating."""
    n = len(RISK_RATINGS)
    tables = suitability.SuitabilityTables.of(policy.suitability, known.states.catalogue)
    tables = tables._replace(ratings=np.arange(1, n + 1, dtype=np.int8))
    mine = CustomerFacts(**{name: values[row : row + 1] for name, values in vars(facts).items()})
    reasons = np.zeros((1, n), dtype=np.uint32)
    suitability.exclude(mine, np.zeros(n, dtype=np.bool_), tables, reasons)
    return tuple(rating for rating, bits in zip(RISK_RATINGS, reasons[0], strict=True) if not bits)
