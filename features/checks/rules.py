"""The rules of the input contract, as SQL: what `features.checks.checking` counts.

Two kinds: rules on single rows, which one pass over a table counts together, and queries of their own. Neither keeps
more than a handful of keys outside the SQL engine, which spills to disk, so memory does not grow with the tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ..calendar import Calendar
from ..contracts import (
    ACCOUNTS,
    ACTIVITY,
    BALANCES,
    BIRTH_DATE,
    CLOSED_ON,
    COMPLAINTS,
    CONSENTS,
    CONTACTS,
    CUSTOMER_ID,
    CUSTOMERS,
    FOUNDED_ON,
    LONGEST_ID,
    MATURES_ON,
    OCCASIONS,
    ONBOARDED_ON,
    OPENED_ON,
    PAYMENTS,
    PERIOD,
    PRODUCT_ID,
    PRODUCTS,
    RECORDED_ON,
    TABLES,
    Column,
    Table,
    Type,
)
from ..sources.values import READABLE, literal, quoted

SHOWN = 5
"""Offending keys shown of each rule."""


class Status(StrEnum):
    """What a check came to. FAIL stops a build; WARN is recorded with it."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class RowRule:
    """A rule on single rows.

    Attributes
    ----------
    name, table, column, status, message, remedy : as in a CheckResult, should a row break the rule
    breaks : SQL over the table's typed columns, and over ``has <column>``: whether a value, readable or not, is there
    shows_values : whether the message ends with some of the offending values
    """

    name: str
    table: str
    column: str
    status: Status
    breaks: str
    message: str
    remedy: str
    shows_values: bool = False


@dataclass(frozen=True)
class QueryRule:
    """A rule that takes a query of its own.

    Attributes
    ----------
    name, table, column, status, message, remedy : as in a CheckResult, should the query find rows
    sql : gives one row: how many rows break the rule, a list of their first keys, a list of some offending values
    """

    name: str
    table: str
    column: str
    status: Status
    sql: str
    message: str
    remedy: str


def has(column: str) -> str:
    """The name of the column that says whether `column` has a value, readable or not."""
    return quoted(f"has {column}")


def key_text(table: Table) -> str:
    """SQL for a row's key as people read it: its parts, separated by slashes."""
    parts = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in table.key)
    return f"coalesce(nullif(concat_ws(' / ', {parts}), ''), '(empty)')"


# ---------------------------------------------------------------------------------------------------- single rows

# table, the earlier date, the later date, name of the check, status, remedy
_ORDER = (
    (ACCOUNTS, OPENED_ON, CLOSED_ON, "closed before opened", Status.FAIL, "Mend the dates of these accounts."),
    (ACCOUNTS, OPENED_ON, MATURES_ON, "dates in order", Status.FAIL, "Mend the dates of these accounts."),
    (CONTACTS, "contacted_on", "outcome_on", "dates in order", Status.FAIL, "Mend the dates of these contacts."),
    (COMPLAINTS, OPENED_ON, "resolved_on", "dates in order", Status.FAIL, "Mend the dates of these complaints."),
    (PRODUCTS, "on_sale_from", "on_sale_to", "dates in order", Status.FAIL, "Mend when these products are on sale."),
    (CUSTOMERS, "risk_assessed_on", "risk_expires_on", "dates in order", Status.FAIL, "Mend these assessments."),
    (CUSTOMERS, BIRTH_DATE, ONBOARDED_ON, "dates in order", Status.WARN, "Mend or empty the wrong one of the dates."),
    (CUSTOMERS, FOUNDED_ON, ONBOARDED_ON, "dates in order", Status.WARN, "Mend or empty the wrong one of the dates."),
    *(
        (
            table,
            happened,
            RECORDED_ON,
            "recorded before it happened",
            Status.WARN,
            "Give the day the bank knew, or leave it empty: then the fact counts as known the day it happened.",
        )
        for table, happened in (
            (ACCOUNTS, OPENED_ON),
            (CONTACTS, "contacted_on"),
            (CONSENTS, "changed_on"),
            (COMPLAINTS, OPENED_ON),
        )
    ),
)

