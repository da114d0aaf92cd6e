"""One customer: overview and why not; recommendations for many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from features.errors import NotFound, NotReady

from ...answering.overview import overview_of
from ...desk.customers import NotTheirs, check_sees
from ...desk.decision_entry import Asked
from ...desk.feedback import referrals_in
from ...http.long_route import LongRoute
from ...language import Language
from ...records.entries import FEEDBACK
from ..answers import json_response
from ..callers import Recommending, SeeingCustomers, charge
from ..logs import request_id_of
from ..looking import put_on_record, put_refusal_on_record
from ..names import Channel, CustomerId, Family, ProductId
from ..problems import declared, failure_told
from ..recommendations.routes import check_hears_clients, limit_of
from ..recommendations.schemas import BatchRecommendations, BatchRequest, WhyNotAnswer
from ..service import service_of
from .schemas import CustomerOverview

router = APIRouter(prefix="/v1", tags=["customers"])
batches = APIRouter(prefix="/v1", tags=["customers"], route_class=LongRoute)

_FEEDBACK_READ = 500  # newest entries in which an overview looks for referrals

Customer = Annotated[CustomerId, Path(description="As in the bank's customers table", examples=["R0000042"])]
Limit = Annotated[int | None, Query(ge=1, description="Products at most; by default as configured", examples=[3])]
ChannelAsked = Annotated[
    Channel | None, Query(description="Through which the customer is contacted; by default the policy's first")
]
ClientAsked = Annotated[
    list[ProductId] | None, Query(description="Products the client asked for; the rest is what we recommend")
]
Families = Annotated[list[Family] | None, Query(description="Only products of these families; by default of all")]
InLanguage = Annotated[Language, Query(description="Of texts")]


@router.get(
    "/customers/{customer_id}",
    summary="What is known of a customer",
    response_model=CustomerOverview,
    responses=declared(401, 403, 404, 422, 429, 503),
)
async def overview(
    request: Request, customer_id: Customer, principal: SeeingCustomers, language: InLanguage = Language.EN
) -> Response:
    """Holdings, tier, balances, contacts, consents and suitability, as a decision made now would see them."""
    service = service_of(request)
    _, engine = service.in_use.get()
    check_sees(principal, engine.states, customer_id)
    fresh = await service.desk.happened_to([customer_id], engine)
    found = overview_of(engine, customer_id, fresh)
    feedback = await asyncio.to_thread(service.records.newest, _FEEDBACK_READ, customer_id=customer_id, kind=FEEDBACK)
    await put_on_record(request, principal, "overview", customer_id)
    return json_response(found.to_dict(language) | {"referrals": referrals_in(feedback)})


@router.get(
    "/customers/{customer_id}/products/{product_id}/why-not",
    summary="Why a product is not suggested",
    response_model=WhyNotAnswer,
    responses=declared(401, 403, 404, 422, 429, 503),
)
async def why_not(
    request: Request,
    customer_id: Customer,
    product_id: Annotated[ProductId, Path(description="As in the bank's products table", examples=["fund_equity"])],
    principal: SeeingCustomers,
    limit: Limit = None,
    channel: ChannelAsked = None,
    client_asked: ClientAsked = None,
    language: InLanguage = Language.EN,
) -> Response:
    """The layer, the rule and the figures that exclude a product, or how far it is behind the last one suggested."""
    service = service_of(request)
    _, engine = service.in_use.get()
    check_sees(principal, engine.states, customer_id)
    service.limits.check(engine)
    fresh = await service.desk.happened_to([customer_id], engine)
    found = engine.why_not(
        customer_id, product_id, limit_of(service, limit), channel=channel, asked=client_asked or (), fresh=fresh
    )
    await put_on_record(request, principal, "why_not", customer_id)
    answer: dict[str, Any] = {"customer_id": customer_id, "product_id": product_id, **found.to_dict(language)}
    return json_response(answer | {"versions": engine.versions.to_dict()})


@batches.post(
    "/recommendations:batch",
    summary="Products to offer each of up to 1,000 customers",
    response_model=BatchRecommendations,
    responses=declared(400, 401, 403, 404, 408, 413, 422, 429, 503),
)
async def batch(request: Request, asked: BatchRequest, principal: Recommending) -> Response:
    """The same as for one customer, in the order of the request. A customer who is not the caller's, or not at all,
    has a problem in place of recommendations; the others are answered."""
    service = service_of(request)
    if asked.client_asked:
        check_hears_clients(service, principal)
    question, language = asked.question("", limit_of(service, asked.limit)), Language(asked.language)
    questions = [question._replace(customer_id=customer_id) for customer_id in asked.customer_ids]
    of_each = [Asked(each, language, principal, request_id_of(request)) for each in questions]
    bodies = await answers_of(request, of_each)
    results = [
        {"customer_id": customer_id, "recommendations": body if isinstance(body, orjson.Fragment) else None}
        | {"problem": body if isinstance(body, dict) else None}
        for customer_id, body in zip(asked.customer_ids, bodies, strict=True)
    ]
    return json_response({"results": results})


async def answers_of(request: Request, asked: Sequence[Asked]) -> list[orjson.Fragment | dict[str, Any]]:
    """The answer to each of many of one caller's, for JSON; of a customer who is not found, or for whom it fails, the
    problem.

    Each costs the caller a request.

    Raises
    ------
    NextProductError : when nothing can be answered
    """
    service = service_of(request)
    _, engine = service.in_use.get()
    engine.check(asked[0].question)  # what all have in common is the request's fault, not the customers'
    charge(service, asked[0].principal, len(asked) - 1)
    found = await asyncio.gather(*(service.desk.answer(each, patient=True) for each in asked), return_exceptions=True)
    answers: list[orjson.Fragment | dict[str, Any]] = []
    for each, shown in zip(asked, found, strict=True):
        if isinstance(shown, NotTheirs):
            service.metrics.count_refused("not_theirs")
            put_refusal_on_record(request, shown.customer_id)
        if isinstance(shown, NotFound):
            answers.append({"status": 404, "detail": str(shown)})
        elif isinstance(shown, Exception) and not isinstance(shown, NotReady):  # which is everybody's
            answers.append({"status": 500, "detail": failure_told(shown, each.request_id)})
        elif isinstance(shown, BaseException):
            raise shown
        else:
            answers.append(orjson.Fragment(shown.body))
    return answers
