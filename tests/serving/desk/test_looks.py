"""Looks at customers are on record, and a caller cannot flood the records with them."""

import asyncio
from itertools import count

import orjson
import pytest

from serving.access import Principal, Role
from serving.desk import looks as module
from serving.desk.looks import MOST_REFUSED, SEVERAL, Look, Looks
from serving.records import RecordsUnavailable

ANNA = Principal("anna", Role.RM, "RM-1", None, how="token")
BEN = Principal("ben", Role.RM, "RM-2", None, how="token")


class Records:
    """Takes entries, or does not."""

    def __init__(self):
        self.entries = {}
        self.is_away = False

    async def append(self, entries):
        await asyncio.sleep(0)
        if self.is_away:
            raise RecordsUnavailable("away")
        self.entries |= {entry.entry_id: entry for entry in entries}
        return True

    @property
    def told(self):
        """Who, what, whom and how often, in the order of the records."""
        found = [(entry.customer_id, orjson.loads(entry.payload)) for entry in self.entries.values()]
        return [(said["caller"]["subject"], said["what"], customer, said["times"]) for customer, said in found]


class Observer:
    unrecorded = 0

    def count_unrecorded_looks(self, n):
        self.unrecorded += n


@pytest.fixture
def at_work(monkeypatch):
    """Run something that is given looks, their records, their observer and how to let a minute pass."""
    clock = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "_EVERY", 0.01)

    async def pass_time(seconds=61.0):
        clock[0] += seconds
        await asyncio.sleep(0.05)

    def run(work):
        async def whole():
            records, observer = Records(), Observer()
            looks = Looks(records, observer)
            await work(looks, records, observer, pass_time)
            await looks.close()

        asyncio.run(whole())

    return run


def look(what="overview", principal=ANNA, customer_id="C1", route="/v1/customers/{customer_id}"):
    return Look(what, principal, customer_id, "10.1.2.3", "r-1", route)


def test_an_entry_says_who_looked_from_where(at_work):
    async def work(looks, records, observer, pass_time):
        await looks.note(look())
        (entry,) = records.entries.values()
        assert (entry.kind, entry.customer_id) == ("access", "C1")
        assert orjson.loads(entry.payload) == {
            "what": "overview",
            "caller": {"subject": "anna", "role": "rm", "rm_id": "RM-1", "how": "token"},
            "from": "10.1.2.3",
            "request_id": "r-1",
            "route": "/v1/customers/{customer_id}",
            "times": 1,
        }

    at_work(work)


def test_the_same_look_within_a_minute_is_counted_and_its_number_is_on_record_afterwards(at_work):
    async def work(looks, records, observer, pass_time):
        for _ in range(5):
            await looks.note(look())
        await looks.note(look(customer_id="C2"))
        await looks.note(look("why_not", route="/v1/customers/{customer_id}/products/{product_id}/why-not"))
        await looks.note(look(principal=BEN))
        first = [("anna", "overview", "C1", 1), ("anna", "overview", "C2", 1), ("anna", "why_not", "C1", 1),
                 ("ben", "overview", "C1", 1)]  # fmt: skip
        assert records.told == first
        await pass_time()
        assert records.told == [*first, ("anna", "overview", "C1", 4)]
        await looks.note(look())
        assert records.told[len(first) + 1 :] == [("anna", "overview", "C1", 1)]

    at_work(work)


def test_what_was_counted_is_on_record_when_the_service_ends(at_work):
    told = []

    async def work(looks, records, observer, pass_time):
        for _ in range(3):
            await looks.note(look())
        told.append(records)

    at_work(work)
    assert told[0].told == [("anna", "overview", "C1", 1), ("anna", "overview", "C1", 2)]


def test_a_look_that_cannot_be_put_on_record_is_refused_and_tried_anew(at_work):
    async def work(looks, records, observer, pass_time):
        records.is_away = True
        for _ in range(2):
            with pytest.raises(RecordsUnavailable):
                await looks.note(look())
        records.is_away = False
        await looks.note(look())
        assert records.told == [("anna", "overview", "C1", 1)]

    at_work(work)


def test_refused_tries_of_one_caller_beyond_those_of_a_minute_are_one_entry(at_work):
    async def work(looks, records, observer, pass_time):
        for number in range(MOST_REFUSED + 25):
            looks.note_refused(look("refused", customer_id=f"C{number}"))
        looks.note_refused(look("refused", BEN))
        await pass_time(1.0)
        own = [each for each in records.told if each[0] == "anna"]
        assert own == [("anna", "refused", f"C{number}", 1) for number in range(MOST_REFUSED)]
        assert records.told[-1] == ("ben", "refused", "C1", 1)
        await pass_time()
        assert records.told[-1] == ("anna", "refused", None, 25)
        assert orjson.loads(list(records.entries.values())[-1].payload)["route"] == SEVERAL
        looks.note_refused(look("refused", customer_id="C500"))
        await pass_time(1.0)
        assert records.told[-1] == ("anna", "refused", "C500", 1)

    at_work(work)


def test_refused_tries_wait_for_the_records_and_are_counted_when_they_do_not_come_back(at_work):
    observers, all_records = [], []

    async def work(looks, records, observer, pass_time):
        records.is_away = True
        looks.note_refused(look("refused"))
        looks.note_refused(look("refused"))
        await pass_time()
        assert (records.told, observer.unrecorded) == ([], 0)
        records.is_away = False
        await pass_time(1.0)
        assert sorted(records.told) == [("anna", "refused", "C1", 1)] * 2
        records.is_away = True
        for number in range(3):
            looks.note_refused(look("refused", customer_id=f"D{number}"))
        observers.append(observer)
        all_records.append(records)

    at_work(work)
    assert observers[0].unrecorded == 3
    assert len(all_records[0].told) == 2


def test_no_look_is_lost_or_counted_twice(at_work, monkeypatch):
    """However they come: of all that was let through the records know the number."""
    monkeypatch.setattr(module, "MOST_KEPT", 5)
    let_through = []
    kept = []

    async def work(looks, records, observer, pass_time):
        for number in count():
            if number == 400:
                break
            one = look(principal=(ANNA, BEN)[number % 2], customer_id=f"C{number // 8 % 9}")
            await looks.note(one)
            let_through.append(one)
            if number % 37 == 0:
                await pass_time(31.0)
        kept.append(records)

    at_work(work)
    times = [each[3] for each in kept[0].told]
    assert sum(times) == len(let_through) == 400
    assert len(times) <= 220


@pytest.mark.parametrize("strange", ["", "x" * 5000, "a\x00b", "\ud800"])
def test_a_name_that_is_nobodys_is_left_out(at_work, strange):
    async def work(looks, records, observer, pass_time):
        looks.note_refused(look("refused", customer_id=strange))
        await pass_time(1.0)
        assert records.told == [("anna", "refused", None, 1)]

    at_work(work)
