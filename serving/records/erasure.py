"""Forgetting: one person on request, or everybody after some time. The chain stays whole, and says that it was done."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
from rich.progress import Progress
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from features.errors import BadInput, NotFound

from .database import UNTOUCHED, Room, end_of, write
from .entries import APPROVAL, ERASURE, PERSONAL, RETENTION, Entry, new_entry_id, now, seal
from .erased import Ranges
from .errors import RecordsUnavailable
from .queue_files import waiting_files
from .records import Records
from .suppressions import suppressions
from .tables import entries

_WINDOW = 2_000  # entries that one transaction empties, so that nobody waits long to write


@dataclass(frozen=True)
class Erasure:
    """What an erasure did.

    Attributes
    ----------
    entry_id : the entry that tells of it
    erased : how many entries of the person were emptied
    room : what became of theirs
    """

    entry_id: str
    erased: int
    room: Room = UNTOUCHED


@dataclass(frozen=True)
class Retention:
    """What a retention did.

    Attributes
    ----------
    entry_ids : the entries that tell of it
    erased : how many entries were emptied
    room : what became of theirs
    """

    entry_ids: tuple[str, ...]
    erased: int
    room: Room


def erase(
    records: Records, customer_id: str, *, reason: str, by: str, lists: Mapping[str, str] | None = None
) -> Erasure:
    """Remove payload, salt and customer from every entry of a person, as PIPL and GDPR ask.

    An entry of kind erasure says who did it, why, and the numbers of the entries, but nothing of the person. What the
    person refused stays refused: see `suppressions`. Afterwards
    the workspace holds none of the bytes; backups, and the write-ahead log of a PostgreSQL server, are for its
    administrator to let go of. Entries written later are not touched.

    Parameters
    ----------
    reason : is kept: it must not name the person
    by : who asks for it
    lists : files of kept lists that the person is taken off, and what each is called without them

    Raises
    ------
    NotFound : when nothing of that person is on record, nor on any list
    BadInput : when there is no reason
    RecordsUnavailable : when the records cannot be written, or decisions that wait in files cannot be put there first
    """
    if not reason.strip():
        raise BadInput("records: an erasure needs a reason")
    bring_all_back(records)
    own = entries.c.customer_id == customer_id
    with records.database.writing() as connection:
        said = {"reason": reason, "by": by} | ({"lists": lists} if lists else {})
        done = _empty(connection, own, ERASURE, said, records.workspace)
    room = records.database.scrub()  # even when nothing was found: a first attempt may have been interrupted here
    if done is None:
        raise NotFound(f"nothing of customer {customer_id} is on record")
    return replace(done, room=room)


def forget_before(records: Records, day: date, *, by: str, progress: Progress | None = None) -> Retention:
    """Remove payload, salt and customer from every decision, feedback, event, look and approval of a customer that was
    recorded before `day` (UTC).

    Some thousand entries at a time; each such step writes an entry of kind retention with their numbers. What was
    refused stays refused: see `suppressions`.

    Raises
    ------
    BadInput : when `day` is not in the past
    RecordsUnavailable : as in `erase`
    """
    if day > datetime.now(UTC).date():
        raise BadInput(f"records: {day} is in the future: nothing may be forgotten before it has happened")
    bring_all_back(records)
    kinds = and_(entries.c.kind.in_(PERSONAL), or_(entries.c.kind != APPROVAL, entries.c.customer_id.is_not(None)))
    old = and_(entries.c.at < day.isoformat(), kinds, entries.c.payload.is_not(None))
    newest = records.database.select(select(func.max(entries.c.seq)))[0][0] or 0
    task = progress.add_task("Forgetting", total=newest) if progress is not None else None
    done: list[Erasure] = []
    for start in range(1, newest + 1, _WINDOW):
        window = and_(entries.c.seq.between(start, start + _WINDOW - 1), old)
        if records.database.select(select(entries.c.seq).where(window).limit(1)):
            with records.database.writing() as connection:
                said = {"before": day.isoformat(), "by": by}
                step = _empty(connection, window, RETENTION, said, records.workspace)
            done += [step] if step is not None else []
        if progress is not None and task is not None:
            progress.update(task, completed=min(start + _WINDOW - 1, newest))
    room = records.database.scrub()
    return Retention(tuple(step.entry_id for step in done), sum(step.erased for step in done), room)


def bring_all_back(records: Records) -> None:
    """Nothing may stay in files: put those of processes that ended on record, and give the others time to do so.

    Raises
    ------
    RecordsUnavailable : when they do not, or the records cannot be written
    """
    deadline = time.monotonic() + records.config.commit_timeout
    while waiting_files(records.workspace):
        records.bring_back()
        left: Sequence[object] = waiting_files(records.workspace)
        if left and time.monotonic() > deadline:
            raise RecordsUnavailable(
                f"decisions wait in {left[0]} until the service that wrote them puts them on record: try again"
            )
        if left:
            time.sleep(0.1)


def _empty(
    connection: Connection, which: ColumnElement[bool], kind: str, said: dict[str, Any], workspace: Path
) -> Erasure | None:
    """Empty some entries, chain the refusals among them that are kept, and the entry that tells of it; None if there
    are none, and nothing else is to be told."""
    seqs = connection.scalars(select(entries.c.seq).where(which).order_by(entries.c.seq)).all()
    if not seqs and "lists" not in said:
        return None
    kept = suppressions(connection, which, workspace, kind)
    connection.execute(update(entries).where(which).values(customer_id=None, salt=None, payload=None))
    payload = orjson.dumps(said | {"erased": Ranges.of(seqs).spans}, option=orjson.OPT_SORT_KEYS)
    entry = Entry(kind, new_entry_id(), None, payload)
    write(connection, end_of(connection), [[seal(each, now()) for each in (*kept, entry)]])
    return Erasure(entry.entry_id, len(seqs))
