"""Recommendations for one customer: the route that is asked most."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ...access import NotAllowed, Permission, Principal
from ...desk.decision_entry import Asked
from ...http.direct_route import DirectRoute
from ...http.queries import described, read_query
from ...language import Language
from ..callers import caller_of
from ..logs import request_id_of
from ..problems import BadRequest, declared
from ..service import Service, service_of
from .schemas import RecommendationQuery, Recommendations

router = APIRouter(prefix="/v1", tags=["customers"], route_class=DirectRoute)


@router.get(
    "/customers/{customer_id}/recommendations",
    summary="Products to offer a customer next",
    response_model=Recommendations,
    responses=declared(401, 403, 404, 422, 429, 503),
    openapi_extra=described(
        RecommendationQuery,
        customer_id={"type": "string", "description": "As in the bank's customers table", "examples": ["R0000042"]},
    ),
)
async def recommendations(request: Request) -> bytes:
    """What the policy allows the customer to be offered, by priority, best first, with reasons. The decision is on
    record before it is answered."""
    service = service_of(request)
    principal = caller_of(request, service, Permission.RECOMMEND)
    query = read_query(request, RecommendationQuery)
    if query.client_asked:
        check_hears_clients(service, principal)
    question = query.question(request.path_params["customer_id"], limit_of(service, query.limit))
    asked = Asked(question, Language(query.language), principal, request_id_of(request))
    shown = await service.desk.answer(asked)
    request.scope["decision_id"] = shown.decision_id
    return shown.body


def check_hears_clients(service: Service, principal: Principal) -> None:
    """See to it that the principal may say what a client asked for: the answer about a product says what keeps it out,
    with the customer's figures, as why-not does.

    Raises
    ------
    NotAllowed : otherwise
    """
    if not principal.may(Permission.CUSTOMER):
        service.metrics.count_refused("not_allowed")
        raise NotAllowed(
            f"the role {principal.role} may not say client_asked, which is answered with the customer's figures: it "
            f"takes the permission {Permission.CUSTOMER}"
        )


def limit_of(service: Service, limit: int | None) -> int:
    """The number of products asked for, or the configured one.

    Raises
    ------
    BadRequest : when it is more than the service gives
    """
    if limit is not None and limit > service.config.max_limit:
        raise BadRequest(f"limit: {limit} is more than {service.config.max_limit}")
    return limit or service.config.default_limit
