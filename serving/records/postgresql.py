"""The records in a PostgreSQL database, for services on several machines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Select,
    Text,
    any_,
    bindparam,
    create_engine,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.pool import NullPool

from features.errors import BadConfiguration

from .database import STORED, Database, Room, bring_up_to_date, check_revision, end_of, revision_of, write, write_new
from .entries import EVENT, SUPPRESSION, Sealed, StoredEntry
from .errors import RecordsUnavailable
from .sqlite import fill
from .tables import REVISION, entries

READERS = 4
"""Lookups that run at the same time."""

_DRIVER = "postgresql+psycopg"
_LOCK = text("SELECT pg_advisory_xact_lock(7957707419018096484)")  # the number is ours: "nextprod"
_IDS = any_(bindparam("ids", type_=ARRAY(Text)))
_OF_CUSTOMERS = (
    select(*STORED).where(entries.c.customer_id == _IDS, entries.c.kind == EVENT).order_by(entries.c.seq)
)  # fmt: skip
_SUPPRESSED = (
    select(*STORED).where(entries.c.customer_id == _IDS, entries.c.kind == SUPPRESSION).order_by(entries.c.seq)
)  # fmt: skip
_BY_ID = select(*STORED).where(entries.c.entry_id == _IDS).order_by(entries.c.seq)


class PostgreSQL(Database):
    """The table in a database of its own.

    Parameters
    ----------
    url : as `url_of` gives it
    timeout : seconds after which an append or a lookup is given up
    """

    answers_at_once = False

    def __init__(self, url: URL, timeout: float) -> None:
        super().__init__(url.render_as_string(hide_password=True))
        self._password = url.password
        given_up = {"connect_timeout": max(2, ceil(timeout)), "tcp_user_timeout": ceil(timeout * 1000)}
        limit = f"{url.query.get('options', '')} -c statement_timeout={ceil(timeout * 1000)}".strip()
        # a pool of connections that give up in time, for the service, and single ones for what may take long; whatever
        # the server's default, who has waited for the lock has to see what was committed meanwhile
        self._brisk = create_engine(
            url,
            isolation_level="READ COMMITTED",
            connect_args=given_up | {"options": limit},
            pool_size=READERS + 2,  # the writer, and whoever tries the database out
            max_overflow=0,
            pool_timeout=timeout,
        )
        self._patient = create_engine(url, isolation_level="READ COMMITTED", connect_args=given_up, poolclass=NullPool)

    def prepare(self) -> None:
        """Make the table, with the lock of the writers."""
        with self._unavailable("opened"), self._patient.connect() as connection:
            if revision_of(connection) != REVISION:
                connection.execute(_LOCK)
                bring_up_to_date(connection, self.name)
                connection.commit()
            self.end = end_of(connection)

    def require(self) -> None:
        """See that the table is there."""
        with self._unavailable("opened"), self._patient.connect() as connection:
            check_revision(connection, self.name)
            self.end = end_of(connection)

    def append(self, appends: Sequence[Sequence[Sealed]]) -> list[int]:
        """Lock, look up the end, insert; ids are looked up only if the table refuses one."""
        with self._unavailable("written"):
            try:
                with _locked(self._brisk) as connection:
                    firsts, end = write(connection, end_of(connection), appends)
            except IntegrityError:  # an id is there already
                with _locked(self._brisk) as connection:
                    firsts, end = write_new(connection, appends)
        self.end = end
        return firsts

    def events_of(self, customer_ids: Sequence[str]) -> list[StoredEntry]:
        """By the index, on a connection of the pool."""
        return [StoredEntry(*row) for row in self._find(_OF_CUSTOMERS, {"ids": list(customer_ids)})]

    def suppressions_of(self, pseudonyms: Sequence[str]) -> list[StoredEntry]:
        """By the index, on a connection of the pool."""
        return [StoredEntry(*row) for row in self._find(_SUPPRESSED, {"ids": list(pseudonyms)})]

    def entries_by_id(self, entry_ids: Sequence[str]) -> list[StoredEntry]:
        """By the index, on a connection of the pool."""
        return [StoredEntry(*row) for row in self._find(_BY_ID, {"ids": list(entry_ids)})]

    def select(self, statement: Select) -> Sequence[tuple[Any, ...]]:
        """On a connection of the pool."""
        return self._find(statement, {})

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """With the lock of the writers, for as long as it takes."""
        with self._unavailable("written"), _locked(self._patient) as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """One read transaction."""
        with self._unavailable("read"), self._patient.connect() as connection:
            yield connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def copy_to(self, path: Path) -> None:
        """Row by row, of one snapshot: the server's own tools make copies that only a server reads."""
        with self.snapshot() as connection:
            fill(path, connection)

    def ensure_there(self) -> None:
        """A server that is away says so itself."""

    def try_out(self) -> None:
        """With the lock of the writers, and of the table as an INSERT has it; on a server that only reads there is no
        number for a transaction."""
        self._find(_OF_CUSTOMERS, {"ids": []})
        with self._unavailable("written"), _locked(self._brisk) as connection:
            connection.exec_driver_sql(f"LOCK TABLE {entries.name} IN ROW EXCLUSIVE MODE")
            connection.exec_driver_sql("SELECT pg_current_xact_id()")
            connection.rollback()

    def scrub(self) -> Room:
        """Let the server use the room again, and give back what lies at the end."""
        size = text("SELECT pg_total_relation_size(CAST(:name AS regclass))").bindparams(name=entries.name)
        with self._unavailable("written"), self._patient.connect() as patient:
            connection = patient.execution_options(isolation_level="AUTOCOMMIT")
            before = connection.scalar(size) or 0
            connection.exec_driver_sql(f"VACUUM {entries.name}")
            after = connection.scalar(size) or 0
        return Room(max(0, before - after), None)

    def close(self) -> None:
        """Close every connection."""
        self._brisk.dispose()
        self._patient.dispose()

    def _find(self, statement: Select, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        with self._unavailable("read"):
            try:
                return self._found(statement, values)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return self._found(statement, values)  # the server was started again since the last lookup

    def _found(self, statement: Select, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        with self._brisk.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return [tuple(row) for row in connection.execute(statement, values)]

    @contextmanager
    def _unavailable(self, done: str) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, NoConnection) as error:
            said = " ".join(str(getattr(error, "orig", None) or error).split())
            if self._password:
                said = said.replace(self._password, "***")
            raise RecordsUnavailable(
                f"the records in {self.name} cannot be {done} ({said}): is the server there, and may it be used?"
            ) from error


def url_of(configured: str) -> URL:
    """The URL of the database, with what the environment keeps filled in.

    Raises
    ------
    BadConfiguration : when it is not one of PostgreSQL, or the environment lacks what it names
    """
    whole = _NAMED.fullmatch(configured)
    try:
        url = make_url(_from_environment(whole) if whole else configured)
    except ArgumentError:
        raise BadConfiguration(f"serving.records.database is not a URL such as {_EXAMPLE}") from None
    if url.drivername not in ("postgresql", _DRIVER):
        raise BadConfiguration(
            f"serving.records.database: {url.drivername} cannot keep the records; write a URL such as {_EXAMPLE}, or "
            "leave it out to keep them in the workspace"
        )
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise BadConfiguration(
            "serving.records.database: the driver of PostgreSQL is not installed: pip install 'nextproduct[postgresql]'"
        ) from None
    return url.set(
        drivername=_DRIVER,
        username=_filled(url.username),
        password=_filled(url.password),
        host=_filled(url.host),
        database=_filled(url.database),
    )


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        try:
            connection.execute(_LOCK)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            connection.rollback()
            connection.execute(_LOCK)  # the server was started again since the last append, and nothing was sent yet
        yield connection
        connection.commit()


def _filled(part: str | None) -> str | None:
    return part and _NAMED.sub(_from_environment, part)


def _from_environment(found: re.Match[str]) -> str:
    value = os.environ.get(found[1])
    if value is None:
        raise BadConfiguration(f"serving.records.database: the environment has no {found[1]}")
    return value


_NAMED = re.compile(r"\$\{(\w+)\}")
_EXAMPLE = "postgresql+psycopg://user:${RECORDS_PASSWORD}@host/nextproduct"
