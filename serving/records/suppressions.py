"""Refusals that outlive what is erased or forgotten: who refused is known again by a keyed hash of their id alone."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, select

from features.files import only_writer_of, replace_file

from .entries import EVENT, SUPPRESSION, Entry, new_entry_id
from .errors import RecordsUnavailable
from .tables import entries

KEY_FILE = "suppression.key"
"""In the workspace, outside the records: with it alone, or with them alone, nobody is known."""

PREFIX = "hmac-sha256:"
"""Begins what stands for a customer. Entries of that alone name the keys in use."""

_SIZE = 32


@dataclass(frozen=True)
class SuppressionKey:
    """The key under which the ids of customers are hashed."""

    secret: bytes

    @classmethod
    def find(cls, workspace: Path) -> SuppressionKey | None:
        """The key of a workspace; None: nothing has been suppressed there.

        Raises
        ------
        RecordsUnavailable : when the file is not a key
        """
        path = workspace / KEY_FILE
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(secret) != _SIZE:
            raise RecordsUnavailable(f"{path} is not the key that was written: put it back from a copy")
        return cls(secret)

    @classmethod
    def made(cls, workspace: Path) -> SuppressionKey:
        """The key of a workspace, drawn now if there is none; its file is there to stay when this returns.

        Raises
        ------
        RecordsUnavailable : as `find`
        """
        path = workspace / KEY_FILE
        with only_writer_of(path):
            if not path.exists():
                replace_file(path, os.urandom(_SIZE), private=True)
        found = cls.find(workspace)
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """Tells keys apart, and says nothing of them."""
        return hmac.digest(self.secret, b"", sha256)[:8].hex()

    def pseudonym(self, customer_id: str) -> str:
        """What stands for a customer in the records."""
        return f"{PREFIX}{hmac.digest(self.secret, customer_id.encode('utf-8', 'surrogatepass'), 'sha256').hex()}"


def check_key(key: SuppressionKey | None, names: Iterable[str], workspace: Path) -> None:
    """See that the key of a workspace is the one under which refusals stand in its records.

    Raises
    ------
    RecordsUnavailable : when it is gone or another one: who refused would not be known
    """
    if any(key is None or key.name != name for name in names):
        raise RecordsUnavailable(
            f"{workspace / KEY_FILE} is {'gone' if key is None else 'another key'}, and the records hold refusals of "
            "people whose entries were erased, known by it alone: put it back from a copy, or they would be offered "
            "what they refused"
        )


def suppressions(connection: Connection, which: ColumnElement[bool], workspace: Path, because: str) -> list[Entry]:
    """Entries that keep what the entries of `which`, about to be emptied, say of refusals.

    Of each customer, purpose and channel the newest answer is kept where it is a refusal, or lifts one that was kept
    before; of several of one day the refusal.

    Parameters
    ----------
    because : the kind of entry that empties them
    """
    statement = select(entries.c.customer_id, entries.c.payload).where(
        which, entries.c.kind == EVENT, entries.c.customer_id.is_not(None), entries.c.payload.is_not(None)
    )
    newest: dict[tuple[str, str, str | None], tuple[str, bool]] = {}  # the day, and whether it refuses
    for customer_id, payload in connection.execute(statement):
        consent = _consent_in(payload)
        if consent is not None:
            about = customer_id, consent["purpose"], consent.get("channel")
            newest[about] = max(newest.get(about, ("", False)), (consent["day"], not consent["granted"]))
    if not newest:
        return []
    key = SuppressionKey.find(workspace)
    if key is None and any(refuses for _, refuses in newest.values()):
        key = SuppressionKey.made(workspace)
    if key is None:  # nothing was ever refused, so nothing is lifted
        return []
    kept = list(_first_use(key, connection))
    for (customer_id, purpose, channel), (day, refuses) in newest.items():
        pseudonym = key.pseudonym(customer_id)
        if refuses or _is_suppressed(connection, pseudonym):
            event = {"kind": "consent", "day": day, "purpose": purpose, "granted": not refuses}
            content = {"event": event | ({} if channel is None else {"channel": channel}), "because": because}
            kept.append(Entry(SUPPRESSION, new_entry_id(), pseudonym, orjson.dumps(content)))
    return kept


def key_names(connection: Connection) -> list[str]:
    """The names of the keys under which refusals stand in the records."""
    statement = select(entries.c.payload).where(entries.c.customer_id == PREFIX, entries.c.kind == SUPPRESSION)
    return [orjson.loads(payload)["key"] for payload in connection.scalars(statement)]


def _consent_in(payload: bytes) -> dict[str, Any] | None:
    """The answer of consent that an event tells of; None: it tells of something else."""
    try:
        event: dict[str, Any] = orjson.loads(payload)["event"]
    except (ValueError, TypeError, KeyError):  # bytes of any kind may be on record
        return None
    return event if event["kind"] == "consent" else None


def _first_use(key: SuppressionKey, connection: Connection) -> Iterator[Entry]:
    """What names the key, if nothing does yet."""
    if key.name not in key_names(connection):
        yield Entry(SUPPRESSION, new_entry_id(), PREFIX, orjson.dumps({"key": key.name}))


def _is_suppressed(connection: Connection, pseudonym: str) -> bool:
    of_them = select(entries.c.seq).where(entries.c.customer_id == pseudonym, entries.c.kind == SUPPRESSION)
    return connection.execute(of_them.limit(1)).first() is not None
