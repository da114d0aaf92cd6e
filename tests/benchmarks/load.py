"""A load generator in a process of its own: GET requests for random customers over kept-alive HTTP/1.1 connections.

Closed loop: each connection asks again as soon as it is answered, which measures throughput. Open loop: requests fall
due at random moments whatever the answers do, and latency counts from when one was due: a stall is felt by everybody
who would have come meanwhile, not only by those whose request was already under way.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import cast

import numpy as np
import uvloop

_BETWEEN = 0.001
"""Seconds from one new connection to the next. Of many at once, a worker that wakes first takes all; of those that come
under load, whoever has the least to do."""


@dataclass(frozen=True)
class Load:
    """What to ask, and how hard.

    Attributes
    ----------
    path : with query; a customer's id stands for ``{}``
    customers : ids, drawn at random with `seed`
    token : sent as bearer
    rate : requests a second of an open loop; None: closed loop
    patience : seconds that the last answers are waited for
    """

    port: int
    path: str
    customers: tuple[str, ...]
    token: str
    connections: int
    seconds: float
    rate: float | None = None
    seed: int = 1
    patience: float = 10.0
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Report:
    """What came of a load.

    Attributes
    ----------
    requests : answered with status 200 and a whole body; in a closed loop, in time
    seconds : from the first request to the last of those answers
    errors, first_error : all others, and what was wrong with the first
    p50, p90, p99, max : milliseconds until the answer; in an open loop, from when the request was due
    late : milliseconds by which the generator itself sent its requests too late, 99% quantile: part of the above
    bytes : of a body, on average
    """

    requests: int
    seconds: float
    errors: int
    first_error: str | None
    p50: float
    p90: float
    p99: float
    max: float
    late: float
    bytes: float

    @property
    def a_second(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Answer:
    """One response.

    Attributes
    ----------
    closes : the server will close the connection
    """

    status: int
    body: bytes
    closes: bool


class BrokenAnswer(Exception):
    """Bytes that are no response with a Content-Length."""


def measure(load: Load) -> Report:
    """Put `load` on a service from a process of its own.

    Raises
    ------
    RuntimeError : when nothing was answered, or a connection was refused
    """
    command = [sys.executable, "-m", "tests.benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the load on port {load.port} failed: {done.stderr.strip().splitlines()[-1]}")
    return Report(**json.loads(done.stdout))


def due_moments(rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the start at which requests of an open loop fall due: a Poisson process."""
    rng = np.random.default_rng(seed)
    pauses = rng.exponential(1 / rate, size=int(2 * rate * seconds) + 100)
    moments = np.cumsum(pauses)
    return [float(moment) for moment in moments[moments < seconds]]


def answer_in(received: bytes) -> Answer | None:
    """The response that `received` is; None while some of it is still to come.

    Raises
    ------
    BrokenAnswer : when it is none, or more than one
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    if not (head.startswith(b"http/1.1 ") and head[9:12].isdigit()):
        raise BrokenAnswer(f"no HTTP/1.1 status: {received[:40]!r}")
    _, *lengths = head.split(b"\r\ncontent-length:")
    length = lengths[0].partition(b"\r\n")[0].strip() if len(lengths) == 1 else b""
    if not length.isdigit():
        raise BrokenAnswer(f"not exactly one Content-Length: {received[:end]!r}")
    body = received[end + 4 :]
    if len(body) < int(length):
        return None
    if len(body) > int(length):
        raise BrokenAnswer(f"{len(body)} bytes where Content-Length says {int(length)}")
    return Answer(int(head[9:12]), body, b"\r\nconnection: close" in head)


class _Connection(asyncio.Protocol):
    """Has one request under way, or none."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._received = b""
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._generator.has_free(self)

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        due = self._due
        try:
            answer = answer_in(self._received)
            if due is None:
                raise BrokenAnswer(f"an answer that nobody asked for: {self._received[:40]!r}")
        except BrokenAnswer as error:
            self._lose(str(error))
            return
        if answer is None:
            return
        self._due, self._received = None, b""
        self._generator.note(answer, due)
        if answer.closes:
            self._transport.close()
        else:
            self._generator.has_free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due is not None:
            self._lose(f"the connection was lost before the answer: {exc or 'closed'}")
        self._generator.has_lost(self)

    def _lose(self, error: str) -> None:
        asked, self._due = self._due is not None, None
        self._generator.note_error(error, asked)
        self._transport.abort()


