"""Writes to a connection that follow each other at once, made as one.

A server writes the head of an answer and then its body, and uvloop sends each by itself: two calls of the system, two
packets, and the caller wakes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class WholeWrites(asyncio.Transport):
    """A transport that sends what is written before the event loop turns again in one piece.

    Parameters
    ----------
    closing : told when it is to be closed, which it is as soon as all is sent
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._closing = closing
        self._transport = transport
        self._loop = loop
        self._held: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` soon, with what is written till then."""
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)

    def close(self) -> None:
        """Send what is held, and close."""
        self._send()
        self._transport.close()
        self._closing()

    def write_eof(self) -> None:
        """Send what is held, and say that nothing more comes."""
        self._send()
        self._transport.write_eof()

    def abort(self) -> None:
        """Close at once."""
        self._held.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """As of the transport beneath, as all that follows."""
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Bytes that have not been sent, but for those that are held."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the connection is like."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who is told of what comes in."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who that is."""
        return self._transport.get_protocol()

    def pause_reading(self) -> None:
        """Take in nothing more."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking in."""
        self._transport.resume_reading()

    def _send(self) -> None:
        held, self._held = self._held, []
        if held:
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))
