"""Every event in memory, for as long as the database is away: a refused consent must not be forgotten then."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from sqlalchemy import func, select

from .database import STORED, Database
from .entries import ERASURE, EVENT, RETENTION, SUPPRESSION, StoredEntry
from .erased import Ranges
from .tables import entries

_FOLLOWED = (EVENT, SUPPRESSION, ERASURE, RETENTION)


class EventMirror:
    """The events of all customers who have any."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events: dict[str, dict[int, StoredEntry]] = {}
        self._seen = 0
        self._lock = threading.Lock()

    def follow(self) -> None:
        """Take in what was written since the last time, by whomever; called by one thread.

        Raises
        ------
        RecordsUnavailable : when the database cannot be read
        """
        newest = self._database.select(select(func.max(entries.c.seq)))[0][0] or 0
        if newest == self._seen:
            return
        numbers = select(entries.c.seq).where(entries.c.kind.in_(_FOLLOWED))
        if self._seen:  # else an index has all it takes
            numbers = numbers.where(entries.c.seq > self._seen)
        new = self._database.select(
            select(*STORED).where(entries.c.seq.in_(numbers), entries.c.seq <= newest).order_by(entries.c.seq)
        )
        with self._lock:
            self._take(StoredEntry(*row) for row in new)
            self._seen = newest

    def add(self, events: Iterable[StoredEntry]) -> None:
        """Take in events just written, before they are followed."""
        with self._lock:
            self._take(event for event in events if event.seq > self._seen)

    def events_of(self, customer_ids: Sequence[str]) -> list[StoredEntry]:
        """Their events, oldest first."""
        with self._lock:
            found = [event for customer_id in set(customer_ids) for event in self._events.get(customer_id, {}).values()]
        return sorted(found, key=lambda event: event.seq)

    def _take(self, new: Iterable[StoredEntry]) -> None:
        for entry in new:
            if entry.kind in (ERASURE, RETENTION):
                self._erase(Ranges.named_by(entry))
            elif entry.customer_id is not None:
                self._events.setdefault(entry.customer_id, {})[entry.seq] = entry

    def _erase(self, erased: Ranges) -> None:
        kept = {
            customer_id: {seq: event for seq, event in events.items() if seq not in erased}
            for customer_id, events in self._events.items()
        }
        self._events = {customer_id: events for customer_id, events in kept.items() if events}
