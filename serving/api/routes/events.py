"""What happened to customers since the states were built."""

from __future__ import annotations

from datetime import date, timedelta

from fastapi import APIRouter, Request, Response

from features.errors import BadInput

from ...decisions import FreshEvent
from ...desk.customers import check_sees
from ...desk.events import event_entry
from ...recommender import Recommender
from ..answers import json_response
from ..callers import TellingEvents
from ..idempotency import IdempotencyKey, entry_id_of, written_once
from ..logs import request_id_of
from ..problems import BadRequest, declared
from ..schemas.events import EventAnswer, EventRequest
from ..service import service_of

router = APIRouter(prefix="/v1", tags=["events"])

_CLOCK_TOLERANCE = timedelta(days=1)  # another machine's clock, another time zone


@router.post(
    "/events",
    status_code=201,
    summary="Something happened to a customer",
    response_model=EventAnswer,
    responses={
        200: {"description": "On record already, under the same key", "model": EventAnswer},
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
    on, in every worker, until the states know it themselves."""
    service = service_of(request)
    _, recommender = service.in_use.get()
    check_sees(principal, recommender.states, said.customer_id)
    day = checked_day(said.day, recommender)
    try:
        event = FreshEvent(**said.model_dump() | {"day": day})
    except BadInput as error:
        raise BadRequest(str(error)) from None
    if event.product_id is not None:
        recommender.states.catalogue.position_of(event.product_id)
    entry = event_entry(
        event, entry_id=entry_id_of("event", principal, idempotency_key), principal=principal,
        request_id=request_id_of(request),
    )  # fmt: skip
    repeated = await written_once(service.records, [entry], "event")
    answer = {"event_id": entry.entry_id, "customer_id": event.customer_id, "day": day, "repeated": repeated}
    return json_response(answer, 200 if repeated else 201)


def checked_day(day: date | None, recommender: Recommender) -> date:
    """The day on which something happened, by default that of decisions made now.

    Raises
    ------
    BadRequest : when it is yet to come: decisions would be made as if it were that day already
    """
    now = recommender.day()
    if day is None:
        return now
    if day > max(now, date.today()) + _CLOCK_TOLERANCE:
        raise BadRequest(f"day: {day} has not come yet")
    return day
