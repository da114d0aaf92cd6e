"""What takes two people: asking for it, and deciding what others ask for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from features.errors import BadConfiguration, BadInput, NotFound

from ...access import NotAllowed, Principal
from ...decisions import FreshEvent
from ...decisions.policy.words import policy_words
from ...deployment import propose
from ...deployment.policies import archived
from ...desk.approval_kinds import KINDS, POLICY, policy_content, standing_request
from ...desk.approvals import (
    LONGEST_DAYS,
    Approval,
    NotOpen,
    Status,
    approvals_since,
    decide,
    find_approval,
    may_decide,
)
from ...desk.customers import check_sees
from ...desk.events import check_event, day_of
from ...language import Language
from ..answers import json_response
from ..callers import Approving
from ..idempotency import IdempotencyKey, entry_id_of
from ..logs import request_id_of
from ..names import EntryId
from ..problems import BadRequest, Conflict, declared
from ..service import Service, service_of
from .answers import ask_for, ask_for_consent, check_asks, told
from .schemas import (
    ApprovalAnswer,
    ApprovalDetail,
    ApprovalRequest,
    Approvals,
    ConsentAsked,
    PolicyAsked,
    PolicyRequest,
    VerdictRequest,
)

router = APIRouter(prefix="/v1", tags=["approvals"])

ApprovalId = Annotated[EntryId, Path(description="As whoever asked for it was told")]


@router.post(
    "/approvals",
    status_code=202,
    summary="Ask for what takes another person",
    response_model=ApprovalAnswer,
    responses=declared(400, 401, 403, 404, 408, 409, 413, 422, 429, 503),
)
async def ask(
    request: Request,
    asked: ApprovalRequest,
    principal: Approving,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A policy that is to go into use, which is checked and kept under its digest; a consent that a customer is said to
    have granted. It lapses when nobody decides it in time."""
    check_asks(service_of(request), asked.kind, principal)
    approval_id = entry_id_of("approval", principal, idempotency_key)
    if isinstance(asked, PolicyRequest):
        return await _ask_for_policy(request, asked.content, principal, approval_id)
    return await _ask_for_consent(request, asked.content, principal, approval_id)


@router.get(
    "/approvals",
    summary="What is asked for and not decided yet",
    response_model=Approvals,
    responses=declared(401, 403, 422, 429, 503),
)
async def listed(
    request: Request,
    principal: Approving,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    size: Annotated[int, Query(ge=1, le=100, description="Requests on a page")] = 20,
) -> Response:
    """What the caller has asked for, and what is the caller's to decide, the oldest first."""
    service = service_of(request)
    since = datetime.now(UTC) - timedelta(days=LONGEST_DAYS)
    found = [
        approval
        for approval in await approvals_since(service.records, since.isoformat())
        if approval.status is Status.OPEN and _concerns(service, approval, principal)
    ]
    shown = found[(page - 1) * size : page * size]
    listed = [told(approval, principal, service) for approval in shown]
    return json_response({"approvals": listed, "total": len(found), "page": page, "size": size})


@router.get(
    "/approvals/{approval_id}",
    summary="One request, and what was decided of it",
    response_model=ApprovalDetail,
    responses=declared(401, 403, 404, 422, 429, 503),
)
async def approval(
    request: Request,
    approval_id: ApprovalId,
    principal: Approving,
    language: Annotated[Language, Query(description="Of the policy's words")] = Language.EN,
) -> Response:
    """With what has to be seen to decide it: of a policy the rules in words, and its files."""
    service = service_of(request)
    found = await _seen(service, principal, approval_id)
    policy = await asyncio.to_thread(_proposed, service, found, language) if found.kind == POLICY else None
    return json_response(told(found, principal, service) | {"policy": policy})


