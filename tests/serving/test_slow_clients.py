"""Clients that do not come to an end of what they say: their connections are closed, those of others are not."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
import uvicorn

from serving.slow_clients import MOST_HEADER_BYTES, ImpatientProtocol

SECONDS = 0.5
"""Within which headers have to arrive."""

REQUEST = b"GET /quick HTTP/1.1\r\nhost: bank\r\n\r\n"


async def app(scope, receive, send):
    """Answers at once, or after a while."""
    assert scope["type"] == "http"
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * SECONDS)
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def address():
    """Of a server that is gone afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = uvicorn.Config(
            app, loop="uvloop", ws="none", lifespan="off", log_config=None, timeout_keep_alive=3,
            http=partial(ImpatientProtocol, header_timeout=SECONDS),
        )  # fmt: skip
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


@contextmanager
def connected(address):
    with socket.create_connection(address, timeout=20) as connection:
        yield connection


def answered(connection):
    """Whether a whole answer comes; False: the connection is closed."""
    said = b""
    while not said.endswith(b"\r\n\r\nok"):
        try:
            part = connection.recv(4096)
        except ConnectionResetError:
            part = b""
        if not part:
            assert not said
            return False
        said += part
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    return True


def trickle(connection, parts, pause=SECONDS / 5):
    """Send one part after another, until there are no more or nobody listens; seconds that it took."""
    start = time.monotonic()
    for part in parts:
        try:
            connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            break
        time.sleep(pause)
    return time.monotonic() - start


def bytes_of(text):
    return [bytes([byte]) for byte in text]


def test_who_comes_to_an_end_is_answered_again_and_again(address):
    with connected(address) as connection:
        for _ in range(3):
            connection.sendall(REQUEST)
            assert answered(connection)
        connection.sendall(REQUEST + REQUEST)
        assert answered(connection)


def test_who_says_nothing_is_left(address):
    with connected(address) as connection:
        start = time.monotonic()
        assert not answered(connection)
        assert SECONDS * 0.9 < time.monotonic() - start < 10


@pytest.mark.parametrize("before", [0, 2], ids=["at first", "after answers"])
def test_who_never_ends_the_headers_is_left_however_busily_they_send(address, before):
    """A byte now and then kept a connection, and all that came of its headers, for ever."""
    with connected(address) as connection:
        for _ in range(before):
            connection.sendall(REQUEST)
            assert answered(connection)
        took = trickle(connection, [b"GET /quick HTTP/1.1\r\n", *bytes_of(b"x-more: " + 1000 * b"x")])
        assert SECONDS * 0.9 < took < 10


@pytest.mark.parametrize("nothing", [b"\r\n", b"\n"])
def test_who_sends_nothing_but_ends_of_lines_between_requests_is_left(address, nothing):
    """They begin no request, but ended the time for which an idle connection is kept."""
    with connected(address) as connection:
        connection.sendall(REQUEST)
        assert answered(connection)
        assert trickle(connection, 100 * [nothing]) < 10


def test_headers_in_pieces_that_come_to_an_end_in_time_are_answered(address):
    with connected(address) as connection:
        for _ in range(2):
            assert trickle(connection, bytes_of(REQUEST), pause=0.001) < SECONDS
            assert answered(connection)


def test_endless_headers_are_not_kept(address):
    with connected(address) as connection:
        connection.sendall(b"GET /quick HTTP/1.1\r\n")
        lines = 1 + 40 * MOST_HEADER_BYTES // 1000
        start = time.monotonic()
        trickle(connection, lines * [b"x-more: " + 990 * b"x" + b"\r\n"], pause=0)
        assert not answered(connection)
        assert time.monotonic() - start < SECONDS * 0.9


def test_the_time_is_that_of_headers_not_of_bodies_and_answers(address):
    with connected(address) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nhost: bank\r\n\r\n")
        assert answered(connection)
    with connected(address) as connection:
        head = b"POST /quick HTTP/1.1\r\nhost: bank\r\ncontent-length: 10\r\n\r\n"
        assert trickle(connection, [head, *bytes_of(10 * b"x")]) > SECONDS
        assert answered(connection)
        connection.sendall(REQUEST)
        assert answered(connection)


def test_an_idle_connection_is_kept_longer_than_headers_may_take(address):
    with connected(address) as connection:
        connection.sendall(REQUEST)
        assert answered(connection)
        time.sleep(2 * SECONDS)
        connection.sendall(REQUEST)
        assert answered(connection)


def test_others_are_answered_meanwhile(address):
    with connected(address) as slow, connected(address) as quick:
        slow.sendall(b"GET /quick HT")
        quick.sendall(REQUEST)
        assert answered(quick)
        slow.sendall(b"TP/1.1\r\nhost: bank\r\n\r\n")
        assert answered(slow)
