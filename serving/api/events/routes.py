"""What happened to customers since the states were built."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from features.errors import BadInput

from ...decisions import FreshEvent
from ...deployment import event_entry
from ...desk.approval_kinds import takes_approval
from ...desk.caller import caller_of
from ...desk.customers import check_sees
from ...desk.events import check_event, counting, day_of
from ..answers import json_response
from ..approvals.answers import ask_for_consent
from ..approvals.schemas import ApprovalAnswer
from ..callers import TellingEvents
from ..idempotency import IdempotencyKey, entry_id_of, written_once
from ..logs import request_id_of
from ..problems import BadRequest, declared
from ..service import service_of
from .schemas import ConsentEvent, EventAnswer, EventRequest

router = APIRouter(prefix="/v1", tags=["events"])


@router.post(
    "/events",
    status_code=201,
    summary="Something happened to a customer",
    response_model=EventAnswer,
    responses={
        200: {"description": "On record already, under the same key", "model": EventAnswer},
        202: {"description": "It counts when another person has approved it", "model": ApprovalAnswer},
        **declared(400, 401, 403, 404, 408, 409, 413, 422, 429, 503),
    },
)
async def events(
    request: Request,
    said: EventRequest,
    principal: TellingEvents,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A product opened or closed, a consent, a complaint, a large movement of money: it counts from the next decision
    on, in every worker and every command, until the states know it themselves. What cannot have happened to the
    customer is refused; where it counts for nothing, the answer says so. A consent that is granted takes evidence;
    without, or from a campaign manager, it waits for the approval of another person (202). One that is withdrawn counts
    at once."""
    service = service_of(request)
    _, engine = service.in_use.get()
    check_sees(principal, engine.states, said.customer_id)
    entry_id = entry_id_of("event", principal, idempotency_key)
    known = await service.desk.heard_of(said.customer_id, engine, but=entry_id)
    try:
        event = FreshEvent(**said.model_dump(exclude={"evidence"}) | {"day": day_of(said.day, engine)})
        check_event(event, known, engine)
    except BadInput as error:
        raise BadRequest(str(error)) from None
    words = said.model_dump(mode="json", exclude_unset=True)
    evidence = said.evidence if isinstance(said, ConsentEvent) else None
    if not service.config.access.single_person and takes_approval(event, evidence, principal):
        return await ask_for_consent(request, event, evidence, principal, entry_id, words)
    told = {"said": words, "caller": caller_of(principal), "request_id": request_id_of(request)}
    if evidence is not None:
        told["evidence"] = evidence
    entry = event_entry(event, entry_id=entry_id, told=told)
    before = await written_once(service.records, [entry], "event")
    counts = counting(entry, event, known, engine)
    answer = {
        "event_id": entry.entry_id, "customer_id": event.customer_id, "day": before["day"] if before else event.day,
        "repeated": before is not None, **counts.to_dict(),
    }  # fmt: skip
    return json_response(answer, 200 if before else 201)
