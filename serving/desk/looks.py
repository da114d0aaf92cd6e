"""Who looked at whom over the API, and who tried: entries of the records, a bounded number of them for each caller."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from time import monotonic
from typing import Literal, NamedTuple, Protocol

import orjson

from ..access import Principal
from ..records import Entry, Records, new_entry_id
from ..records.entries import ACCESS, is_storable
from .caller import caller_of

MINUTE = 60.0
"""Seconds within which the same look of the same caller is one entry, and one more that counts the others."""

MOST_REFUSED = 60
"""Refused tries of one caller in a `MINUTE` that have entries of their own; the rest is one entry with their number."""

MOST_KEPT = 20_000
"""Looks that are remembered for counting; beyond, those of longest ago are closed early."""

MOST_UNWRITTEN = 20_000
"""Entries that wait for the records to come back; more are counted and given up."""

SEVERAL = "several"
"""Stands for the routes of refused tries that are one entry together."""

What = Literal["overview", "why_not", "decision", "replay", "refused"]

_LONGEST_ID = 200
_EVERY = 1.0  # seconds

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Who counts what could not be put on record; see `serving.api.metrics.Metrics`."""

    def count_unrecorded_looks(self, n: int) -> None:
        """`n` refused tries, or repeated looks, are on no record."""


@dataclass(frozen=True)
class Look:
    """One look at a customer, or a try.

    Attributes
    ----------
    customer_id : None: of nobody in particular
    client : address of the connection
    route : a template, never a path
    """

    what: What
    principal: Principal
    customer_id: str | None
    client: str
    request_id: str
    route: str

    def entry(self, times: int) -> Entry:
        """For the records."""
        content = {
            "what": self.what, "caller": caller_of(self.principal), "from": self.client,
            "request_id": self.request_id, "route": self.route, "times": times,
        }  # fmt: skip
        customer_id = self.customer_id
        if customer_id is not None and not (0 < len(customer_id) <= _LONGEST_ID and is_storable(customer_id)):
            customer_id = None  # a path that names nobody
        return Entry(ACCESS, new_entry_id(), customer_id, orjson.dumps(content))


@dataclass
class _Repeated:
    """Looks that are one entry, and how many of them are on no record yet."""

    look: Look
    until: float
    times: int = 0


@dataclass
class _Tries:
    """Refused tries of one caller within a minute."""

    until: float
    entries: int = 0


class _Unwritten(NamedTuple):
    """Entries that are to be written together, and the looks that they tell of."""

    entries: list[Entry]
    times: int


_Key = tuple[Principal, str, str | None, str]


class Looks:
    """Puts looks on record, for one worker.

    The first look is on record before it is answered; the same look again within a minute is counted, and what was
    counted is an entry when the minute ends, or the service does. A worker that is killed takes what it counted with
    it, never the first.
    """

    def __init__(self, records: Records, observer: Observer) -> None:
        self._records = records
        self._observer = observer
        self._seen: OrderedDict[_Key, _Repeated] = OrderedDict()
        self._tries: dict[Principal, _Tries] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._unwritten: list[_Unwritten] = []
        self._is_closing = False
        self._minutes = asyncio.create_task(self._end_minutes(), context=Context())

    async def note(self, look: Look) -> None:
        """Put a look on record, to be answered afterwards.

        Raises
        ------
        RecordsUnavailable : when that cannot be done
        """
        key = _key(look)
        if self._is_repeated(key):
            return
        # not remembered before it is on record: the same look meanwhile has an entry of its own
        await self._records.append([look.entry(1)])
        self._remember(key, look)

    def note_refused(self, look: Look) -> None:
        """Put a refused try on record as soon as that can be done: whoever is refused need not wait for it."""
        key = _key(look)
        if self._is_repeated(key):
            return
        tries = self._tries.get(look.principal)
        if tries is None or tries.until <= monotonic():
            tries = self._tries[look.principal] = _Tries(monotonic() + MINUTE)
        if tries.entries >= MOST_REFUSED:
            look = replace(look, customer_id=None, route=SEVERAL)
            if not self._is_repeated(_key(look)):
                self._remember(_key(look), look, until=tries.until, times=1)
            return
        tries.entries += 1
        self._remember(key, look)
        self._write([(look, 1)])

    async def close(self) -> None:
        """Put on record what was counted."""
        self._minutes.cancel()
        self._close(len(self._seen))
        self._try_again()
        self._is_closing = True
        if self._writing:
            await asyncio.wait(self._writing)

    def _is_repeated(self, key: _Key) -> bool:
        seen = self._seen.get(key)
        if seen is None or seen.until <= monotonic():
            return False
        seen.times += 1
        return True

    def _remember(self, key: _Key, look: Look, *, until: float | None = None, times: int = 0) -> None:
        before = self._seen.pop(key, None)
        if before is not None and before.times:
            self._write([(before.look, before.times)])
        self._seen[key] = _Repeated(look, until or monotonic() + MINUTE, times)
        if len(self._seen) > MOST_KEPT:
            self._close(1)

    def _close(self, count: int) -> None:
        """Put on record what was counted of the `count` looks of longest ago, and remember them no longer."""
        closed = [self._seen.popitem(last=False)[1] for _ in range(count)]
        self._write([(each.look, each.times) for each in closed if each.times])

    def _write(self, looks: Sequence[tuple[Look, int]]) -> None:
        if looks:
            self._begin(_Unwritten([look.entry(times) for look, times in looks], sum(times for _, times in looks)))

    def _try_again(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        for each in unwritten:
            self._begin(each)

    def _begin(self, unwritten: _Unwritten) -> None:
        writing = asyncio.create_task(self._append(unwritten), context=Context())
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _append(self, unwritten: _Unwritten) -> None:
        try:
            await self._records.append(unwritten.entries)  # under the same ids as before, if it was written after all
        except Exception as error:
            kept = sum(len(each.entries) for each in self._unwritten)
            if not self._is_closing and kept + len(unwritten.entries) <= MOST_UNWRITTEN:
                self._unwritten.append(unwritten)
                return
            self._observer.count_unrecorded_looks(unwritten.times)
            _log.error("%d refused tries or repeated looks are on no record: %s", unwritten.times, error)

    async def _end_minutes(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            self._try_again()
            now = monotonic()
            ended = [key for key, seen in self._seen.items() if seen.until <= now]
            self._write([(seen.look, seen.times) for seen in map(self._seen.pop, ended) if seen.times])
            for principal in [principal for principal, tries in self._tries.items() if tries.until <= now]:
                del self._tries[principal]


def _key(look: Look) -> _Key:
    return look.principal, look.what, look.customer_id, look.route
