"""The load generator of the benchmarks: what it sends, what it takes for an answer, and that no stall escapes it."""

import socketserver
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.load import Answer, BrokenAnswer, Load, answer_in, due_moments, measure

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def answering(reply):
    """A server that writes what `reply(number of the request, request)` yields, chunk by chunk, and hangs up at None:
    its port, and the requests so far."""
    lock, requests = threading.Lock(), []

    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            received = b""
            while data := self.request.recv(65_536):
                received += data
                while b"\r\n\r\n" in received:
                    request, _, received = received.partition(b"\r\n\r\n")
                    with lock:
                        number = len(requests)
                        requests.append(request.decode())
                    for chunk in reply(number, request.decode()):
                        if chunk is None:
                            return
                        self.request.sendall(chunk)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Connection) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield server.server_address[1], requests
        server.shutdown()
        serving.join()


def load(port, **changed):
    settings = {"path": "/of/{}?limit=3", "customers": ("A", "B"), "token": "secret", "connections": 2, "seconds": 0.3}
    return Load(port=port, **settings | changed)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=40) | st.just(b"\r\n\r\nHTTP/1.1 200 OK\r\n"),
    name=st.sampled_from(["Content-Length", "content-length", "CONTENT-LENGTH"]),
    before=st.sampled_from(["", "date: today\r\n", "x-content-length: 7\r\n"]),
    after=st.sampled_from(["", "\r\nserver: one"]),
)
def test_an_answer_is_whole_at_its_last_byte_and_not_before(status, body, name, before, after):
    whole = f"HTTP/1.1 {status} Text\r\n{before}{name}: {len(body)}{after}\r\n\r\n".encode() + body
    for cut in range(len(whole)):
        assert answer_in(whole[:cut]) is None
    assert answer_in(whole) == Answer(status, body, closes=False)
    with pytest.raises(BrokenAnswer, match=f"{len(body) + 1} bytes where Content-Length says {len(body)}"):
        answer_in(whole + b"H")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "not exactly one Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{", "not exactly one Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not exactly one Content-Length"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "no HTTP/1.1 status"),
        (b"HTTP/1.1 twohundred\r\nContent-Length: 0\r\n\r\n", "no HTTP/1.1 status"),
    ],
)
def test_what_is_no_answer_is_refused(answer, said):
    with pytest.raises(BrokenAnswer, match=said):
        answer_in(answer)


def test_a_server_that_closes_is_understood():
    assert answer_in(b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n") == Answer(
        200, b"", closes=True
    )


@given(rate=st.integers(20, 500), seconds=st.integers(1, 20), seed=st.integers(0, 1000))
def test_requests_fall_due_at_the_rate_and_at_random(rate, seconds, seed):
    moments = np.array(due_moments(rate, seconds, seed))
    assert (moments > 0).all()
    assert (moments < seconds).all()
    expected = rate * seconds
    assert abs(len(moments) - expected) < 6 * expected**0.5  # of a Poisson count
    pauses = np.diff(moments)
    assert (pauses >= 0).all()
    # of exponential pauses 1 - 1/e are shorter than their mean; a count of n has a deviation below sqrt(n) / 2
    shorter = (pauses < 1 / rate).sum()
    assert abs(shorter - len(pauses) * (1 - np.exp(-1))) < 3 * len(pauses) ** 0.5
    assert due_moments(rate, seconds, seed) == moments.tolist()


def test_it_asks_for_customers_of_the_list_with_the_token():
    with answering(lambda number, request: [OK]) as (port, requests):
        report = measure(load(port))
    assert {request.splitlines()[0] for request in requests} == {
        "GET /of/A?limit=3 HTTP/1.1",
        "GET /of/B?limit=3 HTTP/1.1",
    }
    assert all("Authorization: Bearer secret" in request.splitlines() for request in requests)
    # what is under way on the two connections at the end is not counted
    assert len(requests) - 2 <= report.requests <= len(requests)
    assert (report.errors, report.first_error, report.bytes, report.seconds) == (0, None, 2.0, 0.3)


def test_a_closed_loop_has_one_request_on_each_connection():
    def reply(number, request):
        time.sleep(0.02)
        yield OK

    with answering(reply) as (port, _):
        report = measure(load(port, connections=4, seconds=0.5))
    assert 0 < report.requests <= 4 * 0.5 / 0.02
    assert report.p50 >= 20
    assert report.a_second == report.requests / 0.5


def test_an_answer_may_come_in_pieces():
    with answering(lambda number, request: [OK[:9], OK[9:30], OK[30:]]) as (port, _):
        report = measure(load(port))
    assert (report.errors, report.bytes) == (0, 2.0)


def test_a_stall_is_felt_by_everybody_who_was_due_meanwhile():
    """A generator that waits for answers before it asks on would see one slow request in some two hundred."""
    stall, rate, seconds, seed = 0.5, 200.0, 1.0, 3

    def reply(number, request):
        if number == 0:
            time.sleep(stall)
        yield OK

    with answering(reply) as (port, requests):
        report = measure(load(port, connections=1, rate=rate, seconds=seconds, seed=seed))
    due = np.array(due_moments(rate, seconds, seed))
    assert report.requests == len(requests) == len(due)
    at_least = 1e3 * np.maximum(due[0] + stall - due, 0)  # on the only connection all wait for the first
    assert report.p50 >= np.quantile(at_least, 0.5)
    assert report.p90 >= np.quantile(at_least, 0.9) > 200
    assert report.max >= 500


@pytest.mark.parametrize("rate", [None, 100.0])
def test_whatever_is_not_200_is_an_error(rate):
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
    with answering(lambda number, request: [refusal if number == 1 else OK]) as (port, requests):
        report = measure(load(port, rate=rate))
    assert (report.errors, report.first_error) == (1, "status 503: b'busy'")
    assert 0 < report.requests < len(requests)


@pytest.mark.parametrize("rate", [None, 100.0])
@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([OK[:-1], None], "the connection was lost before the answer"),
        ([OK[:-1] + b"}?"], "3 bytes where Content-Length says 2"),
        ([OK[:20] + b"\r\n\r\n"], "not exactly one Content-Length"),
    ],
)
def test_a_broken_answer_is_one_error_and_the_rest_goes_over_a_new_connection(rate, chunks, said):
    with answering(lambda number, request: chunks if number == 2 else [OK]) as (port, requests):
        report = measure(load(port, rate=rate, connections=1))
    assert report.errors == 1
    assert said in report.first_error
    assert len(requests) > 3
    assert report.requests >= len(requests) - 2


def test_a_server_may_close_between_answers():
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with answering(lambda number, request: [closing, None]) as (port, _):
        report = measure(load(port, rate=100.0))
    assert (report.errors, report.requests) == (0, len(due_moments(100.0, 0.3, 1)))


def test_what_is_never_answered_is_an_error():
    def reply(number, request):
        if number != 5:
            yield OK

    with answering(reply) as (port, requests):
        report = measure(load(port, rate=50.0, patience=0.2))
    assert (report.errors, report.first_error) == (1, "not answered within 0.2 s")
    assert report.requests == len(requests) - 1


def test_a_load_on_nobody_is_refused():
    with answering(lambda number, request: []) as (port, _):
        pass
    with pytest.raises(RuntimeError, match=f"the load on port {port} failed: .*refused"):
        measure(load(port))
