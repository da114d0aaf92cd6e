"""How an approval is asked for, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from ...access import NotAllowed, Principal
from ...decisions import FreshEvent
from ...desk.approval_kinds import CONSENT, KINDS, consent_content
from ...desk.approvals import Approval, check_may_request, find_approval, may_decide, request_entries
from ..answers import json_response
from ..idempotency import written_once
from ..logs import request_id_of
from ..problems import Gone
from ..service import Service, service_of


async def ask_for_consent(
    request: Request, event: FreshEvent, evidence: str | None, principal: Principal, approval_id: str,
    said: Mapping[str, Any],
) -> Response:  # fmt: skip
    """Put on record that somebody says a customer of theirs has consented; it counts when another approves it."""
    content = consent_content(event, evidence)
    return await ask_for(request, CONSENT, content, principal, approval_id, said, customer_id=event.customer_id)


async def ask_for(
    request: Request, kind: str, content: Mapping[str, Any], principal: Principal, approval_id: str,
    said: Mapping[str, Any], *, customer_id: str | None = None,
) -> Response:  # fmt: skip
    """Put a request on record, once, and say how it stands.

    Parameters
    ----------
    said : in the caller's own words, without what was filled in
    customer_id : whom it concerns, if anybody

    Raises
    ------
    Conflict : when the caller's key was used for something else
    """
    service = service_of(request)
    entries = request_entries(
        approval_id, kind, content, said=said, customer_id=customer_id, days=service.config.access.approval_days,
        principal=principal, request_id=request_id_of(request),
    )  # fmt: skip
    repeated = await written_once(service.records, entries, "approval") is not None
    found = await find_approval(service.records, approval_id)
    if found is None:
        raise Gone(f"approval {approval_id} was erased meanwhile")
    return json_response(told(found, principal, service) | {"repeated": repeated}, 202)


def check_asks(service: Service, kind: str, principal: Principal) -> None:
    """See to it that the principal may ask for something of that kind.

    Raises
    ------
    NotAllowed : otherwise
    """
    try:
        check_may_request(KINDS[kind], principal, kind)
    except NotAllowed:
        service.metrics.count_refused("not_allowed")
        raise


def told(approval: Approval, principal: Principal, service: Service) -> dict[str, Any]:
    """What is said of an approval, for JSON."""
    decided = approval.decision
    return {
        "approval_id": approval.approval_id,
        "kind": approval.kind,
        "status": approval.status,
        "requested_by": approval.requested_by,
        "requested_at": approval.requested_at,
        "lapses_at": approval.lapses_at,
        "content": approval.content,
        "decision": None
        if decided is None
        else {"decision": decided.verdict, "reason": decided.reason, "by": decided.by, "at": decided.at},
        "may_decide": may_decide(
            approval, KINDS[approval.kind], principal, alone=service.config.access.single_person
        ),
    }  # fmt: skip
