"""The service as a user starts it, with a million customers: throughput beside a bare endpoint's, latency, memory.

Run by ``python -m tests.benchmarks.bench_service [FOLDER]``; in FOLDER the banks are kept for the next time. The last
lines are JSON, one figure each, with the lowest and the highest of the rounds. Servers and load share the machine's
cores; every decision goes on record. The bare endpoint is FastAPI's, on as many workers under uvicorn with uvloop and
httptools: it returns the same bytes to whoever asks, as many as an answer has on average, and does nothing else.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from fastapi import FastAPI, Response

from tests.benchmarks.load import Load, Report, measure
from tests.command import NEXTPRODUCT

RECOMMENDATIONS = "/v1/customers/{}/recommendations?limit=3"
WITHOUT_REASONS = RECOMMENDATIONS + "&reasons=false"
FIXED = "/fixed"
BODY_BYTES = "BENCH_BODY_BYTES"

WORKERS = 2
"""As many as the goals' machine has cores."""

ROUNDS, TURN = 3, 8.0
"""Rounds, and seconds of each contestant's turn in one."""

CONNECTIONS, RATE_CONNECTIONS = 256, 100
RATE, IDLE_RATE = 200.0, 20.0
SOAK, SETTLING, LOOK_EVERY = 120.0, 20.0, 2.0
"""Seconds at `RATE`; of them those before memory is looked at; between two looks."""

ASKED_FOR, SOAKED_WITH = 50_000, 1_000
"""Customers asked about, drawn from those who may be offered something; few in the soak: pages of the states come into
memory when somebody first asks for them, and are no growth of the service."""

FLAT = 1.0
"""MB a minute that are no growth."""

SETTINGS = "[serving.access]\nrequests_per_second = 1_000_000\n"
"""One caller stands for many: a limit of what each may ask for would stop the load."""


@dataclass(frozen=True)
class Server:
    """A server that runs, and the seconds from its command to its being ready."""

    port: int
    pid: int
    seconds: float


@dataclass(frozen=True)
class Memory:
    """MB of a process and those it started: their own and shared pages, each page once, pages shared, pages not of
    files."""

    rss: float
    pss: float
    shared: float
    anonymous: float


def main(folder: Path) -> None:
    """Measure, print, and end with the figures as JSON."""
    million, tenfold = folder / "million", folder / "tenfold"
    write_missing(million, tenfold)
    for line in [*throughput(million), *latency_and_soak(million), *ten_million(tenfold)]:
        print(json.dumps(line))


def write_missing(million: Path, tenfold: Path) -> None:
    """The banks that are not there yet."""
    from tests.benchmarks.service_bank import write_tenfold, write_workspace  # not for the workers of `bare_app`

    start = time.perf_counter()
    for workspace, write in ((million, write_workspace), (tenfold, lambda aside: write_tenfold(million, aside))):
        if not workspace.is_dir():
            aside = workspace.with_name(f"{workspace.name}.part")
            write(aside)
            aside.rename(workspace)
            os.sync()  # what is still on its way to the disk would slow down the records
    print(f"banks of 1 and 10 million customers: {time.perf_counter() - start:.0f} s", flush=True)


def throughput(workspace: Path) -> list[dict]:
    """Requests a second of closed loops, in turn. Every round has servers of its own: starts differ, too."""
    asked = _Asked(workspace)
    with serving(workspace, WORKERS) as service:
        asked.of(service, RECOMMENDATIONS)  # compiles, where nobody has
        size = round(asked.of(service, RECOMMENDATIONS).bytes)
    print(f"an answer has {size:,} bytes on average", flush=True)
    rounds: list[tuple[float, ...]] = []
    for _ in range(ROUNDS):
        with bare(size, WORKERS) as endpoint, serving(workspace, WORKERS) as service:
            start = service.seconds
            turns = [(endpoint, FIXED), (service, RECOMMENDATIONS), (service, WITHOUT_REASONS)]
            both = [asked.of(server, path).a_second for server, path in turns]
        with bare(size, 1) as endpoint, serving(workspace, 1) as service:
            turns = [(endpoint, FIXED), (service, RECOMMENDATIONS)]
            alone = [asked.of(server, path).a_second for server, path in turns]
        rounds.append((start, *both, *alone))
    asked.check_records()
    starts, fixed, ours, brief, fixed_alone, ours_alone = np.array(rounds).T
    return [
        figure("service of 1 million customers, from the command to ready, seconds", starts, below=5),
        figure("bare endpoint, requests a second", fixed),
        figure("service, requests a second, reasons and record included", ours),
        figure("service, share of the bare endpoint's throughput, reasons and record", ours / fixed, above=0.15),
        figure("service, share of the bare endpoint's throughput, record, no reasons", brief / fixed, above=0.25),
        figure("bare endpoint, throughput of 2 workers over that of 1", fixed / fixed_alone),
        figure("service, throughput of 2 workers over that of 1", ours / ours_alone, above=1),
    ]  # fmt: skip


