"""What callers get instead of an answer: problem details (RFC 9457), the same whatever refused the request.

NextProductError
├── NotAuthenticated  401  nobody knows who asks
├── NotAllowed        403  who asks may not
├── NotFound          404  no such customer, product, channel, decision
├── TooSlow           408  the request did not arrive in time
├── Conflict          409  it contradicts what is on record
├── Gone              410  it was there, and has been erased
├── TooLarge          413  the body is larger than is read
├── BadRequest        422  what was sent cannot be answered
├── TooManyRequests   429  the caller asks too often
├── NotInForce        504  it was done, and is not in force everywhere yet
└── any other         503  something of the service's own is missing or broken: NotReady, RecordsUnavailable, ...

What is wrong with a request is told to its caller in the words of the error. What is wrong with the service is told in
a sentence of the error's kind, since its own words may hold addresses, paths and rules of the bank: the log has those.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import BadConfiguration, NextProductError, NotFound, NotReady

from ..access import NotAllowed, NotAuthenticated
from ..deployment import StatesTooOld
from ..desk.desk import Busy
from ..records import RecordsUnavailable
from ..records.errors import NewerFormat
from .logs import request_id_of, traceback_of
from .readiness import Unready

MEDIA_TYPE = "application/problem+json"
"""Of every problem."""
RETRY_AFTER = 5
"""Seconds after which a caller may try again what could not be answered for reasons of the service's own."""

_SCHEMA = "#/components/schemas/Problem"
_MOST_FAULTS = 20
_LONGEST_NAME = 200
_LONGEST_TEXT = 500


class BadRequest(NextProductError):
    """A request that is well formed and cannot be answered as it is."""


class Conflict(NextProductError):
    """A request that contradicts what is on record."""


class Gone(NextProductError):
    """A request for what was there and has been erased."""


class NotInForce(NextProductError):
    """What was asked for was done, and some workers have not gone over to it in time."""


class TooLarge(NextProductError):
    """A request whose body is larger than is read."""


class TooSlow(NextProductError):
    """A request whose body did not arrive in time."""


class TooManyRequests(NextProductError):
    """A request more than its caller may make just now.

    Attributes
    ----------
    seconds : until the next one is answered
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many requests: the next is answered in {max(seconds, 0.1):.1f} seconds")
        self.seconds = seconds


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="Part of the request and name, with dots", examples=["query.limit"])
    what: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(default="about:blank", description="Nothing beyond what the status means")
    title: str = Field(description="The status in words", examples=["Not Found"])
    status: int = Field(description="The HTTP status", examples=[404])
    detail: str = Field(
        description="What is wrong, and what to do", examples=["customer 'X' is not in the states of 2026-06-30"]
    )
    instance: str = Field(description="The id of the request, as in `X-Request-ID`", examples=["4f2a91c07b"])
    errors: list[Fault] | None = Field(default=None, description="What is wrong with the request, place by place")


def install(app: FastAPI) -> None:
    """Have every error of `app` answered as a problem, and described in its OpenAPI document.

    Errors that nobody foresaw are answered without saying anything of the service's insides, and logged.
    """
    app.exception_handlers.update(
        {
            NextProductError: _answer_error,
            RequestValidationError: _answer_faults,
            HTTPException: _answer_http,
            Exception: _answer_failure,
        }
    )
    app.user_middleware.append(Middleware(_AnsweredFailures))
    describe = app.openapi

    def describe_with_problems() -> dict[str, Any]:
        document = describe()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(schema.pop("$defs"), Problem=schema)
        return document

    app.openapi = describe_with_problems  # type: ignore[method-assign]  # as FastAPI's manual says


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its ``responses=``."""
    return {status: _description(status) for status in statuses}


def problem_response(error: NextProductError, connection: HTTPConnection) -> Response:
    """The answer to a request that met `error`; for middleware, where no handler is."""
    status = _status_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, NotAuthenticated):
        headers["www-authenticate"] = "Bearer"
        connection.scope["problem"] = error.reason
    elif isinstance(error, TooManyRequests):
        headers["retry-after"] = str(max(1, math.ceil(error.seconds)))
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(RETRY_AFTER)
        _log_unavailable(error, connection)
        return described_problem(connection, status, _public(error), headers)
    return described_problem(connection, status, str(error), headers)


def described_problem(
    connection: HTTPConnection, status: int, detail: str, headers: Mapping[str, str], errors: list[Fault] | None = None
) -> Response:
    """The answer that tells of a problem."""
    body = problem_body(status, detail, request_id_of(connection), errors)
    return Response(body, int(status), headers, MEDIA_TYPE)


def problem_body(status: int, detail: str, request_id: str, errors: list[Fault] | None = None) -> bytes:
    """The document that a problem is answered with."""
    problem = Problem(title=_title(status), status=status, detail=detail, instance=request_id, errors=errors)
    # texts may quote half a surrogate pair, which is no Unicode: orjson and pydantic would refuse it
    return json.dumps(problem.model_dump(exclude_none=True), ensure_ascii=False).encode("utf-8", "replace")


def failure_told(error: Exception, request_id: str) -> str:
    """Log a failure that nobody foresaw; what its caller is told of it."""
    structlog.get_logger().error("failure", request_id=request_id, traceback=traceback_of(error))
    return f"the service failed: its log says where, under the request id {request_id}"


