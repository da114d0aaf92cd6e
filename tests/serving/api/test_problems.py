"""Every error is a problem, whoever meets it, and none says anything of the service's insides."""

import socket
from collections.abc import Iterator
from typing import Annotated

import jsonschema_rs
import orjson
import pytest
from fastapi import APIRouter, FastAPI, Query
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from features.errors import BadConfiguration, BadInput, NextProductError, NotFound, NotReady
from serving.access import NotAllowed, NotAuthenticated
from serving.api import problems
from serving.api.problems import (
    BadRequest,
    Conflict,
    Gone,
    Problem,
    TooLarge,
    TooManyRequests,
    TooSlow,
    declared,
    problem_response,
)
from serving.desk.desk import Busy
from serving.records import RecordsUnavailable
from tests.serving.api import exchange, read_reply, request, served

ERRORS = {
    "unknown": (NotAuthenticated("the token has expired"), 401),
    "not-allowed": (NotAllowed("the role analyst may not do this"), 403),
    "not-found": (NotFound("customer 'X' is not in the states"), 404),
    "slow": (TooSlow("the body did not arrive"), 408),
    "conflict": (Conflict("the key was used before"), 409),
    "gone": (Gone("the decision has been erased"), 410),
    "large": (TooLarge("the body is too large"), 413),
    "bad-request": (BadRequest("limit: 60 is more than 50"), 422),
    "too-many": (TooManyRequests(1.2), 429),
    "not-ready": (NotReady("there is no champion: run `nextproduct train`"), 503),
    "records": (RecordsUnavailable("the records cannot be written"), 503),
    "busy": (Busy("more is asked than can be answered"), 503),
    "bad-input": (BadInput("the bundle is not what was written"), 503),
    "bad-configuration": (BadConfiguration("[serving] has an unknown key"), 503),
    "plain": (NextProductError("something"), 503),
}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1)
    numbers: list[int] = []


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI()
    problems.install(app)
    router = APIRouter()

    @router.get("/raise/{name}", responses=declared(401, 403, 404, 408, 409, 410, 413, 422, 429, 500, 503))
    async def refuse(name: str) -> None:
        raise ERRORS[name][0]

    @router.get("/fail")
    async def fail() -> None:
        raise ValueError("the password is swordfish")

    @router.get("/fail-in-a-thread")
    def fail_in_a_thread() -> None:
        raise ValueError("the password is swordfish")

    @router.get("/not-found/{text:path}", responses=declared(404, 422))
    async def not_found(text: str, also: str = "") -> None:
        raise NotFound(f"{text} {also}")

    @router.get("/http/{status}")
    async def http(status: int) -> None:
        raise HTTPException(status, "as it is")

    @router.get("/search", responses=declared(422))
    async def search(limit: Annotated[int, Query(ge=1, le=50)], also: Annotated[int, Query()] = 0) -> None: ...

    @router.post("/body", responses=declared(400, 413, 422))
    async def body(body: Body) -> None:
        raise NotFound(body.name)

    app.include_router(router, prefix="/v1")

    @app.get("/v1/both")
    async def one() -> None: ...

    @app.post("/v1/both")
    async def another() -> None: ...

    return app


@pytest.fixture(scope="module")
def port(app) -> Iterator[int]:
    with served(app) as port:
        yield port