def latency_and_soak(workspace: Path) -> list[dict]:
    """Milliseconds of a single request and of an open loop, and what two minutes of it do to the memory."""
    asked = _Asked(workspace)
    with serving(workspace, WORKERS) as service:
        asked.of(service, RECOMMENDATIONS)
        idle = [asked.of(service, RECOMMENDATIONS, rate=IDLE_RATE, connections=1).p50 for _ in range(ROUNDS)]
        steady, twice = (
            [asked.of(service, RECOMMENDATIONS, rate=rate, connections=RATE_CONNECTIONS).p99 for _ in range(ROUNDS)]
            for rate in (RATE, 2 * RATE)
        )
        asked.of(service, RECOMMENDATIONS, among=SOAKED_WITH)
        looks, report = _soak(service, asked)
    at, rss, pss, anonymous = np.array([(at, look.rss, look.pss, look.anonymous) for at, look in looks]).T
    print(
        f"soak: {report.requests:,} answers in {report.seconds:.0f} s, p50 {report.p50:.1f}, p99 {report.p99:.1f}, the "
        f"slowest {report.max:.0f} ms, no error; at the end {pss[-1]:,.0f} MB, of which {anonymous[-1]:,.0f} of no file"
    )
    asked.check_records()
    return [
        figure("service, one request at a time, ms, median", idle, below=5),
        figure("service, 200 requests a second in an open loop, ms, 99%", steady, below=50),
        figure("service, 400 requests a second in an open loop, ms, 99%", twice),
        figure("service, two minutes at 200 requests a second, ms, 99%", [report.p99], below=50),
        *(
            figure(f"service, two minutes at 200 requests a second, growth of {what}, MB a minute", growth, below=FLAT)
            for what, growth in (
                ("memory, shared pages counted in each process", _growth(at, rss)),
                ("memory, shared pages counted once", _growth(at, pss)),
                ("memory that is not of files", _growth(at, anonymous)),
            )
        ),
    ]


def ten_million(workspace: Path) -> list[dict]:
    """Seconds that ten million customers take to open, and the memory of a service that has answered for some."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_service", "open", str(workspace)]
    opened = [float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(ROUNDS)]
    asked = _Asked(workspace)
    with serving(workspace, WORKERS) as service:
        asked.of(service, RECOMMENDATIONS)
        memory = memory_of(service.pid)
    asked.check_records()
    return [
        figure("states, champion and policy of 10 million customers, opened, seconds", opened, below=5),
        figure("service of 10 million customers, from the command to ready, seconds", [service.seconds]),
        figure("service of 10 million customers, GB, shared pages counted once", [memory.pss / 1e3], below=6),
        figure("service of 10 million customers, share of pages shared", [memory.shared / memory.rss], above=0.5),
    ]  # fmt: skip


def open_once(workspace: Path) -> None:
    """Print the seconds that opening takes, in a process that has opened nothing before."""
    from serving.deployment import open_in_use
    from tests.serving.later import CLOCK

    start = time.perf_counter()
    open_in_use(workspace, None, CLOCK)
    print(time.perf_counter() - start)


def bare_app() -> FastAPI:
    """An application that returns what it always returns."""
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False})
    body = json.dumps({"fixed": "x" * (int(os.environ[BODY_BYTES]) - len('{"fixed": ""}'))}).encode()

    @app.get(FIXED)
    async def fixed() -> Response:
        return Response(body, media_type="application/json")

    return app


@contextmanager
def bare(size: int, workers: int) -> Iterator[Server]:
    """`bare_app` with a body of `size` bytes, running."""
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory", "tests.benchmarks.bench_service:bare_app"),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
        *("--workers", str(workers)),
    ]
    with started(command, FIXED, {BODY_BYTES: str(size)}) as server:
        yield server


@contextmanager
def serving(workspace: Path, workers: int) -> Iterator[Server]:
    """`nextproduct serve`, running."""
    with started([*NEXTPRODUCT, "serve", str(workspace), "--workers", str(workers)], "/readyz", {}) as server:
        yield server


@contextmanager
def started(command: Sequence[str], ready_at: str, settings: dict[str, str]) -> Iterator[Server]:
    """A server from its first 200 at `ready_at` on; told to stop at the end.

    Raises
    ------
    RuntimeError : when it ends before, with what it said; or does not end well when told to
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # as users have it: what Python compiled is kept
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | settings
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen([*command, "--port", str(port)], stdout=said, stderr=said, env=environment)
        try:
            while not _is_ready(port, ready_at):
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended: {_tail(said)}")
                time.sleep(0.01)
            yield Server(port, process.pid, time.perf_counter() - start)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        if process.returncode not in (0, -signal.SIGTERM):
            raise RuntimeError(f"{command} ended with {process.returncode}: {_tail(said)}")


