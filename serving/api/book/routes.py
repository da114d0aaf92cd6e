"""An RM's book: today's best conversations."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from features.errors import NotFound

from ...access import Principal, Role
from ...answering.answer import Question
from ...answering.book import BookRanking, customers_of
from ...desk.decision_entry import Asked
from ...http.long_route import LongRoute
from ...language import Language
from ..answers import json_response
from ..callers import HavingBook
from ..customers.routes import answers_of
from ..logs import request_id_of
from ..names import Channel, RmId
from ..problems import BadRequest, declared
from ..recommendations.routes import limit_of
from ..service import service_of
from .schemas import Book

router = APIRouter(prefix="/v1", tags=["book"], route_class=LongRoute)


@router.get(
    "/book",
    summary="Today's best conversations across an RM's customers",
    response_model=Book,
    responses=declared(401, 403, 404, 422, 429, 503),
)
async def book(
    request: Request,
    principal: HavingBook,
    rm_id: Annotated[
        RmId | None, Query(description="Whose book; an RM's is their own, a team lead's all of the branch by default")
    ] = None,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    size: Annotated[int, Query(ge=1, le=100, description="Customers on a page")] = 20,
    limit: Annotated[int | None, Query(ge=1, description="Products of each at most")] = None,
    channel: Annotated[Channel | None, Query(description="By default the policy's first")] = None,
    language: Annotated[Language, Query(description="Of texts")] = Language.EN,
) -> Response:
    """Customers with something to offer by the priority of the best suggestion; then those who refuse personalised
    offers, by popularity; then those who are only owed a service action; last those for whom the service fails, with
    the problem. Each that is shown is a decision on record."""
    service = service_of(request)
    _, engine = service.in_use.get()
    service.limits.check(engine)
    whose, branch = _whose(principal, rm_id)
    positions = customers_of(engine.states, rm_id=whose, branch_id=branch)
    most = limit_of(service, limit)
    engine.check(Question("", most, channel))
    states = engine.states
    fresh, unreadable = await service.desk.happened_in_book(states.ids_of(positions), engine)
    unranked = np.array([states.position_of(customer_id) for customer_id in unreadable], dtype=np.int64)
    ranking = BookRanking(engine, np.setdiff1d(positions, unranked), fresh, channel=channel, limit=most)
    for _ in ranking.steps():
        await asyncio.sleep(0)
    ranked = [each.position for each in ranking.conversations]
    listed = np.array([*ranked, *sorted([*unranked.tolist(), *ranking.broken])], dtype=np.int64)
    start = (page - 1) * size
    asked = [
        Asked(Question(customer_id, most, channel), language, principal, request_id_of(request))
        for customer_id in states.ids_of(listed[start : start + size])
    ]
    answers = await answers_of(request, asked) if asked else []
    conversations: list[dict[str, Any]] = [
        {"rank": start + place + 1, "customer_id": each.question.customer_id}
        | ({"recommendations": None, "problem": answer} if isinstance(answer, dict) else {"recommendations": answer})
        for place, (each, answer) in enumerate(zip(asked, answers, strict=True))
        if not (isinstance(answer, dict) and answer["status"] == 404)  # gone since the ranking: the states were swapped
    ]
    return json_response(
        {"rm_id": whose, "branch_id": branch, "customers": len(positions), "total": len(listed), "page": page,
         "size": size, "conversations": conversations}
    )  # fmt: skip


def _whose(principal: Principal, rm_id: str | None) -> tuple[str | None, str | None]:
    """RM and branch whose customers the caller means and may see."""
    if principal.role is Role.RM:
        if rm_id not in (None, principal.rm_id):
            raise NotFound(f"there is no book of {rm_id!r}")
        return principal.rm_id, None
    if principal.role is Role.TEAM_LEAD:
        return rm_id, principal.branch_id
    if rm_id is None:
        raise BadRequest("rm_id: say whose book is meant")
    return rm_id, None
