"""The desk: questions that arrive at the same time are decided together as one block of customers, put on record, and
only then answered."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextvars import Context
from time import perf_counter
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from features import CustomerStates
from features.errors import NotFound, NotReady

from ..answering.answer import Answer
from ..answering.engine import DecisionEngine
from ..decisions import FreshEvent, FreshEvents, Reason
from ..decisions.reason_codes import first_reason
from ..deployment import AgeLimits, Deployment, Follower, InUse, heard
from ..records import Entry, Records, new_entry_id
from .customers import rows_seen
from .decision_entry import Asked, decision_entry, shown

BLOCK = 48
"""Customers decided together: enough to share the cost of a decision, few enough that nobody waits for the others."""

ENOUGH = 16
"""Questions that are worth a block of their own while the last one is being put on record."""

AT_ONCE = 4
"""Blocks that are put on record at the same time."""

MOST_WAITING = 2_000
"""Questions that may wait; more are refused at once rather than answered too late."""


_log = logging.getLogger(__name__)


class Busy(NotReady):
    """More is asked than can be answered."""


class Observer(Protocol):
    """Who counts what the desk does; see `serving.api.metrics.Metrics`."""

    def observe_stage(self, stage: Literal["events", "decide", "render", "record"], seconds: float) -> None:
        """A stage of some answers has taken `seconds`."""

    def count_decision(self, channel: str, personalised: bool, n: int) -> None:
        """`n` decisions are on record."""

    def count_offered(self, product_id: str, n: int) -> None:
        """`n` of them offer a product."""

    def count_fallback(self, what: str, n: int) -> None:
        """`n` of them were made with less than should have been there."""

    def count_excluded(self, reason_name: str, n: int) -> None:
        """They exclude `n` products for the same first reason."""


class Shown(NamedTuple):
    """What is answered: JSON, and the decision on record that it is."""

    decision_id: str
    body: bytes


class _Waiting(NamedTuple):
    asked: Asked
    shown: asyncio.Future[Shown]


class _Decided(NamedTuple):
    """A decision that is to go on record before it is answered."""

    waiting: _Waiting
    answer: Answer
    shown: Shown
    entry: Entry


class Desk:
    """Answers questions about customers.

    Attributes
    ----------
    in_use : model, states and policy
    records : where decisions go, and events come from
    """

    def __init__(self, in_use: Follower, records: Records, observer: Observer, limits: AgeLimits) -> None:
        """`limits` : of the states that may be decided from."""
        self.in_use = in_use
        self.records = records
        self._observer = observer
        self._limits = limits
        self._urgent: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._gathering: asyncio.Future[None] | None = None

    async def answer(self, asked: Asked, *, patient: bool = False) -> Shown:
        """The answer, once it is on record.

        Parameters
        ----------
        patient : one of many, which let others go first

        Raises
        ------
        NotFound : when the principal has no such customer, the catalogue no such product or family, or the policy no
            such channel
        NotReady : when nothing can be decided now, or nothing can be recorded (`RecordsUnavailable`)
        Busy : when too many wait
        """
        queue = self._patient if patient else self._urgent
        if not patient and len(queue) >= MOST_WAITING:
            raise Busy("more is asked than can be answered: ask again in a moment, and add workers if it goes on")
        waiting = _Waiting(asked, asyncio.get_running_loop().create_future())
        queue.append(waiting)
        if self._worker is None:
            # of no request in particular: what is logged meanwhile must not bear the first one's id
            self._worker = asyncio.create_task(self._work(), context=Context())
        elif len(self._urgent) + len(self._patient) >= ENOUGH:
            self._go_on()
        return await waiting.shown

    async def happened_to(self, customer_ids: Sequence[str], engine: DecisionEngine) -> FreshEvents:
        """What happened to some customers since the states were built."""
        found = await self._events(customer_ids, engine)
        return _fresh(found, engine.states)

    async def happened_in_book(
        self, customer_ids: Sequence[str], engine: DecisionEngine
    ) -> tuple[FreshEvents, dict[str, Exception]]:
        """The same of many customers, and what is wrong with those of whom it cannot be read."""
        broken: dict[str, Exception] = {}
        found = await self._events(customer_ids, engine, broken)
        return _fresh(found, engine.states), broken

    async def heard_of(self, customer_id: str, engine: DecisionEngine, *, but: str = "") -> list[FreshEvent]:
        """The events of one customer that decisions hear of, but that of the entry `but`."""
        found = await self._events([customer_id], engine)
        return [event for entry_id, event in found.get(customer_id, ()) if entry_id != but]

    async def close(self) -> None:
        """Finish what was asked."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        recording: deque[asyncio.Task[None]] = deque()
        batch: list[_Waiting] = []
        try:
            while True:
                while self._urgent or self._patient:
                    queue = self._urgent or self._patient
                    batch = [queue.popleft() for _ in range(min(BLOCK, len(queue)))]
                    await self._answer(batch, recording)
                if not recording:
                    return
                await recording.popleft()
        except BaseException as error:
            told = error if isinstance(error, Exception) else NotReady("the service is stopping: ask again")
            for waiting in (*batch, *self._urgent, *self._patient):  # nobody waits for ever, whatever it is
                _tell(waiting, told)
            self._urgent.clear()
            self._patient.clear()
            raise
        finally:
            self._worker = None

    async def _answer(self, batch: list[_Waiting], recording: deque[asyncio.Task[None]]) -> None:
        """Decide for `batch`, and have it put on record, in its turn, and answered."""
        try:
            in_use = self.in_use.hold()
        except Exception as error:
            for waiting in batch:
                _tell(waiting, error)
            return
        try:
            decided = await self._decided(batch, in_use)
            while len(recording) >= AT_ONCE:
                await recording.popleft()
            recorded = asyncio.create_task(self._record(decided))
        except BaseException:
            self.in_use.release(in_use)
            raise
        recorded.add_done_callback(lambda _: self.in_use.release(in_use))
        recording.append(recorded)
        await self._gather(recorded)

    async def _gather(self, recording: asyncio.Task[None]) -> None:
        """Let questions come in until the last ones are on record, or there are enough to go on with meanwhile: to
        begin at once would make many small blocks."""
        if len(self._urgent) + len(self._patient) >= ENOUGH:
            await asyncio.sleep(0)  # for the recording to begin
            return
        self._gathering = asyncio.get_running_loop().create_future()
        recording.add_done_callback(self._go_on)
        await self._gathering

    def _go_on(self, _: asyncio.Task[None] | None = None) -> None:
        if self._gathering is not None and not self._gathering.done():
            self._gathering.set_result(None)

    async def _decided(self, batch: list[_Waiting], in_use: InUse) -> list[_Decided]:
        """What can be decided of `batch`; who asks for the rest is told."""
        batch = [waiting for waiting in batch if not waiting.shown.done()]  # who has hung up is not waiting
        try:
            return await self._decide(batch, in_use)
        except NotReady as error:  # the same for all
            for waiting in batch:
                _tell(waiting, error)
            return []
        except Exception as error:
            if len(batch) == 1:
                _tell(batch[0], error)
        if len(batch) <= 1:
            return []
        # it is somebody's question, or somebody's record: the others are answered all the same
        half = len(batch) // 2
        return [*await self._decided(batch[:half], in_use), *await self._decided(batch[half:], in_use)]

    async def _decide(self, batch: Sequence[_Waiting], in_use: InUse) -> list[_Decided]:
        deployment, engine = in_use
        self._limits.check(engine)
        batch, positions = _seen(batch, engine.states)
        if not batch:
            return []
        start = perf_counter()
        events = await self._events([waiting.asked.question.customer_id for waiting in batch], engine)
        start = self._observe("events", start)
        answers = list(_answers(engine, batch, positions, events))
        start = self._observe("decide", start)
        decided = [self._on_paper(waiting, answer, deployment, events) for waiting, answer in answers]
        self._observe("render", start)
        return decided

    def _on_paper(
        self,
        waiting: _Waiting,
        answer: Answer,
        deployment: Deployment,
        events: dict[str, list[tuple[str, FreshEvent]]],
    ) -> _Decided:
        decision_id = new_entry_id()
        body = shown(answer, waiting.asked.language, decision_id)
        laid_over = [entry_id for entry_id, _ in events.get(answer.question.customer_id, ())]
        entry = decision_entry(
            answer, body, waiting.asked, decision_id=decision_id, deployment=deployment.number, events=laid_over
        )
        return _Decided(waiting, answer, Shown(decision_id, body), entry)

    async def _record(self, decided: Sequence[_Decided]) -> None:
        """Put on record and answer; it never fails: who waits is told what did."""
        if not decided:
            return
        start = perf_counter()
        try:
            await self.records.append([each.entry for each in decided])
        except BaseException as error:
            told = error if isinstance(error, Exception) else NotReady("the service is stopping: ask again")
            for each in decided:
                _tell(each.waiting, told)
            if not isinstance(error, Exception):
                raise
            return
        for each in decided:
            if not each.waiting.shown.done():
                each.waiting.shown.set_result(each.shown)
        try:
            self._observe("record", start)
            self._count(decided)
        except Exception:  # what is answered is answered, whether it is counted or not
            _log.exception("decisions are on record, and were not counted")

    async def _events(
        self, customer_ids: Iterable[str], engine: DecisionEngine, broken: dict[str, Exception] | None = None
    ) -> dict[str, list[tuple[str, FreshEvent]]]:
        """By customer; `broken` takes those of whom they cannot be read, without it that is raised."""
        stored = await self.records.events_of(list(customer_ids))
        found = {}
        for customer_id, entries in stored.items():
            try:
                events = heard(customer_id, entries, engine)
            except Exception as error:
                if broken is None:
                    raise
                broken[customer_id] = error
            else:
                if events:
                    found[customer_id] = events
        return found

    def _count(self, decided: Sequence[_Decided]) -> None:
        decisions: Counter[tuple[str, bool]] = Counter()
        offered: Counter[str] = Counter()
        excluded: Counter[int] = Counter()
        for each in decided:
            recommendation = each.answer.recommendation
            decisions[recommendation.channel, recommendation.personalised] += 1
            offered.update([suggestion.product_id for suggestion in recommendation.suggestions])
        for together in {id(each.answer.decisions): each.answer.decisions for each in decided}.values():
            excluded.update(together.excluded.ravel().tolist())
        for (channel, personalised), n in decisions.items():
            self._observer.count_decision(channel, personalised, n)
            if not personalised:
                self._observer.count_fallback("popularity", n)
        for product_id, n in offered.items():
            self._observer.count_offered(product_id, n)
        first: Counter[Reason] = Counter()
        for bits, n in excluded.items():
            if (reason := first_reason(bits)) is not None:
                first[reason] += n
        for reason, n in first.items():
            self._observer.count_excluded(reason.name, n)

    def _observe(self, stage: Literal["events", "decide", "render", "record"], start: float) -> float:
        now = perf_counter()
        self._observer.observe_stage(stage, now - start)
        return now


