"""A span for each request, which continues the caller's trace; turned off, nothing at all."""

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import opentelemetry.trace
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from features.errors import BadConfiguration, NotReady
from serving.api import problems, tracing
from serving.api.logs import RequestLog
from serving.api.metrics import Metrics
from serving.api.tracing import NO_TELEMETRY_OF_FASTAPI, TracedRequests, Tracer, tracer_of

ROOT = Path(__file__).parents[3]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Traced:
    """An application and the spans it has made."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = Tracer(self.provider)
        self.app = FastAPI(telemetry=NO_TELEMETRY_OF_FASTAPI)
        problems.install(self.app)
        self.app.add_middleware(TracedRequests, tracer=self.tracer)
        self.app.add_middleware(RequestLog, metrics=Metrics())

        @self.app.get("/v1/customers/{customer_id}")
        async def customer(customer_id: str) -> str:
            await asyncio.sleep(0)  # others come in between
            return customer_id

        @self.app.get("/fail")
        async def fail() -> None:
            raise ValueError("the password is swordfish")

        @self.app.get("/not-ready")
        async def not_ready() -> None:
            raise NotReady("there is no champion")

    def ask(self, *targets: str, **headers: str) -> None:
        async def ask_all():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
                await asyncio.gather(*(client.get(target) for target in targets))

        asyncio.run(ask_all())

    def spans(self) -> dict:
        spans = self.exporter.get_finished_spans()
        assert len({span.name for span in spans}) == len(spans)
        return {span.name: span for span in spans}


@pytest.fixture
def traced():
    return Traced()


class TestSpans:
    def test_a_request_is_a_span_of_its_route_status_and_id(self, traced):
        traced.ask("/v1/customers/R0000042?client_asked=fund", **{"x-request-id": "crm-1"})
        span = traced.spans()["GET /v1/customers/{customer_id}"]
        assert span.kind is SpanKind.SERVER
        assert span.parent is None
        assert span.attributes == {
            "http.request.method": "GET",
            "http.route": "/v1/customers/{customer_id}",
            "http.response.status_code": 200,
            "nextproduct.request_id": "crm-1",
        }
        assert span.status.status_code is StatusCode.UNSET

    def test_the_callers_trace_goes_on(self, traced):
        traced.ask("/v1/customers/x", traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="crm=1")
        span = traced.spans()["GET /v1/customers/{customer_id}"]
        assert f"{span.context.trace_id:032x}" == TRACE
        assert f"{span.parent.span_id:016x}" == PARENT
        assert span.context.trace_state.get("crm") == "1"

    @pytest.mark.parametrize("told", ["", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", "\xff" * 55, "x" * 10_000])
    def test_a_trace_that_is_none_is_not_gone_on_with(self, traced, told):
        traced.ask("/v1/customers/x", traceparent=told.encode("latin-1"))
        assert traced.spans()["GET /v1/customers/{customer_id}"].parent is None

    def test_requests_at_the_same_time_do_not_mix(self, traced):
        traced.ask("/v1/customers/x", "/v1/customers/y", "/v1/customers/z")
        spans = traced.exporter.get_finished_spans()
        assert len({span.context.span_id for span in spans}) == 3
        assert all(span.parent is None for span in spans)

    @pytest.mark.parametrize(("target", "status"), [("/fail", 500), ("/not-ready", 503)])
    def test_what_the_service_cannot_do_is_an_error(self, traced, target, status):
        traced.ask(target)
        span = traced.spans()[f"GET {target}"]
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["http.response.status_code"] == status

    def test_what_the_caller_cannot_have_is_none(self, traced):
        traced.ask("/elsewhere")
        assert traced.spans()["GET unknown"].status.status_code is StatusCode.UNSET

    def test_middleware_that_fails_is_an_error_of_its_kind(self, traced):
        async def failing(scope, receive, send):
            raise ValueError("the password is swordfish")

        scope = {"type": "http", "method": "GET", "headers": []}
        with pytest.raises(ValueError, match="swordfish"):
            asyncio.run(TracedRequests(failing, tracer=traced.tracer)(scope, None, None))
        span = traced.spans()["GET unknown"]
        assert span.attributes["error.type"] == "ValueError"
        assert span.status.status_code is StatusCode.ERROR

    def test_nothing_personal_is_in_any_span(self, traced, monkeypatch):
        """FastAPI makes spans of its own, with path and query, once any library has set up OpenTelemetry."""
        monkeypatch.setattr(opentelemetry.trace, "get_tracer_provider", lambda: traced.provider)
        for target in ("/v1/customers/R0000042-secret?client_asked=silverware", "/fail?client_asked=silverware"):
            traced.ask(target, authorization="Bearer tokenware", **{"x-api-key": "keyware"})
        told = "".join(span.to_json() for span in traced.exporter.get_finished_spans())
        assert "GET /fail" in told
        for secret in ("secret", "silverware", "tokenware", "keyware", "swordfish"):
            assert secret not in told, secret


# FastAPI imports OpenTelemetry's interface anyway: what counts is what is added
SCRIPT = """
import asyncio, os, sys
from serving.api.tracing import tracer_of

