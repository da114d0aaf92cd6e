"""What the bank's tables do not tell but who serves was told: contacts and consents in ``WORKSPACE/inbox``, put beside
the bank's own.

A file is a table of the contract, with a column more for contacts: `CONVERSATION`. Nothing here fails a build but a
file that cannot be read at all: rows that do not fit are left out and counted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

import duckdb

from ..contracts import CONSENTS, CONTACTS, Column, Table, Type
from ..errors import BadInput
from .files import parquet_relation
from .tables import BankTables
from .values import SQL_TYPES, literal, present_sql, quoted, typed_sql

INBOX = "inbox"
"""The folder in a workspace."""

CONVERSATION = "conversation"
"""Column of the inbox's contacts, and of the view of all: names the talk that a contact was part of, as who serves
does. The bank's own rows have none."""

TABLES = (CONTACTS, CONSENTS)
"""What an inbox may hold, each as ``<table>.parquet``."""

_CONVERSATION = Column(CONVERSATION, Type.ID)
_SHOWN = 5


class Fate(StrEnum):
    """What became of a row of the inbox."""

    TAKEN = "taken in"
    SAID = "said by the bank's own table"
    LATER = "recorded after the build's last day"
    NO_CUSTOMER = "of customers that the tables do not have"
    NO_PRODUCT = "of products that the tables do not have"
    TWICE = "said twice"
    UNREADABLE = "not as the contract has it"


@dataclass(frozen=True)
class Found:
    """What was in the inbox for one table.

    Attributes
    ----------
    rows : how many rows came to each fate; none of a fate: not named
    first_keys : the smallest keys of each fate, at most five
    differing : rows taken in whose key the bank's own table has with another answer
    digest : SHA-256 of the file
    """

    table: str
    rows: dict[Fate, int]
    first_keys: dict[Fate, tuple[str, ...]] = field(default_factory=dict)
    differing: int = 0
    digest: str = ""


def take_in(tables: BankTables, folder: Path, as_of: date) -> tuple[Found, ...]:
    """Make the views ``contacts`` and ``consents`` of `tables` those of the bank and of the inbox in `folder` together.

    The bank's own row stands for both where it says the same by `as_of`. Of a consent that both tell of with different
    answers both stay, each from the day it was known: of two answers of one day the refusal counts. A contact from the
    inbox was made unasked: it has no campaign, and no chance of being held back.

    Returns
    -------
    one each for the files that are there

    Raises
    ------
    BadInput : when a file cannot be read
    """
    found = []
    for table in TABLES:
        path = folder / f"{table.name}.parquet"
        tables.connection.execute(f"ALTER VIEW {table.name} RENAME TO bank_{table.name}")
        is_there = path.is_file()
        try:
            source = _read(tables.connection, table, path) if is_there else _nothing(table)
            with tables.reading():
                tables.connection.execute(f"CREATE TEMP TABLE inbox_{table.name} AS {_judged(table, source, as_of)}")
        except duckdb.Error as error:
            raise BadInput(
                f"{path} cannot be read: {str(error).splitlines()[0]}. `nextproduct build` writes it anew from the "
                "records; where there are none, take it away"
            ) from error
        tables.connection.execute(f"CREATE VIEW {table.name} AS {_union(table)}")
        if is_there:
            found.append(_counted(tables.connection, table, path))
    return tuple(found)


def _columns(table: Table) -> tuple[Column, ...]:
    return (*table.columns, _CONVERSATION) if table is CONTACTS else table.columns


def _nothing(table: Table) -> str:
    columns = ", ".join(f"CAST(NULL AS {SQL_TYPES[column.type]}) AS {column.name}" for column in _columns(table))
    return f"SELECT {columns}, false AS unreadable WHERE false"


def _read(connection: duckdb.DuckDBPyConnection, table: Table, path: Path) -> str:
    """A query for the file's rows, typed, with whether each is ``unreadable``."""
    relation = parquet_relation([path])
    found = {
        str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE SELECT * FROM {relation.sql}").fetchall()
    }
    selected, wrong = [], []
    for column in _columns(table):
        name, type_ = quoted(column.name), found.get(column.name)
        if type_ is None:
            typed, present = f"CAST(NULL AS {SQL_TYPES[column.type]})", "false"
        else:
            typed = f"CAST({typed_sql(name, type_, column.type)} AS {SQL_TYPES[column.type]})"
            present = present_sql(name, type_)
        selected.append(f"{typed} AS {name}")
        wrong.append(f"{typed} IS NULL" if column.required else f"{present} AND {typed} IS NULL")
        if column.choices:
            wrong.append(f"coalesce({typed} NOT IN ({', '.join(map(literal, column.choices))}), false)")
        if column.name == "arm":
            wrong.append(f"coalesce({typed} <> 'treated', true)")
    return f"SELECT {', '.join(selected)}, {' OR '.join(wrong)} AS unreadable FROM {relation.sql}"


