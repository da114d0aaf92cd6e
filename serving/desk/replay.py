"""Deciding again what stands in the records, from the versions and events that it was decided from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from features.clock import Clock
from features.errors import NotFound

from ..answering.engine import DecisionEngine
from ..decisions import FreshEvent, FreshEvents
from ..deployment import event_of, missing_inputs, open_versions
from ..records import Records, StoredEntry
from ..records.entries import DECISION
from ..records.formats import decision_in
from ..software import decided_by
from .decision_entry import answer_in, day_in, features_digest, question_of, shown

_TOLD_SINCE = ("client_asked", "nothing_because")
"""What the first answers did not tell: replayed, they do not either."""


@dataclass(frozen=True)
class Replay:
    """A decision made again.

    Attributes
    ----------
    software : what decided then, as the record names it
    answered : what was answered then
    body : what is answered now; None where an input is gone
    gone : which inputs are, each in words
    difference : where the two part; None: nowhere
    """

    software: str
    answered: bytes
    body: bytes | None
    gone: tuple[str, ...]
    difference: str | None


async def replay(
    records: Records, workspace: Path, tracking_uri: str | None, clock: Clock, entry: StoredEntry, *,
    opened: Callable[[Mapping[str, str]], DecisionEngine] | None = None,
) -> Replay:  # fmt: skip
    """Decide again what `entry`, whose payload is there, tells.

    Parameters
    ----------
    opened : gives the engine of some versions, in a thread that may wait; None: opened anew, from the disk

    Raises
    ------
    NotReady : when it is in a format that only a newer version reads
    """
    assert entry.payload is not None
    record = decision_in(entry.payload)
    answered = answer_in(record)
    wanted = record["state"]["events"]
    found = await records.entries_by_id(wanted)
    payloads = {entry_id: event.payload for entry_id, event in found.items() if event.payload is not None}
    gone = [f"event {entry_id} was erased" for entry_id in wanted if entry_id not in payloads]
    gone += await asyncio.to_thread(missing_inputs, workspace, tracking_uri, record["versions"])
    if gone:
        return Replay(record["software"], answered, None, tuple(gone), None)
    happened = [event_of(entry_id, payloads[entry_id], record["request"]["customer_id"]) for entry_id in wanted]
    opened = opened or partial(open_versions, workspace, tracking_uri, clock)
    body, features = await asyncio.to_thread(_decide_again, opened, record, happened)
    body = _as_told_then(body, answered)
    return Replay(record["software"], answered, body, (), _difference(record, answered, body, features))


async def replay_by_id(
    records: Records, workspace: Path, tracking_uri: str | None, clock: Clock, decision_id: str
) -> Replay:
    """Decide again the decision of that id.

    Raises
    ------
    NotFound : when it is not on record, or its record was erased
    """
    entry = await records.find(decision_id)
    if entry is None or entry.kind != DECISION:
        raise NotFound(f"decision {decision_id!r} is not on record")
    if entry.payload is None:
        raise NotFound(f"decision {decision_id} was erased, or forgotten after the time for which records are kept")
    return await replay(records, workspace, tracking_uri, clock, entry)


def _decide_again(
    opened: Callable[[Mapping[str, str]], DecisionEngine], record: dict[str, Any], events: list[FreshEvent]
) -> tuple[bytes, bool]:
    """The answer, and whether the features are those on record."""
    engine = opened(record["versions"])
    question, language = question_of(record["request"])
    fresh = FreshEvents.of(engine.states, events)
    (answer,) = engine.answer([question], fresh=fresh, day=day_in(record))
    return shown(answer, language, record["decision_id"]), features_digest(answer) == record["state"]["features"]


def _as_told_then(body: bytes, answered: bytes) -> bytes:
    """`body` without what answers of that time did not tell."""
    if body == answered:
        return body
    then, now = orjson.loads(answered), orjson.loads(body)
    return orjson.dumps({name: told for name, told in now.items() if name in then or name not in _TOLD_SINCE})


def _difference(record: dict[str, Any], answered: bytes, body: bytes, features: bool) -> str | None:
    if body == answered:
        return None
    then, now = orjson.loads(answered), orjson.loads(body)
    places = [name for name in then | now if then.get(name) != now.get(name)] or ["the order of what it says"]
    told = f"{', '.join(places)}; the customer's features are {'the same' if features else 'different'}"
    return f"{told}; {decided_by(record['software'])}"