# table, column, name of the check, status, what breaks it, what is wrong
_RANGES = (
    (ACTIVITY, "count", "negative counts", Status.FAIL, '"count" < 0', "is negative"),
    (PAYMENTS, "count", "negative counts", Status.FAIL, '"count" < 0', "is negative"),
    (PAYMENTS, "amount", "negative amounts", Status.WARN, "amount < 0", "is negative"),
    (ACTIVITY, "inflow", "negative amounts", Status.WARN, "inflow < 0", "is negative"),
    (ACTIVITY, "outflow", "negative amounts", Status.WARN, "outflow < 0", "is negative"),
    (
        CONTACTS,
        "propensity_of_arm",
        "probabilities",
        Status.FAIL,
        "propensity_of_arm <= 0 OR propensity_of_arm > 1",
        "is not above 0 and at most 1",
    ),
    (PRODUCTS, "max_age", "ages in order", Status.FAIL, "max_age < min_age", "is below min_age"),
)

_MAY_LIE_AHEAD = frozenset({"risk_expires_on", "on_sale_from", "on_sale_to", MATURES_ON})
_OLDEST_SENSIBLE_DAY = date(1900, 1, 1)


def row_rules(table: Table, columns: tuple[Column, ...], calendar: Calendar, today: date) -> Iterator[RowRule]:
    """The rules on single rows of `table`, which has `columns`."""
    there = {column.name for column in columns}
    for column in columns:
        if column in table.columns:
            yield from _column_rules(table, column, calendar, today)
    for owner, earlier, later, name, status, remedy in _ORDER:
        if owner is table and {earlier, later} <= there:
            breaks = f"{quoted(later)} < {quoted(earlier)}"
            yield RowRule(name, table.name, later, status, breaks, f"{later} is before {earlier}", remedy)
    if table in (CUSTOMERS, PRODUCTS):
        (key,) = (name for name in table.key if name in (CUSTOMER_ID, PRODUCT_ID))
        yield RowRule(
            "addressable ids",
            table.name,
            key,
            Status.FAIL,
            f"{quoted(key)} IN ('.', '..') OR length({quoted(key)}) > {LONGEST_ID} "
            f"OR regexp_matches({quoted(key)}, '[\\x00-\\x1f\\x7f]')",
            f"{key} is '.' or '..', has control characters or more than {LONGEST_ID} characters",
            "The service could not be asked about them, as no address can hold such an id: give them others.",
        )
    for owner, column_name, name, status, breaks, wrong in _RANGES:
        if owner is table and column_name in there:
            message = f"{column_name} {wrong}"
            yield RowRule(name, table.name, column_name, status, breaks, message, "Mend these values.")


def _column_rules(table: Table, column: Column, calendar: Calendar, today: date) -> Iterator[RowRule]:
    name, value = column.name, quoted(column.name)
    translation = f"tables: {{{table.name}: {{values: {{{name}: {{YOURS: OURS}}}}}}}}"
    yield RowRule(
        "types",
        table.name,
        name,
        Status.FAIL,
        f"{has(name)} AND {value} IS NULL",
        f"{name} is not {READABLE[column.type]}",
        f"Write it so, or say in the mapping file what it stands for ('' for nothing): {translation}.",
        shows_values=True,
    )
    if column.required:
        rule = "keys" if name in table.key else "required values"
        message = f"{name} is empty"
        remedy = f"Every row of {table.name} needs a {name}: fill it in or leave the row out."
        yield RowRule(rule, table.name, name, Status.FAIL, f"NOT {has(name)}", message, remedy)
    if column.choices:
        choices = ", ".join(map(literal, column.choices))
        yield RowRule(
            "choices",
            table.name,
            name,
            Status.FAIL,
            f"{value} NOT IN ({choices})",
            f"{name} is none of {', '.join(column.choices)}",
            f"Say in the mapping file what your values stand for: {translation}.",
            shows_values=True,
        )
    if column.type in (Type.DATE, Type.PERIOD, Type.MOMENT):
        yield from _date_rules(table, column, calendar, today)


