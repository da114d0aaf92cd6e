"""Fresh events: what happened since the states were built, laid over them when a decision is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates
from features.blocks import candidates_of
from features.contracts import OUTCOMES, PURPOSES
from features.errors import BadInput
from features.kernels import kernel
from features.states.events import NO_CONVERSATION, conversation_number

from .layers.facts import days_since_epoch

EventKind = Literal["opened", "closed", "outcome", "consent", "complaint_opened", "complaint_resolved", "balance_jump"]
OPENED, CLOSED, OUTCOME, CONSENT, COMPLAINT_OPENED, COMPLAINT_RESOLVED, BALANCE_JUMP = range(7)
_KINDS: tuple[EventKind, ...] = (
    "opened", "closed", "outcome", "consent", "complaint_opened", "complaint_resolved", "balance_jump",
)  # fmt: skip
_NEEDS: dict[EventKind, tuple[str, ...]] = {
    "opened": ("product_id",),
    "closed": ("product_id",),
    "outcome": ("product_id", "channel", "outcome"),
    "consent": ("purpose", "granted"),
    "complaint_opened": (),
    "complaint_resolved": (),
    "balance_jump": ("amount",),
}

NO_DAY = np.iinfo(np.int32).min
"""Where an event names no further day."""


@dataclass(frozen=True)
class FreshEvent:
    """Something that happened to a customer and is known since `day`.

    Attributes
    ----------
    kind : ``opened`` or ``closed`` a product; the ``outcome`` of a contact made that day; a change of ``consent``; a
        complaint opened, or all of the customer's resolved; ``balance_jump``: an amount that came in, or below 0 went
    until : the day on which a customer who said "later" wants to hear of it again
    channel : of a contact; of a consent, where it speaks of one channel only
    conversation : names the contact that an outcome is of: several outcomes of one are one contact
    """

    customer_id: str
    kind: EventKind
    day: date
    product_id: str | None = None
    channel: str | None = None
    outcome: str | None = None
    until: date | None = None
    purpose: str | None = None
    granted: bool | None = None
    amount: float | None = None
    conversation: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise BadInput(f"no event is called {self.kind!r}; there are: {', '.join(_KINDS)}")
        missing = [name for name in _NEEDS[self.kind] if getattr(self, name) is None]
        if missing:
            raise BadInput(f"an event {self.kind!r} of customer {self.customer_id!r} needs {missing[0]}")
        for name, value, choices in (("outcome", self.outcome, OUTCOMES), ("purpose", self.purpose, PURPOSES)):
            if value is not None and value not in choices:
                raise BadInput(f"{name} {value!r} of customer {self.customer_id!r} is not one of {', '.join(choices)}")


class EventArrays(NamedTuple):
    """Events as arrays of shape (n_events,), by customer, and in the order in which they became known.

    Attributes
    ----------
    kinds : int8
    days, until : int32; days since 1970-01-01
    products, channels : int16; -1: none
    outcomes, purposes : int8; index into `OUTCOMES` and `PURPOSES`, -1: none
    granted : bool
    amounts : float32
    conversations : int64, as `conversation_number` gives them; the same where outcomes are of one contact, -1: of one
        of their own
    """

    kinds: NDArray[np.int8]
    days: NDArray[np.int32]
    until: NDArray[np.int32]
    products: NDArray[np.int16]
    channels: NDArray[np.int16]
    outcomes: NDArray[np.int8]
    purposes: NDArray[np.int8]
    granted: NDArray[np.bool_]
    amounts: NDArray[np.float32]
    conversations: NDArray[np.int64]


@dataclass(frozen=True)
class FreshEvents:
    """Events of some customers of some states.

    Attributes
    ----------
    customers : int64, shape (n_events,), ascending; positions
    arrays : what happened
    channels : the texts behind the channels' numbers
    """

    customers: NDArray[np.int64]
    arrays: EventArrays
    channels: tuple[str, ...]

    @classmethod
    def of(cls, states: CustomerStates, events: Iterable[FreshEvent] = ()) -> FreshEvents:
        """Pack `events`, in the order in which they became known.

        Raises
        ------
        NotFound : when a customer or product does not exist
        """
        rows = [(states.position_of(event.customer_id), event) for event in events]
        rows.sort(key=lambda row: (row[0], row[1].day))  # stable: of one day, the order stays
        listed = [event for _, event in rows]
        channels = tuple(sorted({event.channel for event in listed if event.channel is not None}))

        def days(values: Iterable[date | None]) -> NDArray[np.int32]:
            return np.array([NO_DAY if day is None else days_since_epoch(day) for day in values], dtype=np.int32)

        def codes(values: Iterable[str | None], words: tuple[str, ...]) -> list[int]:
            return [-1 if value is None else words.index(value) for value in values]

        products = [-1 if e.product_id is None else states.catalogue.position_of(e.product_id) for e in listed]
        arrays = EventArrays(
            np.array([_KINDS.index(event.kind) for event in listed], dtype=np.int8),
            days(event.day for event in listed),
            days(event.until for event in listed),
            np.array(products, dtype=np.int16),
            np.array(codes((event.channel for event in listed), channels), dtype=np.int16),
            np.array(codes((event.outcome for event in listed), OUTCOMES), dtype=np.int8),
            np.array(codes((event.purpose for event in listed), PURPOSES), dtype=np.int8),
            np.array([bool(event.granted) for event in listed], dtype=np.bool_),
            np.array([event.amount or 0.0 for event in listed], dtype=np.float32),
            np.array(
                [NO_CONVERSATION if e.conversation is None else conversation_number(e.conversation) for e in listed],
                dtype=np.int64,
            ),
        )
        return cls(np.array([position for position, _ in rows], dtype=np.int64), arrays, channels)

    @classmethod
    def none(cls) -> FreshEvents:
        """No events."""
        return _NONE

    def by(self, day: date) -> FreshEvents:
        """The same as a decision of `day` hears of them: what is dated later has happened, and counts as of that day.

        Nobody may date an event ahead of decisions; but the policy in use may come to decide for an earlier day, and a
        clock may be set back.
        """
        last = days_since_epoch(day)
        if not len(self.arrays.days) or self.arrays.days.max() <= last:
            return self
        return replace(self, arrays=self.arrays._replace(days=np.minimum(self.arrays.days, np.int32(last))))

    def rows_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Shape (len(positions), 2): where the events of each customer begin and end."""
        rows = np.zeros((len(positions), 2), dtype=np.int64)
        if len(self.customers):
            _find_rows(self.customers, positions, rows)
        return rows

    def lay_over(self, block: CustomerBlock, day: date) -> CustomerBlock:
        """`block` with what was opened and closed up to `day`; what models compute follows from it."""
        if not len(self.customers):
            return block
        rows, today = self.rows_of(block.positions), days_since_epoch(day)
        if not _are_changed(rows, self.arrays, today):
            return block
        words = block.words.copy()
        _open_and_close(rows, self.arrays, today, words)
        candidates = candidates_of(block.states, words, block.versions, block.period)
        return replace(block, words=words, candidates=candidates)

    def jumps(self, positions: NDArray[np.int64], day: date) -> NDArray[np.float32]:
        """Float32, shape (len(positions), 2): what balance jumps up to `day` add to assets, and what of it came in;
        NaN where there was none."""
        sums = np.empty((len(positions), 2), dtype=np.float32)
        add_jumps(0, len(positions), self.rows_of(positions), self.arrays, days_since_epoch(day), sums)
        return sums


