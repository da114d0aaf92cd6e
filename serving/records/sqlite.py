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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from .chain import START, Anchor
from .database import (
    MADE_BY,
    STORED,
    Database,
    bring_up_to_date,
    check_revision,
    end_of,
    first_seqs,
    revision_of,
    write_new,
)
from .entries import SUPPRESSION, Row, Sealed, StoredEntry, linked
from .errors import NoRecords, RecordsUnavailable
from .shared_end import SharedEnd
from .tables import REVISION

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
_ROWS = 512  # of one INSERT: its text is kept, one for each number of rows


class SQLite(Database):
    """``records.db`` in the workspace."""

    answers_at_once = True

    def __init__(self, workspace: Path, timeout: float) -> None:
        super().__init__(str(workspace / DATABASE))
        self._path = workspace / DATABASE
        self._lock_path = workspace / LOCK
        self._timeout = timeout
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
                first = sqlite3.connect(self._path, isolation_level=None, timeout=self._timeout)
                try:
                    first.execute("PRAGMA journal_mode=WAL")
                finally:
                    first.close()
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
            driver.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            connection.exec_driver_sql("BEGIN")
            yield connection

    def ensure_there(self) -> None:
        """The file may be removed or replaced, and SQLite would go on writing to what nobody finds again."""
        try:
            there = _identity(self._path)
        except OSError:
            there = None
        if there != self._file:
            raise RecordsUnavailable(
                f"{self._path} was {'replaced' if there else 'removed'} while it was in use: put it back as it was, or "
                "start the service again to go on with what is there"
            )

    def scrub(self) -> None:
        """Old bytes in the file are overwritten already; those in the write-ahead log are cut off here."""
        deadline = time.monotonic() + self._timeout
        with self._unavailable("written"), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")  # writers may not have to wait for a reader
            shared = SharedEnd(self._lock_path)
            try:
                while True:
                    with shared.locked():
                        busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
                    if not busy:
                        return
                    if time.monotonic() > deadline:
                        raise RecordsUnavailable(
                            f"it is erased, but a reader of {self.name} keeps old bytes in {self.name}-wal: do it "
                            "again when nobody reads"
                        )
                    time.sleep(0.05)
            finally:
                shared.close()

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
            f"{self._path.absolute().as_uri()}?mode=rw",
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
        return RecordsUnavailable(
            f"the records in {self.name} cannot be {done} ({error}): is the disk full or read-only?"
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
