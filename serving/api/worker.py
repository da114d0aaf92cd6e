"""One worker of the service: its application, made in its process, and what its process needs besides."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from functools import partial
from http import HTTPStatus
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from features.clock import Clock
from features.errors import NextProductError

from ..config import ServingConfig

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .metrics import Metrics

SWITCH_SECONDS = 0.002
"""For which one thread may keep the others from Python; less than usual, as a deployment is opened in a thread beside
the one that answers, and not much less, as those who write the records would interrupt it too often."""

_GARBAGE = 20_000  # objects, such as a second's requests make, before those in circles are looked for


def run_service(workspace: Path, config: ServingConfig, clock: Clock, tracking_uri: str | None = None) -> None:
    """Serve a workspace until told to stop, then finish what has been begun.

    Raises
    ------
    BadConfiguration : when host and port cannot be listened on
    NotFound : when there is no such workspace
    NotReady : when the workers cannot start; why is on stderr
    """
    from ..http.server import run_server

    run_server(partial(app_of, workspace, config, clock, tracking_uri), refusal_of, workspace, config)


def app_of(workspace: Path, config: ServingConfig, clock: Clock, tracking_uri: str | None, counts: Path) -> ASGIApp:
    """The application of one worker; made, and imported, in its process."""
    gc.disable()  # until it has started: nearly all that is made till then stays
    import numba

    from .logs import configure
    from .metrics import collect_in

    configure(config.log_level)
    metrics = collect_in(counts)  # before anything imports what counts
    from .app import create_app

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


def refusal_of(status: HTTPStatus, detail: str, request_id: str) -> tuple[str, bytes]:
    """What is told to somebody of whom no request can be read: its media type and content."""
    from .problems import MEDIA_TYPE, problem_body  # not before the process that answers has its settings

    return MEDIA_TYPE, problem_body(status, detail, request_id)
