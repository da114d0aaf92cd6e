"""Who looked at a customer, and all that is held of one."""

import json
import os

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import NotFound
from serving.records import Entry, RecordsUnavailable, erase, new_entry_id, verify
from serving.records.export import export
from serving.records.looks import looks_at
from serving.records.queue_files import QueueFiles
from tests.serving.records.places import decision, event, every_entry

RM = {"subject": "li", "role": "rm", "rm_id": "RM1", "how": "token"}
LEAD = {"subject": "wang", "role": "team_lead", "branch_id": "B1", "how": "token"}


def look(kind, customer_id="C1", caller=RM, **said):
    at = said.pop("at", None)
    payload = orjson.dumps({"caller": caller, "request_id": "r1"} | said)
    return Entry(kind, new_entry_id(), customer_id, payload, at)


def at(day):
    return f"{day}T12:00:00.000000Z"


class TestLooksAt:
    def test_every_entry_that_names_its_caller_is_one(self, place):
        with place.opened() as records:
            records.append_now([
                look("decision"),
                look("access", caller=LEAD, what="overview", times=3, **{"from": "10.0.0.7"}),
                look("access", "C2", what="overview"),
                look("feedback"),
                Entry("event", new_entry_id(), "C1", b'{"event": {}}'),
                look("event", caller=LEAD),
                look("list", None),
            ])  # fmt: skip
            found = list(looks_at(records, "C1"))
        assert [(look.seq, look.what, look.caller, look.address, look.times) for look in found] == [
            (1, "recommendations", RM, None, 1),
            (2, "overview", LEAD, "10.0.0.7", 3),
            (4, "feedback", RM, None, 1),
            (6, "event", LEAD, None, 1),
        ]
        assert found[0].request_id == "r1"

    def test_since_a_time(self, place):
        with place.opened() as records:
            records.append_now([look("decision", at=at(f"2026-01-0{day}")) for day in (1, 3, 2)])
            found = looks_at(records, "C1", since=at("2026-01-02"))
            assert [look.seq for look in found] == [2, 3]

    def test_what_was_erased_tells_nobody(self, place):
        with place.opened() as records:
            records.append_now([look("access", what="overview"), look("access", "C2", what="overview")])
            erase(records, "C1", reason="asked", by="test")
            assert list(looks_at(records, "C1")) == []
            assert len(list(looks_at(records, "C2"))) == 1

    def test_as_many_as_were_written_of_whomever(self, place):
        """More than are read at a time, too."""
        written: dict[str, int] = {}
        customers = st.sampled_from(["C1", "C2", "客户", "C"])
        kinds = st.sampled_from(["decision", "feedback", "event", "access"])
        with place.opened() as records:
            records.append_now([look("access", "C1", what="overview") for _ in range(600)])
            written["C1"] = 600

            @settings(max_examples=15, deadline=None)
            @given(st.lists(st.tuples(kinds, customers), max_size=30))
            def check(entries):
                records.append_now([look(kind, customer_id) for kind, customer_id in entries])
                for _, customer_id in entries:
                    written[customer_id] = written.get(customer_id, 0) + 1
                for customer_id in ("C1", "C2", "客户", "C"):
                    assert len(list(looks_at(records, customer_id))) == written.get(customer_id, 0)

            check()


class TestExport:
    def test_holds_every_entry_and_leaves_one_of_itself(self, place, tmp_path):
        with place.opened() as records:
            records.append_now(
                [look("decision"), event("C1", '{"说": "基金"}'.encode()), decision("C2"), look("access")]
            )
            assert export(records, "C1", tmp_path / "C1.json", by="officer") == 4
            own = [entry for entry in every_entry(records) if entry.customer_id == "C1"]
            assert verify(records).is_sound
            (told,) = list(looks_at(records, "C1"))[-1:]
        assert (told.what, told.caller) == ("export", {"subject": "officer", "how": "command"})
        said = json.loads((tmp_path / "C1.json").read_bytes())
        assert said["entries"] == [entry.to_dict() for entry in own]
        assert [entry["seq"] for entry in said["entries"]] == [1, 2, 4, 5]
        assert said["entries"][1]["payload"] == {"说": "基金"}
        assert (said["customer_id"], said["made_by"]) == ("C1", "officer")
        assert set(said["not_in_it"]) == {"states", "campaign lists"}

    def test_only_its_owner_may_read_it(self, sqlite, tmp_path):
        before = os.umask(0)
        try:
            with sqlite.opened() as records:
                records.append_now([decision("C1")])
                export(records, "C1", tmp_path / "C1.json", by="officer")
        finally:
            os.umask(before)
        assert (tmp_path / "C1.json").stat().st_mode & 0o777 == 0o600

    def test_of_who_is_not_there_nothing_is_written(self, place, tmp_path):
        with place.opened() as records:
            records.append_now([decision("C1")])
            with pytest.raises(NotFound, match="nothing of customer C2 is on record"):
                export(records, "C2", tmp_path / "C2.json", by="officer")
            assert len(every_entry(records)) == 1
        assert not (tmp_path / "C2.json").exists()

    def test_refusals_that_outlived_an_erasure_are_in_it(self, place, tmp_path):
        refused = {"event": {"kind": "consent", "day": "2026-01-01", "purpose": "marketing", "granted": False}}
        with place.opened() as records:
            records.append_now([event("C1", orjson.dumps(refused)), event("C2", orjson.dumps(refused))])
            erase(records, "C1", reason="asked", by="test")
            assert export(records, "C1", tmp_path / "C1.json", by="officer") == 2
        kept, told = json.loads((tmp_path / "C1.json").read_bytes())["entries"]
        assert (kept["kind"], kept["payload"]["event"]["granted"]) == ("suppression", False)
        assert (told["kind"], told["customer_id"]) == ("access", "C1")

    def test_what_waits_in_files_is_in_it(self, place, tmp_path):
        with place.opened() as records:
            left = QueueFiles(place.workspace)
            left.append([[decision("C1", at=at("2026-11-01"))]])
            left.put_aside()
            assert export(records, "C1", tmp_path / "C1.json", by="officer") == 2

    def test_it_is_refused_while_a_service_keeps_some_in_a_file(self, place, tmp_path):
        """All that is held would not be all."""
        with place.opened(commit_timeout=0.3) as records:
            records.append_now([decision("C1")])
            busy = QueueFiles(place.workspace)
            busy.append([[decision("C1", at=at("2026-11-01"))]])
            with pytest.raises(RecordsUnavailable, match="decisions wait in"):
                export(records, "C1", tmp_path / "C1.json", by="officer")
            busy.put_aside()