def memory_of(pid: int) -> Memory:
    """Of the process and all that it started, as /proc has it."""
    kilobytes: Counter[str] = Counter()
    processes = [pid]
    for process in processes:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
            name, amount, _ = line.split()
            kilobytes[name] += int(amount)
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            processes += [int(child) for child in children.read_text(encoding="utf-8").split()]
    shared = kilobytes["Shared_Clean:"] + kilobytes["Shared_Dirty:"]
    return Memory(*(n * 1024 / 1e6 for n in (kilobytes["Rss:"], kilobytes["Pss:"], shared, kilobytes["Anonymous:"])))


def figure(
    name: str, values: Sequence[float] | np.ndarray, *, below: float | None = None, above: float | None = None
) -> dict:
    """One line of the report: the median round, the lowest and the highest; a goal is reached when all rounds do."""
    value, low, high = float(np.median(values)), float(np.min(values)), float(np.max(values))
    said = "{}: {} [{}, {}]".format(name, *(f"{n:,.0f}" if n >= 100 else f"{n:.3g}" for n in (value, low, high)))
    goal = below if above is None else above
    if goal is not None:
        is_reached = high < goal if above is None else low > goal
        said += f" | goal {'below' if above is None else 'above'} {goal:g}: {'reached' if is_reached else 'MISSED'}"
    print(said, flush=True)
    line = {"figure": name, "value": value, "low": low, "high": high}
    return line | {"baseline": "none" if goal is None else "goal", "baseline_value": goal or 0.0}


class _Asked:
    """Asks a workspace's service about customers to whom something may be offered, and counts what is answered."""

    def __init__(self, workspace: Path) -> None:
        from serving.access import Role, create_demo_key, issue_demo_token
        from serving.config_file import CONFIG_FILE
        from tests.benchmarks.service_bank import CUSTOMERS

        self._workspace = workspace
        offered = (workspace / CUSTOMERS).read_text(encoding="utf-8").split()
        self._customers = tuple(random.Random(1).sample(offered, ASKED_FOR))
        create_demo_key(workspace)
        (workspace / CONFIG_FILE).write_text(SETTINGS, encoding="utf-8")
        self._token = issue_demo_token(workspace, Role.ADMINISTRATOR)
        self._loads = self._answered = 0
        self._on_record = _entries(workspace)

    def of(
        self, server: Server, path: str, *, seconds: float = TURN, rate: float | None = None,
        connections: int = CONNECTIONS, among: int = ASKED_FOR,
    ) -> Report:  # fmt: skip
        """Put a load on `server`.

        Raises
        ------
        RuntimeError : when something was not answered
        """
        self._loads += 1
        customers, seed = self._customers[:among], self._loads
        report = measure(Load(server.port, path, customers, self._token, connections, seconds, rate, seed))
        if report.errors:
            raise RuntimeError(f"{path}: {report.errors} errors, the first: {report.first_error}")
        self._answered += report.requests if path != FIXED else 0
        return report

    def check_records(self) -> None:
        """Refuse figures of a service that answered what is not on record."""
        written = _entries(self._workspace) - self._on_record
        if written < self._answered:
            raise RuntimeError(f"{self._answered:,} answers were given, and {written:,} entries put on record")
        print(f"{self._answered:,} answers were given, and {written:,} entries put on record", flush=True)


def _entries(workspace: Path) -> int:
    from features.errors import NotReady
    from serving.records import Records, RecordsConfig

    try:
        with closing(Records.open(workspace, RecordsConfig(), writable=False)) as records:
            return records.head.seq
    except NotReady:  # nobody has served it yet
        return 0


def _soak(service: Server, asked: _Asked) -> tuple[list[tuple[float, Memory]], Report]:
    """What the memory is now and then, once it has settled, and what came of the load."""
    steadily = {"seconds": SOAK, "rate": RATE, "connections": RATE_CONNECTIONS, "among": SOAKED_WITH}
    with ThreadPoolExecutor(1) as other:
        load = other.submit(asked.of, service, RECOMMENDATIONS, **steadily)
        time.sleep(SETTLING)
        looks = []
        while not load.done():
            looks.append((time.perf_counter(), memory_of(service.pid)))
            time.sleep(LOOK_EVERY)
    return looks, load.result()


def _growth(at: np.ndarray, megabytes: np.ndarray) -> list[float]:
    """MB a minute over the whole, its first and its second half: slopes of least squares."""
    parts = (at >= at[0], at < np.median(at), at >= np.median(at))
    return [60 * float(np.polyfit(at[part] - at[0], megabytes[part], 1)[0]) for part in parts]


def _is_ready(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (ConnectionError, TimeoutError):
        return False
    finally:
        connection.close()


def _tail(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode(errors="replace")[-2000:]


if __name__ == "__main__":
    if sys.argv[1:2] == ["open"]:
        open_once(Path(sys.argv[2]))
    elif len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
