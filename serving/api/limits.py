"""How much a request may send, and for how long: larger and slower bodies are refused before anything reads them."""

from __future__ import annotations

import asyncio

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import NextProductError

from .problems import TooLarge, TooSlow, problem_response

LINGER = 2.0
"""Seconds for which the rest of a refused body is still taken, unread: a connection that is closed on a caller who is
sending loses them the answer."""


class RequestLimits:
    """Reads the body of each request, within limits, before the application sees the request.

    Parameters
    ----------
    max_body_bytes : a larger body is answered 413: at once where `Content-Length` says so, else when it gets there
    body_timeout : seconds within which the whole body has to arrive, or the request is answered 408
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, body_timeout: float) -> None:
        self.app = app
        self._max_body_bytes = max_body_bytes
        self._body_timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, or refuse it."""
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except (TooLarge, TooSlow) as error:
            await _refuse(error, scope, receive, send)
            return
        if body is None:  # the caller went away
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_whole() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, receive_whole, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None when the caller goes away before its end.

        Raises
        ------
        TooLarge, TooSlow : when it is beyond the limits
        """
        self._check_length(_content_length(scope))
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    self._check_length(len(body) + len(part))
                    body += part
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise TooSlow(f"the body did not arrive within {self._body_timeout:g} seconds: send it again") from None

    def _check_length(self, length: int) -> None:
        if length > self._max_body_bytes:
            raise TooLarge(f"the body is larger than {self._max_body_bytes:,} bytes: send less at once")


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _content_length(scope: Scope) -> int:
    """What the caller says of the body's length, 0 if nothing: it is counted anyway."""
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(told) if told.isdigit() else 0


async def _refuse(error: NextProductError, scope: Scope, receive: Receive, send: Send) -> None:
    response = problem_response(error, HTTPConnection(scope))
    response.headers["connection"] = "close"

    async def send_open(message: Message) -> None:
        """Keep the connection open after the body, which is then closed below."""
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await response(scope, receive, send_open)
    try:
        async with asyncio.timeout(LINGER):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    except TimeoutError:  # whoever still sends will have to see for themselves
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
