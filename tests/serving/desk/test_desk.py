"""Who asks at the same time is decided for together, and nobody is answered before it is on record."""

import asyncio
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import orjson
import pytest

from features.errors import NotFound, NotReady
from serving.access import Principal, Role
from serving.answering.answer import Question
from serving.decisions.reason_codes import first_reason
from serving.deployment import AgeLimits
from serving.desk import desk as desk_module
from serving.desk.decision_entry import Asked
from serving.desk.desk import AT_ONCE, BLOCK, ENOUGH, Desk, Shown
from serving.language import Language
from serving.records import StoredEntry

LIMITS = AgeLimits(warn=45, refuse=0)
EVERYBODYS = Principal("anna", Role.ANALYST, None, None, how="token")


class Records:
    """Keeps blocks until they are let through."""

    def __init__(self):
        self.blocks = []
        self.let_through = asyncio.Event()

        self.events = {}

    async def events_of(self, customer_ids):
        return {customer_id: self.events[customer_id] for customer_id in customer_ids if customer_id in self.events}

    async def append(self, entries):
        self.blocks.append([orjson.loads(entry.payload)["request"]["customer_id"] for entry in entries])
        await self.let_through.wait()
        return True


class Observer:
    """Counts what is counted."""

    def __init__(self):
        self.stages, self.counts = Counter(), Counter()

    def observe_stage(self, stage, seconds):
        self.stages[stage] += 1

    def count_decision(self, channel, personalised, n):
        self.counts["decisions"] += n

    def count_offered(self, product_id, n):
        self.counts["offered"] += n

    def count_fallback(self, what, n):
        self.counts[what] += n

    def count_excluded(self, reason_name, n):
        self.counts[reason_name] += n


@pytest.fixture(scope="module")
def customers(engine):
    states = engine.states
    return states.ids_of(states.known_at(states.as_of_period))[: 6 * BLOCK]


@pytest.fixture
def at_the_desk(engine):
    """Run something that is given a desk, its records and its observer."""

    def run(work):
        async def whole():
            in_use = SimpleNamespace(hold=lambda: (SimpleNamespace(number=1), engine), release=lambda _: None)
            records, observer = Records(), Observer()
            await asyncio.wait_for(work(Desk(in_use, records, observer, LIMITS), records, observer), 60)

        asyncio.run(whole())

    return run


def asking(desk, customer_ids, product_ids=()):
    questions = [Question(customer_id, 3, asked=tuple(product_ids)) for customer_id in customer_ids]
    asked = [Asked(question, Language.EN, EVERYBODYS, "r-1") for question in questions]
    return [asyncio.create_task(desk.answer(each)) for each in asked]


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def test_who_asks_while_others_are_put_on_record_is_decided_for_together(at_the_desk, customers):
    async def work(desk, records, observer):
        first = asking(desk, customers[:1])
        await settle()
        assert records.blocks == [customers[:1]]
        others = asking(desk, customers[1:ENOUGH])
        await settle()
        assert observer.stages["decide"] == 1
        records.let_through.set()
        await asyncio.gather(*first, *others)
        assert records.blocks == [customers[:1], customers[1:ENOUGH]]

    at_the_desk(work)


def test_enough_are_decided_for_while_others_are_put_on_record(at_the_desk, customers):
    async def work(desk, records, observer):
        tasks, starts = [], [0, 1, *range(1 + ENOUGH, len(customers), BLOCK)]
        blocks = [customers[start:stop] for start, stop in pairwise(starts)][: AT_ONCE + 2]
        for block in blocks:
            tasks += asking(desk, block)
            await settle()
        # some are put on record, the next is decided and waits for its turn, the last is not begun
        assert records.blocks == blocks[:AT_ONCE]
        assert observer.stages["decide"] == AT_ONCE + 1
        assert not any(task.done() for task in tasks)
        records.let_through.set()
        await asyncio.gather(*tasks)
        assert records.blocks == blocks

    at_the_desk(work)


def test_answers_are_those_of_each_alone(at_the_desk, customers, engine):
    async def work(desk, records, observer):
        records.let_through.set()
        answered = await asyncio.gather(*asking(desk, customers))
        assert sum(map(len, records.blocks)) == len(customers)
        assert max(map(len, records.blocks)) == BLOCK
        expected = Counter(decisions=len(customers))
        for customer_id, shown in zip(customers, answered, strict=True):
            (answer,) = engine.answer([Question(customer_id, 3)])
            alone = answer.recommendation
            body = orjson.loads(shown.body)
            assert body == orjson.loads(orjson.dumps({"decision_id": shown.decision_id} | alone.to_dict()))
            expected["offered"] += len(alone.suggestions)
            expected["popularity"] += not alone.personalised
            reasons = [first_reason(bits) for bits in answer.decisions.excluded[0].tolist()]
            expected.update(reason.name for reason in reasons if reason is not None)
        assert observer.counts == expected

    at_the_desk(work)


def test_who_asks_for_nobody_is_told_and_the_others_stay_together(at_the_desk, customers):
    async def work(desk, records, observer):
        records.let_through.set()
        tasks = asking(desk, [*customers[:3], "nobody", *customers[3:5]])
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in told].count(NotFound) == 1
        assert isinstance(told[3], NotFound)
        assert records.blocks == [customers[:5]]

    at_the_desk(work)


