"""What became of a suggestion: shown, accepted, declined, to be raised later, or referred to a colleague."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import orjson

from features.errors import BadInput, NotFound

from ..access import Principal, Role
from ..decisions import FreshEvent
from ..deployment import event_entry
from ..records import Entry, StoredEntry, new_entry_id
from ..records.entries import FEEDBACK
from .caller import caller_of


class Outcome(StrEnum):
    """What became of a suggestion."""

    SHOWN = "shown"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    LATER = "later"
    REFERRED = "referred"


_OF_CONTACTS = (Outcome.ACCEPTED, Outcome.DECLINED, Outcome.LATER)  # what the contact policy looks at


@dataclass(frozen=True)
class Feedback:
    """What became of one suggestion.

    Attributes
    ----------
    decision_id, product_id : the suggestion
    day : on which it happened
    reason : in the customer's words, of what was declined
    until : the day on which who said "later" wants to hear of it again
    referred_to : the colleague who was asked to take over
    referral_id : of the feedback that referred it; this one is its result
    """

    decision_id: str
    product_id: str
    outcome: Outcome
    day: date
    reason: str | None = None
    until: date | None = None
    referred_to: str | None = None
    referral_id: str | None = None

    def __post_init__(self) -> None:
        for name, value, outcome in (
            ("until", self.until, Outcome.LATER),
            ("referred_to", self.referred_to, Outcome.REFERRED),
        ):
            if (value is None) == (self.outcome is outcome):
                raise BadInput(f"{name} belongs to the outcome {outcome.value!r}, which cannot be without it")
        if self.reason is not None and self.outcome is not Outcome.DECLINED:
            raise BadInput("reason belongs to the outcome 'declined'")
        if self.until is not None and self.until <= self.day:
            raise BadInput(f"until {self.until} is not after {self.day}")
        if self.referral_id is not None and self.outcome not in _OF_CONTACTS:
            raise BadInput("the result of a referral is accepted, declined or later")

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the records."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def heard_by(self, customer_id: str, channel: str) -> FreshEvent | None:
        """The event that decisions hear of; None: the contact policy does not look at it.

        All that is said of one decision on one day was said in one conversation.
        """
        if self.outcome not in _OF_CONTACTS:
            return None
        return FreshEvent(
            customer_id, "outcome", self.day, product_id=self.product_id, channel=channel, outcome=self.outcome.value,
            until=self.until, conversation=f"{self.decision_id} {self.day}",
        )  # fmt: skip


def feedback_entries(
    feedback: Feedback, decision: dict[str, Any], *, entry_id: str, said: dict[str, Any], principal: Principal,
    request_id: str,
) -> tuple[tuple[Entry, ...], FreshEvent | None]:  # fmt: skip
    """For the records: the feedback on a decision on record and, where the contact policy looks at it, the event.

    Parameters
    ----------
    said : the feedback in the caller's own words, without what was filled in

    Raises
    ------
    BadInput : when the decision did not suggest the product
    """
    customer_id = decision["request"]["customer_id"]
    suggested = [suggestion["product_id"] for suggestion in decision["answer"]["recommendations"]]
    if feedback.product_id not in suggested:
        raise BadInput(
            f"decision {feedback.decision_id} did not suggest {feedback.product_id!r}; it suggested: "
            f"{', '.join(suggested) or 'nothing'}"
        )
    channel = decision["answer"]["channel"]
    content = {
        "feedback": feedback.to_dict(),
        "said": said,
        "customer_id": customer_id,
        "channel": channel,
        "caller": caller_of(principal),
        "request_id": request_id,
    }
    entry = Entry(FEEDBACK, entry_id, customer_id, orjson.dumps(content))
    heard = feedback.heard_by(customer_id, channel)
    if heard is None:
        return (entry,), None
    told = {"caller": caller_of(principal), "request_id": request_id}
    return (entry, event_entry(heard, entry_id=new_entry_id(), told=told)), heard


def referral_in(entry: StoredEntry | None, customer_id: str) -> dict[str, Any] | None:
    """What an entry on record says, where it refers that customer to a colleague; else None."""
    if entry is None or entry.kind != FEEDBACK or entry.payload is None or entry.customer_id != customer_id:
        return None
    said: dict[str, Any] = orjson.loads(entry.payload)
    return said if said["feedback"]["outcome"] == Outcome.REFERRED else None


def check_referral(referral: dict[str, Any] | None, feedback: Feedback) -> None:
    """See to it that `feedback`, where it says that it is the result of a referral, can be that of `referral`.

    Raises
    ------
    NotFound : when there is no such referral
    BadInput : when it was of another product
    """
    if feedback.referral_id is None:
        return
    if referral is None:
        raise NotFound(f"there is no referral {feedback.referral_id!r}")
    if referral["feedback"]["product_id"] != feedback.product_id:
        raise BadInput(f"referral {feedback.referral_id} was of another product")


def may_conclude(principal: Principal, referral: dict[str, Any], decision_id: str) -> bool:
    """Whether a suggestion of that decision was referred to the principal, whoever's customer it is."""
    said = referral["feedback"]
    return principal.role is Role.RM and principal.rm_id == said["referred_to"] and said["decision_id"] == decision_id


def referrals_in(entries: Sequence[StoredEntry]) -> list[dict[str, Any]]:
    """The referrals in one customer's feedback, oldest entry first, with their results; for JSON, the newest first."""
    referrals: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.payload is None:
            continue
        content = orjson.loads(entry.payload)
        said = content["feedback"]
        if said["outcome"] == Outcome.REFERRED:
            referrals[entry.entry_id] = {
                "referral_id": entry.entry_id,
                "product_id": said["product_id"],
                "day": said["day"],
                "referred_by": content["caller"]["subject"],
                "referred_to": said["referred_to"],
                "result": None,
                "result_on": None,
            }
        elif said.get("referral_id") in referrals:
            referrals[said["referral_id"]] |= {"result": said["outcome"], "result_on": said["day"]}
    return list(reversed(referrals.values()))