def _judged(table: Table, source: str, as_of: date) -> str:
    """A query for the rows of `source`, each with its ``fate`` and whether the bank's own ``differs``."""
    mine, theirs = _known(table, "i"), _known(table, "b")
    key = ", ".join(f"i.{name}" for name in table.key)
    if table is CONTACTS:
        product = (
            "WHEN i.product_id NOT IN (SELECT product_id FROM products WHERE product_id IS NOT NULL) "
            f"THEN {literal(Fate.NO_PRODUCT)}"
        )
        best = "i.recorded_on"
        said = (
            "b.customer_id = i.customer_id AND b.product_id = i.product_id AND b.arm = 'treated' "
            "AND coalesce(b.outcome, '') = coalesce(i.outcome, '') "
            f"AND (b.contacted_on = i.contacted_on OR b.outcome_on = i.contacted_on) AND {theirs} <= DATE '{as_of}'"
        )
        differs = "false"
    else:
        product, best = "", "i.granted, i.recorded_on"
        same = (
            "b.customer_id = i.customer_id AND b.purpose = i.purpose AND b.changed_on = i.changed_on "
            "AND coalesce(b.channel, '') = coalesce(i.channel, '')"
        )
        said = f"{same} AND b.granted = i.granted AND {theirs} <= {mine}"
        differs = f"EXISTS (SELECT 1 FROM bank_consents b WHERE {same} AND b.granted <> i.granted)"
    return f"""
    SELECT i.*, {differs} AS differs, CASE
        WHEN i.unreadable THEN {literal(Fate.UNREADABLE)}
        WHEN row_number() OVER (PARTITION BY i.unreadable, {key} ORDER BY {best} NULLS FIRST) > 1
            THEN {literal(Fate.TWICE)}
        WHEN i.customer_id NOT IN (SELECT customer_id FROM customers WHERE customer_id IS NOT NULL)
            THEN {literal(Fate.NO_CUSTOMER)}
        {product}
        WHEN {mine} > DATE '{as_of}' THEN {literal(Fate.LATER)}
        WHEN EXISTS (SELECT 1 FROM bank_{table.name} b WHERE {said}) THEN {literal(Fate.SAID)}
        ELSE {literal(Fate.TAKEN)} END AS fate
    FROM ({source}) i
    """


def _known(table: Table, alias: str) -> str:
    happened = f"{alias}.{'contacted_on' if table is CONTACTS else 'changed_on'}"
    return f"greatest(coalesce({alias}.recorded_on, {happened}), {happened})"


def _union(table: Table) -> str:
    unasked = {"campaign_id", "propensity_of_arm"}
    own = ", ".join(table.column_names)
    told = ", ".join(
        f"CAST(NULL AS {SQL_TYPES[column.type]}) AS {column.name}" if column.name in unasked else column.name
        for column in table.columns
    )
    if table is CONTACTS:
        own, told = f"{own}, CAST(NULL AS VARCHAR) AS {CONVERSATION}", f"{told}, {CONVERSATION}"
    taken = literal(Fate.TAKEN)
    return f"SELECT {own} FROM bank_{table.name} UNION ALL SELECT {told} FROM inbox_{table.name} WHERE fate = {taken}"


def _counted(connection: duckdb.DuckDBPyConnection, table: Table, path: Path) -> Found:
    parts = ", ".join(f"CAST({name} AS VARCHAR)" for name in table.key)
    rows = connection.execute(
        f"SELECT fate, count(*), min(concat_ws(' / ', {parts}), {_SHOWN}), count(*) FILTER (WHERE differs) "
        f"FROM inbox_{table.name} GROUP BY fate"
    ).fetchall()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Found(
        table.name,
        {Fate(fate): count for fate, count, _, _ in rows},
        {Fate(fate): tuple(keys or ()) for fate, _, keys, _ in rows},
        sum(differing for fate, _, _, differing in rows if fate == Fate.TAKEN),
        digest,
    )
