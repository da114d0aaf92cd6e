"""Forgetting people, and what is old."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from features.errors import BadInput, NotFound
from serving.records import Entry, RecordsUnavailable, erase, forget_before, new_entry_id, verify
from serving.records.queue_files import FOLDER, QueueFiles
from tests.serving.records.places import decision, event, events_of, every_entry, find, wait_until

MARK = b"a-name-that-must-vanish"


def at(day):
    return f"{day}T12:00:00.000000Z"


def traces(workspace):
    """Files below the workspace that hold the mark."""
    return [str(path) for path in workspace.rglob("*") if path.is_file() and MARK in path.read_bytes()]


class TestErase:
    def test_empties_the_entries_of_that_person_and_says_so(self, place):
        with place.opened() as records:
            records.append_now([decision("C1"), decision("C2"), event("C1"), event("C1"), decision("C3")])
            before = every_entry(records)
            done = erase(records, "C1", reason="asked on 2026-11-27", by="officer")
            assert done.erased == 3
            after = every_entry(records)
            for old, new in zip(before, after, strict=False):
                emptied = old.customer_id == "C1"
                assert (new.seq, new.entry_id, new.kind, new.at) == (old.seq, old.entry_id, old.kind, old.at)
                assert new.payload == (None if emptied else old.payload)
                assert new.customer_id == (None if emptied else old.customer_id)
            told = after[-1]
            assert (told.seq, told.kind, told.customer_id, told.entry_id) == (6, "erasure", None, done.entry_id)
            assert json.loads(told.payload) == {
                "by": "officer", "erased": [[1, 1], [3, 4]], "reason": "asked on 2026-11-27",
            }  # fmt: skip
            assert events_of(records, "C1") == {}
            assert find(records, before[0].entry_id).payload is None
            assert verify(records).problems == ()

    def test_the_log_goes_on(self, place):
        with place.opened() as records, place.opened() as other:
            records.append_now([decision("C1")])
            erase(records, "C1", reason="asked", by="test")
            assert records.append_now([decision("C1")])
            assert other.append_now([decision("C2")])
            assert erase(other, "C1", reason="asked again", by="test").erased == 1
            assert records.append_now([decision("C2")])
            assert verify(records).problems == ()

    def test_who_is_not_there_is_not_found(self, place):
        with place.opened() as records:
            records.append_now([decision("C1")])
            with pytest.raises(NotFound, match="nothing of customer C2 is on record"):
                erase(records, "C2", reason="asked", by="test")
            assert len(every_entry(records)) == 1

    @pytest.mark.parametrize("reason", ["", " "])
    def test_there_must_be_a_reason(self, sqlite, reason):
        with sqlite.opened() as records, pytest.raises(BadInput, match="needs a reason"):
            erase(records, "C1", reason=reason, by="test")

    def test_nothing_is_erased_when_it_cannot_be_told(self, place, monkeypatch):
        with place.opened() as records:
            records.append_now([decision("C1")])

            def fail(*_):
                raise KeyboardInterrupt

            monkeypatch.setattr("serving.records.erasure.write", fail)
            with pytest.raises(KeyboardInterrupt):
                erase(records, "C1", reason="asked", by="test")
            assert every_entry(records)[0].customer_id == "C1"
            assert records.append_now([decision("C2")])
            assert verify(records).problems == ()

    def test_no_file_of_the_workspace_keeps_a_trace(self, sqlite):
        """Neither the database nor its write-ahead log: payloads of any size, a customer's id in every index."""
        person = MARK.decode()
        with sqlite.opened() as records, sqlite.opened() as service:
            for number in range(40):
                others = [decision(f"C{number}-{n * 7919 % 31}", b"x" * (n * 577 % 9000)) for n in range(20)]
                own = [decision(person, MARK * (number * number + 1)), event(person, MARK)]
                service.append_now(others + own)
            assert len(events_of(service, person)[person]) == 40
            assert traces(sqlite.workspace)
            assert erase(records, person, reason="asked", by="test").erased == 80
            assert traces(sqlite.workspace) == []
            assert service.append_now([decision()])
            assert verify(records).problems == ()
        assert traces(sqlite.workspace) == []

    def test_a_reader_that_holds_the_log_back_is_told_of_and_it_can_be_done_again(self, sqlite):
        with sqlite.opened(commit_timeout=0.3) as records:
            records.append_now([decision(MARK.decode(), MARK)])
            with sqlite.tampering() as connection:
                connection.execute(text("SELECT * FROM entries")).all()  # begins no transaction
                connection.exec_driver_sql("BEGIN")
                connection.execute(text("SELECT count(*) FROM entries")).all()
                with pytest.raises(RecordsUnavailable, match="keeps old bytes"):
                    erase(records, MARK.decode(), reason="asked", by="test")
            with pytest.raises(NotFound):
                erase(records, MARK.decode(), reason="asked", by="test")
            assert traces(sqlite.workspace) == []

    def test_nobody_waits_while_it_waits_for_a_reader(self, sqlite):
        """Whoever verified the log kept the erasure, and the erasure kept the service, for as long as it could wait."""
        with sqlite.opened(commit_timeout=2) as records, sqlite.opened() as service:
            records.append_now([decision("C1")])
            with records.database.snapshot() as reader, ThreadPoolExecutor(1) as other:
                reader.execute(text("SELECT count(*) FROM entries")).all()
                erasing = other.submit(erase, records, "C1", reason="asked", by="test")
                wait_until(lambda: len(every_entry(service)) == 2)
                start = time.monotonic()
                for _ in range(5):
                    assert service.append_now([decision("C2")])
                assert time.monotonic() - start < 1.5
                with pytest.raises(RecordsUnavailable, match="keeps old bytes"):
                    erasing.result()

    def test_decisions_that_wait_in_files_are_put_on_record_and_erased(self, place):
        with place.opened() as records:
            left = QueueFiles(place.workspace)
            left.append([[decision(MARK.decode(), MARK, at=at("2026-11-01"))]])
            left.put_aside()
            assert traces(place.workspace)
            assert erase(records, MARK.decode(), reason="asked", by="test").erased == 1
            assert list((place.workspace / FOLDER).iterdir()) == []
            assert traces(place.workspace) == []

    def test_it_is_refused_while_a_service_keeps_them_in_a_file(self, place):
        with place.opened(commit_timeout=0.3) as records:
            records.append_now([decision("C1")])
            busy = QueueFiles(place.workspace)
            busy.append([[decision("C1", at=at("2026-11-01"))]])
            with pytest.raises(RecordsUnavailable, match="decisions wait in"):
                erase(records, "C1", reason="asked", by="test")
            assert every_entry(records)[0].payload == b"{}"
            busy.put_aside()
            assert erase(records, "C1", reason="asked", by="test").erased == 2


