"""The records in a file of the workspace.

SQLite polls for its turn to write; here the writers of all processes queue for a lock on a file instead, which also
tells them where the chain ends, see `SharedEnd`. Neither is needed for the chain to be right: a place taken twice is
refused by the table's keys, and then the end is read from the table.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, create_engine, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from features.errors import NotReady
from features.files import create_private

from .chain import START, Anchor
from .database import (
    MADE_BY,
    STORED,
    Database,
    Room,
    bring_up_to_date,
    check_revision,
    end_of,
    first_seqs,
    revision_of,
    write_new,
)
from .entries import SUPPRESSION, Row, Sealed, StoredEntry, linked
from .errors import NoRecords, RecordsUnavailable
from .pages import pages
from .private import tighten
from .shared_end import SharedEnd
from .tables import REVISION, entries

DATABASE = "records.db"
LOCK = "records.lock"

_STORED = ", ".join(column.name for column in STORED)
_OF_CUSTOMER = f"SELECT {_STORED} FROM entries WHERE customer_id = ? AND kind = 'event' ORDER BY seq"
_OF_CUSTOMERS = (
    f"SELECT {_STORED} FROM entries WHERE customer_id IN (SELECT value FROM json_each(?)) AND kind = 'event' "
    "ORDER BY seq"
)
_SUPPRESSED = _OF_CUSTOMERS.replace("'event'", f"'{SUPPRESSION}'")
_BY_ID = f"SELECT {_STORED} FROM entries WHERE entry_id IN (SELECT value FROM json_each(?)) ORDER BY seq"
_END = "SELECT seq, chain FROM entries ORDER BY seq DESC LIMIT 1"
_INSERT = f"INSERT INTO entries ({', '.join(Row._fields)}) VALUES "
_PLACES = f"({', '.join('?' * len(Row._fields))})"
_INCREMENTAL = 2  # of PRAGMA auto_vacuum
_PAGES = 500  # given back at a time
_WORDS = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_BUSY": "the database is locked",
    "SQLITE_READONLY": "the database is read-only",
    "SQLITE_IOERR_WRITE": "the disk takes no more",
}
_ROOM = 1 << 20  # bytes that the entries of a block or two may take
_ROWS = 512  # of one INSERT: its text is kept, one for each number of rows


class SQLite(Database):
    """``records.db`` in the workspace, or a copy of it anywhere.

    Parameters
    ----------
    timeout : seconds to wait for other writers
    """

    answers_at_once = True

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__(str(path))
        self._path = path
        self._lock_path = path.with_name(LOCK)
        self._timeout = timeout
        self._way = "mode=rw"
        self._file: tuple[int, int] | None = None
        self._engine = create_engine("sqlite+pysqlite://", creator=self._connect, poolclass=NullPool)
        self._writer: sqlite3.Connection | None = None
        self._end: SharedEnd | None = None
        self._reading = threading.local()
        self._readers: list[sqlite3.Connection] = []

    def prepare(self) -> None:
        """Make the file and its table, one process at a time."""
        with self._unavailable("opened"):
            self._end = SharedEnd(self._lock_path)
            with self._end.locked():
                create_private(self._path)  # SQLite gives the files beside it the same mode
                self._make_private()
                with closing(sqlite3.connect(self._path, isolation_level=None, timeout=self._timeout)) as first:
                    first.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of a new file; see `_give_back`
                    first.execute("PRAGMA journal_mode=WAL")
                self._file = _identity(self._path)
                with self._engine.connect() as connection:
                    if revision_of(connection) != REVISION:
                        connection.exec_driver_sql("BEGIN IMMEDIATE")
                        bring_up_to_date(connection, self.name)
                        connection.commit()
                    self.end = end_of(connection)
                self._end.set(self.end)  # the file may have been put back from a copy since
                self._writer = self._connect()  # open, the file keeps its identity even when it is removed

    def require(self) -> None:
        """See that the file is there, with its table."""
        if not self._path.is_file():
            raise NoRecords(f"there is no {self._path}: the workspace has no records yet; {MADE_BY}")
        with self._unavailable("opened"):
            self._way = _way_to_read(self._path)
            self._file = _identity(self._path)
            with self._engine.connect() as connection:
                check_revision(connection, self.name)
                self.end = end_of(connection)

    def append(self, appends: Sequence[Sequence[Sealed]]) -> list[int]:
        """One INSERT after what the last writer told to be the end; only what that refuses is looked into."""
        assert self._end is not None
        try:
            with self._unavailable("written"), self._end.locked():
                if self._writer is None:
                    self._writer = self._connect()
                end = self._end.get() or _read_end(self._writer)
                rows, new_end = linked([sealed for append in appends for sealed in append], end)
                try:
                    _insert(self._writer, rows)
                    firsts = first_seqs(appends, end)
                except sqlite3.IntegrityError:  # an id is there already, or `end` is not where the chain ends
                    with self._transaction() as connection:
                        firsts, new_end = write_new(connection, appends)
                self._end.set(new_end)
                self.end = new_end
                return firsts
        except RecordsUnavailable:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            raise

    def events_of(self, customer_ids: Sequence[str]) -> list[StoredEntry]:
        """By the index, on a connection of this thread."""
        if len(customer_ids) == 1:
            return self._find(_OF_CUSTOMER, customer_ids[0])
        return self._find(_OF_CUSTOMERS, json.dumps(customer_ids))

    def suppressions_of(self, pseudonyms: Sequence[str]) -> list[StoredEntry]:
        """By the index, on a connection of this thread."""
        return self._find(_SUPPRESSED, json.dumps(pseudonyms))

    def entries_by_id(self, entry_ids: Sequence[str]) -> list[StoredEntry]:
        """By the index, on a connection of this thread."""
        return self._find(_BY_ID, json.dumps(entry_ids))

    def select(self, statement: Select) -> Sequence[tuple[Any, ...]]:
        """On a connection of its own."""
        with self._unavailable("read"), self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement)]

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """With the lock of the writers; the end they share is unknown afterwards."""
        self.ensure_there()
        with self._unavailable("written"):
            shared = SharedEnd(self._lock_path)
            try:
                with shared.locked(), self._transaction() as connection:
                    shared.forget()
                    yield connection
            finally:
                shared.close()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """One read transaction."""
        with self._unavailable("read"), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
            connection.exec_driver_sql("BEGIN")
            yield connection

    def copy_to(self, path: Path) -> None:
        """What is free in the file, and what lies in its log, does not stay so in the copy."""
        with self._unavailable("copied"), closing(self._connect()) as connection:
            connection.execute("VACUUM INTO ?", (str(path.absolute()),))

    def ensure_there(self) -> None:
        """The file may be removed or replaced, and SQLite would go on writing to what nobody finds again."""
        try:
            there = _identity(self._path)
        except OSError:
            there = None
        if there != self._file:
            done = "replaced" if there else "removed"
            raise RecordsUnavailable(
                f"{self._path} was {done} while it was in use: put it back as it was, or start the service again to go "
                "on with what is there",
                f"the records' database was {done}",
            )

    def try_out(self) -> None:
        """A page is written to the write-ahead log as those of entries are, with the same number in it."""
        self.ensure_there()
        free = os.statvfs(self._path.parent)
        if free.f_bavail * free.f_frsize < _ROOM:
            raise RecordsUnavailable(
                f"less than {_ROOM:,} bytes are free where {self.name} lies: make room", "the disk is full"
            )
        with self._unavailable("written"), self._engine.connect() as connection:
            connection.exec_driver_sql(_OF_CUSTOMER, ("",)).all()
            shared = SharedEnd(self._lock_path)
            try:
                with shared.locked():
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    number = connection.exec_driver_sql("PRAGMA user_version").scalar()
                    connection.exec_driver_sql(f"PRAGMA user_version = {number}")
                    connection.exec_driver_sql("COMMIT")
            finally:
                shared.close()

    def scrub(self) -> Room:
        """Old bytes in the file are overwritten already; those in the write-ahead log are cut off here."""
        with self._unavailable("written"):
            shared = SharedEnd(self._lock_path)
            try:
                room = self._give_back(shared)
                self._cut_log(shared)
            finally:
                shared.close()
        return room

    def _give_back(self, shared: SharedEnd) -> Room:
        """Make the file smaller by what is free in it, some pages at a time, so that nobody waits long to write.

        A file of an earlier version can only be written anew as a whole, and is, where nobody else has it open.
        """
        with closing(self._connect()) as connection:
            before, free, page_size = (
                _asked(connection, name) for name in ("page_count", "freelist_count", "page_size")
            )
            by_steps = _asked(connection, "auto_vacuum") == _INCREMENTAL
            while by_steps and free:
                with shared.locked():
                    connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")  # `execute` would free one
                left = _asked(connection, "freelist_count")
                by_steps, free = left < free, left
        if free:
            with shared.locked():
                self._rewrite()
        with closing(self._connect()) as connection:
            after, free = (_asked(connection, name) for name in ("page_count", "freelist_count"))
        return Room((before - after) * page_size, free * page_size)

    def _rewrite(self) -> None:
        """Write the file anew, in its place, and so that it can be made smaller by steps from then on."""
        if self._writer is not None:
            self._writer.close()  # whoever has the lock of the writers may; the next one opens it again
            self._writer = None
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            try:
                connection.execute("VACUUM")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL):
                    raise

    def _cut_log(self, shared: SharedEnd) -> None:
        deadline = time.monotonic() + self._timeout
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA busy_timeout=0")  # writers may not have to wait for a reader
            while True:
                with shared.locked():
                    busy = _asked(connection, "wal_checkpoint(TRUNCATE)")
                if not busy:
                    return
                if time.monotonic() > deadline:
                    raise RecordsUnavailable(
                        f"it is erased, but a reader of {self.name} keeps old bytes in {self.name}-wal: do it "
                        "again when nobody reads"
                    )
                time.sleep(0.05)

    def close(self) -> None:
        """Close every connection, and the lock."""
        for connection in (*self._readers, self._writer):
            if connection is not None:
                connection.close()
        if self._end is not None:
            self._end.close()
            self._end = None

    def _find(self, statement: str, value: str) -> list[StoredEntry]:
        try:
            connection: sqlite3.Connection = self._reading.connection
        except AttributeError:
            with self._unavailable("read"):
                connection = self._reading.connection = self._connect()
                connection.execute("PRAGMA query_only=ON")
                self._readers.append(connection)
        try:
            rows = connection.execute(statement, (value,)).fetchall()
        except sqlite3.Error as error:
            raise self._said("read", error) from error
        return [StoredEntry(*row) for row in rows]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?{self._way}",
            uri=True,
            isolation_level=None,
            timeout=self._timeout,
            check_same_thread=False,
            cached_statements=_ROWS + 100,
        )
        try:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA secure_delete=ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _make_private(self) -> None:
        """What is on record is nobody else's to read; earlier versions left that to the umask."""
        own = [self._path, _beside(self._path, "-wal"), _beside(self._path, "-shm"), self._lock_path]
        tighten([path for path in own if path.exists()])

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    @contextmanager
    def _unavailable(self, done: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._said(done, error.orig or error) from error
        except (sqlite3.Error, OSError) as error:
            raise self._said(done, error) from error

    def _said(self, done: str, error: BaseException) -> RecordsUnavailable:
        briefly = _WORDS.get(getattr(error, "sqlite_errorname", ""), type(error).__name__)
        return RecordsUnavailable(
            f"the records in {self.name} cannot be {done} ({error}): is the disk full or read-only?",
            f"the records cannot be {done} ({briefly})",
        )


def fill(path: Path, source: Connection) -> None:
    """Make of an empty file a database of all entries that a connection of another one sees.

    Raises
    ------
    RecordsUnavailable : when it cannot be written
    """
    engine = create_engine(
        "sqlite+pysqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None), poolclass=NullPool
    )
    with engine.connect() as copy:
        with _written(path):
            copy.exec_driver_sql("PRAGMA auto_vacuum=INCREMENTAL")
            copy.exec_driver_sql("BEGIN")
            bring_up_to_date(copy, str(path))
        for rows in pages(source, list(entries.columns)):
            with _written(path):
                copy.execute(insert(entries), [row._asdict() for row in rows])
        with _written(path):
            copy.commit()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise RecordsUnavailable(f"{path} cannot be written ({error.orig}): is the disk full?") from error


def _asked(connection: sqlite3.Connection, pragma: str) -> int:
    value: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return value


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _way_to_read(path: Path) -> str:
    """How SQLite is told to open a file for reading: where it may make no file beside it, it must not need one.

    Raises
    ------
    NotReady : when it would need one
    """
    if os.access(path.parent, os.W_OK) and os.access(path, os.W_OK):
        return "mode=rw"
    log, index = _beside(path, "-wal"), _beside(path, "-shm")
    if log.exists() and index.exists():  # of a service that runs, or was killed
        return "mode=ro"
    if not log.exists() or not log.stat().st_size:
        return "mode=ro&immutable=1"
    raise NotReady(
        f"{log} holds entries that are not in {path.name} yet, and {path.parent} cannot be written, which it takes to "
        "read them: copy both files into one folder and give that, or make copies with `nextproduct log backup`"
    )


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _read_end(connection: sqlite3.Connection) -> Anchor:
    row = connection.execute(_END).fetchone()
    return START if row is None else Anchor(*row)


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """All rows or none; in one call, where they are not too many, because each call lets other threads run."""
    if len(rows) <= _ROWS:
        _insert_at_once(connection, rows)
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for start in range(0, len(rows), _ROWS):
            _insert_at_once(connection, rows[start : start + _ROWS])
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _insert_at_once(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(_INSERT + ", ".join([_PLACES] * len(rows)), [value for row in rows for value in row])
