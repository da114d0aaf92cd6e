"""Bodies beyond the limits are refused, at once where they can be, and never kept."""

import socket
import time
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.api import problems
from serving.api.limits import RequestLimits
from tests.serving.api import Reply, exchange, read_reply, request, served

MOST = 1000
TIMEOUT = 1.0


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(RequestLimits, max_body_bytes=MOST, body_timeout=TIMEOUT)

    @app.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    @app.get("/count")
    async def nothing(request: Request) -> int:
        return len(await request.body())

    @app.post("/gone")
    async def gone(request: Request) -> bool:
        return await request.is_disconnected()

    return app


@pytest.fixture(scope="module")
def port(app) -> Iterator[int]:
    with served(app) as port:
        yield port


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def begin(port: int, *parts: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    for part in parts:
        connection.sendall(part)
    return connection


HEAD = request("POST", "/count", transfer_encoding="chunked")


class TestWithin:
    @pytest.mark.parametrize("length", [0, 1, MOST])
    def test_the_application_gets_the_body(self, port, length):
        reply = exchange(port, request("POST", "/count", b"x" * length))
        assert (reply.status, reply.body) == (200, str(length).encode())

    @settings(max_examples=30, deadline=None)  # each is a connection
    @given(st.lists(st.integers(1, 120), max_size=8))
    def test_in_whatever_pieces_it_comes(self, port, lengths):
        reply = exchange(port, HEAD, *(chunked(b"x" * length) for length in lengths), b"0\r\n\r\n")
        assert (reply.status, reply.body) == (200, str(sum(lengths)).encode())

    def test_no_body_is_one_too(self, port):
        assert exchange(port, request("GET", "/count")).body == b"0"

    def test_the_connection_serves_on(self, port):
        with begin(port, request("POST", "/count", b"x" * MOST)) as connection:
            assert read_reply(connection).body == b"1000"
            connection.sendall(request("POST", "/count", b"y"))
            assert read_reply(connection).body == b"1"

    def test_the_application_still_learns_whether_the_caller_is_there(self, port):
        assert exchange(port, request("POST", "/gone", b"x")).body == b"false"


def check_is_too_large(reply: Reply) -> None:
    assert reply.status == 413
    assert reply.problem["detail"] == "the body is larger than 1,000 bytes: send less at once"
    assert reply.headers["connection"] == "close"


class TestTooLarge:
    def test_the_length_that_is_told_is_enough(self, port):
        """Nothing of the body is sent, and nothing waited for."""
        start = time.monotonic()
        reply = exchange(port, request("POST", "/count", content_length=str(MOST + 1)))
        check_is_too_large(reply)
        assert time.monotonic() - start < TIMEOUT

    def test_who_asks_before_sending_is_not_told_to_go_on(self, port):
        reply = exchange(port, request("POST", "/count", content_length="1000000", expect="100-continue"))
        check_is_too_large(reply)

    def test_no_length_is_counted_as_it_comes(self, port):
        reply = exchange(port, HEAD, chunked(b"x" * MOST), chunked(b"x"))
        check_is_too_large(reply)

    def test_one_that_never_ends_is_answered_all_the_same(self, port):
        with begin(port, HEAD) as connection:
            ended = False
            for _ in range(100):
                try:
                    connection.sendall(chunked(b"x" * 100))
                except (BrokenPipeError, ConnectionResetError):
                    ended = True
                    break
                time.sleep(0.001)
            assert not ended  # within the time that is lingered
            check_is_too_large(read_reply(connection))

    def test_who_is_still_sending_gets_the_answer(self, port):
        """The connection was closed at once: callers of large bodies saw it reset instead of the answer."""
        body = b"x" * 3_000_000
        with begin(port, request("POST", "/count", body)) as connection:
            check_is_too_large(read_reply(connection))
            assert connection.recv(1) == b""  # and it is closed then

    def test_lengths_that_are_none_are_no_way_around(self, port):
        for told in ("-1", "1e3", "0x10", "", "9" * 30):
            reply = exchange(port, request("POST", "/count", content_length=told))
            assert reply.status in (400, 413), told


class TestTooSlow:
    def test_half_a_body_is_not_waited_for(self, port):
        start = time.monotonic()
        with begin(port, request("POST", "/count", content_length="10"), b"x" * 5) as connection:
            reply = read_reply(connection)
        took = time.monotonic() - start
        assert reply.status == 408
        assert reply.problem["detail"] == "the body did not arrive within 1 seconds: send it again"
        assert TIMEOUT <= took < TIMEOUT + 2

    def test_a_byte_now_and_then_does_not_help(self, port):
        start = time.monotonic()
        with begin(port, request("POST", "/count", content_length="100")) as connection:
            for _ in range(15):
                connection.sendall(b"x")
                time.sleep(0.1)
            reply = read_reply(connection)
        assert reply.status == 408
        assert time.monotonic() - start < TIMEOUT + 2

    def test_who_goes_away_is_not_answered(self, app):
        seen = []

        async def recording(scope, receive, send):
            async def send_seen(message):
                seen.append(message)
                await send(message)

            await app(scope, receive, send_seen)

        with served(recording) as port:
            begin(port, request("POST", "/count", content_length="10"), b"x").close()
            # while others are
            assert exchange(port, request("GET", "/count")).status == 200
        assert [message["status"] for message in seen if message["type"] == "http.response.start"] == [200]
