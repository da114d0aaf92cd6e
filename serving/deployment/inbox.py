"""What the records know and a build must: contacts and consents, written as tables of the contract into
``WORKSPACE/inbox``, where `build_states` finds them. So features and training import nothing of who serves."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.clock import Clock
from features.contracts import CONSENTS, CONTACTS, CUSTOMERS
from features.files import only_writer_of, replace_file
from features.sources import BankTables
from features.sources.inbox import CONVERSATION, INBOX

from ..config import ServingConfig
from ..config_file import clock_of, config_path, read_section
from ..records import Records, StoredEntry
from .door import records_if_any
from .happened import event_of

_TEXT, _DAY = pa.string(), pa.date32()
_SCHEMAS = {
    CONTACTS.name: pa.schema(
        [
            ("contact_id", _TEXT), ("customer_id", _TEXT), ("product_id", _TEXT), ("channel", _TEXT),
            ("contacted_on", _DAY), ("arm", _TEXT), ("outcome", _TEXT), ("outcome_on", _DAY), ("recorded_on", _DAY),
            (CONVERSATION, _TEXT),
        ]
    ),
    CONSENTS.name: pa.schema(
        [
            ("customer_id", _TEXT), ("purpose", _TEXT), ("channel", _TEXT), ("granted", pa.bool_()),
            ("changed_on", _DAY), ("recorded_on", _DAY),
        ]
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Written:
    """How many rows of each table were written."""

    contacts: int
    consents: int

    def __str__(self) -> str:
        return f"From the records, for the build: {self.contacts:,} contacts and {self.consents:,} answers of consent."


def fill_inbox(workspace: Path, config: Path | None, tables: Path, mapping: Path | None) -> Written | None:
    """Write what the records of a workspace know for a build of `tables`; None: it has no records.

    Parameters
    ----------
    config : the configuration file named; None: the workspace's own, if there is one

    Raises
    ------
    RecordsUnavailable : when the records cannot be read, or are gone: a build without what was refused must not be
    BadInput : when refusals outlived what was erased, and the tables, which tell of whom, cannot be read
    """
    if not workspace.is_dir():
        return None
    path = config_path(config, workspace)
    records = records_if_any(workspace, read_section(path, "serving", ServingConfig))
    if records is None:
        return None

    def customer_ids() -> Iterator[str]:
        with BankTables.open(tables, mapping) as opened:
            found = opened.connection.execute(f"SELECT DISTINCT customer_id FROM {CUSTOMERS.name}")
            while rows := found.fetchmany(100_000):
                yield from (str(customer_id) for (customer_id,) in rows)

    try:
        return write_inbox(records, clock_of(path), customer_ids)
    finally:
        records.close()


def write_inbox(records: Records, clock: Clock, customer_ids: Callable[[], Iterable[str]]) -> Written:
    """Write what `records` know into the inbox of their workspace; for threads that may wait.

    Parameters
    ----------
    clock : tells on which day something was recorded
    customer_ids : as `Records.all_events` takes them

    Raises
    ------
    RecordsUnavailable : when the records cannot be read
    """
    contacts: list[dict[str, Any]] = []
    consents: list[dict[str, Any]] = []
    for customer_id, entries in sorted(records.all_events(customer_ids).items()):
        contacts += _contacts(customer_id, entries, clock)
        consents += _consents(customer_id, entries, clock)
    with _only_writer_in(records.workspace) as folder:
        for name, rows in ((CONTACTS.name, contacts), (CONSENTS.name, consents)):
            _replace(folder / f"{name}.parquet", rows, _SCHEMAS[name])
    return Written(len(contacts), len(consents))


def _contacts(customer_id: str, entries: Iterable[StoredEntry], clock: Clock) -> Iterable[dict[str, Any]]:
    """Of each conversation and product the last word, as decisions hear it."""
    found: dict[tuple[str | None, str | None], dict[str, Any]] = {}
    for entry in entries:
        if entry.payload is None:  # erased on the customer's request
            continue
        event = event_of(entry.entry_id, entry.payload, customer_id)
        if event.kind == "outcome":
            found[event.conversation, event.product_id] = {
                "contact_id": entry.entry_id,
                "customer_id": customer_id,
                "product_id": event.product_id,
                "channel": event.channel,
                "contacted_on": event.day,
                "arm": "treated",
                "outcome": event.outcome,
                "outcome_on": event.day,
                "recorded_on": clock.day_of(entry.at),
                CONVERSATION: event.conversation,
            }
    return found.values()


def _consents(customer_id: str, entries: Iterable[StoredEntry], clock: Clock) -> Iterable[dict[str, Any]]:
    """Of each day's answers to one question the refusal, if there is one, from the first day it was recorded."""
    found: dict[tuple[str | None, str | None, date], dict[str, Any]] = {}
    for entry in entries:
        if entry.payload is None:
            continue
        event = event_of(entry.entry_id, entry.payload, customer_id)
        if event.kind != "consent":
            continue
        key = event.purpose, event.channel, event.day
        told = found.get(key)
        if told is None or (told["granted"] and not event.granted):
            found[key] = {
                "customer_id": customer_id,
                "purpose": event.purpose,
                "channel": event.channel,
                "granted": event.granted,
                "changed_on": event.day,
                "recorded_on": clock.day_of(entry.at),
            }
    return found.values()


@contextmanager
def _only_writer_in(workspace: Path) -> Iterator[Path]:
    """The inbox, with other writers kept out."""
    folder = workspace / INBOX
    with only_writer_of(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        yield folder


def _replace(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write `rows`; where there are none there is no file, so that a build without them is the one it was."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), content)
    replace_file(path, content.getvalue(), private=True)
