"""Who calls: every route but health names the permission that it takes."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase

from ..access import NotAllowed, NotAuthenticated, Permission, Principal
from .problems import BadRequest, TooManyRequests
from .service import Service, service_of

_TOKEN, _KEY = "token", "key"


class WithPermission(SecurityBase):
    """The caller of a route that takes a permission.

    One dependency does it all: each further one costs a request tens of microseconds.
    """

    model = HTTPBearer(bearerFormat="JWT", description="A token of the bank's identity provider")
    scheme_name = _TOKEN

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Principal:
        """Who makes `request`.

        Raises
        ------
        NotAuthenticated : when nobody knows
        NotAllowed : when they have not the permission
        TooManyRequests : when they ask too often
        """
        return caller_of(request, service_of(request), self.permission)


def caller_of(request: Request, service: Service, permission: Permission) -> Principal:
    """Who makes `request`, which takes `permission`; for a route that is no business of FastAPI's dependencies.

    Raises
    ------
    NotAuthenticated, NotAllowed, TooManyRequests : as `WithPermission`
    """
    principal = _authenticated(request, service)
    if not principal.may(permission):
        service.metrics.count_refused("not_allowed")
        raise NotAllowed(f"the role {principal.role} may not do this: it takes the permission {permission}")
    return principal


def charge(service: Service, principal: Principal, requests: int) -> None:
    """Count `requests` more of the caller's than the one that is being answered.

    Raises
    ------
    TooManyRequests : when they are too many just now; then none is counted
    BadRequest : when they are more than the caller may ever make at once
    """
    if requests == 0:
        return
    most = service.limiter.most_at_once(principal)
    if requests + 1 > most:
        raise BadRequest(
            f"answers about {requests + 1:,} customers are more than the {most:,} requests that you may make at once: "
            "ask about fewer"
        )
    _check_pace(service, service.limiter.admit(principal, requests))


def describe_keys(app: FastAPI) -> None:
    """Have the OpenAPI document of `app` say that a machine's key does wherever a token does."""
    describe: Callable[[], dict[str, Any]] = app.openapi

    def describe_with_keys() -> dict[str, Any]:
        document = describe()
        key = APIKey(**{"in": APIKeyIn.header}, name="X-API-Key", description="See `nextproduct key create`")
        document["components"]["securitySchemes"][_KEY] = key.model_dump(by_alias=True, exclude_none=True, mode="json")
        for methods in document["paths"].values():
            for operation in methods.values():
                if "security" in operation:
                    operation["security"] = [{_TOKEN: []}, {_KEY: []}]
        return document

    app.openapi = describe_with_keys  # type: ignore[method-assign]  # as FastAPI's manual says


def _authenticated(request: Request, service: Service) -> Principal:
    start = perf_counter()
    try:
        principal = service.authenticator.authenticate(*_presented(request))
    except NotAuthenticated:
        service.metrics.count_refused("not_authenticated")
        raise
    wait = service.limiter.admit(principal)
    service.metrics.observe_stage("authenticate", perf_counter() - start)
    request.scope["principal"] = principal
    _check_pace(service, wait)
    return principal


def _check_pace(service: Service, wait: float) -> None:
    if wait > 0:
        service.metrics.count_refused("too_many_requests")
        raise TooManyRequests(wait)


def _presented(request: Request) -> tuple[str | None, str | None]:
    """The authorization and the key that `request` presents.

    Raises
    ------
    NotAuthenticated : when there are two of either: a proxy may have looked at the other one
    """
    authorization = api_key = None
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            if authorization is not None:
                raise NotAuthenticated("several authorizations were presented")
            authorization = value.decode("latin-1")
        elif name == b"x-api-key":
            if api_key is not None:
                raise NotAuthenticated("several keys were presented")
            api_key = value.decode("latin-1")
    return authorization, api_key


Recommending = Annotated[Principal, Depends(WithPermission(Permission.RECOMMEND))]
SeeingCustomers = Annotated[Principal, Depends(WithPermission(Permission.CUSTOMER))]
HavingBook = Annotated[Principal, Depends(WithPermission(Permission.BOOK))]
GivingFeedback = Annotated[Principal, Depends(WithPermission(Permission.FEEDBACK))]
TellingEvents = Annotated[Principal, Depends(WithPermission(Permission.EVENTS))]
Approving = Annotated[Principal, Depends(WithPermission(Permission.APPROVALS))]
ReadingDecisions = Annotated[Principal, Depends(WithPermission(Permission.DECISIONS))]
SeeingVersions = Annotated[Principal, Depends(WithPermission(Permission.VERSIONS))]
Administering = Annotated[Principal, Depends(WithPermission(Permission.ADMINISTER))]
ReadingMetrics = Annotated[Principal, Depends(WithPermission(Permission.METRICS))]
"""Callers with the permission that a route takes."""
