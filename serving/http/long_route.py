"""Routes whose work is long: when their caller goes away, what is still to be done of it is dropped."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send


class LongRoute(APIRoute):
    """Answers as any other, and stops when nobody listens any more.

    For routes that change nothing but by what they answer: they may stop anywhere. The whole body has been read before.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or stop without an answer."""
        first: Message | None = await receive()
        is_answered = is_gone = False

        async def receive_first() -> Message:
            nonlocal first
            if first is None:
                return await receive()
            message, first = first, None
            return message

        async def send_seen(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        work = asyncio.create_task(super().handle(scope, receive_first, send_seen))

        async def stop_when_gone() -> None:
            nonlocal is_gone
            while (await receive())["type"] != "http.disconnect":
                pass
            if not is_answered:  # else the answer ended, and with it what there was to receive
                is_gone = True
                work.cancel()

        watching = asyncio.create_task(stop_when_gone())
        try:
            await work
        except asyncio.CancelledError:
            if not is_gone:
                raise
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
