"""Group commit: a thread that writes all that came in while it wrote what came before."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Generic, TypeVar

from .errors import RecordsUnavailable

Item = TypeVar("Item")

GROUP = 256
"""Items that end a group."""


class GroupCommit(Generic[Item]):
    """Writes what the tasks of any number of event loops append, many appends at a time.

    Parameters
    ----------
    write : given the items of each append, writes them durably and says a number for each append; called by one thread
    timeout : seconds an append waits at most
    """

    def __init__(self, name: str, write: Callable[[Sequence[Sequence[Item]]], Sequence[int]], timeout: float) -> None:
        self._name = name
        self._write = write
        self._timeout = timeout
        self._pending: SimpleQueue[_Append | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False
        self._failed_at = -math.inf
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items that are not written yet."""
        return self._waiting

    @property
    def seconds_since_failure(self) -> float:
        """Since the last write, if that failed; infinite: it did not, or there has been none."""
        return monotonic() - self._failed_at

    async def append(self, items: Sequence[Item]) -> int:
        """Wait until `items` are written; what `write` said of them.

        Raises
        ------
        RecordsUnavailable : when it takes too long, or all is closed
        """
        append = _Append(items, asyncio.get_running_loop())
        self._put(append)
        try:
            async with asyncio.timeout(self._timeout):
                return await append.future
        except TimeoutError:
            append.withdrawn = True
            raise RecordsUnavailable(
                f"{self._name} took more than {self._timeout:g} s: the database is busy or does not answer"
            ) from None

    def close(self) -> None:
        """Write what was appended, and end."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._pending.put(None)
        self._thread.join(self._timeout)

    def _put(self, append: _Append) -> None:
        with self._lock:
            if self._closed:
                raise RecordsUnavailable(f"{self._name} is closed: the service is stopping, ask again")
            self._waiting += len(append.items)
            self._pending.put(append)

    def _run(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._next_group()
            taken = sum(len(append.items) for append in group)
            group = [append for append in group if not append.withdrawn]
            said: Sequence[int | Exception] = ()
            try:
                if group:
                    said = self._write([append.items for append in group])
                    self._failed_at = -math.inf
            except Exception as error:  # whoever waits gets it, and the next group may succeed
                said = [error] * len(group)
                self._failed_at = monotonic()
            with self._lock:  # before anybody is answered: who is, finds that it waits no more
                self._waiting -= taken
            _answer(group, said)

    def _next_group(self) -> tuple[list[_Append], bool]:
        """Everything that waits, up to a full group, and whether there may be more."""
        group: list[_Append] = []
        size = 0
        append = self._pending.get()
        while append is not None:
            group.append(append)
            size += len(append.items)
            if size >= GROUP:
                return group, True
            try:
                append = self._pending.get_nowait()
            except Empty:
                return group, True
        return group, False


class _Append:
    """What waits to be written, and who waits for it."""

    __slots__ = ("future", "items", "loop", "withdrawn")

    def __init__(self, items: Sequence[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.items = items
        self.loop = loop
        self.future: asyncio.Future[int] = loop.create_future()
        self.withdrawn = False


def _answer(group: Sequence[_Append], said: Sequence[int | Exception]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Append, int | Exception]]] = {}
    for append, each in zip(group, said, strict=True):
        by_loop.setdefault(append.loop, []).append((append, each))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set, answers)
        except RuntimeError:
            if not loop.is_closed():  # else nobody waits any more
                raise


def _set(answers: Sequence[tuple[_Append, int | Exception]]) -> None:
    for append, said in answers:
        if append.future.done():  # given up
            continue
        if isinstance(said, Exception):
            append.future.set_exception(said)
        else:
            append.future.set_result(said)
