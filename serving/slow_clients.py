"""Connections on which a request's headers do not come to an end: they are closed, before they use up what others need.

The server waits for headers for ever, and keeps all that has come of them. What is slow after the headers, the body, is
the application's to refuse, since it can say why.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .whole_writes import WholeWrites

MOST_HEADER_BYTES = 65_536
"""Bytes that headers may have which do not arrive at once; of those that do, the server reads no more at a time."""


class ImpatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, which waits for a request's headers `header_timeout` seconds and no longer, and
    sends an answer in one piece.

    The time runs from the connection on, and again from the first byte after an answer; until that byte a connection
    is kept for as long as uvicorn keeps idle ones.
    """

    def __init__(self, *arguments: Any, header_timeout: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._header_timeout = header_timeout
        self._due: asyncio.TimerHandle | None = None
        self._unfinished = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(WholeWrites(transport, self.loop))
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on while headers are not complete, and no longer once they are."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop_waiting()
        elif before is None or before.response_complete:  # all of it belongs to the headers of the next request
            self._wait()
            self._unfinished += len(data)
            if self._unfinished > MOST_HEADER_BYTES:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(self._header_timeout, self.transport.close)

    def _stop_waiting(self) -> None:
        self._unfinished = 0
        if self._due is not None:
            self._due.cancel()
            self._due = None