def _tell(waiting: _Waiting, error: Exception) -> None:
    if not waiting.shown.done():
        waiting.shown.set_exception(error)


def _seen(batch: Sequence[_Waiting], states: CustomerStates) -> tuple[Sequence[_Waiting], NDArray[np.int64]]:
    """Those of `batch` who may see their customer, and the customers' rows; the others are told that there is none."""

    def rows(some: Sequence[_Waiting]) -> NDArray[np.int64]:
        asked = [waiting.asked for waiting in some]
        return rows_seen([each.principal for each in asked], states, [each.question.customer_id for each in asked])

    try:
        return batch, rows(batch)
    except NotFound:
        seen = []
        for waiting in batch:
            try:
                rows([waiting])
            except NotFound as error:
                waiting.shown.set_exception(error)
            else:
                seen.append(waiting)
        return seen, rows(seen)


def _answers(
    engine: DecisionEngine,
    batch: Sequence[_Waiting],
    positions: NDArray[np.int64],
    events: dict[str, list[tuple[str, FreshEvent]]],
) -> Iterable[tuple[_Waiting, Answer]]:
    questions = [waiting.asked.question for waiting in batch]
    fresh = _fresh(events, engine.states)
    return zip(batch, engine.answer(questions, positions=positions, fresh=fresh), strict=True)


def _fresh(events: dict[str, list[tuple[str, FreshEvent]]], states: CustomerStates) -> FreshEvents:
    if not events:
        return FreshEvents.none()
    return FreshEvents.of(states, [event for own in events.values() for _, event in own])
