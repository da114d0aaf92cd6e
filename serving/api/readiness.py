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


_log = logging.getLogger(__name__)


class Unready(NotReady):
    """Nothing can be answered now; the message may be told to anybody, what led to it to those who read the log."""


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

    async def check(self) -> list[str]:
        """See that customers can be answered.

        Returns
        -------
        What an operator should look at all the same, without addresses and paths

        Raises
        ------
        NotReady : when they cannot, saying why
        """
        _, recommender = self._in_use.get()
        self._limits.check(recommender)
        if self._trying is None and monotonic() - self._ended >= EVERY:
            self._begin()
        if self._trying is not None:
            left = self._began + self._timeout - monotonic()
            await asyncio.wait([self._trying], timeout=max(0.0, left if self._found is None else min(left, PATIENCE)))
        found = self._found
        if self._trying is not None and monotonic() - self._began >= self._timeout:
            says = f"the records could not be written within {self._timeout:g} s: something holds a lock on them"
            found = _Found(Unready(says), None)
        if found is None:
            raise Unready("the records are being tried for the first time")
        if found.error is not None:
            raise found.error
        return [warning for warning in (found.warning, self._limits.warning(recommender)) if warning is not None]

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
            unready = Unready(error.briefly)
            unready.__cause__ = error
            found = _Found(unready, None)
        except NotReady as error:
            found = _Found(error, None)
        except Exception as error:
            unready = Unready("the records cannot be tried: the log says why")
            unready.__cause__ = error
            found = _Found(unready, None)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._end, found)

    def _tried(self) -> str | None:
        if not self._workspace.is_dir():
            raise Unready("the folder of the workspace is gone")
        said = self._records.try_out()
        return None if said is None else f"decisions wait in files: {said}"

    def _end(self, found: _Found) -> None:
        before = self._found.error if self._found is not None else None
        if found.error is not None and str(found.error) != str(before):
            _log.warning("not ready: %s", found.error.__cause__ or found.error)
        self._found, self._ended = found, monotonic()
        if self._trying is not None and not self._trying.done():
            self._trying.set_result(found)
        self._trying = None