def _date_rules(table: Table, column: Column, calendar: Calendar, today: date) -> Iterator[RowRule]:
    name, value = column.name, quoted(column.name)
    if name not in _MAY_LIE_AHEAD:
        ahead = f"CAST({value} AS DATE) > DATE '{today}'"
        if column.type is Type.PERIOD:
            ahead = f"{calendar.sql_period(value)} > {calendar.period_of(today)}"
        yield RowRule(
            "opened in the future" if name == OPENED_ON else "dates in the future",
            table.name,
            name,
            Status.FAIL,
            ahead,
            f"{name} is after {today}",
            "Mend these dates, or leave the rows out until they have happened. A date that stands for 'never' has to "
            f"be empty: tables: {{{table.name}: {{values: {{{name}: {{'9999-12-31': ''}}}}}}}} in the mapping file.",
        )
    if name != FOUNDED_ON:
        yield RowRule(
            "placeholder dates",
            table.name,
            name,
            Status.WARN,
            f"{value} <= DATE '{_OLDEST_SENSIBLE_DAY}'",
            f"{name} is on or before {_OLDEST_SENSIBLE_DAY}",
            "A date that stands for 'unknown' should be empty.",
        )


# ------------------------------------------------------------------------------------------------------ references

_CUSTOMER_REFERENCES = (
    (ACCOUNTS, CUSTOMER_ID),
    (BALANCES, CUSTOMER_ID),
    (ACTIVITY, CUSTOMER_ID),
    (CONTACTS, CUSTOMER_ID),
    (CONSENTS, CUSTOMER_ID),
    (COMPLAINTS, CUSTOMER_ID),
    (OCCASIONS, CUSTOMER_ID),
)
_PRODUCT_REFERENCES = (ACCOUNTS, BALANCES, CONTACTS, OCCASIONS)


def query_rules(present: dict[str, tuple[Column, ...]], calendar: Calendar) -> Iterator[QueryRule]:
    """The rules that take a query of their own; `present` names the columns of each table that is there."""
    for table in TABLES.values():
        if table.name in present:
            yield _unique_key(table, calendar)
    for table, column in _CUSTOMER_REFERENCES:
        if table.name in present:
            yield _reference(table, column, CUSTOMERS, CUSTOMER_ID, "references")
    for table in _PRODUCT_REFERENCES:
        if table.name in present:
            yield _reference(table, PRODUCT_ID, PRODUCTS, PRODUCT_ID, "unknown products")
    if PAYMENTS.name in present:
        yield _foreign_payments()
    yield from _account_rules({column.name for column in present[ACCOUNTS.name]})
    relations = {column.name for column in present[PRODUCTS.name]} & {"requires", "excludes"}
    for column in sorted(relations):
        yield _relation_rule(column)


def _unique_key(table: Table, calendar: Calendar) -> QueryRule:
    # a period is any date within it, so two dates of one month are one key
    groups = ", ".join(calendar.sql_period(PERIOD) if name == PERIOD else quoted(name) for name in table.key)
    needed = [column.name for column in table.columns if column.name in table.key and column.required]
    complete = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in needed)
    shown = ", ".join(f"min({quoted(name)}) AS {quoted(name)}" for name in table.key)
    sql = (
        f"SELECT sum(n), min({key_text(table)}, {SHOWN}), NULL FROM (SELECT count(*) AS n, {shown} FROM {table.name} "
        f"WHERE {complete} GROUP BY {groups} HAVING count(*) > 1)"
    )
    message = f"several rows have the same {', '.join(table.key)}"
    return QueryRule("keys", table.name, ", ".join(table.key), Status.FAIL, sql, message, "Keep one row of each key.")


