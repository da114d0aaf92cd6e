"""Replays that are asked for over the API: few at a time, so that those who ask for decisions do not wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import Context
from pathlib import Path
from time import monotonic

from features.clock import Clock

from ..answering.engine import DecisionEngine
from ..deployment import Follower, open_versions
from ..records import Records, StoredEntry
from .desk import Busy
from .replay import Replay, replay

AT_ONCE = 1
"""Replays that a worker computes at the same time; the others wait in the order in which they were asked for."""

MOST_WAITING = 16
"""Replays that may be asked for at the same time; more are refused rather than answered too late."""

KEPT = 30.0
"""Seconds for which versions that were opened for a replay are kept for the next one."""


class Replays:
    """Decides again, for one worker.

    Versions that are in use are those that the worker decides by: the same objects. Others are opened from the disk,
    and the last of them kept for `KEPT` seconds. Whether the files of either are still there is looked up each time.
    `nextproduct replay` opens all of them from the disk.
    """

    def __init__(
        self, records: Records, workspace: Path, tracking_uri: str | None, clock: Clock, in_use: Follower
    ) -> None:
        self._records = records
        self._workspace = workspace
        self._tracking_uri = tracking_uri
        self._clock = clock
        self._in_use = in_use
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[str, asyncio.Task[Replay]] = {}
        self._kept: tuple[tuple[str, ...], DecisionEngine] | None = None
        self._used = 0.0

    async def replay(self, entry: StoredEntry) -> Replay:
        """Decide again what `entry`, whose payload is there, tells; who asks for the same meanwhile gets the same.

        Raises
        ------
        Busy : when too many wait
        RecordsUnavailable : when its events cannot be read
        """
        running = self._asked.get(entry.entry_id)
        if running is None:
            if len(self._asked) >= MOST_WAITING:
                raise Busy("more replays are asked for than can be computed: ask again in a moment")
            running = asyncio.create_task(self._in_turn(entry), context=Context())
            self._asked[entry.entry_id] = running
            running.add_done_callback(lambda task: self._end(entry.entry_id, task))
        return await asyncio.shield(running)  # whoever hangs up, others may wait for it

    async def _in_turn(self, entry: StoredEntry) -> Replay:
        async with self._turn:
            found = await replay(
                self._records, self._workspace, self._tracking_uri, self._clock, entry, opened=self._opened
            )
        asyncio.get_running_loop().call_later(KEPT, self._let_go)
        return found

    def _end(self, entry_id: str, task: asyncio.Task[Replay]) -> None:
        del self._asked[entry_id]
        if not task.cancelled():
            task.exception()  # those who asked may have hung up

    def _opened(self, versions: Mapping[str, str]) -> DecisionEngine:
        """In the thread of the replay whose turn it is."""
        self._used = monotonic()
        held = self._in_use.held
        if held is not None and held.engine.versions.to_dict() == versions:
            return held.engine
        key = tuple(versions.values())
        if self._kept is None or self._kept[0] != key:
            self._kept = None  # before others are opened
            self._kept = key, open_versions(self._workspace, self._tracking_uri, self._clock, versions, share=held)
        return self._kept[1]

    def _let_go(self) -> None:
        if monotonic() - self._used >= KEPT:
            self._kept = None
