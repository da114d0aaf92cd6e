"""The room of what was erased is given back, while others write and after."""

import os
import sqlite3
import threading
from datetime import date

import pytest

from serving.records import RecordsUnavailable, erase, forget_before, verify
from serving.records.database import Room
from tests.serving.records.places import decision, every_entry

OLD = "2026-01-01T12:00:00.000000Z"
SIZE = 40_000
FREED = SIZE // 4096 * 4096
"""Of one payload: the pages that it fills by itself; the rest lies in a page with others."""


def fill(records, count=100):
    """Old entries and, one in ten, new ones."""
    for number in range(count):
        at = OLD if number % 10 else None
        records.append_now([decision(f"C{number % 2}", bytes(SIZE), at=at)])


def size(place):
    return (place.workspace / "records.db").stat().st_size


def older(place):
    """A file as earlier versions made it: SQLite does not make it smaller by itself."""
    with sqlite3.connect(place.workspace / "records.db") as connection:
        connection.execute("PRAGMA auto_vacuum=NONE")
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


class TestSQLite:
    def test_forgetting_makes_the_file_smaller_and_says_by_how_much(self, sqlite):
        with sqlite.opened() as records:
            fill(records)
            records.database.scrub()
            before, identity = size(sqlite), (sqlite.workspace / "records.db").stat().st_ino
            done = forget_before(records, date(2026, 1, 2), by="officer")
            assert done.erased == 90
            assert done.room == Room(before - size(sqlite), 0)
            assert done.room.given_back >= 90 * FREED
            assert (sqlite.workspace / "records.db").stat().st_ino == identity
            assert records.append_now([decision()])
            assert verify(records).problems == ()

    def test_so_does_erasing(self, sqlite):
        with sqlite.opened() as records:
            fill(records)
            assert erase(records, "C1", reason="asked", by="test").room.given_back >= 50 * FREED
            assert verify(records).problems == ()

    def test_others_write_meanwhile_and_lose_nothing(self, sqlite, monkeypatch):
        monkeypatch.setattr("serving.records.sqlite._PAGES", 10)
        with sqlite.opened() as records, sqlite.opened() as service:
            fill(records)
            ended, written = threading.Event(), []

            def write():
                while not ended.is_set():
                    entry = decision("C9", bytes(5000))
                    assert service.append_now([entry])
                    written.append(entry.entry_id)

            thread = threading.Thread(target=write)
            thread.start()
            done = forget_before(records, date(2026, 1, 2), by="officer")
            ended.set()
            thread.join()
            assert done.room.given_back > 0
            assert done.room.free == 0
            assert written
            assert set(written) <= {entry.entry_id for entry in every_entry(records)}
            assert verify(service).problems == ()

    def test_a_file_of_an_earlier_version_is_written_anew_where_nobody_else_has_it_open(self, sqlite):
        older(sqlite)
        with sqlite.opened() as records:
            fill(records)
            identity = (sqlite.workspace / "records.db").stat().st_ino
            with sqlite.opened() as service:
                done = forget_before(records, date(2026, 1, 2), by="officer")
                assert done.room.given_back == 0
                assert done.room.free >= 90 * FREED
                assert service.append_now([decision()])
            again = forget_before(records, date(2026, 1, 2), by="officer")
            assert again.room.given_back >= done.room.free
            assert again.room.free == 0
            assert (sqlite.workspace / "records.db").stat().st_ino == identity
            assert records.append_now([decision(at=OLD)])
            assert verify(records).problems == ()
            with sqlite.opened():
                assert forget_before(records, date(2026, 1, 2), by="officer").room.free == 0

    def test_an_interrupted_one_is_made_up_for(self, sqlite, monkeypatch):
        with sqlite.opened() as records:
            fill(records)
            with monkeypatch.context() as patch:
                patch.setattr("serving.records.sqlite.SQLite.scrub", _fail)
                with pytest.raises(RecordsUnavailable):
                    forget_before(records, date(2026, 1, 2), by="officer")
            assert forget_before(records, date(2026, 1, 2), by="officer").room.given_back >= 90 * FREED


def _fail(_):
    raise RecordsUnavailable("interrupted")


class TestPostgreSQL:
    def test_what_lies_at_the_end_is_given_back(self, postgresql):
        with postgresql.opened() as records:
            records.append_now([decision("C1")])
            for _ in range(20):
                records.append_now([decision("C2", _noise(), at=OLD)])
            done = forget_before(records, date(2026, 1, 2), by="officer")
            assert done.room.free is None
            assert done.room.given_back > 15 * SIZE
            assert verify(records).problems == ()


def _noise():
    """What the server cannot compress."""
    return os.urandom(SIZE)
