"""What HTTP allows and the service has not is answered with a problem too, over the server as it runs."""

import shutil
import socket
import threading
import time
from functools import partial

import pytest
import uvicorn

from serving.access import Role, create_demo_key, issue_demo_token
from serving.api.app import create_app
from serving.api.metrics import Metrics
from serving.api.worker import refusal_of
from serving.config import ServingConfig
from serving.http.slow_clients import ImpatientProtocol
from tests.serving.api import read_reply, request
from tests.serving.later import CLOCK


@pytest.fixture(scope="module")
def service(trained, tmp_path_factory):
    """Port and a token."""
    workspace = tmp_path_factory.mktemp("http") / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    app = create_app(workspace, ServingConfig(), CLOCK, Metrics())
    settings = uvicorn.Config(
        app, loop="uvloop", ws="none", lifespan="on", log_config=None,
        http=partial(ImpatientProtocol, header_timeout=5, answer_timeout=5, refusal=refusal_of),
    )  # fmt: skip
    server = uvicorn.Server(settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield listener.getsockname()[1], issue_demo_token(workspace, Role.ADMINISTRATOR)
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def ask(service):
    port, token = service

    def ask(method, target, body=b"", **headers):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request(method, target, body, authorization=f"Bearer {token}", **headers))
            return read_reply(connection)

    return ask


RECOMMENDATIONS = "/v1/customers/R0000003/recommendations"


@pytest.mark.parametrize("method", ["OPTIONS", "DELETE", "PUT", "PATCH", "TRACE", "POST", "PROPFIND"])
@pytest.mark.parametrize("target", [RECOMMENDATIONS, "/v1/model", "/healthz", "/docs", "/v1/book"])
def test_other_methods_are_told_which_there_are(ask, method, target):
    reply = ask(method, target)
    assert reply.status == reply.problem["status"] == 405
    assert reply.headers["allow"] == ("GET, HEAD" if target == "/docs" else "GET")


@pytest.mark.parametrize("target", [RECOMMENDATIONS, "/v1/model"])
def test_heads_are_no_answers_without_a_body(service, target):
    """A decision would be made, and go on record, for nobody to read."""
    port, token = service
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request("HEAD", target, authorization=f"Bearer {token}", connection="close"))
        with connection.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"allow: GET" in head
    assert b"content-type: application/problem+json" in head
    assert body == b""


@pytest.mark.parametrize("target", ["*", "/", "/v1", "/v2/model", "/%2e%2e/etc", "//", "/v1/model/", "/docs/"])
def test_addresses_of_nothing_are_not_found(ask, target):
    reply = ask("GET", target)
    assert reply.status == reply.problem["status"] == 404


def test_web_sockets_are_answered_as_what_else_is_asked(ask):
    asked = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_key": "x", "sec_websocket_version": "13"}
    assert ask("GET", "/v1/socket", **asked).problem["status"] == 404
    assert ask("GET", "/v1/model", **asked).status == 200


def test_what_is_expected_of_the_service_does_not_matter(ask):
    assert ask("GET", "/v1/model", expect="miracles").status == 200
    assert (
        ask("POST", "/v1/feedback", b"{", content_type="application/json", expect="miracles").problem["status"] == 422
    )


def test_slashes_of_ids_reach_their_route_over_the_wire(ask):
    for target in ("/v1/customers/R%2F1/recommendations", "/v1/customers/R%2f1"):
        assert ask("GET", target).problem["detail"].startswith("customer 'R/1' is not in the states")
