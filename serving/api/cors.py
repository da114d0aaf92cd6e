"""Pages of other origins that call the service from a browser."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from .problems import described_problem


class CrossOrigin(CORSMiddleware):
    """Starlette's CORS, with problems for what it refuses."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what a browser asks before a request, or the request."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            asked = Headers(scope=scope)
            if "origin" in asked and "access-control-request-method" in asked:
                response = self.preflight_response(request_headers=asked)
                if response.status_code >= 400:
                    may = {name: says for name, says in response.headers.items() if not name.startswith("content-")}
                    detail = f"a page of this origin may not send this request ({bytes(response.body).decode()})"
                    response = described_problem(HTTPConnection(scope), response.status_code, detail, may)
                await response(scope, receive, send)
                return
        await super().__call__(scope, receive, send)