class _AnsweredFailures:
    """Answers failures of routes within all other middleware.

    Starlette answers them too, outside of it, and raises them again: then the middleware sees no answer, and the server
    closes the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def send_seen(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, receive, send_seen)
        except Exception as error:
            if began or scope["type"] != "http":
                raise
            response = await _answer_failure(Request(scope), error)
            await response(scope, receive, send)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, NextProductError)
    return problem_response(error, request)


async def _answer_faults(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    faults = [_fault(each) for each in found[:_MOST_FAULTS]]
    detail = "; ".join(f"{fault.where}: {fault.what}" for fault in faults)
    if len(found) > len(faults):
        detail += f"; and {len(found) - len(faults)} more"
    return described_problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, {}, faults)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "nothing has this address: /openapi.json lists what has"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_at(request, headers.get("Allow", "")))
        detail = f"this address takes {headers['Allow']} only"
    return described_problem(request, error.status_code, detail, headers)


def _methods_at(request: Request, of_first: str) -> list[str]:
    """The methods of all routes at the request's address; the framework tells those of the first."""
    found = {method for method in of_first.split(", ") if method}
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


async def _answer_failure(request: Request, error: Exception) -> Response:
    request.scope["problem"] = type(error).__name__
    detail = failure_told(error, request_id_of(request))
    return described_problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail, {})


def _public(error: NextProductError) -> str:
    """What callers are told of what is wrong with the service: nothing of where it runs and what it runs on."""
    if isinstance(error, _TOLD):
        return f"{error.briefly}; try again in {RETRY_AFTER} seconds"
    says = next((sentence for kind, sentence in _PUBLIC.items() if isinstance(error, kind)), _BROKEN)
    if says is _MISSING and (job := _JOB.search(str(error))):
        says += f": run `nextproduct {job[1]}`"
    return says if isinstance(error, NewerFormat) else f"{says}; try again in {RETRY_AFTER} seconds"


def _log_unavailable(error: NextProductError, connection: HTTPConnection) -> None:
    if isinstance(error, BadConfiguration | NotReady):
        connection.scope["problem"] = str(error)
    else:  # its words may name a customer
        connection.scope["problem"] = type(error).__name__
        request_id = request_id_of(connection)
        structlog.get_logger().error("unavailable", request_id=request_id, traceback=traceback_of(error))


def _status_of(error: NextProductError) -> int:
    return next(
        (status for kind, status in _STATUS_OF.items() if isinstance(error, kind)), HTTPStatus.SERVICE_UNAVAILABLE
    )


def _fault(error: Mapping[str, Any]) -> Fault:
    where = ".".join(str(part) for part in error["loc"])
    return Fault(where=where[:_LONGEST_NAME], what=str(error["msg"])[:_LONGEST_TEXT])


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a status of somebody's own
        return "Problem"


def _description(status: int) -> dict[str, Any]:
    meaning, detail = MEANINGS[status]
    example: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(status),
        "status": status,
        "detail": detail,
        "instance": "4f2a91c07b",
    }
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        where, what = detail.split(": ", 1)
        example["errors"] = [{"where": where, "what": what}]
    described: dict[str, Any] = {
        "description": meaning,
        "content": {MEDIA_TYPE: {"schema": {"$ref": _SCHEMA}, "example": example}},
    }
    if status in _HEADERS:
        name, says, kind = _HEADERS[status]
        described["headers"] = {name: {"description": says, "schema": {"type": kind}}}
    return described


_STATUS_OF: dict[type[NextProductError], int] = {
    NotAuthenticated: 401,
    NotAllowed: 403,
    NotFound: 404,
    TooSlow: 408,
    Conflict: 409,
    Gone: 410,
    TooLarge: 413,
    BadRequest: 422,
    TooManyRequests: 429,
    NotInForce: 504,
}
_TOLD = (Unready, StatesTooOld)
"""Kinds that bring words for everybody with them."""
_MISSING = "the service has not all that it answers from"
_BROKEN = "something of the service's own is missing or broken, its log says what"
# of a subclass before its parent
_PUBLIC: dict[type[NextProductError], str] = {
    Busy: "more is asked than can be answered",
    RecordsUnavailable: "the records cannot be read or written now, and nothing is answered that is not on record",
    NewerFormat: "what is on record was written by a newer version of nextproduct: install the version that wrote it",
    NotReady: _MISSING,
}
_JOB = re.compile(r"`nextproduct ([a-z]+(?:-[a-z]+)*)\b")
MEANINGS = {
    400: ("The body is not what its content type says", "There was an error parsing the body"),
    401: ("Nobody knows who asks", "the caller is not known: send a valid token or a valid key"),
    403: ("Who asks may not do this", "the role analyst may not do this: it takes the permission feedback"),
    404: (
        "The customer is not known or not the caller's, or what else the request names is not known",
        "customer 'X' is not in the states of 2026-06-30",
    ),
    405: ("The address takes other methods", "this address takes GET only"),
    408: ("The request did not arrive in time", "the body did not arrive within 10 seconds: send it again"),
    409: ("It contradicts what is on record", "the idempotency key was used for something else before: use a new one"),
    410: ("It was there and has been erased", "the decision has been erased with its customer"),
    413: ("The body is too large", "the body is larger than 1,048,576 bytes: send less at once"),
    422: ("What was sent cannot be answered", "query.limit: Input should be greater than or equal to 1"),
    429: ("The caller asks too often", "too many requests: the next is answered in 0.4 seconds"),
    500: ("The service failed", "the service failed: its log says where, under the request id 4f2a91c07b"),
    503: (
        "States, champion or records are missing or cannot be used: why is in the log, under the request id",
        "the service has not all that it answers from: run `nextproduct train`; try again in 5 seconds",
    ),
    504: (
        "It was done, and some workers have not gone over to it in time",
        "deployment 4 was put into use, and 1 of 2 workers do not use it yet",
    ),
}
"""Of each status what it means, and the detail of an example."""

_HEADERS = {
    401: ("WWW-Authenticate", "How to say who asks", "string"),
    429: ("Retry-After", "Seconds until the next request is answered", "integer"),
    503: ("Retry-After", "Seconds after which to try again", "integer"),
}
