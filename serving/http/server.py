"""Runs the service: worker processes on one socket, each of which listens when it is warm, and drains when told to.

One worker answers in the process that was started. Several are started anew by that process when they die; it does
nothing else, and they end when it does.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from features.clock import Clock
from features.errors import BadConfiguration, NextProductError, NotReady

from ..config import ServingConfig
from ..deployment.deployments import announce_start, current
from .slow_clients import ImpatientProtocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ..api.metrics import Metrics

SWITCH_SECONDS = 0.002
"""For which one thread may keep the others from Python; less than usual, as a deployment is opened in a thread beside
the one that answers, and not much less, as those who write the records would interrupt it too often."""

_GARBAGE = 20_000  # objects, such as a second's requests make, before those in circles are looked for
_HUNG = 30  # seconds after which a worker that does not answer its supervisor is replaced


def run_server(workspace: Path, config: ServingConfig, clock: Clock, tracking_uri: str | None = None) -> None:
    """Serve until told to stop, then finish what has been begun.

    Raises
    ------
    BadConfiguration : when host and port cannot be listened on
    NotFound : when there is no such workspace
    NotReady : when the workers cannot start; why is on stderr
    """
    _limit_threads(config.workers)
    announce_start(workspace)
    with _bound(config.host, config.port) as listener, tempfile.TemporaryDirectory(prefix="nextproduct-") as counts:
        settings = uvicorn.Config(
            partial(_app, workspace, config, clock, tracking_uri, Path(counts)),
            factory=True,
            workers=config.workers,
            loop="uvloop",
            http=cast(
                "type[ImpatientProtocol]",
                partial(ImpatientProtocol, header_timeout=config.header_timeout, answer_timeout=config.answer_timeout),
            ),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=config.drain_timeout,
            timeout_worker_healthcheck=_HUNG,
        )
        say_ready = partial(_say_ready, workspace, config)
        if config.workers == 1:
            signal.signal(signal.SIGTERM, _exit)  # what uvicorn, having drained, leaves to whoever came before
            with suppress(KeyboardInterrupt):
                _Server(settings, say_ready).run(sockets=[listener])
        else:
            _Supervisor(settings, [listener], say_ready).run()


def _limit_threads(workers: int) -> None:
    """Have libraries that are imported from now on use one thread, here and in `workers` of their own processes.

    A request is a few customers: waking a second thread costs ten times the arithmetic.
    """
    names = ["OMP", "OPENBLAS"]
    # a numba that has started its threads compiles nothing any more when it finds another number of them here
    if workers > 1 or "numba" not in sys.modules:
        names.append("NUMBA")
    os.environ.update({f"{name}_NUM_THREADS": "1" for name in names})


class _Server(uvicorn.Server):
    """The one worker, which says when it listens."""

    def __init__(self, settings: uvicorn.Config, say_ready: Callable[[], None]) -> None:
        super().__init__(settings)
        self._say_ready = say_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_ready()


class _Supervisor(Multiprocess):
    """Keeps several workers going, and says when all of them listen."""

    def __init__(self, settings: uvicorn.Config, sockets: list[socket.socket], say_ready: Callable[[], None]) -> None:
        super().__init__(settings, sockets)
        self._say_ready = say_ready
        self._has_been_ready = False

    def run(self) -> None:
        """Until told to stop.

        Raises
        ------
        NotReady : when a worker cannot start
        """
        super().run()
        if any(process.exitcode == STARTUP_FAILURE for process in self.processes):
            raise NotReady("the service could not start: what its workers wrote above says why")

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have died.

        What keeps a worker from starting ends the service at first; later on it may pass, and the others answer.
        """
        if self.should_exit.is_set():
            return
        for process in self.processes:
            process.child_conn.close()  # its own end: while that is open here, nobody notices that it dies unanswered
        super().keep_subprocess_alive()
        if not self._has_been_ready:
            self._has_been_ready = all(process.is_ready() for process in self.processes)
            if self._has_been_ready:
                self._say_ready()
        elif self.should_exit.is_set():
            self.should_exit.clear()
            for place, process in enumerate(self.processes):
                if process.exitcode == STARTUP_FAILURE:
                    self.processes[place] = Process(self.config, self.sockets)
                    self.processes[place].start()


def _app(workspace: Path, config: ServingConfig, clock: Clock, tracking_uri: str | None, counts: Path) -> ASGIApp:
    """The application of one worker; made, and imported, in its process."""
    gc.disable()  # until it has started: nearly all that is made till then stays
    import numba

    from ..api.logs import configure
    from ..api.metrics import collect_in

    configure(config.log_level)
    metrics = collect_in(counts)  # before anything imports what counts
    from ..api import create_app

    numba.set_num_threads(1)  # where numba was imported before its environment could say so
    sys.setswitchinterval(SWITCH_SECONDS)
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_with, args=(supervisor,), name="supervisor", daemon=True).start()
    return _Worker(create_app(workspace, config, clock, metrics, tracking_uri), metrics)


class _Worker:
    """The application: what keeps it from starting is told in a sentence, what it has started with is left alone."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def send_on(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "lifespan.startup.failed":  # a traceback: said below
                return
            if message["type"] == "lifespan.startup.complete":
                has_started = True
                gc.freeze()  # to go through models and code again would take tenths of a second of everybody's time
                gc.set_threshold(_GARBAGE)
                gc.enable()
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except NextProductError as error:
            if has_started:
                raise
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        finally:
            self._metrics.close()
            gc.unfreeze()  # libraries complain of what is left at the end


def _end_with(supervisor: BaseProcess) -> None:
    """Stop, drained, when the supervisor dies: nobody would start or stop this worker any more, and the next service
    could not have its socket."""
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _exit(_: int, __: FrameType | None) -> None:
    sys.exit(0)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has its address and does not listen yet: the first worker to be warm lets it."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BadConfiguration(f"cannot listen on {host}:{port} ({error.strerror}): give another --port") from None
    return listener


def _say_ready(workspace: Path, config: ServingConfig) -> None:
    try:
        deployment = current(workspace)
    except NextProductError as error:
        in_use = str(error)
    else:
        in_use = (
            f"model {deployment.model}, states {deployment.states}, policy {deployment.policy}"
            f" (deployment {deployment.number})"
            if deployment
            else "nothing is in use yet, /readyz says what is missing"
        )
    host = f"[{config.host}]" if ":" in config.host else config.host
    workers = "1 worker" if config.workers == 1 else f"{config.workers} workers"
    sys.stderr.write(f"Serving on http://{host}:{config.port} with {workers}: {in_use}.\n")
    sys.stderr.flush()
