"""What has happened to customers since the states were built: events as entries of the records, and which of them a
decision hears of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
import orjson

from features import CustomerStates
from features.states.events import NO_CONVERSATION

from ..answering.engine import DecisionEngine
from ..decisions import FreshEvent, FreshEvents
from ..decisions.layers.facts import days_since_epoch
from ..records import Entry, Records, StoredEntry
from ..records.entries import EVENT

_DAYS = ("day", "until")
_FOR_EVER = ("consent", "outcome")
"""Kinds that are heard of whatever the states know: the newest answer counts whoever gives it, and the bank's tables
need not bring what its RMs were told."""


def event_entry(event: FreshEvent, *, entry_id: str, told: Mapping[str, Any]) -> Entry:
    """`event` for the records.

    Parameters
    ----------
    told : what else stands in its payload: who said it, in which request
    """
    said = {name: value for name, value in asdict(event).items() if value is not None}
    return Entry(EVENT, entry_id, event.customer_id, orjson.dumps({"event": said, **told}))


def event_of(entry_id: str, payload: bytes, customer_id: str) -> FreshEvent:
    """The event that an entry put on record; of a refusal that outlived what was erased, the customer's it is now.

    An outcome without conversation is of one of its own, which the entry's id names: a build that was told of it knows
    it by that name.
    """
    said: dict[str, Any] = orjson.loads(payload)["event"]
    days = {name: date.fromisoformat(said[name]) for name in _DAYS if name in said}
    if said["kind"] == "outcome":
        said.setdefault("conversation", entry_id)
    return FreshEvent(**{**said, **days, "customer_id": customer_id})


def heard(customer_id: str, entries: Iterable[StoredEntry], engine: DecisionEngine) -> list[tuple[str, FreshEvent]]:
    """Id and event of each entry of a customer that a decision hears of, in the order in which they became known.

    The bank's tables told the states of all that the bank knew by ``known_to``: an event that was on record before, of
    a day before, is among that. One that was booked late, of an earlier day, is not. Consents and outcomes of contacts
    count whatever the tables say, unless they say the same. Of several outcomes of one conversation about one product
    the last one counts; of several answers to one question of consent those of the newest day. Events of products that
    the bank has no more say nothing.
    """
    states = engine.states
    known_to = date.fromisoformat(states.manifest.known_to)
    found: dict[object, tuple[str, FreshEvent]] = {}
    newest: dict[tuple[str | None, str | None], date] = {}
    for entry in entries:
        if entry.payload is None:  # erased on the customer's request
            continue
        event = event_of(entry.entry_id, entry.payload, customer_id)
        if event.kind not in _FOR_EVER and event.day < known_to and engine.clock.day_of(entry.at) < known_to:
            continue
        if event.product_id is not None and event.product_id not in states.catalogue.product_ids:
            continue
        key: object = entry.entry_id
        if event.kind == "outcome":
            if event.until is None and _is_in_tables(event, states):
                continue
            key = event.conversation, event.product_id
            found.pop(key, None)  # it counts where the last word was said
        elif event.kind == "consent":
            about = event.purpose, event.channel
            newest[about] = max(newest.get(about, event.day), event.day)
        found[key] = entry.entry_id, event
    return [
        (entry_id, event)
        for entry_id, event in found.values()
        if event.kind != "consent" or event.day == newest[event.purpose, event.channel]
    ]


def heard_of_everybody(records: Records | None, engine: DecisionEngine) -> FreshEvents:
    """The events of all customers that a decision hears of; for threads that may wait.

    Parameters
    ----------
    records : None: there are none yet

    Raises
    ------
    RecordsUnavailable : when they cannot be read
    """
    if records is None:
        return FreshEvents.none()
    states = engine.states
    by_customer = records.all_events(lambda: states.ids_of(np.arange(states.n_customers)))
    here = states.are_here(list(by_customer))
    happened = [
        event
        for (customer_id, entries), is_here in zip(by_customer.items(), here.tolist(), strict=True)
        if is_here
        for _, event in heard(customer_id, entries, engine)
    ]
    return FreshEvents.of(states, happened)


def _is_in_tables(event: FreshEvent, states: CustomerStates) -> bool:
    """Whether the bank's own contacts, which know of no day to come back on, tell of this outcome too.

    What the states have from the inbox does not: it came from such events, and is left to them.
    """
    log = states.contacts
    words = log.vocabularies["outcome"]
    if event.outcome not in words or not states.are_here([event.customer_id])[0]:
        return False
    position = states.position_of(event.customer_id)
    own = slice(log.indptr[position], log.indptr[position + 1])
    columns = {name: column[own] for name, column in log.columns.items()}
    same = (columns["outcome"] == words.index(event.outcome)) & (
        columns["product"] == states.catalogue.position_of(str(event.product_id))
    )
    day = days_since_epoch(event.day)
    if "conversation" in columns:
        same &= columns["conversation"] == NO_CONVERSATION
    return bool(np.any(same & ((columns["happened_on"] == day) | (columns["outcome_known_on"] == day))))
