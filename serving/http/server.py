"""Runs the service: worker processes on one socket, each of which listens when it is warm, and drains when told to.

One worker answers in the process that was started. Several are started anew by that process when they die; it does
nothing else, and they end when it does.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from features.errors import BadConfiguration, NextProductError, NotReady

from ..config import ServingConfig
from ..deployment.deployments import announce_start, current
from .slow_clients import ImpatientProtocol, Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_HUNG = 30  # seconds after which a worker that does not answer its supervisor is replaced


def run_server(app_of: Callable[[Path], ASGIApp], refusal: Refusal, workspace: Path, config: ServingConfig) -> None:
    """Serve until told to stop, then finish what has been begun.

    Parameters
    ----------
    app_of : makes the application of a worker, in its process; told a folder in which all workers may count
    refusal : says what somebody is told who speaks no HTTP, or too slowly
    workspace : what is in use there is said when all workers listen

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
            partial(app_of, Path(counts)),
            factory=True,
            workers=config.workers,
            loop="uvloop",
            http=cast(
                "type[ImpatientProtocol]",
                partial(
                    ImpatientProtocol,
                    header_timeout=config.header_timeout,
                    answer_timeout=config.answer_timeout,
                    refusal=refusal,
                ),
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
