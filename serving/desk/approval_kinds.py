"""What takes a second person, and what comes of an approval: a kind each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

from ..access import Principal, Role
from ..decisions import FreshEvent
from ..deployment import event_entry, event_of
from ..records import Entry, Records, StoredEntry
from .approvals import Approval, Kind, NotOpen, Status, approvals_since
from .caller import caller_of

POLICY, CONSENT = "policy", "consent"

_WITH_EVIDENCE = frozenset({Role.RM, Role.TEAM_LEAD, Role.ADMINISTRATOR})
"""Whose word is enough, with evidence, that a customer of theirs has consented."""


def takes_approval(event: FreshEvent, evidence: str | None, principal: Principal) -> bool:
    """Whether what a customer is said to have done counts only when another person has looked at it.

    A consent that is withdrawn counts at once, whoever says so.
    """
    if event.kind != "consent" or not event.granted:
        return False
    return evidence is None or principal.role not in _WITH_EVIDENCE


def consent_content(event: FreshEvent, evidence: str | None) -> dict[str, Any]:
    """What the request of a consent says."""
    return {
        "customer_id": event.customer_id, "purpose": event.purpose, "channel": event.channel,
        "day": event.day.isoformat(), "evidence": evidence,
    }  # fmt: skip


def policy_content(digest: str, name: str) -> dict[str, Any]:
    """What the request of a policy says."""
    return {"digest": digest, "name": name}


async def standing_request(records: Records, digest: str) -> Approval | None:
    """The request of a policy that is open or was approved, if there is one."""
    of_it = [
        each for each in await approvals_since(records, "") if each.kind == POLICY and each.content["digest"] == digest
    ]
    return next((each for status in (Status.APPROVED, Status.OPEN) for each in of_it if each.status is status), None)


def policies_approved(records: Records) -> Callable[[str], str | None]:
    """Says why the policy of a digest may not go into use; None: it may. For threads without an event loop."""

    def reason(digest: str) -> str | None:
        standing = asyncio.run(standing_request(records, digest))
        if standing is None:
            return (
                f"policy {digest} has no approval: somebody asks for it with POST /v1/approvals, and another person "
                "approves it; or serving.access.single_person allows one person alone"
            )
        if standing.status is Status.OPEN:
            return f"policy {digest} waits for its approval {standing.approval_id} by another person"
        return None

    return reason


def _check_not_withdrawn(approval: Approval, events: Sequence[StoredEntry]) -> None:
    asked = _consent_in(approval)
    for entry in events:
        if entry.seq < approval.seq or entry.payload is None:
            continue
        since = event_of(entry.entry_id, entry.payload, asked.customer_id)
        everywhere = None in (since.channel, asked.channel)
        if since.kind == "consent" and since.granted is False and since.purpose == asked.purpose and (
            everywhere or since.channel == asked.channel
        ):  # fmt: skip
            raise NotOpen(
                f"approval {approval.approval_id}: the customer has refused {asked.purpose} since it was asked for, "
                "and the newer answer counts: refuse it, and ask the customer again"
            )


def _consent_entries(approval: Approval, principal: Principal, entry_id: str, request_id: str) -> tuple[Entry, ...]:
    told = {"approval": approval.approval_id, "caller": caller_of(principal), "request_id": request_id}
    if approval.content["evidence"] is not None:
        told["evidence"] = approval.content["evidence"]
    return (event_entry(_consent_in(approval), entry_id=entry_id, told=told),)


def _consent_in(approval: Approval) -> FreshEvent:
    content = approval.content
    return FreshEvent(
        content["customer_id"], "consent", date.fromisoformat(content["day"]), purpose=content["purpose"],
        channel=content["channel"], granted=True,
    )  # fmt: skip


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        POLICY: Kind(
            requested_by=frozenset({Role.RISK_OFFICER, Role.ADMINISTRATOR}),
            approved_by=frozenset({Role.RISK_OFFICER, Role.ADMINISTRATOR}),
        ),
        CONSENT: Kind(
            requested_by=frozenset({Role.RM, Role.TEAM_LEAD, Role.CAMPAIGN_MANAGER, Role.ADMINISTRATOR}),
            approved_by=frozenset({Role.TEAM_LEAD, Role.RISK_OFFICER}),
            check=_check_not_withdrawn,
            effects=_consent_entries,
        ),
    }
)
"""By name. Another kind is one more line here, and a form of its content in `serving.api.approvals.schemas`."""
