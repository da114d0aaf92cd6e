"""Another future for a bank: everything that happened or became known after a date, made different."""

from __future__ import annotations

import random
from collections.abc import Iterable
from copy import deepcopy
from datetime import date

from features.calendar import Calendar
from features.contracts import TABLES

from .banks import NEWEST_DAY, RandomBank, Row, Tables

_BEGINNINGS = {
    "accounts": ("opened_on", "recorded_on"),
    "contacts": ("contacted_on", "recorded_on"),
    "complaints": ("opened_on", "recorded_on"),
    "consents": ("changed_on", "recorded_on"),
    "customers": ("valid_from", "onboarded_on"),
}
_PERIODIC = ("balances", "activity", "payments")


def rewrite_after(tables: Tables, period: int, calendar: Calendar, seed: int) -> Tables:
    """`tables` with the same past up to the end of `period` and another future.

    What became known later is dropped, kept, changed, or replaced by the future of another bank with texts, products
    and customers of its own; what was known already gets other endings (closings, outcomes, resolutions).
    """
    chance = random.Random(seed)
    end = calendar.end_of(period)
    other = RandomBank(seed + 1000, calendar, style="b").tables()
    rewritten: Tables = {"products": list(tables["products"]), "occasions": other["occasions"]}
    for table in (*_BEGINNINGS, *_PERIODIC):
        past = [deepcopy(row) for row in tables[table] if not _is_future(table, row, end, calendar)]
        future = [
            deepcopy(row)
            for row in (*tables[table], *other[table])
            if _is_future(table, row, end, calendar) and chance.random() < 0.6
        ]
        for row in past:
            _end_otherwise(table, row, end, chance)
        chance.shuffle(future)
        if table == "customers":
            future = _versions_of_the_known(past, future, end)
        rewritten[table] = [*past, *future]
    rewritten = _consistent(rewritten, calendar)
    for rows in rewritten.values():
        chance.shuffle(rows)
    return rewritten


def _is_future(table: str, row: Row, end: date, calendar: Calendar) -> bool:
    """Whether nobody could know of the row at `end`."""
    if table in _PERIODIC:
        return calendar.period_of(row["period"]) > calendar.period_of(end)
    return any(row[column] is not None and row[column] > end for column in _BEGINNINGS[table])


def _end_otherwise(table: str, row: Row, end: date, chance: random.Random) -> None:
    """Change what came of a known fact after `end`."""
    after = chance.choice((None, end.fromordinal(end.toordinal() + chance.randrange(1, 200))))
    if after is not None:
        after = min(after, NEWEST_DAY)
    for owner, column in (("accounts", "closed_on"), ("complaints", "resolved_on")):
        if table == owner and (row[column] is None or row[column] > end):
            row[column] = after
    if table == "contacts" and (row["outcome"] is None or (row["outcome_on"] or date.min) > end):
        row["outcome"] = chance.choice(("accepted", "declined")) if after else None
        row["outcome_on"] = after


def _versions_of_the_known(past: list[Row], future: list[Row], end: date) -> list[Row]:
    """`future` without versions that would say a known customer had joined on another day."""
    onboarded = {row["customer_id"]: row["onboarded_on"] for row in past}
    versions = []
    for row in future:
        known = row["customer_id"] in onboarded
        if known:
            row["onboarded_on"] = onboarded[row["customer_id"]]
        if not known or (row["valid_from"] is not None and row["valid_from"] > end):
            versions.append(row)
    return versions


def _consistent(tables: Tables, calendar: Calendar) -> Tables:
    """Without repeated keys, of which the first row stays, and without references to customers who are gone."""
    customers = {row["customer_id"] for row in tables["customers"]}
    for name, rows in tables.items():
        first: dict[tuple, Row] = {}
        for row in rows:
            if row.get("customer_id", next(iter(customers))) in customers:
                first.setdefault(_key(TABLES[name].key, row, calendar), row)
        tables[name] = list(first.values())
    return tables


def _key(columns: Iterable[str], row: Row, calendar: Calendar) -> tuple:
    return tuple(calendar.period_of(row[column]) if column == "period" else row[column] for column in columns)
