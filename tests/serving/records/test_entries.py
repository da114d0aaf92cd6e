import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from features.errors import BadInput
from serving.records import Entry, new_entry_id
from serving.records.entries import MAX_PAYLOAD, now

AT = "2026-11-28T09:30:00.000000Z"


class TestEntry:
    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            (("wish", "1", "C1", b""), "no kind of entry is called 'wish'"),
            (("event", "", "C1", b""), "'' cannot be the id of an entry"),
            (("event", "a\0b", "C1", b""), "cannot be the id of an entry"),
            (("event", "1", "", b""), "'' cannot be a customer's id"),
            (("event", "1", "C\0", b""), "cannot be a customer's id"),
            (("event", "1", "C\ud800", b""), "cannot be a customer's id"),
            (("event", "1", "C1", "{}"), "the payload of 1 is str, not bytes"),
            (("event", "1", "C1", bytes(MAX_PAYLOAD + 1)), "16,777,216 are the most"),
            (("event", "1", "C1", b"", "2026-11-28"), "write it as 2026-11-28T09:30:00.000000Z"),
            (("event", "1", "C1", b"", "2026-11-31T09:30:00.000000Z"), "time '2026-11-31"),
            (("event", "1", "C1", b"", "2026-11-28T09:30:00.00000Z"), "time '2026-11-28"),
        ],
    )
    def test_what_cannot_be_recorded_is_refused(self, fields, said):
        with pytest.raises(BadInput, match=said):
            Entry(*fields)

    def test_what_can_be_is_not(self):
        entry = Entry("deployment", "1", None, bytes(MAX_PAYLOAD), AT)
        assert (entry.customer_id, entry.at) == (None, AT)

    def test_now_is_a_time_that_entries_take(self):
        before = datetime.now(UTC)
        entry = Entry("event", "1", "客户1", b"", now())
        assert before <= datetime.fromisoformat(entry.at) <= before + timedelta(seconds=10)


class TestNewEntryId:
    def test_is_a_uuid_of_version_7_with_the_time_in_milliseconds(self):
        before = time.time_ns() // 1_000_000
        found = new_entry_id()
        parsed = UUID(found)
        assert str(parsed) == found
        assert parsed.version == 7
        assert parsed.variant == "specified in RFC 4122"
        assert before <= parsed.int >> 80 <= time.time_ns() // 1_000_000

    def test_later_ones_sort_after(self):
        made = []
        for _ in range(50):
            made.append(new_entry_id())
            time.sleep(0.00001)
        assert made == sorted(made)
        assert len(set(made)) == 50
