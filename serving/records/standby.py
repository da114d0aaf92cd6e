"""What goes on while the database is away: decisions go into files, events are known from memory, and once it is back,
what waits is brought there."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from features.errors import BadInput

from .database import Database
from .entries import ACCESS, DECISION, Entry, Sealed, StoredEntry, now, seal
from .errors import RecordsUnavailable
from .event_mirror import EventMirror
from .group_commit import GroupCommit
from .queue_files import FOLDER, QueueFiles, drain, waiting_files

PERIOD = 1.0
"""Seconds between two looks whether the database is back, what others wrote and what waits in files."""

_log = logging.getLogger(__name__)


class Standby:
    """Stands in for a database that is away.

    Attributes
    ----------
    is_down : whether the database failed the last time it was used
    kept : decisions that this process has put into files, brought back or not
    """

    def __init__(self, workspace: Path, database: Database, writer: GroupCommit[Sealed], timeout: float) -> None:
        self.is_down = False
        self.kept = 0
        self._workspace = workspace
        self._database = database
        self._timeout = timeout
        self._writer = writer
        self._mirror = EventMirror(database)
        self._mirror.follow()
        self._files = QueueFiles(workspace)
        self._queue: GroupCommit[Entry] = GroupCommit(f"the queue in {workspace / FOLDER}", self._files.append, timeout)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="records standby", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Entries of this process that lie in files."""
        return self._files.count

    async def keep(self, entries: Sequence[Entry]) -> None:
        """Keep decisions, and who looked at whom, in a file until the database is back.

        Raises
        ------
        RecordsUnavailable : when the disk does not take them
        """
        at = now()
        await self._queue.append([entry if entry.at else replace(entry, at=at) for entry in entries])
        self.kept += sum(entry.kind == DECISION for entry in entries)

    def keeps(self, entries: Sequence[Entry]) -> bool:
        """Whether these may wait: an event that nobody else hears of, or feedback to what is not found, may not."""
        return all(entry.kind in (DECISION, ACCESS) for entry in entries)

    def add_events(self, events: Sequence[StoredEntry]) -> None:
        """Know of events just written."""
        self._mirror.add(events)

    def events_of(self, customer_ids: Sequence[str]) -> list[StoredEntry]:
        """The events of some customers, oldest first, as far as they were known when the database went away."""
        return self._mirror.events_of(customer_ids)

    def try_out(self) -> None:
        """See that decisions can be kept.

        Raises
        ------
        RecordsUnavailable : when the disk does not take them
        """
        self._files.try_out()

    def close(self) -> None:
        """End; what lies in files is drained by whoever opens the records next."""
        self._stopping.set()
        self._thread.join(self._timeout)
        self._queue.close()
        self._files.put_aside()

    def _watch(self) -> None:
        said = ""
        while True:
            try:
                self._look()
                said = ""
            except (RecordsUnavailable, BadInput) as error:
                self.is_down = isinstance(error, RecordsUnavailable)
                if str(error) != said:
                    _log.warning("%s", error)
                said = str(error)
            except Exception:
                self.is_down = True
                _log.exception("the standby of %s failed; it goes on", self._database.name)
            if self._stopping.wait(PERIOD):
                return

    def _look(self) -> None:
        self._mirror.follow()
        if waiting_files(self._workspace):
            self._files.put_aside()
            bring_back(self._workspace, self._database, self._writer)
        self.is_down = False


def bring_back(workspace: Path, database: Database, writer: GroupCommit[Sealed]) -> None:
    """Put on record what lies in files that nobody writes; for threads without an event loop.

    Raises
    ------
    RecordsUnavailable : when the database is away
    BadInput : when a file is damaged
    """

    def take(waiting: Sequence[Entry]) -> None:
        while new := _not_there(waiting, database):
            if asyncio.run(writer.append([seal(entry, now()) for entry in new])):
                return

    drain(workspace, take)


def _not_there(waiting: Sequence[Entry], database: Database) -> list[Entry]:
    """Of some entries, those not on record. One whose id stands for something else gets an id of its own: it was
    answered, and may not be lost."""
    taken: dict[str, Entry] = {}
    while waiting:
        there = {entry.entry_id: entry for entry in database.entries_by_id([entry.entry_id for entry in waiting])}
        others = []
        for entry in waiting:
            stored, twin = there.get(entry.entry_id), taken.get(entry.entry_id)
            if stored is None and twin is None:
                taken[entry.entry_id] = entry
            elif not (stored.says_the_same_as(entry) if stored else _same(entry, twin)):
                others.append(replace(entry, entry_id=f"{entry.entry_id}~"))
        waiting = others
    return list(taken.values())


def _same(entry: Entry, other: Entry | None) -> bool:
    return other is not None and replace(other, at=entry.at) == entry