_NONE = FreshEvents(
    np.zeros(0, dtype=np.int64),
    EventArrays(
        np.zeros(0, np.int8), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int16),
        np.zeros(0, np.int16), np.zeros(0, np.int8), np.zeros(0, np.int8), np.zeros(0, np.bool_),
        np.zeros(0, np.float32), np.zeros(0, np.int64),
    ),
    (),
)  # fmt: skip


@kernel
def _find_rows(customers, positions, rows):  # type: ignore[no-untyped-def]
    for row in range(len(positions)):
        rows[row, 0] = np.searchsorted(customers, positions[row])
        rows[row, 1] = np.searchsorted(customers, positions[row], "right")


@kernel
def _are_changed(rows, events, day):  # type: ignore[no-untyped-def]
    """Whether anything was opened or closed."""
    for row in range(len(rows)):
        for event in range(rows[row, 0], rows[row, 1]):
            if events.days[event] <= day and (events.kinds[event] == OPENED or events.kinds[event] == CLOSED):
                return True
    return False


@kernel
def _open_and_close(rows, events, day, words):  # type: ignore[no-untyped-def]
    one = np.uint64(1)
    for row in range(len(rows)):
        for event in range(rows[row, 0], rows[row, 1]):
            if events.days[event] > day:
                continue
            if events.kinds[event] == OPENED:
                words[row, events.products[event]] |= one
            elif events.kinds[event] == CLOSED:
                words[row, events.products[event]] &= ~one


@kernel
def add_jumps(start, stop, rows, events, day, sums):  # type: ignore[no-untyped-def]
    """Write what `FreshEvents.jumps` says into some rows of `sums`; `rows` as `FreshEvents.rows_of` has them."""
    for row in range(start, stop):
        sums[row] = np.nan
        for event in range(rows[row, 0], rows[row, 1]):
            if events.days[event] > day or events.kinds[event] != BALANCE_JUMP:
                continue
            amount = events.amounts[event]
            sums[row, 0] = amount if np.isnan(sums[row, 0]) else sums[row, 0] + amount
            if amount > 0:
                sums[row, 1] = amount if np.isnan(sums[row, 1]) else sums[row, 1] + amount