before = set(sys.modules)
assert tracer_of(False) is None
assert set(sys.modules) == before

async def answer(scope, receive, send):
    pass

def trace(**variables):
    os.environ.update(variables)
    tracer = tracer_of(True)
    scope = {"type": "http", "method": "GET", "headers": []}
    asyncio.run(tracer.trace(answer, scope, None, None))
    tracer.close()  # what has not been sent yet is sent

trace(OTEL_TRACES_EXPORTER="none")
print("next")
trace(OTEL_TRACES_EXPORTER="console")
print("next")
trace(OTEL_SERVICE_NAME="our-service")
"""


class TestTracerOf:
    @pytest.fixture(autouse=True)
    def _no_variables(self, monkeypatch):
        for variable in ("TRACES_EXPORTER", "EXPORTER_OTLP_PROTOCOL", "EXPORTER_OTLP_TRACES_PROTOCOL", "SERVICE_NAME"):
            monkeypatch.delenv(f"OTEL_{variable}", raising=False)

    def test_off_is_nothing_and_on_spans_go_where_the_variables_say(self):
        """In a process of its own: what is imported, and where the console is, is settled once a process."""
        parts = subprocess.run(
            [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, cwd=ROOT, timeout=120
        ).stdout.split("next\n")
        nowhere, console, named = parts
        assert nowhere == ""
        assert '"name": "GET unknown"' in console
        assert '"service.name": "nextproduct"' in console
        assert '"service.name": "our-service"' in named

    @pytest.mark.parametrize(
        ("exporter", "protocol", "package"),
        [
            ("", "", "opentelemetry-exporter-otlp-proto-http"),
            ("otlp", "http/protobuf", "opentelemetry-exporter-otlp-proto-http"),
            ("console, otlp", "grpc", "opentelemetry-exporter-otlp-proto-grpc"),
            ("zipkin", "", "that brings the exporter 'zipkin'"),
        ],
    )
    def test_an_exporter_that_is_not_installed_is_named(self, monkeypatch, exporter, protocol, package):
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporter)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        found = tracing.entry_points
        monkeypatch.setattr(
            tracing, "entry_points", lambda group, name: found(group=group, name=name) if name == "console" else []
        )
        with pytest.raises(BadConfiguration, match=f"needs the package .*{package}"):
            tracer_of(True)

    def test_an_unknown_protocol_is_refused(self, monkeypatch):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "pigeon")
        with pytest.raises(BadConfiguration, match="'pigeon' is not known: give one of http/protobuf, grpc"):
            tracer_of(True)

    def test_without_opentelemetry_the_package_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
        with pytest.raises(BadConfiguration, match="needs the package opentelemetry-sdk"):
            tracer_of(True)
