"""Clients that do not come to an end of what they say, or take no answer: their connections are closed, those of others
are not."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
import uvicorn

from serving.api.worker import refusal_of
from serving.http.slow_clients import MOST_HEADER_BYTES, ImpatientProtocol
from tests.serving.api import read_reply
from tests.serving.running import eventually

pytestmark = pytest.mark.slow

SECONDS = 0.5
"""Within which headers have to arrive, and answers to be taken."""

LARGE = 30_000_000
"""Bytes of an answer that no socket's buffers hold."""

REQUEST = b"GET /quick HTTP/1.1\r\nhost: bank\r\n\r\n"


async def app(scope, receive, send):
    """Answers at once, or after a while."""
    assert scope["type"] == "http"
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * SECONDS)
    while (await receive()).get("more_body", False):
        pass
    body = LARGE * b"x" if scope["path"] == "/large" else b"ok"
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def server():
    """Of a server that is gone afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = uvicorn.Config(
            app, loop="uvloop", ws="none", lifespan="off", log_config=None, timeout_keep_alive=3,
            http=partial(ImpatientProtocol, header_timeout=SECONDS, answer_timeout=SECONDS, refusal=refusal_of),
        )  # fmt: skip
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield server, listener.getsockname()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(server):
    return server[1]


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


def refused(connection, status):
    """What the problem says that comes before the connection is closed."""
    reply = read_reply(connection)
    assert reply.status == reply.problem["status"] == status
    assert reply.headers["connection"] == "close"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.problem["instance"] == reply.headers["x-request-id"]
    assert connection.recv(1) == b""
    return reply.problem["detail"]


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
        assert refused(connection, 431) == "the headers are larger than 65,536 bytes: send fewer"
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


def test_who_is_late_with_headers_is_told_so(address):
    """The connection was closed without a word."""
    with connected(address) as connection:
        connection.sendall(b"GET /quick HTTP/1.1\r\nhost: ba")
        assert refused(connection, 408) == "the headers did not arrive within 0.5 seconds: send them again"


BROKEN = [
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /quick HTTP/9.9\r\nhost: bank\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nhost: bank\r\n\r\n",
    b"CONNECT bank:443 HTTP/1.1\r\nhost: bank\r\n\r\n",
    b"GET /quick HTTP/1.1\r\nho st: bank\r\n\r\n",
    b"GET /quick HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    b"GET /quick HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    b"POST /quick HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
]


@pytest.mark.parametrize("before", [0, 1], ids=["at first", "after an answer"])
@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_http_is_told_so_in_a_problem(address, broken, before):
    """It was told in a line of text."""
    with connected(address) as connection:
        for _ in range(before):
            connection.sendall(REQUEST)
            assert answered(connection)
        connection.sendall(broken)
        assert "HTTP/1.1" in refused(connection, 400)


def test_what_is_broken_is_no_answer_to_what_came_before(address):
    """A 400 was sent at once, and taken for the answer to the request before it."""
    with connected(address) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nhost: bank\r\n\r\n")
        time.sleep(SECONDS / 2)
        connection.sendall(b"nonsense\r\n\r\n")
        reply = read_reply(connection)
        assert (reply.status, reply.body) == (200, b"ok")
        assert connection.recv(1) == b""


def unread(address, *requests):
    """A connection whose answers are not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(address)
    for request in requests:
        connection.sendall(request)
    return connection


LARGE_ANSWER = b"GET /large HTTP/1.1\r\nhost: bank\r\n\r\n"


def kept(running, connection):
    """Whether the server has the connection still."""
    return connection.getsockname() in [each.client for each in list(running.server_state.connections)]


@pytest.mark.parametrize(
    "requests",
    [[LARGE_ANSWER], [LARGE_ANSWER.replace(b"1.1", b"1.0")], [REQUEST, LARGE_ANSWER, REQUEST]],
    ids=["kept", "to be closed", "more asked"],
)
@pytest.mark.parametrize("taken", [0, 100], ids=["nothing", "next to nothing"])
def test_who_does_not_read_the_answer_is_left(server, requests, taken):
    """Connection and answer were kept for ever."""
    running, address = server
    with unread(address, *requests) as connection:
        eventually(lambda: kept(running, connection), 10)
        start = time.monotonic()
        while kept(running, connection):
            assert time.monotonic() - start < 10, "the connection is kept"
            if taken:
                connection.recv(taken)
            time.sleep(SECONDS / 20)
        assert time.monotonic() - start > SECONDS / 2


def test_who_reads_slowly_and_steadily_is_answered(address):
    with connected(address) as connection:
        connection.sendall(LARGE_ANSWER)
        start, got = time.monotonic(), 0
        while got < LARGE:
            part = connection.recv(400_000)
            assert part, f"closed after {got} bytes"
            got += len(part)
            time.sleep(0.02)
        assert time.monotonic() - start > SECONDS
        assert got < LARGE + 500  # with its head
        connection.sendall(REQUEST)
        assert answered(connection)
