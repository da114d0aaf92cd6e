"""Decisions on record."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Request, Response

from ...access import Principal
from ...desk.disclosure import disclosed
from ...records import StoredEntry
from ...records.entries import DECISION
from ..answers import json_response
from ..callers import ReadingDecisions
from ..feedback.routes import check_decision_seen, unknown_decision
from ..looking import put_on_record
from ..names import EntryId
from ..operations.schemas import DecisionRecord
from ..problems import Conflict, Gone, declared
from ..recommendations.schemas import Recommendations
from ..service import Service, service_of

router = APIRouter(prefix="/v1", tags=["decisions"])

DecisionId = Annotated[EntryId, Path(description="As recommendations give it")]


@router.get(
    "/decisions/{decision_id}",
    summary="A decision as it stands in the records",
    response_model=DecisionRecord,
    responses=declared(401, 403, 404, 410, 422, 429, 503),
)
async def decision(request: Request, decision_id: DecisionId, principal: ReadingDecisions) -> Response:
    """What was shown, what was excluded and why, every factor, the versions, the state it was decided from, and who
    asked. What tells of the customer beyond the answer is withheld from who may not see the customer's overview."""
    service = service_of(request)
    entry = await _seen(service, principal, decision_id)
    assert entry.payload is not None
    await put_on_record(request, principal, "decision", str(entry.customer_id))
    record = {"seq": entry.seq, "at": entry.at, **orjson.loads(entry.payload)}
    return json_response(disclosed(record, principal))


@router.post(
    "/decisions/{decision_id}:replay",
    summary="Decide again from the versions on record",
    response_model=Recommendations,
    responses=declared(401, 403, 404, 409, 410, 422, 429, 503),
)
async def replay_decision(request: Request, decision_id: DecisionId, principal: ReadingDecisions) -> Response:
    """The same bytes as were answered then; 410 where an input is gone, naming it, 409 where the answer differs. Each
    worker computes one at a time, in the order in which they were asked for; 503 when too many wait."""
    service = service_of(request)
    entry = await _seen(service, principal, decision_id)
    await put_on_record(request, principal, "replay", str(entry.customer_id))
    found = await service.replays.replay(entry)
    if found.gone:
        raise Gone(f"decision {decision_id} cannot be replayed: {'; '.join(found.gone)}")
    if found.difference:
        raise Conflict(f"decision {decision_id} gives another answer now: {found.difference}")
    return Response(found.body, media_type="application/json")


async def _seen(service: Service, principal: Principal, decision_id: str) -> StoredEntry:
    entry = await service.records.find(decision_id)
    if entry is None or entry.kind != DECISION:
        raise unknown_decision(decision_id)
    if entry.payload is None:
        if not principal.sees_everybody:  # whose it was is gone with it: it might have been another's
            raise unknown_decision(decision_id)
        raise Gone(f"decision {decision_id} was erased, or forgotten after the time for which records are kept")
    _, engine = service.in_use.get()
    check_decision_seen(principal, engine, entry)
    return entry
