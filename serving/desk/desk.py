"""The desk: questions that arrive at the same time are decided together as one block of customers, put on record, and
only then answered."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Literal, Protocol

from features.errors import NotFound, NotReady

from ..answer import Answer
from ..decisions import FreshEvent, FreshEvents, Reason
from ..decisions.reason_codes import first_reason
from ..deployment import Deployment, InUse
from ..recommender import Recommender
from ..records import Entry, Records, new_entry_id
from .customers import check_sees
from .decision_entry import Asked, decision_entry, shown
from .events import events_in

BLOCK = 32
"""Customers decided together: enough to share the cost of a decision, few enough that nobody waits for the others."""

MOST_WAITING = 2_000
"""Questions that may wait; more are refused at once rather than answered too late."""


class Busy(NotReady):
    """More is asked than can be answered."""


class Observer(Protocol):
    """Who counts what the desk does; see `serving.api.metrics.Metrics`."""

    def observe_stage(self, stage: Literal["events", "decide", "render", "record"], seconds: float) -> None:
        """A stage of some answers has taken `seconds`."""

    def count_decision(self, channel: str, personalised: bool) -> None:
        """A decision is on record."""

    def count_offered(self, product_id: str) -> None:
        """It offers a product."""

    def count_fallback(self, what: str) -> None:
        """It was made with less than should have been there."""

    def count_excluded(self, reason_name: str, n: int) -> None:
        """It excludes `n` products for the same first reason."""


@dataclass(frozen=True)
class Shown:
    """What is answered: JSON, and the decision on record that it is."""

    decision_id: str
    body: bytes


@dataclass(frozen=True)
class _Waiting:
    asked: Asked
    shown: asyncio.Future[Shown]


@dataclass(frozen=True)
class _Decided:
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

    def __init__(self, in_use: InUse, records: Records, observer: Observer) -> None:
        self.in_use = in_use
        self.records = records
        self._observer = observer
        self._urgent: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None

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
        return await waiting.shown

    async def fresh_events(self, customer_ids: Sequence[str], recommender: Recommender) -> dict[str, list[FreshEvent]]:
        """What happened to each customer that the states do not know yet; customers without such events are missing."""
        found = await self._events(customer_ids, recommender)
        return {customer_id: [event for _, event in events] for customer_id, events in found.items()}

    async def close(self) -> None:
        """Finish what was asked."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        try:
            while self._urgent or self._patient:
                queue = self._urgent or self._patient
                batch = [queue.popleft() for _ in range(min(BLOCK, len(queue)))]
                await self._attend(batch)
        finally:
            self._worker = None

    async def _attend(self, batch: list[_Waiting]) -> None:
        batch = [waiting for waiting in batch if not waiting.shown.done()]  # who has hung up is not waiting
        try:
            decided = await self._decide(batch)
        except NotFound as error:
            if len(batch) == 1:
                batch[0].shown.set_exception(error)
            else:  # one of them asks for what there is not: the others are answered all the same
                for waiting in batch:
                    await self._attend([waiting])
        except Exception as error:
            for waiting in batch:
                waiting.shown.set_exception(error)
        else:
            # what is asked meanwhile is decided together: to begin with it at once would make many small blocks
            await self._record(decided)

    async def _decide(self, batch: Sequence[_Waiting]) -> list[_Decided]:
        deployment, recommender = self.in_use.get()
        for waiting in batch:
            check_sees(waiting.asked.principal, recommender.states, waiting.asked.question.customer_id)
        start = perf_counter()
        events = await self._events([waiting.asked.question.customer_id for waiting in batch], recommender)
        start = self._observe("events", start)
        answers = list(_answers(recommender, batch, events))
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
        start = perf_counter()
        try:
            await self.records.append([each.entry for each in decided])
        except Exception as error:
            for each in decided:
                if not each.waiting.shown.done():
                    each.waiting.shown.set_exception(error)
            return
        self._observe("record", start)
        for each in decided:
            if not each.waiting.shown.done():
                each.waiting.shown.set_result(each.shown)
        self._count(decided)

    async def _events(
        self, customer_ids: Iterable[str], recommender: Recommender
    ) -> dict[str, list[tuple[str, FreshEvent]]]:
        stored = await self.records.events_of(list(customer_ids))
        found = {customer_id: events_in(entries, recommender.states) for customer_id, entries in stored.items()}
        return {customer_id: events for customer_id, events in found.items() if events}

    def _count(self, decided: Sequence[_Decided]) -> None:
        if self.records.queued:
            self._observer.count_fallback("records_in_files")
        excluded: Counter[Reason | None] = Counter()
        for each in decided:
            recommendation = each.answer.recommendation
            self._observer.count_decision(recommendation.channel, recommendation.personalised)
            if not recommendation.personalised:
                self._observer.count_fallback("popularity")
            for suggestion in recommendation.suggestions:
                self._observer.count_offered(suggestion.product_id)
            excluded.update(map(first_reason, each.answer.decisions.excluded[each.answer.row].tolist()))
        for reason, n in excluded.items():
            if reason is not None:
                self._observer.count_excluded(reason.name, n)

    def _observe(self, stage: Literal["events", "decide", "render", "record"], start: float) -> float:
        now = perf_counter()
        self._observer.observe_stage(stage, now - start)
        return now


def _answers(
    recommender: Recommender, batch: Sequence[_Waiting], events: dict[str, list[tuple[str, FreshEvent]]]
) -> Iterable[tuple[_Waiting, Answer]]:
    """Each customer's day is that of their own events, whoever else is asked about."""
    quiet = recommender.day(())
    by_day: dict[date, list[_Waiting]] = {}
    for waiting in batch:
        own = events.get(waiting.asked.question.customer_id)
        day = recommender.day([event for _, event in own]) if own else quiet
        by_day.setdefault(day, []).append(waiting)
    for day, together in by_day.items():
        happened = [
            event
            for customer_id in dict.fromkeys(waiting.asked.question.customer_id for waiting in together)
            for _, event in events.get(customer_id, ())
        ]
        fresh = FreshEvents.of(recommender.states, happened) if happened else FreshEvents.none()
        answers = recommender.answer([waiting.asked.question for waiting in together], fresh=fresh, day=day)
        yield from zip(together, answers, strict=True)
