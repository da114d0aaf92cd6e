"""Entries by number, some at a time: a long log never lies in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from .tables import entries

PAGE = 256
"""Entries read at a time: payloads may be large."""


def pages(
    connection: Connection, columns: Sequence[ColumnElement[Any]], *which: ColumnElement[bool]
) -> Iterator[Sequence[Any]]:
    """Rows of the entries that meet every condition, oldest first.

    Parameters
    ----------
    columns : the first one is the number
    """
    statement = select(*columns).where(*which).order_by(entries.c.seq).limit(PAGE)
    rows = connection.execute(statement).all()
    while rows:
        yield rows
        if len(rows) < PAGE:
            return
        rows = connection.execute(statement.where(entries.c.seq > rows[-1][0])).all()
