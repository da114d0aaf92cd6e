"""Runs the service."""

from __future__ import annotations

from pathlib import Path

import numba
import uvicorn

from .api import create_app
from .api.holder import RecommenderHolder
from .config import ServingConfig


def run_server(workspace: Path, config: ServingConfig, tracking_uri: str | None = None) -> None:
    """Serve until stopped."""
    holder = RecommenderHolder(workspace, tracking_uri)
    # a request is one customer: waking a second thread costs ten times the arithmetic
    numba.set_num_threads(1)
    holder.refresh()  # before the server starts, so that a broken bundle is an error and not a traceback
    app = create_app(holder, config)
    uvicorn.run(app, host=config.host, port=config.port, log_level="warning", loop="uvloop", http="httptools")
