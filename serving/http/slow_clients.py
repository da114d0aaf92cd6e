"""Connections that do not come to an end of what they say, or do not take what they are told: they are closed, before
they use up what others need. What is no HTTP is told so in a problem, as everything else is.

The server waits for headers, and for its answer to be read, for ever, and keeps all of both. What is slow after the
headers, the body, is the application's to refuse, since it can say why.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .whole_writes import WholeWrites

MOST_HEADER_BYTES = 65_536
"""Bytes that headers may have which do not arrive at once; of those that do, the server reads no more at a time."""

LEAST_TAKEN = 65_536
"""Bytes of an answer that have to be taken within `answer_timeout`, or what is left of it."""

Refusal = Callable[[HTTPStatus, str, str], tuple[str, bytes]]
"""From status, detail and the request's id to the media type and content of what is told to who is refused."""

_LINGER = 2.0  # seconds in which who is still sending may read why they are refused


class ImpatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, which waits for a request's headers `header_timeout` seconds and no longer, for
    somebody to take an answer, or some of it, `answer_timeout` seconds, and sends an answer in one piece.

    The time for headers runs from the connection on, and again from the first byte after an answer; until that byte a
    connection is kept for as long as uvicorn keeps idle ones. The time for an answer runs while so much of it waits
    that no more is taken from the application, and from the moment on in which the connection is to be closed.
    """

    def __init__(
        self, *arguments: Any, header_timeout: float, answer_timeout: float, refusal: Refusal, **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._header_timeout = header_timeout
        self._answer_timeout = answer_timeout
        self._refusal = refusal
        self._due: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._left = 0
        self._unfinished = 0
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(WholeWrites(transport, self.loop, self._wait_for_reader))
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on while headers are not complete, and no longer once they are."""
        if not self._is_refused:  # else it comes after what was no HTTP
            self._take(data)

    def _take(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self._is_refused:
            return
        if self.cycle is not before:
            self._stop_waiting()
        elif before is None or before.response_complete:  # all of it belongs to the headers of the next request
            self._wait()
            self._unfinished += len(data)
            if self._unfinished > MOST_HEADER_BYTES:
                says = f"the headers are larger than {MOST_HEADER_BYTES:,} bytes: send fewer"
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, says)

    def send_400_response(self, msg: str) -> None:
        """Say that what came is no HTTP."""
        cycle = self.cycle
        is_answered = cycle is None or cycle.response_complete
        if is_answered or (cycle.more_body and not cycle.response_started and not self.pipeline):
            self._refuse(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request: the connection is closed")
        else:  # the answers to what came before are still to be sent, and this one would be taken for the next of them
            self._stop_waiting()
            self._is_refused = True
            cycle.keep_alive = False

    def pause_writing(self) -> None:
        """Begin to wait for the answer to be read."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """Wait no longer: it is."""
        super().resume_writing()
        if not self.transport.is_closing():  # else all of it has to be read
            self._stop_waiting_for_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)
        self._stop_waiting_for_reader()

    def _wait(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(self._header_timeout, self._give_up)

    def _give_up(self) -> None:
        if self._unfinished:
            says = f"the headers did not arrive within {self._header_timeout:g} seconds: send them again"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, says)
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        self._unfinished = 0
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _wait_for_reader(self) -> None:
        if self._unread is None:
            self._left = self.transport.get_write_buffer_size()
            self._unread = self.loop.call_later(self._answer_timeout, self._look_at_reader)

    def _look_at_reader(self) -> None:
        """Wait on for who has taken something meanwhile; nothing is added to an answer that waits."""
        self._unread = None
        if self.transport.get_write_buffer_size() > self._left - LEAST_TAKEN:
            self.transport.abort()
        else:
            self._wait_for_reader()

    def _stop_waiting_for_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a refusal, and close the connection a little later: at once, who is sending would not see it."""
        self._stop_waiting()
        self._is_refused = True
        request_id = os.urandom(16).hex()
        self.logger.warning("a connection was refused: %s (%s)", detail, request_id)
        media_type, body = self._refusal(status, detail, request_id)
        lines = [
            f"content-type: {media_type}", f"content-length: {len(body)}", "cache-control: no-store",
            f"x-request-id: {request_id}", "connection: close", "", "",
        ]  # fmt: skip
        self.transport.write(STATUS_LINE[status] + "\r\n".join(lines).encode() + body)
        self.transport.write_eof()
        self._due = self.loop.call_later(_LINGER, self.transport.close)
        if self.cycle is not None and not self.cycle.response_complete:  # what its body belonged to is not answered
            self.cycle.disconnected = True
            self.cycle.message_event.set()