@router.post(
    "/approvals/{approval_id}",
    summary="Approve or refuse what another person asks for",
    response_model=ApprovalAnswer,
    responses=declared(400, 401, 403, 404, 408, 409, 413, 422, 429, 503),
)
async def decided(request: Request, approval_id: ApprovalId, verdict: VerdictRequest, principal: Approving) -> Response:
    """By a person, not a machine, and another than who asked. A request is decided once: of two who decide it at the
    same time one is told that it was decided already (409). What was approved has its effect at once."""
    service = service_of(request)
    found = await _seen(service, principal, approval_id)
    try:
        after, repeated = await decide(
            service.records, found, KINDS[found.kind], verdict.decision, verdict.reason, principal=principal,
            alone=service.config.access.single_person, request_id=request_id_of(request),
        )  # fmt: skip
    except NotOpen as error:
        raise Conflict(str(error)) from None
    except NotAllowed:
        service.metrics.count_refused("not_allowed")
        raise
    return json_response(told(after, principal, service) | {"repeated": repeated})


async def _ask_for_policy(request: Request, asked: PolicyAsked, principal: Principal, approval_id: str) -> Response:
    service = service_of(request)
    _, engine = service.in_use.get()
    digest = None if asked.policy == "current" else asked.policy
    try:
        policy = await asyncio.to_thread(propose, service.workspace, digest, engine.states, service.clock.today())
    except (BadInput, BadConfiguration) as error:
        raise BadRequest(str(error)) from None
    standing = await standing_request(service.records, policy.digest)
    if standing is not None and standing.approval_id != approval_id:
        raise Conflict(f"policy {policy.name} is {standing.status} already, by approval {standing.approval_id}")
    content = policy_content(policy.digest, policy.name)
    return await ask_for(request, POLICY, content, principal, approval_id, said=content)


async def _ask_for_consent(request: Request, asked: ConsentAsked, principal: Principal, approval_id: str) -> Response:
    service = service_of(request)
    _, engine = service.in_use.get()
    check_sees(principal, engine.states, asked.customer_id)
    known = await service.desk.heard_of(asked.customer_id, engine)
    try:
        event = FreshEvent(
            asked.customer_id, "consent", day_of(asked.day, engine), purpose=asked.purpose,
            channel=asked.channel, granted=True,
        )  # fmt: skip
        check_event(event, known, engine)
    except BadInput as error:
        raise BadRequest(str(error)) from None
    words = asked.model_dump(mode="json", exclude_unset=True)
    return await ask_for_consent(request, event, asked.evidence, principal, approval_id, words)


async def _seen(service: Service, principal: Principal, approval_id: str) -> Approval:
    """The approval, where the principal may see it.

    Raises
    ------
    NotFound : otherwise, as if there were none
    """
    found = await find_approval(service.records, approval_id)
    if found is None or not (_concerns(service, found, principal) or _could_decide(service, found, principal)):
        raise NotFound(f"there is no approval {approval_id!r}")
    return found


def _concerns(service: Service, approval: Approval, principal: Principal) -> bool:
    """Whether the principal asked for it, or it is theirs to decide now."""
    if approval.is_asked_by(principal):
        return True
    alone = service.config.access.single_person
    return may_decide(approval, KINDS[approval.kind], principal, alone=alone) and _sees(service, approval, principal)


def _could_decide(service: Service, approval: Approval, principal: Principal) -> bool:
    """Whether the principal's role decides such requests, decided or not."""
    return principal.role in KINDS[approval.kind].approved_by and _sees(service, approval, principal)


def _sees(service: Service, approval: Approval, principal: Principal) -> bool:
    if approval.customer_id is None:
        return True
    _, engine = service.in_use.get()
    try:
        check_sees(principal, engine.states, approval.customer_id)
    except NotFound:
        return False
    return True


def _proposed(service: Service, approval: Approval, language: Language) -> dict[str, Any]:
    policy = archived(service.workspace, approval.content["digest"])
    words = policy_words(policy.policy, language, service.in_use.get()[1].states.catalogue)
    return {
        "words": [{"heading": heading, "sentences": sentences} for heading, sentences in words],
        "document": policy.document.data.decode(),
        "suitability_pack": policy.pack.data.decode(),
    }
