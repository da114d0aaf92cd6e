"""Entries of the records: as they are handed in, as they are made ready for the chain, and as they stand there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from features.errors import BadInput

from .chain import Anchor, chain_of, digest_of

DECISION, FEEDBACK, EVENT, DEPLOYMENT = "decision", "feedback", "event", "deployment"
ACCESS, LIST, APPROVAL = "access", "list", "approval"
ERASURE, RETENTION, SUPPRESSION = "erasure", "retention", "suppression"

KINDS = (DECISION, FEEDBACK, EVENT, DEPLOYMENT, ACCESS, LIST, APPROVAL, ERASURE, RETENTION, SUPPRESSION)
PERSONAL = (DECISION, FEEDBACK, EVENT, ACCESS, APPROVAL)
"""Kinds of which retention lets go: what says something of a customer, of approvals those that concern one. A list
names its file, not who is on it."""

MAX_PAYLOAD = 16 << 20
"""Bytes of one payload."""


@dataclass(frozen=True)
class Entry:
    """Something to be put on record.

    Attributes
    ----------
    kind : decision, feedback, event, deployment, access (a look at a customer), list (one of a campaign) or approval;
        erasure, retention and suppression are written by `erase` and `forget_before`
    entry_id : names it for ever; erasure leaves it, so it says nothing of a person
    customer_id : whom it concerns, one at most: erasure finds it by this
    payload : what is recorded, the same bytes for ever
    at : UTC, such as ``2026-11-28T09:30:00.000000Z``; None: when it is appended

    Raises
    ------
    BadInput : when one of them cannot be recorded
    """

    kind: str
    entry_id: str
    customer_id: str | None
    payload: bytes
    at: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"records: no kind of entry is called {self.kind!r}; there are: {', '.join(KINDS)}")
        if not self.entry_id or not is_storable(self.entry_id):
            raise BadInput(f"records: {self.entry_id!r} cannot be the id of an entry: give text without NUL")
        if self.customer_id is not None and not (self.customer_id and is_storable(self.customer_id)):
            raise BadInput(f"records: {self.customer_id!r} cannot be a customer's id: give text without NUL, or none")
        if not isinstance(self.payload, bytes):
            raise BadInput(f"records: the payload of {self.entry_id} is {type(self.payload).__name__}, not bytes")
        if len(self.payload) > MAX_PAYLOAD:
            raise BadInput(
                f"records: the payload of {self.entry_id} has {len(self.payload):,} bytes; "
                f"{MAX_PAYLOAD:,} are the most an entry may have"
            )
        if self.at is not None and not _is_time(self.at):
            raise BadInput(f"records: time {self.at!r} of {self.entry_id}: write it as 2026-11-28T09:30:00.000000Z")


@dataclass(frozen=True)
class StoredEntry:
    """An entry on record.

    Attributes
    ----------
    seq : its number, 1 for the first
    customer_id, payload : None once erased
    """

    seq: int
    entry_id: str
    kind: str
    at: str
    customer_id: str | None
    payload: bytes | None

    def says_the_same_as(self, entry: Entry) -> bool:
        """Whether `entry` is what was recorded here; of what was erased, only the kind can be compared."""
        if self.payload is None:
            return self.kind == entry.kind
        return (self.kind, self.customer_id, self.payload) == (entry.kind, entry.customer_id, entry.payload)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with what its payload says; bytes that are not JSON are given as text."""
        said: Any = None
        if self.payload is not None:
            try:
                said = orjson.loads(self.payload)
            except orjson.JSONDecodeError:  # bytes of any kind may be on record
                said = self.payload.decode("utf-8", "replace")
        return {
            "seq": self.seq, "at": self.at, "kind": self.kind, "entry_id": self.entry_id,
            "customer_id": self.customer_id, "erased": self.payload is None, "payload": said,
        }  # fmt: skip


class Sealed(NamedTuple):
    """An entry with its salt and digest, ready for its place in the chain."""

    entry_id: str
    kind: str
    at: str
    customer_id: str | None
    salt: bytes
    digest: bytes
    payload: bytes


class Row(NamedTuple):
    """An entry in its place, by the columns of the table."""

    seq: int
    entry_id: str
    kind: str
    at: str
    customer_id: str | None
    salt: bytes
    digest: bytes
    chain: bytes
    payload: bytes


def seal(entry: Entry, at: str) -> Sealed:
    """Give an entry its salt and digest, and the time `at` if it has none of its own."""
    salt = os.urandom(16)
    digest = digest_of(salt, entry.customer_id, entry.payload)
    return Sealed(entry.entry_id, entry.kind, entry.at or at, entry.customer_id, salt, digest, entry.payload)


def linked(sealed: Iterable[Sealed], end: Anchor) -> tuple[list[Row], Anchor]:
    """Entries in their places after `end`, and where the chain ends then."""
    rows, seq, chain = [], end.seq, end.chain
    for entry_id, kind, at, customer_id, salt, digest, payload in sealed:
        seq += 1
        chain = chain_of(chain, seq, kind, entry_id, at, digest)
        rows.append(Row(seq, entry_id, kind, at, customer_id, salt, digest, chain, payload))
    return rows, Anchor(seq, chain)


def new_entry_id() -> str:
    """An id that sorts by the time it was made: a UUID of version 7, some random bits used for more of the time."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    drawn = int.from_bytes(os.urandom(8)) >> 2
    text = f"{milliseconds << 80 | 0x7 << 76 | (rest * 4096 // 1_000_000) << 64 | 0b10 << 62 | drawn:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def now() -> str:
    """UTC to the microsecond, as entries have it."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(2)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def is_storable(text: str) -> bool:
    """Whether a database takes `text` as it is."""
    if text.isascii():
        return "\0" not in text
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def _is_time(text: str) -> bool:
    try:
        return datetime.strptime(text, _TIME).strftime(_TIME) == text
    except ValueError:
        return False
