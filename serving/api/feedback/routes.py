"""What became of suggestions."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from features.errors import BadInput, NotFound

from ...access import Principal
from ...answering.engine import DecisionEngine
from ...desk.customers import NotTheirs, check_sees
from ...desk.events import Counting, check_room, counting, day_of
from ...desk.feedback import Feedback, check_referral, feedback_entries, may_conclude, referral_in
from ...records import StoredEntry
from ...records.entries import DECISION
from ..answers import json_response
from ..callers import GivingFeedback
from ..idempotency import IdempotencyKey, entry_id_of, written_once
from ..logs import request_id_of
from ..problems import BadRequest, declared
from ..service import Service, service_of
from .schemas import FeedbackAnswer, FeedbackRequest

router = APIRouter(prefix="/v1", tags=["feedback"])


@router.post(
    "/feedback",
    status_code=201,
    summary="What became of a suggestion",
    response_model=FeedbackAnswer,
    responses={
        200: {"description": "On record already, under the same key", "model": FeedbackAnswer},
        **declared(400, 401, 403, 404, 408, 409, 413, 422, 429, 503),
    },
)
async def feedback(
    request: Request,
    said: FeedbackRequest,
    principal: GivingFeedback,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Acceptance, refusal and "later" count from the next decision on. A referral names a colleague; its result is
    feedback of its own that names the referral, and may come from that colleague."""
    service = service_of(request)
    _, engine = service.in_use.get()
    decision = await service.records.find(said.decision_id)
    if decision is None or decision.kind != DECISION or decision.payload is None or decision.customer_id is None:
        raise unknown_decision(said.decision_id)
    referral = await _referral(service, said.referral_id, decision.customer_id)
    # before anything is said of what was sent: to a stranger it must not matter whether there is such a decision
    if referral is None or not may_conclude(principal, referral, said.decision_id):
        check_decision_seen(principal, engine, decision)
    try:
        given = Feedback(**said.model_dump() | {"day": day_of(said.day, engine)})
        check_referral(referral, given)
        entry_id = entry_id_of("feedback", principal, idempotency_key)
        entries, event = feedback_entries(
            given, orjson.loads(decision.payload), entry_id=entry_id,
            said=said.model_dump(mode="json", exclude_unset=True), principal=principal,
            request_id=request_id_of(request),
        )  # fmt: skip
        known = await service.desk.heard_of(decision.customer_id, engine)
        check_room(decision.customer_id, known)
    except BadInput as error:
        raise BadRequest(str(error)) from None
    before = await written_once(service.records, entries, "feedback")
    counts = Counting(None) if event is None else counting(entries[1], event, known, engine)
    answer = {
        "feedback_id": entry_id, "customer_id": decision.customer_id, "repeated": before is not None,
        "deciding": counts.since is not None, **counts.to_dict(),
    }  # fmt: skip
    return json_response(answer, 200 if before else 201)


def unknown_decision(decision_id: str) -> NotFound:
    """What is said of a decision that is not on record, or not the caller's to see."""
    return NotFound(f"decision {decision_id!r} is not on record")


def check_decision_seen(principal: Principal, engine: DecisionEngine, decision: StoredEntry) -> None:
    """See to it that the decision is about a customer of the principal's.

    Raises
    ------
    NotFound : otherwise, as if there were none
    """
    try:
        check_sees(principal, engine.states, str(decision.customer_id))
    except NotTheirs as error:
        raise NotTheirs(str(unknown_decision(decision.entry_id)), error.customer_id) from None
    except NotFound:
        raise unknown_decision(decision.entry_id) from None


async def _referral(service: Service, referral_id: str | None, customer_id: str) -> dict[str, Any] | None:
    """What was referred under that id, of this customer; None: nothing."""
    return None if referral_id is None else referral_in(await service.records.find(referral_id), customer_id)
