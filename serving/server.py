"""Runs the service."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import numba
import uvicorn

from features.errors import BadConfiguration

from .api import create_app
from .api.holder import RecommenderHolder
from .config import ServingConfig


def run_server(workspace: Path, config: ServingConfig, tracking_uri: str | None = None) -> None:
    """Serve until stopped.

    Raises
    ------
    BadConfiguration : when host and port cannot be listened on
    """
    # a request is one customer: waking a second thread costs ten times the arithmetic
    numba.set_num_threads(1)
    holder = RecommenderHolder(workspace, tracking_uri)
    holder.refresh()  # before listening: nobody's first request waits for it
    app = create_app(holder, config)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", loop="uvloop", http="httptools"))
    with _listening(config.host, config.port) as listener, suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise BadConfiguration(f"cannot listen on {host}:{port} ({error.strerror}): give another --port") from None
