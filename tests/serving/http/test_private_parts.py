"""What the service uses of uvicorn, Starlette and FastAPI that they do not promise: each of it, so that a new version
which changes some of it fails here by name, and not under load. `pyproject.toml` bounds their versions for it."""

import asyncio
import inspect

import httptools
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Query
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.convertors import StringConvertor
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from serving.http.slow_clients import LEAST_TAKEN


def parameters(function):
    return list(inspect.signature(function).parameters)


async def _app(scope, receive, send):
    await PlainTextResponse("hello")(scope, receive, send)


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written = b""

    def write(self, data):
        self.written += data

    def is_closing(self):
        return False

    def get_extra_info(self, name, default=None):
        return default

    def close(self):
        pass

    def pause_reading(self):
        pass


@pytest.fixture
def protocol():
    """uvicorn's own, on a connection."""

    async def connected():
        config = uvicorn.Config(_app, http="httptools", log_config=None)
        config.load()
        state = uvicorn.Server(config).server_state
        made = HttpToolsProtocol(config, state, {})
        made.connection_made(Transport())
        return made

    with asyncio.Runner() as runner:
        made = runner.run(connected())
        yield made
        made.connection_lost(None)


class TestUvicornsProtocol:
    def test_what_is_overridden_is_there_to_be(self):
        assert parameters(HttpToolsProtocol.data_received) == ["self", "data"]
        assert parameters(HttpToolsProtocol.connection_made) == ["self", "transport"]
        assert parameters(HttpToolsProtocol.connection_lost) == ["self", "exc"]
        assert parameters(HttpToolsProtocol.send_400_response) == ["self", "msg"]
        assert parameters(HttpToolsProtocol.pause_writing) == parameters(HttpToolsProtocol.resume_writing) == ["self"]

    def test_a_connection_keeps_what_is_looked_at(self, protocol):
        assert protocol.cycle is None
        assert not protocol.pipeline
        assert isinstance(protocol.loop, asyncio.AbstractEventLoop)
        assert protocol.logger.name == "uvicorn.error"
        assert isinstance(protocol.transport, Transport)

    def test_what_is_no_http_is_said_by_the_method_that_is_overridden(self, protocol, monkeypatch):
        said = []
        monkeypatch.setattr(protocol, "send_400_response", said.append)
        protocol.data_received(b"no http\r\n\r\n")
        assert len(said) == 1

    def test_an_exchange_says_how_far_it_is(self):
        source = inspect.getsource(RequestResponseCycle.__init__)
        for name in ("response_complete", "response_started", "more_body", "keep_alive", "disconnected"):
            assert f"self.{name} = " in source, name
        assert "message_event" in parameters(RequestResponseCycle.__init__)

    def test_lines_of_statuses_are_ready(self):
        assert STATUS_LINE[408].startswith(b"HTTP/1.1 408 ")
        assert STATUS_LINE[408].endswith(b"\r\n")

    def test_writing_pauses_with_no_more_than_has_to_be_taken(self):
        """Else who reads slowly would be taken for one who does not read."""
        assert HIGH_WATER_LIMIT <= LEAST_TAKEN

    def test_the_parser_is_httptools(self):
        assert hasattr(httptools, "HttpRequestParser")


class TestUvicornsProcesses:
    def test_the_supervisor_is_made_and_looks_after_workers_as_it_is_overridden(self):
        assert parameters(Multiprocess.__init__)[:3] == ["self", "config", "sockets"]
        assert parameters(Multiprocess.keep_subprocess_alive) == parameters(Multiprocess.run) == ["self"]
        source = inspect.getsource(Multiprocess)
        for part in ("self.processes", "self.should_exit", "self.keep_subprocess_alive()"):
            assert part in source, part

    def test_a_worker_is_made_and_asked_as_it_is_here(self):
        assert parameters(Process.__init__)[:3] == ["self", "config", "sockets"]
        assert inspect.signature(Process.is_ready).bind(None)
        assert isinstance(Process.exitcode, property)
        assert "self.child_conn = Pipe()" in inspect.getsource(Process.__init__)

    def test_what_cannot_start_ends_with_a_code_of_its_own(self):
        assert isinstance(STARTUP_FAILURE, int)
        assert STARTUP_FAILURE not in (0, 1)

    def test_a_server_starts_in_a_method_that_is_overridden(self):
        assert parameters(uvicorn.Server.startup) == ["self", "sockets"]
        assert inspect.iscoroutinefunction(uvicorn.Server.startup)


class TestStarlettesRoutes:
    def test_parts_of_paths_are_converted_by_what_a_route_keeps(self):
        class Upper(StringConvertor):
            def convert(self, value):
                return value.upper()

        route = Route("/{name}", _app)
        assert set(route.param_convertors) == {"name"}
        route.param_convertors = {"name": Upper()}
        _, found = route.matches({"type": "http", "method": "GET", "path": "/a", "root_path": ""})
        assert found["path_params"] == {"name": "A"}

    def test_a_route_answers_by_its_application(self):
        route = Route("/", _app)
        assert callable(route.app)
        assert parameters(Route.handle) == ["self", "scope", "receive", "send"]
        assert "self.app(scope, receive, send)" in inspect.getsource(Route.handle)

    def test_middleware_is_kept_in_a_list_until_the_first_request(self):
        assert isinstance(Starlette().user_middleware, list)

    def test_a_browsers_question_is_answered_by_a_method(self):
        middleware = CORSMiddleware(_app, allow_origins=["https://a.example"])
        assert parameters(middleware.preflight_response) == ["request_headers"]


class TestFastapisRoutes:
    def test_a_route_knows_what_of_a_query_it_reads_and_by_what(self):
        app = FastAPI()

        def caller(token: str = Query("")):
            return token

        @app.get("/")
        def read(names: list[str] = Query(alias="name"), known=Depends(caller)):  # noqa: B008
            return names

        route = next(route for route in app.routes if isinstance(route, APIRoute))
        (field,) = route.dependant.query_params
        assert field.alias == "name"
        assert field.field_info.annotation == list[str]
        (nested,) = route.dependant.dependencies
        assert nested.call is caller
        assert [each.alias for each in nested.query_params] == ["token"]

    def test_a_route_is_handled_by_a_method_that_is_overridden(self):
        assert parameters(APIRoute.handle) == ["self", "scope", "receive", "send"]
        assert {"methods", "endpoint"} <= set(vars(APIRoute("/", lambda: None)))

    def test_routes_may_be_put_before_its_own(self):
        app = FastAPI()
        first = Route("/first", _app)
        app.routes[:0] = [first]
        assert app.router.routes[0] is first
