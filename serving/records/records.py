"""The records of a workspace: append, look up, close."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select

from features.errors import BadInput

from .chain import Anchor
from .config import RecordsConfig
from .database import STORED, Database
from .entries import ERASURE, EVENT, RETENTION, SUPPRESSION, Entry, Sealed, StoredEntry, is_storable, now, seal
from .errors import RecordsUnavailable
from .group_commit import GroupCommit
from .opening import open_database
from .private import tighten
from .queue_files import queue_paths, waiting_files
from .standby import Standby, bring_back
from .suppressions import KEY_FILE, PREFIX, SuppressionKey, check_key
from .tables import entries as table

Found = TypeVar("Found")

_FAILED = 5.0
"""Seconds for which a write that failed counts against the records, whatever has been tried since."""

_AT_ONCE = 64
"""Keys that may be looked up by an event loop itself, where that is as short as a function call."""


class Records:
    """What is on record, and the one way to add to it.

    Any number of processes and threads may have the same records open, and write to them.

    Attributes
    ----------
    workspace : the folder they belong to
    config : their settings
    database : where they lie; `verify`, `erase` and `forget_before` work on it
    """

    def __init__(self, workspace: Path, config: RecordsConfig, database: Database, *, writable: bool) -> None:
        self.workspace = workspace
        self.config = config
        self.database = database
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="records")
        self._writer: GroupCommit[Sealed] | None = None
        self._standby: Standby | None = None
        self._key_path = str(workspace / KEY_FILE)
        self._key: SuppressionKey | None = None
        if writable:
            self._writer = GroupCommit(f"the log in {database.name}", database.append, config.commit_timeout)
            if config.on_failure == "queue":
                self._standby = Standby(workspace, database, self._writer, config.commit_timeout)

    @classmethod
    def open(cls, workspace: Path, config: RecordsConfig, *, writable: bool = True) -> Records:
        """The records of a workspace.

        Parameters
        ----------
        writable : make them where there are none yet, and put on record what a process that ended left in files

        Raises
        ------
        NotReady : when there is no such workspace; when there are no records, or only those of an older version, and
            `writable` is false; when a newer version of nextproduct has written them
        RecordsUnavailable : when the database cannot be reached, or what it keeps of refusals cannot be understood
        BadConfiguration : when the settings name none
        BadInput : when what was left in files is damaged, and nothing may be answered that is not on record
        """
        database = open_database(workspace, config)
        try:
            if writable:
                database.prepare()
                tighten(queue_paths(workspace))
            else:
                database.require()
            check_key(SuppressionKey.find(workspace), database.key_names(), workspace)
            records = cls(workspace, config, database, writable=writable)
        except BaseException:
            database.close()
            raise
        if records._writer is not None and records._standby is None:  # a standby does it by itself
            try:
                records.bring_back()
            except BaseException:
                records.close()
                raise
        return records

    @classmethod
    def open_file(cls, path: Path) -> Records:
        """The entries in a SQLite file of any name, such as `back_up` writes; for reading.

        Raises
        ------
        NotReady : when there is no such file, or no records in it that this version knows
        RecordsUnavailable : when it cannot be read
        """
        from .sqlite import SQLite

        config = RecordsConfig()
        database = SQLite(path, config.commit_timeout)
        try:
            database.require()
            return cls(path.parent, config, database, writable=False)
        except BaseException:
            database.close()
            raise

    @property
    def lag(self) -> int:
        """Entries that wait to be written."""
        return 0 if self._writer is None else self._writer.waiting

    @property
    def queued(self) -> int:
        """Entries of this process that lie in files until the database is back."""
        return 0 if self._standby is None else self._standby.queued

    @property
    def kept(self) -> int:
        """Decisions that this process has put into files, since it began."""
        return 0 if self._standby is None else self._standby.kept

    @property
    def head(self) -> Anchor:
        """The newest entry that this process wrote or, before the first, found."""
        return self.database.end

    async def append(self, entries: Sequence[Entry]) -> bool:
        """Put entries on record; they are there to stay when it returns.

        Parameters
        ----------
        entries : all or none of them are written

        Returns
        -------
        False if the id of one is on record already: then nothing is written, and `entries_by_id` finds what is there

        Raises
        ------
        RecordsUnavailable : when they cannot be written; they may still turn out to be, so append them again under the
            same ids
        """
        writer = self._open_writer()
        for entry in entries:
            if entry.kind in (ERASURE, RETENTION, SUPPRESSION):
                raise BadInput(f"records: an entry of kind {entry.kind} is written by what it tells of, not appended")
        self.database.ensure_there()
        standby, at = self._standby, now()
        if standby is None:
            return await writer.append([seal(entry, at) for entry in entries]) > 0
        if not (standby.is_down and standby.keeps(entries)):
            try:
                first = await writer.append([seal(entry, at) for entry in entries])
            except RecordsUnavailable:
                standby.is_down = True
                if not standby.keeps(entries):
                    raise
            else:
                if first:
                    standby.add_events(_events_in(entries, first, at))
                return first > 0
        await standby.keep(entries)
        return True

    def append_now(self, entries: Sequence[Entry]) -> bool:
        """As `append`, for threads without an event loop."""
        return asyncio.run(self.append(entries))

    def try_out(self) -> str | None:
        """Try what a decision needs of the records; for threads that may wait.

        Returns
        -------
        What is wrong, briefly, where decisions go into files meanwhile; None: nothing is

        Raises
        ------
        RecordsUnavailable : when a decision could not be put on record
        """
        self._suppression_key()
        self.database.ensure_there()  # nothing goes on, not in files either, beside what was taken away
        try:
            writer = self._open_writer()
            self.database.try_out()
            if writer.seconds_since_failure < _FAILED:
                raise RecordsUnavailable(
                    f"{self.database.name} could not be written {writer.seconds_since_failure:.1f} s ago",
                    "the records could not be written a moment ago",
                )
        except RecordsUnavailable as error:
            if not self.has_queue:
                raise
            self.try_queue()
            return error.briefly
        return None

    @property
    def has_queue(self) -> bool:
        """Whether decisions go into files while the database is away."""
        return self._standby is not None

    def try_queue(self) -> None:
        """See that decisions could go into files, where they may; for threads that may wait.

        Raises
        ------
        RecordsUnavailable : when the disk does not take them
        """
        if self._standby is not None:
            self._standby.try_out()

    async def events_of(self, customer_ids: Sequence[str]) -> dict[str, list[StoredEntry]]:
        """The events of each customer who has any, in the order in which they were recorded; among them refusals that
        outlived what was erased.

        Raises
        ------
        RecordsUnavailable : when the database cannot be read and its events are not kept in memory either
        """
        wanted = [customer_id for customer_id in customer_ids if is_storable(customer_id)]
        key, standby = self._suppression_key(), self._standby
        hidden = {} if key is None else {key.pseudonym(customer_id): customer_id for customer_id in wanted}
        if standby is not None and standby.is_down:
            found = standby.events_of([*wanted, *hidden])
        else:
            try:
                found = await self._read(self.database.events_of, wanted)
                if hidden:
                    found = [*await self._read(self.database.suppressions_of, list(hidden)), *found]
            except RecordsUnavailable:
                if standby is None:
                    raise
                standby.is_down = True
                found = standby.events_of([*wanted, *hidden])
        events: dict[str, list[StoredEntry]] = {}
        for event in found:
            customer_id = str(event.customer_id)
            events.setdefault(hidden.get(customer_id, customer_id), []).append(event)
        return events

    async def find(self, entry_id: str) -> StoredEntry | None:
        """The entry of that id, if there is one.

        Raises
        ------
        RecordsUnavailable : when the database cannot be read
        """
        return (await self.entries_by_id([entry_id])).get(entry_id)

    async def entries_by_id(self, entry_ids: Sequence[str]) -> dict[str, StoredEntry]:
        """Those entries that there are, by id.

        Raises
        ------
        RecordsUnavailable : when the database cannot be read
        """
        wanted = [entry_id for entry_id in entry_ids if is_storable(entry_id)]
        return {entry.entry_id: entry for entry in await self._read(self.database.entries_by_id, wanted)}

    def all_events(self, customer_ids: Callable[[], Iterable[str]]) -> dict[str, list[StoredEntry]]:
        """The events of all customers, as `events_of` gives them; for threads that may wait.

        Parameters
        ----------
        customer_ids : gives those among whom refusals that outlived what was erased are looked for, if there are any

        Raises
        ------
        RecordsUnavailable : when the database cannot be read
        """
        # an index has all it takes to find them
        numbers = select(table.c.seq).where(table.c.kind.in_((EVENT, SUPPRESSION)))
        statement = select(*STORED).where(table.c.seq.in_(numbers), table.c.customer_id.is_not(None))
        events: dict[str, list[StoredEntry]] = {}
        for row in self.database.select(statement.order_by(table.c.seq)):
            event = StoredEntry(*row)
            events.setdefault(str(event.customer_id), []).append(event)
        hidden = {name: events.pop(name) for name in list(events) if name.startswith(PREFIX)}
        key = self._suppression_key()
        if hidden and key is not None:
            for customer_id in customer_ids():
                refused = hidden.get(key.pseudonym(customer_id))
                if refused is not None:
                    events[customer_id] = [*refused, *events.get(customer_id, ())]
        return events

    async def of_nobody(self, kind: str, since: str) -> list[StoredEntry]:
        """The entries of a kind that concern no customer and were recorded since a time, oldest first.

        Raises
        ------
        RecordsUnavailable : when the database cannot be read
        """
        # an index has them, by customer and kind
        wanted = (table.c.customer_id.is_(None), table.c.kind == kind, table.c.at >= since)
        statement = select(*STORED).where(*wanted).order_by(table.c.seq)
        rows = await asyncio.get_running_loop().run_in_executor(self._readers, self.database.select, statement)
        return [StoredEntry(*row) for row in rows]

    def newest(
        self,
        count: int,
        *,
        customer_id: str | None = None,
        kind: str | None = None,
        before: int | None = None,
        since: str | None = None,
    ) -> list[StoredEntry]:
        """The last `count` entries, of one customer or kind if one is named, oldest first; for threads that may wait.

        Parameters
        ----------
        before : only entries with a lower number
        since : only entries of that time, written as theirs is, or later

        Raises
        ------
        RecordsUnavailable : when the database cannot be read
        """
        statement = select(*STORED).order_by(table.c.seq.desc()).limit(count)
        if customer_id is not None:
            statement = statement.where(table.c.customer_id == customer_id)
        if kind is not None:
            statement = statement.where(table.c.kind == kind)
        if before is not None:
            statement = statement.where(table.c.seq < before)
        if since is not None:
            statement = statement.where(table.c.at >= since)
        return [StoredEntry(*row) for row in reversed(self.database.select(statement))]

    def bring_back(self) -> None:
        """Put on record what lies in files that no process writes any more; for threads that may wait.

        Raises
        ------
        RecordsUnavailable : when the database cannot be written
        BadInput : when a file is damaged
        """
        if waiting_files(self.workspace):
            # in a thread: whoever opens the records may have an event loop running
            self._readers.submit(bring_back, self.workspace, self.database, self._open_writer()).result()

    def close(self) -> None:
        """Write what waits, and close everything."""
        if self._standby is not None:
            self._standby.close()
        if self._writer is not None:
            self._writer.close()
        self._readers.shutdown()
        self.database.close()

    def _suppression_key(self) -> SuppressionKey | None:
        """None while nothing has been suppressed; its file is there before the first entry that it is needed for."""
        if self._key is None and os.path.exists(self._key_path):
            self._key = SuppressionKey.find(self.workspace)
        return self._key

    def _open_writer(self) -> GroupCommit[Sealed]:
        if self._writer is None:
            raise RecordsUnavailable(f"the records in {self.database.name} were opened for reading only")
        return self._writer

    async def _read(self, lookup: Callable[[Sequence[str]], list[Found]], keys: Sequence[str]) -> list[Found]:
        if not keys:
            return []
        if self.database.answers_at_once and len(keys) <= _AT_ONCE:
            return lookup(keys)
        return await asyncio.get_running_loop().run_in_executor(self._readers, lookup, keys)


def _events_in(entries: Sequence[Entry], first: int, at: str) -> list[StoredEntry]:
    return [
        StoredEntry(seq, entry.entry_id, entry.kind, entry.at or at, entry.customer_id, entry.payload)
        for seq, entry in enumerate(entries, start=first)
        if entry.kind == EVENT
    ]
