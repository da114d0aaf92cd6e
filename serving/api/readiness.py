"""Whether customers can be answered: what a decision needs is really tried, beside the event loop and not too often."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from features.errors import NotReady

from ..deployment import AgeLimits, Follower
from ..records import Records, RecordsUnavailable

EVERY = 1.0
"""Seconds for which what was found holds."""

PATIENCE = 0.5
"""Seconds for which who asks waits for an attempt, as long as something was found before."""


_IN_FILES = "decisions wait in files"

_log = logging.getLogger(__name__)


class Unready(NotReady):
    """Nothing can be answered now.

    Attributes
    ----------
    briefly : why, without addresses and paths
    """

    briefly = "the records cannot be tried"

    def __init__(self, says: str, briefly: str = briefly) -> None:
        super().__init__(says)
        self.briefly = briefly


class _Found(NamedTuple):
    error: NotReady | None
    warning: str | None


class Readiness:
    """Tries, for one worker, what a decision needs.

    Parameters
    ----------
    timeout : seconds that a decision waits for its record: an attempt that takes longer has failed
    limits : of the states that may be decided from
    """

    def __init__(self, workspace: Path, in_use: Follower, records: Records, timeout: float, limits: AgeLimits) -> None:
        self._workspace = workspace
        self._in_use = in_use
        self._records = records
        self._timeout = timeout
        self._limits = limits
        self._found: _Found | None = None
        self._began = self._ended = float("-inf")
        self._trying: asyncio.Future[_Found] | None = None
        self._queue: tuple[float, _Found] | None = None

    async def check(self) -> list[str]:
        """See that customers can be answered.

        Returns
        -------
        What an operator should look at all the same, without addresses and paths

        Raises
        ------
        NotReady : when they cannot, saying why
        """
        _, engine = self._in_use.get()
        self._limits.check(engine)
        if self._trying is None and monotonic() - self._ended >= EVERY:
            self._begin()
        if self._trying is not None:
            left = self._began + self._timeout - monotonic()
            await asyncio.wait([self._trying], timeout=max(0.0, left if self._found is None else min(left, PATIENCE)))
        found = self._found
        if self._trying is not None and monotonic() - self._began >= self._timeout:
            found = await self._overdue()
        if found is None:
            raise _unready("the records are being tried for the first time")
        if found.error is not None:
            raise found.error
        return [warning for warning in (found.warning, self._limits.warning(engine)) if warning is not None]

    async def _overdue(self) -> _Found:
        """What is so while an attempt takes longer than a decision waits."""
        says = f"the records could not be written within {self._timeout:g} s: something holds a lock on them"
        if not self._records.has_queue:
            return _Found(_unready(says), None)
        if self._queue is None or monotonic() - self._queue[0] >= EVERY:
            try:
                await asyncio.to_thread(self._records.try_queue)
            except RecordsUnavailable as error:
                found = _Found(_unready(error.briefly, error), None)
            else:
                found = _Found(None, f"{_IN_FILES}: {says}")
            self._queue = monotonic(), found
        return self._queue[1]

    def _begin(self) -> None:
        self._began = monotonic()
        loop = asyncio.get_running_loop()
        self._trying = loop.create_future()
        # not in a pool: while a lock is held the thread cannot be ended, and nobody is to wait for it when all ends
        threading.Thread(target=self._try, args=(loop,), name="readiness", daemon=True).start()

    def _try(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            found = _Found(None, self._tried())
        except RecordsUnavailable as error:
            found = _Found(_unready(error.briefly, error), None)
        except NotReady as error:
            found = _Found(error, None)
        except Exception as error:
            _log.exception("the records cannot be tried")
            found = _Found(_unready("the records cannot be tried: the log says why", error), None)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._end, found)

    def _tried(self) -> str | None:
        if not self._workspace.is_dir():
            raise _unready("the folder of the workspace is gone")
        said = self._records.try_out()
        return None if said is None else f"{_IN_FILES}: {said}"

    def _end(self, found: _Found) -> None:
        before = self._found.error if self._found is not None else None
        if found.error is not None and str(found.error) != str(before):
            _log.warning("not ready: %s", found.error)
        self._found, self._ended = found, monotonic()
        if self._trying is not None and not self._trying.done():
            self._trying.set_result(found)
        self._trying = None


def _unready(briefly: str, cause: Exception | None = None) -> Unready:
    """For everybody in brief, for the log in the words of what led to it."""
    return Unready(briefly if cause is None else str(cause), briefly)
