"""Each request is one line, which says who asked for what kind of thing and never of whom or with which key."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import structlog
import uvicorn
from fastapi import APIRouter, FastAPI, Header, HTTPException, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import StreamingResponse
from structlog.testing import capture_logs

from features.errors import BadConfiguration, NotFound, NotReady
from serving.access import NotAuthenticated, Role
from serving.api import problems
from serving.api.logs import RequestLog, answering, configure, request_id_of, route_of, traceback_of
from serving.api.metrics import Metrics
from tests.serving.api import exchange, request
from tests.serving.api.test_metrics import samples

ROOT = Path(__file__).parents[3]
CUSTOMER = "R0000042-secret"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJybSJ9.c2lnbmF0dXJl"
KEY = "npk_0123456789abcdef"
QUERY = "client_asked=silverware"
BODY = "complaint about the copperware"
SECRETS = (CUSTOMER, TOKEN, KEY, "silverware", "copperware", "Authorization", "authorization", "cookieware")


def made_app(metrics: Metrics) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(RequestLog, metrics=metrics)
    router = APIRouter(prefix="/customers")

    @router.post("/{customer_id}/recommendations")
    async def recommendations(customer_id: str, request: Request) -> str:
        request.scope["principal"] = SimpleNamespace(subject="anna", role=Role.RM)
        request.scope["decision_id"] = "d-1"
        structlog.get_logger().info("inside")
        return request_id_of(request)

    @router.post("/{customer_id}/fail")
    async def fail(customer_id: str, request: Request, authorization: str = Header(), x_api_key: str = Header()) -> str:
        body = await request.body()
        try:
            raise KeyError(customer_id)
        except KeyError as error:
            raise ValueError(f"{authorization} {x_api_key} {request.url} {body!r} {request.headers}") from error

    @app.get("/healthz")
    async def healthz() -> str:
        return "alive"

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(1.1)

    @app.get("/unknown-caller")
    async def unknown_caller() -> None:
        raise NotAuthenticated("the token has expired")

    @app.get("/not-ready")
    async def not_ready() -> None:
        raise NotReady("there is no champion: run `nextproduct train`")

    @app.get("/not-found/{customer_id}")
    async def not_found(customer_id: str) -> None:
        raise NotFound(f"customer {customer_id!r} is not in the states")

    @app.get("/breaks")
    async def breaks() -> StreamingResponse:
        async def parts():
            yield b"half"
            raise ValueError("the other half")

        return StreamingResponse(parts())

    @app.get("/library")
    def library() -> None:
        logging.getLogger("sqlalchemy.pool").warning("half a pair: %s", "\ud800")
        logging.getLogger("httpx").info("a library chatting")
        warnings.warn("something is deprecated", DeprecationWarning, stacklevel=1)
        try:
            raise OSError("the password is swordfish")
        except OSError:
            logging.getLogger("sqlalchemy.pool").exception("connection lost")

    app.include_router(router, prefix="/v1")
    return app


def run(level: str) -> None:
    """Serve in a process of its own, logging as the service does, and say on which port."""
    configure(level)
    warnings.simplefilter("always")
    metrics = Metrics()
    config = uvicorn.Config(made_app(metrics), port=0, ws="none", log_config=None, log_level="info")
    server = uvicorn.Server(config)

    def tell() -> None:
        while not server.started:
            time.sleep(0.01)
        sys.stdout.write(f"{server.servers[0].sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()

    threading.Thread(target=tell).start()
    server.run()


class Service:
    """A process that serves and logs into a file."""

    def __init__(self, level: str, log: Path) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"from tests.serving.api.test_logs import run; run({level!r})"],
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=ROOT,
                env=os.environ | {"PYTHONWARNINGS": "ignore"},
            )

    @property
    def port(self) -> int:
        with self.process.stdout as stream:
            return int(stream.readline())

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]

    def line_of(self, request_id: str, event: str = "request") -> dict:
        """The one line of a request, which is written after its answer."""
        deadline = time.monotonic() + 10
        while True:
            lines = [line for line in self.lines() if (line.get("request_id"), line["event"]) == (request_id, event)]
            if lines:
                (line,) = lines
                return line
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    service = Service("info", tmp_path_factory.mktemp("logs") / "stderr")
    yield service
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(20)


@pytest.fixture(scope="module")
def port(service) -> int:
    return service.port


def ask(port: int, target: str, request_id: str, body: str = "", **headers: str):
    method = "POST" if body else "GET"
    return exchange(port, request(method, target, body.encode(), x_request_id=request_id, **headers))


class TestLines:
    def test_a_request_is_one_line(self, service, port):
        before = datetime.now(UTC)
        reply = ask(port, f"/v1/customers/{CUSTOMER}/recommendations?{QUERY}", "crm-1", BODY)
        line = service.line_of("crm-1")
        assert reply.headers["x-request-id"] == "crm-1"
        assert before <= datetime.fromisoformat(line.pop("timestamp")) <= datetime.now(UTC)
        assert 0 < line.pop("ms") < 10_000
        assert line == {
            "event": "request",
            "level": "info",
            "request_id": "crm-1",
            "method": "POST",
            "route": "/v1/customers/{customer_id}/recommendations",
            "status": 200,
            "subject": "anna",
            "role": "rm",
            "decision_id": "d-1",
            "pid": service.process.pid,
        }

    def test_what_is_logged_on_the_way_has_the_requests_id(self, service, port):
        ask(port, f"/v1/customers/{CUSTOMER}/recommendations", "crm-2", BODY)
        assert service.line_of("crm-2", "inside")["level"] == "info"

    def test_a_slow_answer_is_a_warning(self, service, port):
        ask(port, "/slow", "crm-3")
        line = service.line_of("crm-3")
        assert (line["level"], line["slow"]) == ("warning", True)
        assert line["ms"] > 1000

    def test_health_checks_are_for_debugging(self, service, port):
        assert ask(port, "/healthz", "crm-4").status == 200
        ask(port, "/elsewhere", "crm-5")
        assert service.line_of("crm-5")["route"] == "unknown"
        assert not [line for line in service.lines() if line.get("request_id") == "crm-4"]

    def test_why_a_caller_is_not_known_is_said_here_and_only_here(self, service, port):
        reply = ask(port, "/unknown-caller", "crm-6", authorization=f"Bearer {TOKEN}")
        assert b"expired" not in reply.body
        assert service.line_of("crm-6")["problem"] == "the token has expired"

    def test_what_the_service_lacks_is_said(self, service, port):
        ask(port, "/not-ready", "crm-7")
        assert service.line_of("crm-7")["problem"] == "there is no champion: run `nextproduct train`"

    def test_who_is_not_found_is_not_said(self, service, port):
        assert CUSTOMER in ask(port, f"/not-found/{CUSTOMER}", "crm-8").problem["detail"]
        assert "problem" not in service.line_of("crm-8")

    def test_a_failure_is_one_line_with_where_it_failed(self, service, port):
        headers = {"authorization": f"Bearer {TOKEN}", "x_api_key": KEY, "cookie": "cookieware"}
        target = f"/v1/customers/{CUSTOMER}/fail?{QUERY}"
        assert ask(port, target, "crm-9", BODY, **headers).status == 500
        failure = service.line_of("crm-9", "failure")
        assert failure["level"] == "error"
        assert re.search(r"test_logs:\d+ made_app\.<locals>\.fail\nbuiltins\.ValueError$", failure["traceback"])
        assert "builtins.KeyError\nwhich led to\n" in failure["traceback"]
        line = service.line_of("crm-9")
        assert (line["level"], line["status"], line["problem"]) == ("error", 500, "ValueError")

    def test_an_answer_that_breaks_off_is_a_failure(self, service, port):
        """It was logged as the 200 with which it began."""
        ask_and_break = request("GET", "/breaks", x_request_id="crm-10")
        with pytest.raises(ValueError, match="invalid literal"):  # the end of the last chunk is missing
            exchange(port, ask_and_break)
        assert service.line_of("crm-10")["status"] == 500
        assert "builtins.ValueError" in service.line_of("crm-10", "failure")["traceback"]

    def test_libraries_are_lines_of_the_same_kind(self, service, port):
        ask(port, "/library", "crm-11")
        service.line_of("crm-11")
        said = {line["event"]: line for line in service.lines() if "logger" in line}
        assert said["half a pair: ?"]["level"] == "warning"
        assert said["half a pair: ?"]["request_id"] == "crm-11"
        assert "builtins.OSError" in said["connection lost"]["traceback"]
        assert "a library chatting" not in said
        assert [event for event in said if "something is deprecated" in event]

    def test_nothing_that_came_with_a_request_is_in_any_line(self, service, port):
        headers = {"authorization": f"Bearer {TOKEN}", "x_api_key": KEY, "cookie": "cookieware"}
        for number, target in enumerate(("recommendations", "fail", "elsewhere")):
            ask(port, f"/v1/customers/{CUSTOMER}/{target}?{QUERY}&token={TOKEN}", f"crm-12-{number}", BODY, **headers)
            service.line_of(f"crm-12-{number}")
        exchange(port, f"GET /?{QUERY} HTTP/9\r\nauthorization: {TOKEN}\r\n\r\n".encode())
        written = service.log.read_text()
        assert "Invalid HTTP request" in written
        for secret in (*SECRETS, "swordfish"):
            assert secret not in written, secret

    def test_every_line_is_json_with_time_level_event_and_process(self, service, port):
        assert ask(port, f"/v1/customers/{CUSTOMER}/recommendations", "crm-13", BODY).status == 200
        service.line_of("crm-13")
        for line in service.lines():
            assert line["level"] in ("info", "warning", "error"), line
            assert datetime.fromisoformat(line["timestamp"]).tzinfo is UTC
            assert line["timestamp"].endswith("Z")
            assert line["event"]
            assert line["pid"] == service.process.pid


class TestRequestId:
    @given(st.binary(max_size=70) | st.from_regex(rb"[A-Za-z0-9._-]{60,66}", fullmatch=True))
    def test_the_callers_is_kept_if_it_is_harmless(self, told):
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
        scope = {"type": "http", "headers": [(b"accept", b"*"), (b"x-request-id", told)]}
        connection = Request(scope)
        found = request_id_of(connection)
        if 1 <= len(told) <= 64 and all(byte in alphabet for byte in told):
            assert found == told.decode()
        else:
            assert re.fullmatch("[0-9a-f]{32}", found)
        assert request_id_of(connection) == found

    def test_without_one_each_request_has_its_own(self):
        scopes = [{"type": "http", "headers": []} for _ in range(100)]
        assert len({request_id_of(Request(scope)) for scope in scopes}) == 100


def answered(app, *targets: str) -> list[httpx.Response]:
    """The answers of an application to requests made at the same time."""

    async def ask_all():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asked = [client.get(target, headers={"x-request-id": target.strip("/")}) for target in targets]
            return await asyncio.gather(*asked)

    return asyncio.run(ask_all())


class TestRequestLog:
    def test_requests_are_counted_by_template(self):
        metrics = Metrics()
        answered(made_app(metrics), "/not-found/a", "/not-found/b", "/elsewhere/c")
        found = samples(metrics.render())
        assert found["request_seconds_count", "GET", "/not-found/{customer_id}", "404"] == 2
        assert found["request_seconds_count", "GET", "unknown", "404"] == 1
        assert found["requests_in_flight",] == 0

    @pytest.mark.parametrize("target", ["/healthz", "/breaks", "/not-ready"])
    def test_however_it_ends_nothing_is_left_in_flight(self, target):
        metrics = Metrics()
        seen = []

        async def watching(scope, receive, send):
            seen.append(metrics.in_flight)
            await made_app(metrics)(scope, receive, send)

        answered(RequestLog(watching, metrics=metrics), target)
        assert seen == [1]
        assert metrics.in_flight == 0
        assert answering.get() is None

    def test_requests_at_the_same_time_keep_their_own_ids(self):
        async def meeting(scope, receive, send):
            here = request_id_of(Request(scope))
            await barrier.wait()
            assert answering.get() == here
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": here.encode()})

        barrier = asyncio.Barrier(3)
        replies = answered(RequestLog(meeting, metrics=Metrics()), "/a", "/b", "/c")
        assert [reply.text for reply in replies] == ["a", "b", "c"]
        assert [reply.headers["x-request-id"] for reply in replies] == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("target", "level"),
        [("/healthz", "debug"), ("/not-found/a", "info"), ("/not-ready", "info"), ("/breaks", "error")],
    )
    def test_levels(self, target, level):
        with capture_logs() as lines:
            answered(made_app(Metrics()), target)
        assert [line["log_level"] for line in lines if line["event"] == "request"] == [level]

    def test_who_went_away_before_the_answer_is_counted_as_gone(self):
        async def gone(scope, receive, send):
            pass

        metrics = Metrics()
        scope = {"type": "http", "method": "GET", "headers": []}
        with capture_logs() as lines:
            asyncio.run(RequestLog(gone, metrics=metrics)(scope, None, None))
        assert [line["status"] for line in lines] == [499]
        assert samples(metrics.render())["request_seconds_count", "GET", "unknown", "499"] == 1

    def test_other_protocols_pass(self):
        seen = []

        async def app(scope, receive, send):
            seen.append(scope)

        asyncio.run(RequestLog(app, metrics=Metrics())({"type": "lifespan"}, None, None))
        assert seen == [{"type": "lifespan"}]


class TestRoutes:
    def test_the_template_is_whole_however_routers_are_nested(self):
        """Of a router included under a prefix, the route that Starlette notes is without the prefix."""
        seen = []
        app = FastAPI()
        inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")

        @inner.get("/{name}")
        async def named(name: str) -> str:
            return name

        @app.get("/direct/{name}")
        async def direct(name: str) -> str:
            raise HTTPException(404)

        outer.include_router(inner, prefix="/between")
        app.include_router(outer, prefix="/v1")

        async def watching(scope, receive, send):
            await app(scope, receive, send)
            seen.append(route_of(scope))

        answered(watching, "/v1/outer/between/inner/x")
        answered(watching, "/direct/x")
        answered(watching, "/v1/outer/between/x")
        assert seen == ["/v1/outer/between/inner/{name}", "/direct/{name}", "unknown"]


class TestTracebacks:
    def test_messages_are_left_out_except_of_what_cannot_quote_a_caller(self):
        for error, last in (
            (KeyError(CUSTOMER), "builtins.KeyError"),
            (NotFound(f"customer {CUSTOMER!r}"), "features.errors.NotFound"),
            (NotReady("no champion"), "features.errors.NotReady: no champion"),
            (BadConfiguration("an unknown key"), "features.errors.BadConfiguration: an unknown key"),
        ):
            assert traceback_of(error) == last

    def test_origins_come_first_each_once(self):
        first, second, third = ValueError(), TypeError(), RuntimeError()
        first.__context__ = third  # a circle
        second.__cause__ = first
        third.__context__ = second
        assert traceback_of(third).split("\nwhich led to\n") == [
            "builtins.ValueError",
            "builtins.TypeError",
            "builtins.RuntimeError",
        ]

    def test_what_was_suppressed_stays_so(self):
        error = ValueError()
        error.__context__ = KeyError()
        error.__suppress_context__ = True
        assert traceback_of(error) == "builtins.ValueError"

    def test_all_of_a_group_are_told(self):
        group = ExceptionGroup("", [KeyError(), OSError()])
        assert traceback_of(group).split("\nwhich led to\n") == [
            "builtins.KeyError",
            "builtins.OSError",
            "builtins.ExceptionGroup",
        ]

    def test_the_end_of_a_long_one_is_kept(self):
        def deep(n: int) -> None:
            if n:
                deep(n - 1)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as raised:
            deep(200)
        told = traceback_of(raised.value)
        assert len(told) < 3100  # with its line, it goes into a pipe in one piece
        assert told.startswith("... ")
        assert told.endswith("builtins.ZeroDivisionError")
