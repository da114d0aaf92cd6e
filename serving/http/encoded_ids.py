"""Ids in addresses: whatever a bank's ids are made of, an id that is percent-encoded is one part of the path.

The framework looks for routes in the decoded path, where the slash of an id is like any other. Here slashes that were
encoded stay so until the route is found.
"""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import FastAPI
from starlette.convertors import StringConvertor
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


def install(app: FastAPI) -> None:
    """Have the routes that `app` has by now find ids in addresses."""
    for route in app.routes:
        if isinstance(route, Route):
            route.param_convertors = dict.fromkeys(route.param_convertors, _Part())
    app.user_middleware.append(Middleware(_UndividedIds))


class _UndividedIds:
    """Leaves slashes of ids, and percent signs to tell them by, encoded in the path of a request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and b"%" in (raw := scope["raw_path"]):
            scope["path"] = "/".join(_but_slashes(part) for part in raw.decode("ascii").split("/"))
        await self.app(scope, receive, send)


class _Part(StringConvertor):
    """A part of the path, decoded to its end."""

    def convert(self, value: str) -> str:
        return value.replace("%2F", "/").replace("%25", "%") if "%2" in value else value


def _but_slashes(part: str) -> str:
    return unquote(part).replace("%", "%25").replace("/", "%2F")
