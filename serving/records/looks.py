"""Who looked at a customer: who asked what to offer them, told what they did or said, or was shown what is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from .database import STORED
from .entries import DECISION, StoredEntry
from .pages import pages
from .records import Records
from .tables import entries

_ASKED = "recommendations"
"""What was looked at by whom a decision was made for."""


@dataclass(frozen=True)
class Look:
    """An entry about a customer that names its caller.

    Attributes
    ----------
    what : ``recommendations``, ``feedback`` or ``event``, or what an entry of kind access says was looked at
    caller : subject, role and how they were known; RM and branch, where these bound what was seen
    address : from which they called; None where it is not on record
    request_id : names the request in the service's log
    times : how often, where one entry stands for several
    """

    seq: int
    at: str
    entry_id: str
    what: str
    caller: dict[str, Any]
    address: str | None
    request_id: str | None
    times: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seq": self.seq, "at": self.at, "entry_id": self.entry_id, "what": self.what, "caller": self.caller,
            "from": self.address, "request_id": self.request_id, "times": self.times,
        }  # fmt: skip


def looks_at(records: Records, customer_id: str, *, since: str | None = None) -> Iterator[Look]:
    """Every look at a customer that is on record, oldest first. What was erased or forgotten tells nobody any more, and
    campaign lists name nobody here.

    Parameters
    ----------
    since : only looks of that time, written as entries have it, or later

    Raises
    ------
    RecordsUnavailable : when the database cannot be read
    """
    which = [entries.c.customer_id == customer_id, entries.c.payload.is_not(None)]
    if since is not None:
        which.append(entries.c.at >= since)
    with records.database.snapshot() as connection:
        for rows in pages(connection, STORED, *which):
            for row in rows:
                look = _look(StoredEntry(*row))
                if look is not None:
                    yield look


def _look(entry: StoredEntry) -> Look | None:
    said = orjson.loads(entry.payload or b"null")
    if not isinstance(said, dict) or not isinstance(said.get("caller"), dict):
        return None
    what = _ASKED if entry.kind == DECISION else said.get("what", entry.kind)
    return Look(
        entry.seq, entry.at, entry.entry_id, what, said["caller"], said.get("from"), said.get("request_id"),
        said.get("times", 1),
    )  # fmt: skip
