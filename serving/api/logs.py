"""What the service writes of itself: one JSON line on stderr for each request and each failure, without personal data.

What a request's line says beside its time and status is left in the request's scope on its way: `principal`, who asks,
`decision_id`, when one decision answers, and `problem`, why there is none, in words without personal data.

Never in a line: customers' ids, paths, query strings, headers and bodies, nor the messages of errors, which may quote
them. The id of a decision leads to its record, where all of it is kept under lock.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cached_property
from time import perf_counter
from typing import Literal

import orjson
import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from features.errors import BadConfiguration, NotReady

from ..records.entries import now
from .metrics import Metrics

Level = Literal["debug", "info", "warning", "error"]

SLOW = 1.0
"""Seconds after which an answer is slow, and logged as a warning."""
CLIENT_GONE = 499
"""Status under which requests are counted whose caller went away before the answer."""

NOT_KEPT = (b"cache-control", b"no-store")
"""Header of every answer: what is said of customers is kept by no browser and no proxy."""

answering: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered, for what is logged meanwhile; None: there is none."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
# a line is written to a pipe in one piece, whatever other workers write, up to 4,096 bytes
_LONGEST_TRACEBACK = 3000


def request_id_of(connection: HTTPConnection) -> str:
    """The id of a request: as the caller named it in `X-Request-ID`, or made here.

    The caller's counts if it is 1 to 64 letters, digits, dots, dashes and underscores.
    """
    return _named(connection.scope)


def route_of(scope: Scope) -> str:
    """The template that answers a request, such as ``/v1/customers/{customer_id}``; "unknown" where none does.

    To be asked after routing.
    """
    # of a router that was included with a prefix, only FastAPI's own note has the whole template
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    path: str = getattr(route, "path", "unknown")
    return path


def configure(level: Level) -> None:
    """Send everything that is logged, by whatever library, to stderr as JSON lines.

    `level` is the lowest written; of libraries that have set no level of their own nothing below warnings is. The
    server's own access log, which has query strings, is turned off.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[_render],  # one that does it all: each takes its time of every request
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(_LibraryLines())
    logging.basicConfig(handlers=[libraries], level=max(number, logging.WARNING), force=True)
    logging.captureWarnings(True)
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False


def traceback_of(error: BaseException) -> str:
    """Where an error came from: module, line and function of each step, the error itself last.

    Errors it came from stand before it. Messages are left out, since they may quote what a caller sent, except of
    what cannot: `BadConfiguration` and `NotReady`.
    """
    text = "\n".join(_steps(error, set()))
    return text if len(text) <= _LONGEST_TRACEBACK else "... " + text[-_LONGEST_TRACEBACK:]


class RequestLog:
    """Names each request, times it, counts it in the metrics and logs it once, when it is over; has no answer cached.

    To be the outermost of the application's middleware. The time runs until the answer begins. Health checks are
    logged at level debug, slow answers as warnings, failures as errors.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    @cached_property
    def _log(self) -> FilteringBoundLogger:
        """The logger as configured when the first request comes: looking that up again for each line is slow."""
        logger: FilteringBoundLogger = structlog.get_logger().bind()
        return logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, with the header `X-Request-ID`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        seconds: float | None = None
        status = CLIENT_GONE
        request_id = _named(scope)

        async def send_named(message: Message) -> None:
            nonlocal seconds, status
            if message["type"] == "http.response.start":
                seconds, status = perf_counter() - began, message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode()), NOT_KEPT]
                message = {**message, "headers": headers}
            await send(message)

        self._metrics.in_flight += 1
        bound = answering.set(request_id)
        try:
            await self.app(scope, receive, send_named)
        except Exception as error:  # answered and logged with its traceback outside
            status = 500
            scope["problem"] = type(error).__name__
            raise
        finally:
            answering.reset(bound)
            self._metrics.in_flight -= 1
            self._close(scope, status, perf_counter() - began if seconds is None else seconds)

    def _close(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        self._metrics.observe_request(route, scope["method"], status, seconds)
        line = {
            "request_id": scope["request_id"],
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 3),
        }
        principal = scope.get("principal")
        if principal is not None:
            line["subject"] = principal.subject
            line["role"] = principal.role.value
        for said in ("decision_id", "problem"):
            if said in scope:
                line[said] = scope[said]
        if status == 500:
            self._log.error("request", **line)
        elif seconds > SLOW:
            self._log.warning("request", **line, slow=True)
        elif route in _PROBES:
            self._log.debug("request", **line)
        else:
            self._log.info("request", **line)


class _LibraryLines(logging.Formatter):
    """Lines of libraries that log in the standard library's way."""

    def format(self, record: logging.LogRecord) -> str:
        line: EventDict = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
        }
        if record.exc_info is not None and record.exc_info[1] is not None:
            line["traceback"] = traceback_of(record.exc_info[1])
        return _json(_stamped(line)).decode()


def _named(scope: Scope) -> str:
    if "request_id" not in scope:
        named = (value for name, value in scope["headers"] if name == b"x-request-id" and _REQUEST_ID.fullmatch(value))
        scope["request_id"] = next(named, b"").decode("ascii") or os.urandom(16).hex()
    request_id: str = scope["request_id"]
    return request_id


def _render(_: WrappedLogger, level: str, line: EventDict) -> bytes:
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        line["traceback"] = traceback_of(error)
    return _json(_stamped({**line, "level": level}))


def _stamped(line: EventDict) -> EventDict:
    request_id = answering.get()
    if request_id is not None:
        line.setdefault("request_id", request_id)
    line["timestamp"] = now()
    line["pid"] = os.getpid()
    return line


def _json(line: EventDict) -> bytes:
    try:
        return orjson.dumps(line, default=str)
    except TypeError:  # text that is not Unicode, such as half a surrogate pair
        return json.dumps(line, default=str, ensure_ascii=False).encode("utf-8", "replace")


def _steps(error: BaseException, told: set[int]) -> Iterator[str]:
    told.add(id(error))
    origins = [error.__cause__ or (None if error.__suppress_context__ else error.__context__)]
    if isinstance(error, BaseExceptionGroup):
        origins.extend(error.exceptions)
    for origin in origins:
        if origin is not None and id(origin) not in told:
            yield from _steps(origin, told)
            yield "which led to"
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield f"{frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_qualname}"
    says = f": {error}" if isinstance(error, BadConfiguration | NotReady) else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{says}"