class _Generator:
    """Sends what is due over the connections that are free, and notes what comes back."""

    def __init__(self, load: Load) -> None:
        self._load = load
        before, placeholder, after = f"GET {load.path}".partition("{}")
        headers = f"Host: {load.host}:{load.port}\r\nAuthorization: Bearer {load.token}\r\nAccept: application/json"
        self._before, self._after = before.encode(), f"{after} HTTP/1.1\r\n{headers}\r\n\r\n".encode()
        drawn = random.Random(load.seed).choices(load.customers, k=100_000) if placeholder else [""]
        self._customers = cycle([customer.encode() for customer in drawn])
        self._free: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()  # when the requests were due for which no connection was free
        self._under_way = 0
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._taken: list[float] = []
        self._late: list[float] = []
        self._errors: list[str] = []
        self._bytes = 0
        self._is_over = False

    async def run(self) -> Report:
        loop = asyncio.get_running_loop()
        closed = self._load.rate is None
        self._begin()
        for _ in range(self._load.connections):
            await self._connect()
            if closed:
                self._ask(time.perf_counter())
            await asyncio.sleep(_BETWEEN)
        if not closed:
            self._begin()
            moments = due_moments(self._load.rate, self._load.seconds, self._load.seed)
            threading.Thread(target=self._keep_time, args=(moments, loop), daemon=True).start()
        await asyncio.sleep(self._end - time.perf_counter())
        while (self._waiting or self._under_way) and time.perf_counter() < self._end + self._load.patience:
            await asyncio.sleep(0.01)
        self._is_over = True
        return self._report()

    def _begin(self) -> None:
        self._start = self._last = time.perf_counter()
        self._end = self._start + self._load.seconds

    def has_free(self, connection: _Connection) -> None:
        """Send what has waited longest for a connection."""
        if self._waiting:
            self._under_way += 1
            connection.send(self._before + next(self._customers) + self._after, self._waiting.popleft())
        else:
            self._free.append(connection)

    def has_lost(self, connection: _Connection) -> None:
        """Connect again in its place."""
        if connection in self._free:
            self._free.remove(connection)
        if not self._is_over:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._reconnecting.add(task)
            task.add_done_callback(self._has_reconnected)

    def note(self, answer: Answer, due: float) -> None:
        """Keep what an answer says of the service."""
        if answer.status != 200 or not answer.body:
            self.note_error(f"status {answer.status}: {answer.body[:200]!r}", asked=True)
            return
        now = time.perf_counter()
        if self._load.rate is not None or now <= self._end:
            self._taken.append(now - due)
            self._bytes += len(answer.body)
            self._last = now
        self._settle(now)

    def note_error(self, error: str, asked: bool) -> None:
        """Keep what went wrong, with a request if one was under way."""
        self._errors.append(error)
        if asked:
            self._settle(time.perf_counter())

    def _settle(self, now: float) -> None:
        self._under_way -= 1
        if self._load.rate is None and now < self._end:
            self._waiting.append(now)  # for the connection, which is free next

    def _ask(self, due: float) -> None:
        self._waiting.append(due)
        if self._free:
            self.has_free(self._free.popleft())

    def _ask_on_time(self, due: float) -> None:
        self._late.append(time.perf_counter() - due)
        self._ask(due)

    def _keep_time(self, moments: list[float], loop: asyncio.AbstractEventLoop) -> None:
        """Wake the loop whenever a request falls due; its own timers know only whole milliseconds."""
        for due in (self._start + moment for moment in moments):
            if (pause := due - time.perf_counter()) > 0:
                time.sleep(pause)
            loop.call_soon_threadsafe(self._ask_on_time, due)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _Connection(self), self._load.host, self._load.port)

    def _has_reconnected(self, task: asyncio.Task[None]) -> None:
        self._reconnecting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._errors.append(f"could not connect again: {error}")

    def _report(self) -> Report:
        unanswered = len(self._waiting) + self._under_way
        errors = self._errors + [f"not answered within {self._load.patience:g} s"] * unanswered
        if not self._taken:
            raise RuntimeError(errors[0] if errors else "nothing was answered in time")
        p50, p90, p99, longest = 1e3 * np.quantile(self._taken, [0.5, 0.9, 0.99, 1.0])
        return Report(
            requests=len(self._taken),
            seconds=max(self._load.seconds, self._last - self._start),
            errors=len(errors),
            first_error=errors[0] if errors else None,
            p50=float(p50),
            p90=float(p90),
            p99=float(p99),
            max=float(longest),
            late=1e3 * float(np.quantile(self._late, 0.99)) if self._late else 0.0,
            bytes=self._bytes / len(self._taken),
        )


def main() -> None:
    """Read a load from standard input and print its report as JSON."""
    content = json.load(sys.stdin)
    generator = _Generator(Load(**content | {"customers": tuple(content["customers"])}))
    gc.freeze()
    gc.disable()  # its pauses would be counted as the service's
    print(json.dumps(asdict(uvloop.run(generator.run()))))


if __name__ == "__main__":
    main()