class TestStatuses:
    @pytest.mark.parametrize("name", ERRORS)
    def test_each_error_has_its_status_and_says_what_it_says(self, port, name):
        error, status = ERRORS[name]
        reply = exchange(port, request("GET", f"/v1/raise/{name}"))
        assert reply.status == status
        if status != 503:
            assert reply.problem["detail"] == str(error)
        assert reply.problem["type"] == "about:blank"
        assert Problem(**reply.problem).errors is None

    def test_who_is_not_known_learns_how_to_say_who_they_are_and_not_what_was_wrong(self, port):
        reply = exchange(port, request("GET", "/v1/raise/unknown"))
        assert reply.headers["www-authenticate"] == "Bearer"
        assert b"expired" not in reply.body

    def test_too_many_requests_say_when_the_next_is_answered_in_whole_seconds(self, port):
        assert exchange(port, request("GET", "/v1/raise/too-many")).headers["retry-after"] == "2"

    @pytest.mark.parametrize("name", ["not-ready", "records", "bad-input", "bad-configuration"])
    def test_what_the_service_lacks_may_be_asked_for_again(self, port, name):
        assert exchange(port, request("GET", f"/v1/raise/{name}")).headers["retry-after"] == "5"

    def test_what_the_service_lacks_is_told_in_a_sentence_of_its_kind(self, port):
        for name, says in {
            "not-ready": "the service has not all that it answers from: run `nextproduct train`",
            "records": "the records cannot be read or written now, and nothing is answered that is not on record",
            "busy": "more is asked than can be answered",
            "bad-input": "something of the service's own is missing or broken, its log says what",
        }.items():
            detail = exchange(port, request("GET", f"/v1/raise/{name}")).problem["detail"]
            assert detail == f"{says}; try again in 5 seconds"

    def test_an_address_of_several_methods_names_all_of_them(self, port):
        """Only those of the first route."""
        reply = exchange(port, request("DELETE", "/v1/both"))
        assert (reply.status, reply.headers["allow"]) == (405, "GET, POST")

    def test_the_instance_is_the_id_of_the_request(self, port):
        reply = exchange(port, request("GET", "/v1/raise/gone", x_request_id="crm-17"))
        assert reply.problem["instance"] == "crm-17"

    def test_an_unknown_address_is_not_found(self, port):
        reply = exchange(port, request("GET", "/v1/elsewhere"))
        assert (reply.status, reply.problem["title"]) == (404, "Not Found")
        assert "/openapi.json" in reply.problem["detail"]

    def test_another_method_is_told_which_are_taken(self, port):
        reply = exchange(port, request("DELETE", "/v1/body"))
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
        assert reply.problem["detail"] == "this address takes POST only"

    @pytest.mark.parametrize(("status", "title"), [(404, "Not Found"), (418, "I'm a Teapot"), (499, "Problem")])
    def test_statuses_of_the_framework_stay_what_they_are(self, port, status, title):
        reply = exchange(port, request("GET", f"/v1/http/{status}"))
        assert (reply.status, reply.problem["title"], reply.problem["detail"]) == (status, title, "as it is")


class TestFaults:
    def test_each_place_is_named(self, port):
        reply = exchange(port, request("GET", "/v1/search?limit=0&also=x"))
        assert reply.status == 422
        assert [each["where"] for each in reply.problem["errors"]] == ["query.limit", "query.also"]
        for fault in reply.problem["errors"]:
            assert f"{fault['where']}: {fault['what']}" in reply.problem["detail"]

    def test_of_a_thousand_faults_twenty_are_named_and_the_rest_counted(self, port):
        body = orjson.dumps({"name": "x", "numbers": ["a"] * 1000})
        problem = exchange(port, request("POST", "/v1/body", body, content_type="application/json")).problem
        assert [each["where"] for each in problem["errors"]] == [f"body.numbers.{i}" for i in range(20)]
        assert problem["detail"].endswith("; and 980 more")

    def test_names_of_the_callers_own_are_cut(self, port):
        body = orjson.dumps({"name": "x", "y" * 100_000: 1})
        reply = exchange(port, request("POST", "/v1/body", body, content_type="application/json"))
        assert reply.status == 422
        assert len(reply.body) < 2000


class TestFailures:
    @pytest.mark.parametrize("target", ["/v1/fail", "/v1/fail-in-a-thread"])
    def test_nothing_of_the_insides_is_said(self, port, target, capfd):
        reply = exchange(port, request("GET", target, x_request_id="crm-18"))
        assert reply.status == 500
        assert "crm-18" in reply.problem["detail"]
        for inside in (b"swordfish", b"ValueError", b"Traceback", b".py"):
            assert inside not in reply.body
        written = "".join(capfd.readouterr())
        assert "crm-18" in written
        assert "test_problems" in written  # where it failed
        assert "swordfish" not in written

    def test_the_connection_serves_on(self, port):
        """A failure went up to the server, which then closed the connection under the caller's next request."""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            for _ in range(2):
                connection.sendall(request("GET", "/v1/fail"))
                assert read_reply(connection).status == 500

    def test_failing_middleware_is_a_problem_too(self):
        app = FastAPI()
        problems.install(app)

        class Failing:
            def __init__(self, app):
                pass

            async def __call__(self, scope, receive, send):
                raise ValueError("the password is swordfish")

        app.add_middleware(Failing)
        with served(app) as port:
            reply = exchange(port, request("GET", "/"))
        assert reply.status == 500
        assert "swordfish" not in reply.problem["detail"]


