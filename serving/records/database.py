"""Where the entries lie: what the records ask of a database, and the one they are told to use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import Connection, Select, insert, inspect, select

from features.errors import BadConfiguration, NotReady

from .chain import START, Anchor
from .entries import Sealed, StoredEntry, linked
from .errors import NoRecords
from .suppressions import key_names
from .tables import REVISION, VERSION_TABLE, entries

STORED = (
    entries.c.seq, entries.c.entry_id, entries.c.kind, entries.c.at, entries.c.customer_id, entries.c.payload,
)  # fmt: skip
"""The columns of a `StoredEntry`, in its order."""

MADE_BY = "they begin with the first `nextproduct serve` or `campaign`"


class Room(NamedTuple):
    """What became of the room of what was erased, in bytes.

    Attributes
    ----------
    given_back : to the disk
    free : left where the records lie, for new entries; None: the database does not say
    """

    given_back: int = 0
    free: int | None = 0


UNTOUCHED = Room()
"""Where nothing was erased."""


class Database(ABC):
    """The table of entries in SQLite or PostgreSQL.

    Whatever goes wrong with the database itself is raised as `RecordsUnavailable`.

    Attributes
    ----------
    name : for messages, without a password
    answers_at_once : whether a lookup by key is as short as a function call, so that an event loop can make it
    end : the newest entry that this process wrote or, at the start, found
    """

    answers_at_once: ClassVar[bool]

    def __init__(self, name: str) -> None:
        self.name = name
        self.end = START

    @abstractmethod
    def prepare(self) -> None:
        """Make the table, or bring it to this version's revision; one process at a time.

        Raises
        ------
        NotReady : when a newer version of nextproduct has written there
        """

    @abstractmethod
    def require(self) -> None:
        """See that the table is there, in this version's revision.

        Raises
        ------
        NotReady : when it is not
        """

    @abstractmethod
    def append(self, appends: Sequence[Sequence[Sealed]]) -> list[int]:
        """Chain and write entries in one transaction; called by one thread only.

        Parameters
        ----------
        appends : of each, all entries are written or, if the id of one is there already, none

        Returns
        -------
        For each append the number of its first entry; 0 where it was not written
        """

    @abstractmethod
    def events_of(self, customer_ids: Sequence[str]) -> list[StoredEntry]:
        """The events of some customers, oldest first; called by any thread."""

    @abstractmethod
    def suppressions_of(self, pseudonyms: Sequence[str]) -> list[StoredEntry]:
        """What stands there of some customers who are known by a keyed hash only; as `events_of`."""

    @abstractmethod
    def entries_by_id(self, entry_ids: Sequence[str]) -> list[StoredEntry]:
        """The entries that have one of some ids; called by any thread."""

    @abstractmethod
    def select(self, statement: Select) -> Sequence[tuple[Any, ...]]:
        """What a statement finds now; called by any thread that may wait."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction of the only writer there is meanwhile, committed at the end."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection that sees the entries as they are now, whatever is written meanwhile.

        Text that is not UTF-8, which nobody but a forger writes, is read with surrogates.
        """

    def key_names(self) -> list[str]:
        """The names of the keys under which refusals stand there, see `suppressions`."""
        with self.snapshot() as connection:
            return key_names(connection)

    @abstractmethod
    def copy_to(self, path: Path) -> None:
        """Write all entries, as they are now, to a new SQLite file; `path` is empty. Others may write meanwhile."""

    @abstractmethod
    def ensure_there(self) -> None:
        """See that the database has not been taken away.

        Raises
        ------
        RecordsUnavailable : when it has
        """

    @abstractmethod
    def try_out(self) -> None:
        """Do what a decision needs, and leave nothing of it: look an entry up, have the writers' turn, write to where
        the entries lie. May take as long as others hold what it needs; called by any thread.

        Raises
        ------
        RecordsUnavailable : when a decision could not be put on record
        """

    @abstractmethod
    def scrub(self) -> Room:
        """Let go of the old bytes of what was erased, and of the room they took."""

    @abstractmethod
    def close(self) -> None:
        """Close every connection."""


def revision_of(connection: Connection) -> str | None:
    """The revision of the table, None where there is none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()


def check_revision(connection: Connection, name: str) -> None:
    """See that the table is there, in this version's revision.

    Raises
    ------
    NotReady : when it is not
    """
    revision = revision_of(connection)
    if revision is None:
        raise NoRecords(f"{name} holds no records yet; {MADE_BY}")
    if revision != REVISION:
        _check_known(revision, name)
        raise NotReady(f"the records in {name} are of an older version: `nextproduct serve` brings them up to date")


def bring_up_to_date(connection: Connection, name: str) -> None:
    """Take the steps that are missing, in the transaction of `connection`, whose owner holds the lock.

    Raises
    ------
    NotReady : when a newer version of nextproduct has written there
    BadConfiguration : when somebody else has
    """
    from . import migrations

    revision = revision_of(connection)
    if revision is not None:
        _check_known(revision, name)
    elif inspect(connection).has_table(entries.name):
        raise BadConfiguration(
            f"{name} has a table {entries.name!r} that nextproduct did not make: give the records a database of their "
            "own"
        )
    migrations.upgrade(connection)


def end_of(connection: Connection) -> Anchor:
    """Where the chain ends."""
    row = connection.execute(_END).first()
    return START if row is None else Anchor(row.seq, bytes(row.chain))


def write(connection: Connection, end: Anchor, appends: Sequence[Sequence[Sealed]]) -> tuple[list[int], Anchor]:
    """Write every append after `end`.

    Returns
    -------
    The number of the first entry of each, and where the chain ends then
    """
    rows, new_end = linked((sealed for append in appends for sealed in append), end)
    if rows:
        connection.execute(_INSERT, [row._asdict() for row in rows])
    return first_seqs(appends, end), new_end


def write_new(connection: Connection, appends: Sequence[Sequence[Sealed]]) -> tuple[list[int], Anchor]:
    """Write the appends of which no id is there already; as `write`, with 0 for the others."""
    ids = sorted({sealed.entry_id for append in appends for sealed in append})
    there: set[str] = set()
    for start in range(0, len(ids), _IDS):
        there.update(
            connection.scalars(select(entries.c.entry_id).where(entries.c.entry_id.in_(ids[start : start + _IDS])))
        )
    new, written = [], []
    for append in appends:
        own = [sealed.entry_id for sealed in append]
        is_new = there.isdisjoint(own) and len(set(own)) == len(own)
        written.append(is_new)
        if is_new:
            there.update(own)
            new.append(append)
    firsts, end = write(connection, end_of(connection), new)
    found = iter(firsts)
    return [next(found) if is_new else 0 for is_new in written], end


def first_seqs(appends: Sequence[Sequence[Sealed]], end: Anchor) -> list[int]:
    """The number of the first entry of each append, when they are written after `end`."""
    firsts, seq = [], end.seq + 1
    for append in appends:
        firsts.append(seq)
        seq += len(append)
    return firsts


def _check_known(revision: str, name: str) -> None:
    from . import migrations

    if revision not in migrations.known_revisions():
        raise NotReady(
            f"the records in {name} are of revision {revision}, and this version of nextproduct knows none newer than "
            f"{REVISION}: install the version that wrote them"
        )


_END = select(entries.c.seq, entries.c.chain).order_by(entries.c.seq.desc()).limit(1)
_INSERT = insert(entries)
_IDS = 500