def test_who_asks_for_what_there_is_not_is_told_and_the_others_are_answered(at_the_desk, customers):
    async def work(desk, records, observer):
        records.let_through.set()
        good, bad = asking(desk, customers[:3]), asking(desk, customers[3:4], ["no_such_product"])
        told = await asyncio.gather(*good, *bad, return_exceptions=True)
        assert [type(each) for each in told[3:]] == [NotFound]
        assert sorted(customer_id for block in records.blocks for customer_id in block) == sorted(customers[:3])

    at_the_desk(work)


def test_it_closes_when_all_is_answered(at_the_desk, customers):
    async def work(desk, records, observer):
        tasks = asking(desk, customers[:1])
        await settle()
        tasks += asking(desk, customers[1 : 1 + ENOUGH])
        closing = asyncio.create_task(desk.close())
        await settle()
        assert not closing.done()
        records.let_through.set()
        await closing
        assert all(task.done() for task in tasks)

    at_the_desk(work)


def test_who_hangs_up_is_not_decided_for(at_the_desk, customers):
    async def work(desk, records, observer):
        asking(desk, customers[:1])
        await settle()
        (gone,) = asking(desk, customers[1:2])
        await settle()
        gone.cancel()
        await settle()
        records.let_through.set()
        await asyncio.gather(*asking(desk, customers[2:3]))
        assert records.blocks == [customers[:1], customers[2:3]]

    at_the_desk(work)


def unreadable(customer_id):
    """An event on record that is none."""
    return [StoredEntry(1, "e-1", "event", "2026-07-01T00:00:00.000000Z", customer_id, b'{"event": {"kind": 3}}')]


def test_a_broken_customer_fails_nobody_else(at_the_desk, customers):
    """Broken before: one event that could not be read failed the 48 that were decided together."""

    async def work(desk, records, observer):
        records.let_through.set()
        broken = customers[17]
        records.events[broken] = unreadable(broken)
        told = await asyncio.gather(*asking(desk, customers[:BLOCK]), return_exceptions=True)
        failed = [
            customer_id for customer_id, each in zip(customers, told, strict=False) if isinstance(each, Exception)
        ]
        assert failed == [broken]
        recorded = [customer_id for block in records.blocks for customer_id in block]
        assert recorded == [customer_id for customer_id in customers[:BLOCK] if customer_id != broken]

    at_the_desk(work)


def test_what_fails_while_it_is_written_down_fails_nobody_else(at_the_desk, customers, monkeypatch):
    write = desk_module.decision_entry

    def decision_entry(answer, *told, **named):
        if answer.question.customer_id == customers[3]:
            raise ValueError("it cannot be written down")
        return write(answer, *told, **named)

    monkeypatch.setattr(desk_module, "decision_entry", decision_entry)

    async def work(desk, records, observer):
        records.let_through.set()
        told = await asyncio.gather(*asking(desk, customers[:7]), return_exceptions=True)
        assert [type(each) for each in told] == [Shown] * 3 + [ValueError] + [Shown] * 3

    at_the_desk(work)


def test_a_failure_of_all_is_told_once_each_and_not_looked_for(at_the_desk, customers):
    async def work(desk, records, observer):
        asked_for = []

        async def events_of(customer_ids):
            asked_for.append(len(customer_ids))
            raise NotReady("the database is away")

        records.events_of = events_of
        told = await asyncio.gather(*asking(desk, customers[:BLOCK]), return_exceptions=True)
        assert [type(each) for each in told] == [NotReady] * BLOCK
        assert asked_for == [BLOCK]

    at_the_desk(work)


def test_what_cannot_be_counted_is_answered_and_the_desk_goes_on(at_the_desk, customers):
    """Broken before: the blocks that waited for their turn to be put on record were never told anything."""

    async def work(desk, records, observer):
        def fail(*_):
            raise RuntimeError("it cannot be counted")

        observer.count_decision = fail
        tasks = []
        for start in range(AT_ONCE + 2):
            tasks += asking(desk, customers[start * ENOUGH : (start + 1) * ENOUGH])
            await settle()
        records.let_through.set()
        assert len(await asyncio.gather(*tasks)) == (AT_ONCE + 2) * ENOUGH

    at_the_desk(work)


def test_what_breaks_the_desk_itself_is_told_to_all_and_the_next_is_answered(at_the_desk, customers):
    async def work(desk, records, observer):
        gather = desk._gather

        async def fail(recording):
            raise RuntimeError("a fault of the desk's own")

        desk._gather = fail
        tasks = asking(desk, customers[: BLOCK + 5])
        await settle()
        desk._gather = gather
        records.let_through.set()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in told} == {RuntimeError}
        assert all(await asyncio.gather(*asking(desk, customers[:3])))

    at_the_desk(work)


def test_what_is_in_use_is_held_until_it_is_on_record(engine, customers):
    async def work():
        in_use = SimpleNamespace(held=0)

        def hold():
            in_use.held += 1
            return SimpleNamespace(number=1), engine

        def release(_):
            in_use.held -= 1

        in_use.hold, in_use.release = hold, release
        records = Records()
        desk = Desk(in_use, records, Observer(), LIMITS)
        tasks = asking(desk, customers[:3])
        await settle()
        assert records.blocks
        assert in_use.held == 1
        records.let_through.set()
        await asyncio.gather(*tasks)
        await desk.close()
        assert in_use.held == 0
        await asyncio.gather(*asking(desk, ["nobody"]), return_exceptions=True)
        await desk.close()
        assert in_use.held == 0

    asyncio.run(work())
