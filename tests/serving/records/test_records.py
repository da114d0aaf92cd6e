"""Appending and looking up, on SQLite and PostgreSQL alike."""

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import BadInput, NotReady
from serving.records import Anchor, Entry, Records, RecordsConfig, RecordsUnavailable, new_entry_id, verify
from tests.serving.records.places import decision, event, events_of, every_entry, find, killed

KINDS = st.sampled_from(["decision", "feedback", "event", "deployment", "access", "list"])
CUSTOMERS = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


class TestAppend:
    def test_what_is_read_is_what_was_written(self, place):
        entries = [
            decision("客户1", '{"说": "基金"}'.encode()),
            decision("C1", b""),
            decision("C2", bytes(range(256)) * 4096),
            Entry("deployment", new_entry_id(), None, b"{}", "2026-11-28T09:30:00.000000Z"),
        ]
        with place.opened() as records:
            assert records.append_now(entries)
            found = every_entry(records)
            assert [entry.seq for entry in found] == [1, 2, 3, 4]
            for entry, stored in zip(entries, found, strict=True):
                assert stored.says_the_same_as(entry)
                assert find(records, entry.entry_id) == stored
            assert found[3].at == "2026-11-28T09:30:00.000000Z"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found[0].at)
            assert type(found[2].payload) is bytes
            assert verify(records).is_sound

    def test_an_id_is_recorded_once(self, place):
        first, second = decision(payload=b"first"), decision()
        with place.opened() as records:
            assert records.append_now([first])
            assert not records.append_now([first])
            assert not records.append_now([Entry("decision", first.entry_id, "C1", b"other")])
            assert records.append_now([second])
            assert [(entry.seq, entry.payload) for entry in every_entry(records)] == [(1, b"first"), (2, b"{}")]

    @pytest.mark.parametrize("order", [0, 1])
    def test_of_several_entries_all_or_none_are_written(self, place, order):
        known, new = decision(), decision()
        with place.opened() as records:
            records.append_now([known])
            assert not records.append_now([known, new] if order else [new, known])
            assert not records.append_now([new, new])
            assert len(every_entry(records)) == 1
            assert records.append_now([new, event()])
            assert verify(records).entries == 3

    def test_appends_at_the_same_time_do_not_spoil_each_other(self, place):
        """They are written in one transaction; some are there already."""
        known = [decision() for _ in range(20)]
        new = [decision() for _ in range(200)]

        async def append_all(records):
            return await asyncio.gather(
                *(records.append([entry]) for entry in [*known, *new, *new]), records.append([new[0], decision()])
            )

        with place.opened() as records:
            records.append_now(known)
            written = asyncio.run(append_all(records))
            assert written == [False] * 20 + [True] * 200 + [False] * 201
            assert {entry.entry_id for entry in every_entry(records)} == {entry.entry_id for entry in known + new}
            assert verify(records).is_sound
            assert records.lag == 0

    @pytest.mark.parametrize("count", [512, 513, 1300])
    def test_any_number_of_entries(self, place, count):
        entries = [decision(f"C{number}") for number in range(count)]
        with place.opened() as records:
            assert records.append_now(entries)
            assert not records.append_now(entries)
            assert records.append_now([])
            assert [entry.customer_id for entry in every_entry(records)] == [entry.customer_id for entry in entries]
            assert verify(records).is_sound

    def test_a_large_append_that_is_known_in_part_leaves_no_part_of_it(self, place):
        known = decision()
        with place.opened() as records:
            records.append_now([known])
            assert not records.append_now([*(decision() for _ in range(600)), known])
            assert len(every_entry(records)) == 1

    def test_what_only_an_erasure_writes_is_refused(self, place):
        with place.opened() as records, pytest.raises(BadInput, match="kind erasure is written by what it tells of"):
            records.append_now([Entry("erasure", "1", None, b"{}")])

    def test_after_closing_nothing_is_taken(self, sqlite):
        with sqlite.opened() as records:
            records.append_now([decision()])
        with pytest.raises(RecordsUnavailable, match="closed"):
            records.append_now([decision()])

    def test_closing_writes_what_waits(self, place):
        async def hurry(records):
            waiting = [asyncio.ensure_future(records.append([decision()])) for _ in range(100)]
            await asyncio.sleep(0)
            records.close()
            return await asyncio.gather(*waiting)

        with place.opened() as records:
            assert asyncio.run(hurry(records)) == [True] * 100
        with place.opened(writable=False) as records:
            assert len(every_entry(records)) == 100

    def test_who_hangs_up_disturbs_nobody(self, place):
        """The answer to somebody who had gone raised in the loop, and the others of the group went without theirs."""

        async def append_all(records):
            tasks = [asyncio.ensure_future(records.append([decision()])) for _ in range(20)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        with place.opened() as records:
            done = asyncio.run(append_all(records))
            assert done[1::2] == [True] * 10
            assert all(isinstance(each, asyncio.CancelledError) for each in done[::2])

    def test_a_loop_that_ended_disturbs_nobody(self, place):
        with place.opened() as records:
            loop = asyncio.new_event_loop()
            waiting = loop.create_task(records.append([decision()]))
            loop.run_until_complete(asyncio.sleep(0))
            waiting.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            assert records.append_now([decision()])

    def test_whatever_is_appended_is_found_and_sound(self, place):
        with place.opened() as records:

            @settings(max_examples=25, deadline=None)
            @given(st.lists(st.tuples(KINDS, CUSTOMERS, st.binary(max_size=5000)), min_size=1, max_size=5))
            def check(contents):
                entries = [Entry(kind, new_entry_id(), customer_id, payload) for kind, customer_id, payload in contents]
                assert records.append_now(entries)
                found = asyncio.run(records.entries_by_id([entry.entry_id for entry in entries]))
                assert all(found[entry.entry_id].says_the_same_as(entry) for entry in entries)

            check()
            assert verify(records).is_sound


class TestLookups:
    def test_events_come_in_order_for_those_who_have_any(self, place):
        first, second, third = event("C1"), event("C2"), event("C1")
        with place.opened() as records:
            records.append_now([first, decision("C1"), second, decision("C3")])
            records.append_now([third])
            found = events_of(records, "C1", "C2", "C3", "C4", "C1")
            assert {customer: [entry.entry_id for entry in entries] for customer, entries in found.items()} == {
                "C1": [first.entry_id, third.entry_id],
                "C2": [second.entry_id],
            }
            assert events_of(records, "C1") == {"C1": found["C1"]}
            assert events_of(records, "C3") == events_of(records) == {}

    def test_they_are_seen_as_soon_as_they_are_written_by_another(self, place):
        with place.opened() as one, place.opened() as other:
            assert events_of(one, "C1") == {}
            other.append_now([event("C1")])
            assert len(events_of(one, "C1")["C1"]) == 1

    @pytest.mark.parametrize("odd", ["\ud800", "a\0b", "", "'; DROP TABLE entries; --", "🏦" * 1000])
    def test_ids_that_cannot_be_there_are_not(self, place, odd):
        with place.opened() as records:
            records.append_now([event("C1")])
            assert find(records, odd) is None
            assert events_of(records, odd) == {}
            assert list(events_of(records, odd, "C1")) == ["C1"]

    def test_the_newest_of_a_customer_or_kind(self, place):
        with place.opened() as records:
            records.append_now([event("C1"), decision("C2"), decision("C1"), event("C2")])
            assert [entry.seq for entry in records.newest(2)] == [3, 4]
            assert [entry.seq for entry in records.newest(9, customer_id="C1")] == [1, 3]
            assert [entry.seq for entry in records.newest(9, kind="event")] == [1, 4]
            assert [entry.seq for entry in records.newest(1, customer_id="C2", kind="decision")] == [2]


class TestOpen:
    def test_the_head_goes_on_where_it_ended(self, place):
        with place.opened() as records:
            assert records.head == Anchor(0, bytes(32))
            records.append_now([decision(), decision()])
            head = records.head
            assert head.seq == 2
            assert head == verify(records).head
        with place.opened(writable=False) as records:
            assert records.head == head

    def test_reading_only(self, place):
        with place.opened() as records:
            records.append_now([decision()])
        with place.opened(writable=False) as records:
            assert len(every_entry(records)) == 1
            with pytest.raises(RecordsUnavailable, match="opened for reading only"):
                records.append_now([decision()])

    def test_what_is_not_there_is_not_made_for_reading(self, place):
        with pytest.raises(NotReady, match="first `nextproduct serve`"), place.opened(writable=False):
            pass
        assert list(place.workspace.iterdir()) == []

    def test_a_workspace_must_be_there(self, tmp_path):
        with pytest.raises(NotReady, match="nextproduct build"):
            Records.open(tmp_path / "none", RecordsConfig())

    def test_a_file_that_is_no_database_is_refused(self, sqlite):
        (sqlite.workspace / "records.db").write_bytes(b"not a database" * 100)
        with pytest.raises(RecordsUnavailable, match="file is not a database"), sqlite.opened():
            pass
        assert (sqlite.workspace / "records.db").read_bytes() == b"not a database" * 100

    def test_a_copy_put_back_goes_on_from_its_own_end(self, sqlite):
        """The lock file told the end of the chain before, and the next entry was numbered after that."""
        with sqlite.opened() as records:
            records.append_now([decision()])
        copy = (sqlite.workspace / "records.db").read_bytes()
        with sqlite.opened() as records:
            records.append_now([decision(), decision()])
        (sqlite.workspace / "records.db").write_bytes(copy)
        with sqlite.opened() as records:
            records.append_now([decision()])
            assert [entry.seq for entry in every_entry(records)] == [1, 2]
            assert verify(records).is_sound

    def test_an_end_of_the_chain_that_is_told_wrong_does_no_harm(self, sqlite):
        with sqlite.opened() as records, sqlite.opened() as other:
            records.append_now([decision()])
            told = (sqlite.workspace / "records.lock").read_bytes()
            records.append_now([decision()])
            (sqlite.workspace / "records.lock").write_bytes(told)  # as when a process dies before it tells
            assert other.append_now([decision(), decision()])
            (sqlite.workspace / "records.lock").write_bytes(bytes(len(told)))
            assert records.append_now([decision()])
            assert verify(records).entries == 5
            assert verify(records).is_sound


class TestSeveralProcesses:
    def test_write_one_chain(self, place):
        children = [place.child("refuse", 200, 16) for _ in range(2)]
        printed = [child.communicate(timeout=120) for child in children]
        assert [child.returncode for child in children] == [0, 0], printed
        acknowledged = {line for out, _ in printed for line in out.split() if line != "open"}
        assert len(acknowledged) == 400
        with place.opened(writable=False) as records:
            entries = every_entry(records)
            assert [entry.seq for entry in entries] == list(range(1, 401))
            assert {entry.entry_id for entry in entries} == acknowledged
            assert verify(records).is_sound

    def test_killed_while_writing_loses_nothing_that_was_acknowledged(self, place):
        with place.opened() as own:
            for _ in range(2):
                child = place.child("refuse", 0, 16)
                lines = [child.stdout.readline().strip() for _ in range(100)]
                own.append_now([decision()])
                whole, _ = killed(child)
                acknowledged = {line for line in [*lines, *whole] if line != "open"}
                there = {entry.entry_id for entry in every_entry(own)}
                assert len(acknowledged) >= 99
                assert acknowledged <= there
            assert own.append_now([decision()])
            assert verify(own).is_sound

    def test_on_a_server_that_shows_old_rows_by_default(self, postgresql):
        """Who had waited for the lock saw the chain as it was before, and its place was taken."""
        with postgresql.tampering() as connection:
            connection.exec_driver_sql("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'")
        try:
            children = [postgresql.child("refuse", 50, 4) for _ in range(2)]
            printed = [child.communicate(timeout=120) for child in children]
            assert [out.count("refused") for out, _ in printed] == [0, 0], printed
            with postgresql.opened(writable=False) as records:
                assert verify(records).entries == 100
        finally:
            with postgresql.tampering() as connection:
                connection.exec_driver_sql("ALTER DATABASE postgres RESET default_transaction_isolation")
