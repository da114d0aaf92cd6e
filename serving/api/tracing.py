"""Spans of requests for OpenTelemetry, where it is asked for; where not, nothing here is imported or run.

Spans say no more than the log does: no paths, no query strings, no messages of errors.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import BadConfiguration

from .logs import request_id_of, route_of

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig
    from opentelemetry.sdk.trace import TracerProvider

NO_TELEMETRY_OF_FASTAPI: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""For ``FastAPI(telemetry=...)``: its own spans have paths and query strings, hence customers' ids, in them, and begin
as soon as any library of the process sets up OpenTelemetry."""

_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def tracer_of(enabled: bool) -> Tracer | None:
    """What makes the spans of this worker, sent where the standard ``OTEL_*`` variables say; None unless enabled.

    Raises
    ------
    BadConfiguration : when OpenTelemetry, or the exporter that the variables name, is not installed
    """
    if not enabled:
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise BadConfiguration(
            f"tracing = true needs the package opentelemetry-sdk ({error}): install it, or set tracing = false"
        ) from None
    resource = Resource.create()
    if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "nextproduct"}))
    provider = TracerProvider(resource=resource)
    for exporter in _exporters():
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracer(provider)


class Tracer:
    """Makes the spans of one worker: of `provider`'s, which is nobody else's."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("nextproduct")
        self._propagator = TraceContextTextMapPropagator()
        self._trace = trace
        self._context = context

    def close(self) -> None:
        """Send what has not been sent yet, before the worker ends."""
        self._provider.shutdown()

    async def trace(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within a span, which continues the caller's trace where there is one."""
        carried = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        span = self._tracer.start_span(
            scope["method"], context=self._propagator.extract(carried), kind=self._trace.SpanKind.SERVER
        )
        attributes: dict[str, Any] = {
            "http.request.method": scope["method"],
            "nextproduct.request_id": request_id_of(HTTPConnection(scope)),
        }

        async def send_seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                attributes["http.response.status_code"] = message["status"]
            await send(message)

        token = self._context.attach(self._trace.set_span_in_context(span))
        try:
            await app(scope, receive, send_seen)
        except Exception as error:
            attributes["error.type"] = type(error).__qualname__
            raise
        finally:
            self._context.detach(token)
            route = route_of(scope)
            span.update_name(f"{scope['method']} {route}")
            span.set_attributes({**attributes, "http.route": route})
            if "error.type" in attributes or attributes.get("http.response.status_code", 0) >= 500:
                span.set_status(self._trace.StatusCode.ERROR)
            span.end()


class TracedRequests:
    """Answers each request within a span; to be the next middleware within `RequestLog`."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        self.app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does."""
        if scope["type"] == "http":
            await self._tracer.trace(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _exporters() -> list[Any]:
    names = [name.strip() for name in (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")]
    return [_exporter(name) for name in names if name not in ("", "none")]


def _exporter(name: str) -> Any:
    """A new exporter, by its standard name.

    Raises
    ------
    BadConfiguration : when it is not installed
    """
    package = f"the package that brings the exporter {name!r}"
    if name == "otlp":
        asked = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocol = next((os.environ[variable] for variable in asked if os.environ.get(variable)), "http/protobuf")
        if protocol not in _PROTOCOLS:
            raise BadConfiguration(
                f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not known: give one of {', '.join(_PROTOCOLS)}"
            )
        name = _PROTOCOLS[protocol]
        package = f"the package opentelemetry-exporter-{name.replace('_', '-')}"
    found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
    if not found:
        raise BadConfiguration(
            f"tracing = true needs {package}: install it, name another in OTEL_TRACES_EXPORTER, or set tracing = false"
        )
    return found[0].load()()
