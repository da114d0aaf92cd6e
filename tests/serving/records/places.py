"""Where the records of a test lie, and what tests do with them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy

from serving.records import Entry, Records, RecordsConfig, StoredEntry, new_entry_id

PROJECT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Place:
    """A workspace, and the URL of a PostgreSQL database, empty if the records lie in the workspace."""

    workspace: Path
    database: str

    @contextmanager
    def opened(self, *, writable: bool = True, **settings: Any) -> Iterator[Records]:
        records = Records.open(self.workspace, RecordsConfig(database=self.database, **settings), writable=writable)
        try:
            yield records
        finally:
            records.close()

    @contextmanager
    def tampering(self) -> Iterator[sqlalchemy.Connection]:
        """A connection of somebody who may write to the database, whatever the records say."""
        engine = sqlalchemy.create_engine(self.database or f"sqlite:///{self.workspace / 'records.db'}")
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def child(self, *arguments: object) -> subprocess.Popen[str]:
        """A process that appends, see `appender`."""
        words = [sys.executable, "-m", "tests.serving.records.appender", self.workspace, self.database or "-"]
        return subprocess.Popen(
            [str(word) for word in (*words, *arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )


def killed(child: subprocess.Popen[str]) -> tuple[list[str], str]:
    """The whole lines that a child, of which some have been read, wrote before it is killed now; and its errors.

    `communicate` would read past what has been taken from the pipe and not been read yet, and begin within a line.
    """
    child.kill()
    assert child.stdout is not None
    assert child.stderr is not None
    with child:
        rest, errors = child.stdout.read(), child.stderr.read()
    return rest[: rest.rfind("\n") + 1].split(), errors


def decision(customer_id: str | None = "C1", payload: bytes = b"{}", **fields: Any) -> Entry:
    return Entry("decision", fields.pop("entry_id", None) or new_entry_id(), customer_id, payload, **fields)


def event(customer_id: str = "C1", payload: bytes = b"{}", **fields: Any) -> Entry:
    return Entry("event", fields.pop("entry_id", None) or new_entry_id(), customer_id, payload, **fields)


def every_entry(records: Records) -> list[StoredEntry]:
    return records.newest(1_000_000)


def events_of(records: Records, *customer_ids: str) -> dict[str, list[StoredEntry]]:
    return asyncio.run(records.events_of(customer_ids))


def find(records: Records, entry_id: str) -> StoredEntry | None:
    return asyncio.run(records.find(entry_id))


def wait_until(is_so: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
