"""Without any key nobody can be known: then everything but health is refused, the documentation too."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from ..access import NotAuthenticated
from .problems import problem_response
from .service import Service

_HEALTH = frozenset({"/healthz", "/readyz"})


class Gate:
    """Closed while the service has no key of anybody's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in if anybody's could be let in."""
        if scope["type"] == "http" and scope["path"] not in _HEALTH:
            service: Service = scope["app"].state.service
            if not service.authenticator.has_keys:
                service.metrics.count_refused("not_authenticated")
                refusal = problem_response(NotAuthenticated("the service has no keys"), HTTPConnection(scope))
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)
