"""What happened to customers since the states were built, as entries of the records and as a decision hears of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date
from typing import Any

import orjson

from features import CustomerStates

from ..access import Principal
from ..decisions import FreshEvent
from ..records import Entry, StoredEntry
from ..records.entries import EVENT
from .caller import caller_of

_DAYS = ("day", "until")


def event_entry(event: FreshEvent, *, entry_id: str, principal: Principal, request_id: str) -> Entry:
    """`event` for the records."""
    said = {name: value for name, value in asdict(event).items() if value is not None}
    content = {"event": said, "caller": caller_of(principal), "request_id": request_id}
    return Entry(EVENT, entry_id, event.customer_id, orjson.dumps(content))


def events_in(entries: Iterable[StoredEntry], states: CustomerStates) -> list[tuple[str, FreshEvent]]:
    """Id and event of each entry that `states` cannot know yet, in the order in which they became known.

    The bank's tables told the states of everything up to ``known_to``. Consents are heard again, since the newest
    answer counts whoever gives it; events of products that the bank has no more say nothing.
    """
    known_to = date.fromisoformat(states.manifest.known_to)
    products = set(states.catalogue.product_ids)
    found = []
    for entry in entries:
        if entry.payload is None:  # erased on the customer's request
            continue
        event = event_of(orjson.loads(entry.payload)["event"])
        if event.kind != "consent" and event.day < known_to:
            continue
        if event.product_id is None or event.product_id in products:
            found.append((entry.entry_id, event))
    return found


def event_of(said: dict[str, Any]) -> FreshEvent:
    """The event that `event_entry` put on record."""
    return FreshEvent(**said | {name: date.fromisoformat(said[name]) for name in _DAYS if name in said})
