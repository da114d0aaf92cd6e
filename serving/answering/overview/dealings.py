"""How the bank and the customer dealt with each other: contacts, consents, complaints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from features.catalogue import Product
from features.contracts import PURPOSES
from features.states.events import NO_CONVERSATION

from ...decisions.fresh import COMPLAINT_OPENED, COMPLAINT_RESOLVED, CONSENT, NO_DAY, OUTCOME
from ...decisions.policy.sections import Consent
from ...language import Language
from .known import Known, date_of, iso, named, word_of

CONTACTS_SHOWN = 20
"""Contacts told, the newest ones."""


@dataclass(frozen=True)
class Contact:
    """A contact that was made.

    Attributes
    ----------
    product : what it was about; None: not known
    outcome : None: none known yet
    """

    day: date
    product: Product | None
    channel: str | None
    outcome: str | None

    def to_dict(self, language: Language) -> dict[str, Any]:
        """For JSON."""
        nothing = {"product_id": None, "name": None, "family": None}
        about = nothing if self.product is None else named(self.product, language)
        return {"day": self.day.isoformat(), **about, "channel": self.channel, "outcome": self.outcome}


@dataclass(frozen=True)
class StandingConsent:
    """What the customer's newest answer says of a purpose.

    Marketing, or personalisation, through a channel is allowed when neither the answer about everything nor that about
    the channel refuses it.

    Attributes
    ----------
    channel : None: everything
    since : the day of the answer; None: there is none, and the policy says what then counts
    """

    purpose: str
    channel: str | None
    granted: bool
    since: date | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"purpose": self.purpose, "channel": self.channel, "granted": self.granted, "since": iso(self.since)}


@dataclass(frozen=True)
class Complaint:
    """A complaint that is open. Of one that a newer event tells of, the severity is not known."""

    opened_on: date
    severity: str | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"opened_on": self.opened_on.isoformat(), "severity": self.severity}


def contacts_of(known: Known) -> tuple[Contact, ...]:
    """The `CONTACTS_SHOWN` newest contacts, the newest first. A control arm was not contacted.

    What an event tells of a conversation stands for what the states have of it, as in the decision's layer.
    """
    log = known.states.contacts
    told = {(event.conversation, event.product) for event in known.newer if event.kind == OUTCOME}
    found = [
        Contact(
            date_of(entry["happened_on"]),
            None if entry["product"] < 0 else known.product(entry["product"]),
            word_of(log.vocabularies["channel"], entry["channel"]),
            word_of(log.vocabularies["outcome"], entry["outcome"]) if entry["outcome_known_on"] <= known.day else None,
        )
        for entry in known.entries_of(log)
        if entry["treated"] and not _is_told(entry, told)
    ]
    found += [
        Contact(date_of(event.day), known.product(event.product), event.channel, event.outcome)
        for event in known.newer
        if event.kind == OUTCOME
    ]
    found.sort(key=lambda contact: contact.day)  # stable: of one day, what became known last comes last
    return tuple(found[: -CONTACTS_SHOWN - 1 : -1])


def _is_told(entry: dict[str, Any], told: set[tuple[int, int]]) -> bool:
    conversation = entry.get("conversation", NO_CONVERSATION)
    return conversation != NO_CONVERSATION and (conversation, entry["product"]) in told


def consents_of(known: Known, without_record: Consent) -> tuple[StandingConsent, ...]:
    """What holds now: of each purpose first what holds for everything, then, by name, for channels spoken of.

    The rule is that of the decision's layer: the newest answer counts, of two on one day the refusal.
    """
    log = known.states.consents
    answers = [
        (
            word_of(log.vocabularies["purpose"], entry["purpose"]),
            word_of(log.vocabularies["channel"], entry["channel"]),
            entry["happened_on"],
            entry["granted"],
        )
        for entry in known.entries_of(log)
    ]
    answers += [(e.purpose, e.channel, e.day, e.granted) for e in known.newer if e.kind == CONSENT]
    newest: dict[tuple[str | None, str | None], tuple[int, bool]] = {}
    for purpose, channel, day, granted in answers:
        newest[purpose, channel] = max(newest.get((purpose, channel), (NO_DAY, False)), (day, not granted))
    found = []
    for purpose in PURPOSES:
        if (purpose, None) not in newest:
            granted = getattr(without_record, f"{purpose}_without_record") == "allowed"
            found.append(StandingConsent(purpose, None, granted, None))
        # everything sorts before every channel
        for about, channel in sorted((key for key in newest if key[0] == purpose), key=lambda key: key[1] or ""):
            day, refused = newest[about, channel]
            found.append(StandingConsent(purpose, channel, not refused, date_of(day)))
    return tuple(found)


def complaints_of(known: Known) -> tuple[Complaint, ...]:
    """The open ones, the oldest first; an event that all are resolved ends those known by its day."""
    newer, resolved = [], NO_DAY
    for event in known.newer:
        if event.kind == COMPLAINT_OPENED:
            newer.append(Complaint(date_of(event.day), None))
        elif event.kind == COMPLAINT_RESOLVED:
            newer, resolved = [], event.day
    log = known.states.complaints
    older = [
        Complaint(date_of(entry["happened_on"]), word_of(log.vocabularies["severity"], entry["severity"]))
        for entry in known.entries_of(log)
        if resolved < entry["known_on"] and known.day < entry["resolved_on"]
    ]
    return tuple(sorted(older + newer, key=lambda complaint: complaint.opened_on))