def _reference(table: Table, column: str, target: Table, key: str, name: str) -> QueryRule:
    sql = (
        f"SELECT count(*), min({key_text(table)}, {SHOWN}), min({quoted(column)}, {SHOWN}) FROM {table.name} "
        f"WHERE {quoted(column)} IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM {target.name} AS target WHERE target.{key} = {table.name}.{quoted(column)})"
    )
    message = f"{column} is not in {target.name}"
    remedy = f"Add the missing rows to {target.name}, or leave these out of {table.name}."
    return QueryRule(name, table.name, column, Status.FAIL, sql, message, remedy)


def _foreign_payments() -> QueryRule:
    known = "EXISTS (SELECT 1 FROM customers c WHERE c.customer_id = payments.{})"
    sql = (
        f"SELECT count(*), min({key_text(PAYMENTS)}, {SHOWN}), NULL FROM payments "
        f"WHERE NOT {known.format('payer_id')} AND NOT {known.format('payee_id')}"
    )
    return QueryRule(
        "references",
        PAYMENTS.name,
        "payer_id, payee_id",
        Status.WARN,
        sql,
        "neither side of the payment is a customer",
        "One side may be with another bank, not both: such payments are not used.",
    )


def _account_rules(columns: set[str]) -> Iterator[QueryRule]:
    name, key = ACCOUNTS.name, key_text(ACCOUNTS)
    groups = ", ".join(column for column in (CUSTOMER_ID, PRODUCT_ID, OPENED_ON) if column in columns)
    yield QueryRule(
        "duplicate accounts",
        name,
        groups,
        Status.WARN,
        f"SELECT sum(n), min(first_key, {SHOWN}), NULL FROM "
        f"(SELECT count(*) AS n, min({key}) AS first_key FROM accounts "
        f"WHERE customer_id IS NOT NULL AND product_id IS NOT NULL GROUP BY {groups} HAVING count(*) > 1)",
        f"several accounts have the same {groups}",
        "They count as one holding. If they are one account, keep one row.",
    )
    other_kind = "CASE p.customer_kind WHEN 'retail' THEN 'corporate' WHEN 'corporate' THEN 'retail' END"
    yield QueryRule(
        "customer kinds",
        name,
        PRODUCT_ID,
        Status.WARN,
        f"SELECT count(*), min(account_id, {SHOWN}), min(product_id, {SHOWN}) FROM (SELECT a.account_id, a.product_id, "
        f"a.customer_id, {other_kind} AS kind FROM accounts a JOIN products p ON p.product_id = a.product_id) a "
        "WHERE EXISTS (SELECT 1 FROM customers c WHERE c.customer_id = a.customer_id AND c.kind = a.kind)",
        "the product is for another kind of customer",
        "Mend customer_kind of the product (both, if it is for both) or kind of the customer.",
    )
    if OPENED_ON in columns:
        yield QueryRule(
            "dated accounts",
            name,
            OPENED_ON,
            Status.WARN,
            f"SELECT CASE WHEN count(opened_on) > 0 THEN count(*) - count(opened_on) ELSE 0 END, "
            f"min({key}, {SHOWN}) FILTER (WHERE opened_on IS NULL), NULL FROM accounts",
            "some accounts have no opened_on while others do",
            "Such accounts count as held from the beginning and are never an acquisition: fill in the date if you can.",
        )


def _relation_rule(column: str) -> QueryRule:
    sql = (
        f"SELECT count(*), min(product_id, {SHOWN}), min(related, {SHOWN}) FROM "
        f"(SELECT product_id, unnest({quoted(column)}) AS related FROM products) r "
        "WHERE NOT EXISTS (SELECT 1 FROM products p WHERE p.product_id = r.related)"
    )
    message = f"{column} names what is no product"
    remedy = "Name product ids, separated by ';'."
    return QueryRule("product relations", PRODUCTS.name, column, Status.FAIL, sql, message, remedy)
