"""A table of what was suggested and what became of it, for measurement and monitoring: one row for each product of each
decision. It is made anew from the chain whenever it is wanted, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import Progress
from sqlalchemy import Connection, Row, func, select

from features.errors import BadInput
from features.files import written_aside

from .database import end_of
from .entries import DECISION, FEEDBACK
from .formats import decision_in
from .pages import pages
from .records import Records
from .tables import entries

_SUGGESTION = ("product_id", "rank", "client_asked", "propensity", "value", "context", "lever", "priority")
_CALLER = ("subject", "role", "rm_id", "branch_id")
_VERSIONS = ("model", "states", "policy", "catalogue")

SCHEMA = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("decision_id", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("day", pa.date32(), nullable=False),
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("personalised", pa.bool_(), nullable=False),
        pa.field("product_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("client_asked", pa.bool_(), nullable=False),
        # null where nothing personal was used
        *(pa.field(name, pa.float64()) for name in ("propensity", "value", "context", "lever")),
        pa.field("priority", pa.float64(), nullable=False),
        # of the caller; null where they have none
        *(pa.field(name, pa.string()) for name in _CALLER),
        *(pa.field(name, pa.string(), nullable=False) for name in _VERSIONS),
        pa.field("deployment", pa.int64(), nullable=False),
        pa.field("software", pa.string(), nullable=False),
        # the newest feedback; null where there is none
        pa.field("outcome", pa.string()),
        pa.field("outcome_day", pa.date32()),
        pa.field("outcome_at", pa.timestamp("us", tz="UTC")),
        pa.field("feedback_id", pa.string()),
        # null until decisions belong to campaigns
        pa.field("campaign", pa.string()),
        pa.field("arm", pa.string()),
    ]
)
"""Its columns. Rows come by `seq`, the number of the decision's entry, and by rank."""

HEAD = b"nextproduct.records.head"
"""Key of the file's metadata under which the end of the chain stands that it was made from."""

_GROUP = 20_000  # rows that are written at a time


@dataclass(frozen=True)
class Facts:
    """What was written.

    Attributes
    ----------
    rows : one for each product of each decision
    decisions : how many decisions they are of
    empty : decisions that suggested nothing, of which there is no row
    erased : decisions that were erased or forgotten, of which there is none either
    """

    rows: int
    decisions: int
    empty: int
    erased: int


def write_facts(records: Records, out: Path, progress: Progress | None = None) -> Facts:
    """Write the table of all that is on record now to a Parquet file, mode 0600; an earlier one is replaced.

    Raises
    ------
    BadInput : when an entry is not what was ever written there
    NotReady : when a newer version of nextproduct wrote one
    RecordsUnavailable : when the database cannot be read
    """
    columns = (entries.c.seq, entries.c.entry_id, entries.c.at, entries.c.customer_id, entries.c.payload)
    is_decision, is_there = entries.c.kind == DECISION, entries.c.payload.is_not(None)
    rows: list[dict[str, Any]] = []
    count = decisions = empty = 0
    with written_aside(out, private=True) as aside, records.database.snapshot() as connection:
        total = connection.scalar(select(func.count()).where(is_decision)) or 0
        erased = connection.scalar(select(func.count()).where(is_decision, ~is_there)) or 0
        task = progress.add_task("Reading decisions", total=total - erased) if progress is not None else None
        schema = SCHEMA.with_metadata({HEAD: str(end_of(connection)).encode()})
        with pq.ParquetWriter(aside, schema) as writer:
            for page in pages(connection, columns, is_decision, is_there):
                outcomes = _outcomes(connection, {row.customer_id for row in page})
                for row in page:
                    found = _rows(row, outcomes)
                    decisions, empty = decisions + bool(found), empty + (not found)
                    rows += found
                if len(rows) >= _GROUP:
                    count += _flush(writer, schema, rows)
                if progress is not None and task is not None:
                    progress.update(task, advance=len(page))
            count += _flush(writer, schema, rows)
    return Facts(count, decisions, empty, erased)


def _outcomes(connection: Connection, customer_ids: Iterable[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """The newest feedback on each suggestion to some customers, by decision and product."""
    columns = (entries.c.seq, entries.c.entry_id, entries.c.at, entries.c.payload)
    which = (
        entries.c.customer_id.in_(sorted(customer_ids)),
        entries.c.kind == FEEDBACK,
        entries.c.payload.is_not(None),
    )
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for page in pages(connection, columns, *which):
        for row in page:
            said = orjson.loads(row.payload)["feedback"]
            newest[said["decision_id"], said["product_id"]] = {
                "outcome": said["outcome"],
                "outcome_day": date.fromisoformat(said["day"]),
                "outcome_at": datetime.fromisoformat(row.at),
                "feedback_id": row.entry_id,
            }
    return newest


def _rows(row: Row[Any], outcomes: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    try:
        record = decision_in(row.payload)
        answer, caller, versions = record["answer"], record["caller"], record["versions"]
        of_decision = {
            "seq": row.seq,
            "decision_id": row.entry_id,
            "at": datetime.fromisoformat(row.at),
            "day": date.fromisoformat(record["day"]),
            "customer_id": row.customer_id,
            "channel": answer["channel"],
            "personalised": answer["personalised"],
            "deployment": record["deployment"],
            "software": record["software"],
            **{name: caller.get(name) for name in _CALLER},
            **{name: versions[name] for name in _VERSIONS},
        }
        return [
            of_decision
            | {name: suggestion[name] for name in _SUGGESTION}
            | outcomes.get((row.entry_id, suggestion["product_id"]), {})
            for suggestion in answer["recommendations"]
        ]
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            f"entry {row.seq} does not say what a decision says: `nextproduct log verify` tells whether it was changed"
        ) from None


def _flush(writer: pq.ParquetWriter, schema: pa.Schema, rows: list[dict[str, Any]]) -> int:
    """Write `rows` and let go of them; how many they were."""
    writer.write_table(pa.Table.from_pylist(rows, schema))
    count = len(rows)
    rows.clear()
    return count