class TestForgetBefore:
    def test_empties_what_people_did_and_were_offered_before_a_day(self, place):
        with place.opened() as records:
            records.append_now([
                decision("C1", at=at("2026-01-01")),
                event("C1", at=at("2026-01-02")),
                Entry("deployment", new_entry_id(), None, b"{}", at("2026-01-01")),
                Entry("feedback", new_entry_id(), "C1", b"{}", "2026-01-02T23:59:59.999999Z"),
                decision("C1", at="2026-01-03T00:00:00.000000Z"),
                decision("C1", at=at("2026-01-01")),
            ])  # fmt: skip
            done = forget_before(records, datetime(2026, 1, 3).date(), by="officer")
            assert done.erased == 4
            entries = every_entry(records)
            assert [entry.seq for entry in entries if entry.payload is None] == [1, 2, 4, 6]
            assert entries[4].customer_id == "C1"
            (told,) = [entry for entry in entries if entry.kind == "retention"]
            assert told.entry_id == done.entry_ids[0]
            assert json.loads(told.payload) == {
                "before": "2026-01-03", "by": "officer", "erased": [[1, 2], [4, 4], [6, 6]],
            }  # fmt: skip
            assert verify(records).problems == ()
            assert forget_before(records, datetime(2026, 1, 3).date(), by="officer").entry_ids == ()

    def test_looks_at_customers_go_and_lists_which_name_nobody_stay(self, place):
        with place.opened() as records:
            records.append_now([
                Entry("access", new_entry_id(), "C1", b"{}", at("2026-01-01")),
                Entry("list", new_entry_id(), None, b"{}", at("2026-01-01")),
                Entry("access", new_entry_id(), "C1", b"{}", at("2026-01-03")),
            ])  # fmt: skip
            assert forget_before(records, datetime(2026, 1, 2).date(), by="officer").erased == 1
            assert [entry.seq for entry in every_entry(records) if entry.payload is None] == [1]
            assert erase(records, "C1", reason="asked", by="test").erased == 1
            assert [entry.kind for entry in every_entry(records) if entry.payload is not None] == [
                "list", "retention", "erasure",
            ]  # fmt: skip
            assert verify(records).problems == ()

    def test_many_entries_take_several_steps(self, place, monkeypatch):
        monkeypatch.setattr("serving.records.erasure._WINDOW", 10)
        with place.opened() as records:
            records.append_now([decision(at=at("2026-01-01")) for _ in range(25)])
            done = forget_before(records, datetime(2026, 1, 2).date(), by="officer")
            assert (done.erased, len(done.entry_ids)) == (25, 3)
            assert verify(records).problems == ()

    def test_leaves_no_trace(self, sqlite):
        with sqlite.opened() as records:
            for number in range(30):
                records.append_now([decision(f"C{number}", MARK * (number * 20 + 1), at=at("2026-01-01")), decision()])
            forget_before(records, datetime(2026, 1, 2).date(), by="officer")
            assert traces(sqlite.workspace) == []

    def test_the_future_is_not_forgotten(self, sqlite):
        with sqlite.opened() as records, pytest.raises(BadInput, match="in the future"):
            forget_before(records, datetime.now(UTC).date() + timedelta(days=1), by="officer")