# whatever the caller may have put where
TARGETS = [
    b"/v1/not-found/%00",
    b"/v1/not-found/%ff%fe",
    b"/v1/not-found/%ed%a0%80",
    b"/v1/not-found/%",
    b"/v1/not-found/%zz",
    b"/v1/not-found/\xff",
    b"/v1/not-found/\xc3\xa9",
    b"/v1/not-found/x?also=%00%ff%ed%a0%80",
    b"/v1/not-found/x?also=\xff",
    b"/v1/not-found/..%2f..%2fetc",
    b"/v1/search?limit=%00",
    b"/v1/search?limit=%ed%a0%80",
    b"/v1/search?limit=\xff",
    b"/v1/search?limit=1e999",
    b"/v1/search?%ff=%fe",
    b"/v1/raise/%00/",
    b"//v1/search",
]
BODIES = [
    rb'{"name": "\ud800"}',
    rb'{"name": "\ud83d\ude00 \u0000"}',
    rb'{"\ud800": 1, "name": "x"}',
    rb'{"name": "\u0000"}',
    b'{"name": "\x00"}',
    b'{"name": "\xff\xfe"}',
    b'{"name": "\xed\xa0\x80"}',
    b"\xff\xfe{\x00}\x00",
    b"\x00",
    b"null",
    b"[]",
    b"[" * 100_000,
    b'{"name": "x", "numbers": [' + b"9" * 5000 + b"]}",
    b'{"name": "x", "numbers": [NaN, Infinity, 1e400]}',
    b'{"name": "x", "name": "y"',
]


class TestHostileBytes:
    @pytest.mark.parametrize("target", TARGETS)
    def test_no_address_makes_it_fail(self, port, target):
        reply = exchange(port, b"GET " + target + b" HTTP/1.1\r\nhost: test\r\n\r\n")
        assert 300 <= reply.status < 500, reply
        if reply.status >= 400 and reply.body != b"Invalid HTTP request received.":  # the server's, before any of ours
            assert Problem(**reply.problem)

    @pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
    def test_no_body_makes_it_fail(self, port, body):
        reply = exchange(port, request("POST", "/v1/body", body, content_type="application/json"))
        assert reply.status in (400, 404, 422), reply
        assert Problem(**reply.problem)

    @pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-16", "text/plain", "a", "/"])
    def test_no_content_type_makes_it_fail(self, port, kind):
        reply = exchange(port, request("POST", "/v1/body", b'{"name": "x"}', content_type=kind))
        assert reply.status in (404, 422), reply
        assert Problem(**reply.problem)

    @given(st.text('a中😀\ud800\udfff\x00"\\', max_size=40))
    def test_any_text_is_answered_as_readable_json(self, text):
        """Half a surrogate pair in a detail made the answer to a bad request a failure."""
        scope = {"type": "http", "headers": []}
        problem = orjson.loads(problem_response(BadRequest(text), HTTPConnection(scope)).body)
        assert problem["detail"] == text.encode("utf-8", "replace").decode()


class TestOpenApi:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 409, 410, 413, 422, 429, 500, 503])
    def test_each_example_is_a_problem_of_its_status(self, status):
        ((answers, described),) = declared(status).items()
        ((media, content),) = described["content"].items()
        assert (answers, media) == (status, "application/problem+json")
        assert Problem(**content["example"]).status == status

    def test_the_document_says_what_a_problem_is(self, app, port):
        document = orjson.loads(exchange(port, request("GET", "/openapi.json")).body)
        answer = document["paths"]["/v1/search"]["get"]["responses"]["422"]["content"]["application/problem+json"]
        assert answer["schema"] == {"$ref": "#/components/schemas/Problem"}
        # as a caller's own check would: the schema, with what it refers to
        validator = jsonschema_rs.validator_for(answer["schema"] | {"components": document["components"]})
        validator.validate(answer["example"])
        validator.validate(exchange(port, request("GET", "/v1/search?limit=0")).problem)
        assert not validator.is_valid({"status": "404"})

    def test_nothing_else_is_declared(self, app):
        """FastAPI declared a 422 of its own, which nothing ever answers."""
        assert "HTTPValidationError" not in orjson.dumps(app.openapi()["paths"]["/v1/search"]).decode()
