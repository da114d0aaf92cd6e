"""Checks of the input contract: named PASS, WARN and FAIL, counted in SQL, each with the remedy.

A FAIL stops a build; a WARN is recorded with it. Memory does not grow with the tables: the SQL engine keeps to its
limit by spilling to disk, and only counts and first keys leave it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from itertools import groupby
from typing import Any

from rich.progress import Progress
from rich.table import Table as RichTable
from rich.text import Text

from ..calendar import Calendar
from ..contracts import (
    ACCOUNTS,
    BIRTH_DATE,
    CLOSED_ON,
    CUSTOMERS,
    FOUNDED_ON,
    MATURES_ON,
    ONBOARDED_ON,
    OPENED_ON,
    RECORDED_ON,
    TABLES,
    VALID_FROM,
    Column,
    Table,
)
from ..sources import BankTables
from ..sources.inbox import Fate, Found
from ..sources.values import quoted, text_sql
from .rules import SHOWN, QueryRule, RowRule, Status, has, key_text, query_rules, row_rules

__all__ = [
    "INBOX_CHECK",
    "MAX_ATTRIBUTE_TEXTS",
    "MAX_MISSING_SHARE",
    "CheckReport",
    "CheckResult",
    "Status",
    "checks_table",
    "inbox_checks",
    "run_checks",
]

MAX_ATTRIBUTE_TEXTS = 1000
"""Distinct texts up to which an attribute is used."""

INBOX_CHECK = "inbox"
"""The name of what is said of `WORKSPACE/inbox`."""

MAX_MISSING_SHARE = 0.5
"""The share of empty values of an optional column above which a WARN says so."""

# where emptiness means something ("still open", "no limit") and is no lack of data
_EMPTY_IS_AN_ANSWER = frozenset(
    {CLOSED_ON, MATURES_ON, RECORDED_ON, VALID_FROM, "parent_id", "campaign_id", "outcome", "outcome_on", "resolved_on"}
    | {column.name for column in TABLES["products"].columns}
)
# whose values are counted where only some customers can have one
_POPULATIONS = {
    BIRTH_DATE: "kind = 'retail'",
    "gender": "kind = 'retail'",
    FOUNDED_ON: "kind = 'corporate'",
}
_NEVER_COUNTS = frozenset({Fate.NO_CUSTOMER, Fate.NO_PRODUCT, Fate.TWICE, Fate.UNREADABLE})
_INBOX_REMEDY = (
    "These were told over the service. Bring the customers and products that are missing, and correct the bank's own "
    "table where the two contradict each other."
)
_NEVER_CHANGING = frozenset({BIRTH_DATE, FOUNDED_ON, "gender", ONBOARDED_ON, VALID_FROM, *CUSTOMERS.column_names[:2]})


@dataclass(frozen=True)
class CheckResult:
    """What one check found in one column (or several, separated by commas) of one table.

    Attributes
    ----------
    rows : how many rows break the rule; of keys that are not unique, all rows that share one
    first_keys : the smallest offending keys, at most five, as text; the parts of a key are separated by slashes
    message, remedy : what is wrong and what to do; empty on PASS, but for what the inbox says
    """

    name: str
    status: Status
    table: str
    column: str
    rows: int = 0
    first_keys: tuple[str, ...] = ()
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class CheckReport:
    """All results, table by table in the order of the contract.

    Attributes
    ----------
    today : the day after which nothing may have happened
    table_rows : table -> number of rows, of the tables that are there
    """

    results: tuple[CheckResult, ...]
    today: date
    table_rows: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether anything stops a build."""
        return any(result.status is Status.FAIL for result in self.results)

    def with_status(self, *statuses: Status) -> tuple[CheckResult, ...]:
        """The results that came to one of `statuses`."""
        return tuple(result for result in self.results if result.status in statuses)

    def with_results(self, results: Iterable[CheckResult]) -> "CheckReport":
        """The same, with further results."""
        return replace(self, results=_in_order([*self.results, *results]))

    def to_json(self) -> str:
        """The report as a JSON object with the keys failed, today, table_rows and checks."""
        content = {
            "failed": self.failed,
            "today": self.today.isoformat(),
            "table_rows": self.table_rows,
            "checks": [asdict(result) for result in self.results],
        }
        return json.dumps(content, ensure_ascii=False, indent=2)


def run_checks(tables: BankTables, calendar: Calendar, today: date, progress: Progress | None = None) -> CheckReport:
    """Check `tables` against the input contract.

    Parameters
    ----------
    calendar : what a period is, for keys that have one
    today : a fact dated later is a FAIL
    progress : gets a task that advances with each query

    Raises
    ------
    BadInput : when a file turns out to be unreadable
    """
    with tables.reading():
        present = {table.name: tables.columns_of(table) for table in TABLES.values() if table.name in tables.present}
        table_rows: dict[str, int] = {}
        results: list[CheckResult] = []
        queries = list(query_rules(present, calendar))
        task = progress.add_task("Checking the tables", total=len(present) + len(queries)) if progress else None

        def step() -> None:
            if progress and task is not None:
                progress.advance(task)

        for name, columns in present.items():
            table_rows[name], found = _check_rows(tables, TABLES[name], columns, calendar, today)
            results += found
            step()
        for rule in queries:
            results.append(_check_query(tables, rule))
            step()
        results += _check_not_empty(table_rows)
        results += _check_versions(tables, present)
        results += _check_attributes(tables)
    return CheckReport(_in_order(_merged(results)), today, table_rows)


def inbox_checks(found: Iterable[Found]) -> Iterator[CheckResult]:
    """What came of the inbox: of each of its tables how many rows were taken in, and how many were not, and why.

    Rows that will never count, and answers that the bank's own table contradicts, are a WARN; nothing is a FAIL.
    """
    for each in found:
        key, total = ", ".join(TABLES[each.table].key), sum(each.rows.values())
        taken = each.rows.get(Fate.TAKEN, 0)
        parts = [f"{taken:,} taken in"] + [
            f"{each.rows[fate]:,} {fate.value}" for fate in Fate if fate is not Fate.TAKEN and fate in each.rows
        ]
        if each.differing:
            parts.append(f"{each.differing:,} of those taken in contradicted by the bank's own: the refusal counts")
        message = f"{total:,} rows from the inbox: {', '.join(parts)}"
        lost = {fate: rows for fate, rows in each.rows.items() if fate in _NEVER_COUNTS}
        if lost or each.differing:
            keys = tuple(dict.fromkeys(key for fate in lost for key in each.first_keys[fate]))[:SHOWN]
            rows = sum(lost.values()) + each.differing
            yield CheckResult(INBOX_CHECK, Status.WARN, each.table, key, rows, keys, message, _INBOX_REMEDY)
        else:
            yield CheckResult(INBOX_CHECK, Status.PASS, each.table, key, 0, (), message)


def checks_table(report: CheckReport, passes: bool = True) -> RichTable:
    """The report for the terminal: what failed first, then warnings, then (`passes`) what is in order."""
    style = {Status.FAIL: "bold red", Status.WARN: "yellow", Status.PASS: "green"}
    table = RichTable(title=f"Checks of the input contract ({', '.join(_counts(report))})", title_justify="left")
    for heading in ("", "check", "where"):
        table.add_column(heading, no_wrap=heading == "")
    table.add_column("rows", justify="right")
    table.add_column("what is wrong, first keys, remedy", overflow="fold")
    for status in (Status.FAIL, Status.WARN, *((Status.PASS,) if passes else ())):
        for result in report.with_status(status):
            keys = f"keys: {', '.join(result.first_keys)}" if result.first_keys else ""
            # Text, as ids may hold brackets, which rich would take for markup
            table.add_row(
                Text(status.value, style=style[status]),
                Text(result.name),
                Text(f"{result.table}.{result.column}" if status is not Status.PASS else result.table),
                Text(f"{result.rows:,}" if status is not Status.PASS else ""),
                Text("\n".join(filter(None, (result.message, keys, result.remedy)))),
            )
    return table


def _counts(report: CheckReport) -> Iterator[str]:
    for status in Status:
        yield f"{len(report.with_status(status))} {status.value}"


# ------------------------------------------------------------------------------------------------------ the work


def _check_rows(
    tables: BankTables, table: Table, columns: tuple[Column, ...], calendar: Calendar, today: date
) -> tuple[int, list[CheckResult]]:
    """Rows of `table`, and the results of its rules on single rows: one pass over the table."""
    rules = list(row_rules(table, columns, calendar, today))
    optional = [column for column in columns if not column.required and column.name not in _EMPTY_IS_AN_ANSWER]
    wanted = ["count(*)"]
    for rule in rules:
        values = f"min({quoted('raw ' + rule.column)}, {SHOWN}) FILTER (WHERE {rule.breaks})"
        wanted += [
            f"count(*) FILTER (WHERE {rule.breaks})",
            f"min(row_key, {SHOWN}) FILTER (WHERE {rule.breaks})",
            values if rule.shows_values else "NULL",
        ]
    for column in optional:
        population = _POPULATIONS.get(column.name, "true")
        wanted += [
            f"count(*) FILTER (WHERE {population})",
            f"count(*) FILTER (WHERE {population} AND NOT {has(column.name)})",
            f"min(row_key, {SHOWN}) FILTER (WHERE {population} AND NOT {has(column.name)})",
        ]
    row = iter(_one_row(tables, f"SELECT {', '.join(wanted)} FROM ({_typed_and_raw(tables, table, columns)})"))
    n_rows = int(next(row))
    results = [_result(rule, next(row), next(row), next(row)) for rule in rules]
    results += [_missing(table.name, column.name, next(row), next(row), next(row)) for column in optional]
    return n_rows, results


def _typed_and_raw(tables: BankTables, table: Table, columns: tuple[Column, ...]) -> str:
    types = tables.raw_types[table.name]
    there = {column.name for column in columns}
    typed = [
        f"{tables.typed_expression(table.name, column)} AS {quoted(column.name)}"
        for column in (*columns, *(column for column in table.columns if column.name not in there))
    ]
    found = []
    for column in columns:
        found.append(f"{tables.present_expression(table.name, column)} AS {has(column.name)}")
        found.append(f"{text_sql(quoted(column.name), types[column.name])} AS {quoted('raw ' + column.name)}")
    inner = f"SELECT {', '.join(typed + found)} FROM raw_{table.name}"
    return f"SELECT *, {key_text(table)} AS row_key FROM ({inner})"


def _check_query(tables: BankTables, rule: QueryRule) -> CheckResult:
    rows, keys, values = _one_row(tables, rule.sql)
    return _result(rule, rows, keys, values)


def _result(
    rule: RowRule | QueryRule, rows: int | None, keys: list[str] | None, values: list[str] | None
) -> CheckResult:
    if not rows:
        return CheckResult(rule.name, Status.PASS, rule.table, rule.column)
    message = rule.message
    if values:
        message += ": " + ", ".join(dict.fromkeys(values))
    return CheckResult(
        rule.name, rule.status, rule.table, rule.column, int(rows), _distinct(keys), message, rule.remedy
    )


def _distinct(keys: list[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(keys or ()))


def _missing(table: str, column: str, rows: int, empty: int, keys: list[str] | None) -> CheckResult:
    name = "share of missing values"
    if empty <= MAX_MISSING_SHARE * rows:
        return CheckResult(name, Status.PASS, table, column)
    message = f"{column} is empty in {empty / rows:.0%} of rows"
    remedy = "Bring it if the bank has it; leave the column out if not."
    return CheckResult(name, Status.WARN, table, column, int(empty), _distinct(keys), message, remedy)


def _check_not_empty(table_rows: dict[str, int]) -> Iterator[CheckResult]:
    for table in TABLES.values():
        if table.required:
            key = ", ".join(table.key)
            if table_rows[table.name]:
                yield CheckResult("empty tables", Status.PASS, table.name, key)
            else:
                message, remedy = f"{table.name} has no rows", "Look whether the export or the mapping went wrong."
                yield CheckResult("empty tables", Status.FAIL, table.name, key, 0, (), message, remedy)


def _check_versions(tables: BankTables, present: dict[str, tuple[Column, ...]]) -> Iterator[CheckResult]:
    """Whether what changes in a customer's life is known as it was at past dates."""
    changing = [column.name for column in present[CUSTOMERS.name] if column.name not in _NEVER_CHANGING]
    dated = any(column.name == OPENED_ON for column in present[ACCOUNTS.name])
    if not changing or not dated:
        return
    query = "SELECT count(*), count(valid_from), (SELECT count(opened_on) FROM accounts) FROM customers"
    rows, versions, dated_accounts = _one_row(tables, query)
    if versions or not dated_accounts:
        yield CheckResult("customer versions", Status.PASS, CUSTOMERS.name, VALID_FROM)
        return
    yield CheckResult(
        "customer versions",
        Status.WARN,
        CUSTOMERS.name,
        VALID_FROM,
        rows,
        (),
        f"there is no valid_from: {', '.join(changing)} are used at past dates as they stand now",
        "Bring each customer's earlier states as rows of their own with valid_from, if the bank keeps them.",
    )


def _check_attributes(tables: BankTables) -> Iterator[CheckResult]:
    for attribute in tables.attributes:
        texts = 0
        if not attribute.is_number:
            distinct = f"SELECT DISTINCT {quoted(attribute.name)} AS value FROM customers"
            (texts,) = _one_row(tables, f"SELECT count(value) FROM ({distinct})")
        if texts <= MAX_ATTRIBUTE_TEXTS:
            yield CheckResult("attributes", Status.PASS, CUSTOMERS.name, attribute.name)
            continue
        message = f"{attribute.name} has {texts:,} distinct texts; it is not used"
        remedy = f"Leave it out, or group it into at most {MAX_ATTRIBUTE_TEXTS:,} values."
        yield CheckResult("attributes", Status.WARN, CUSTOMERS.name, attribute.name, texts, (), message, remedy)


def _one_row(tables: BankTables, query: str) -> tuple[Any, ...]:
    (row,) = tables.connection.execute(query).fetchall()  # fetchone would leave the result open
    return row


def _in_order(results: Iterable[CheckResult]) -> tuple[CheckResult, ...]:
    order = list(TABLES)
    return tuple(sorted(results, key=lambda result: order.index(result.table)))


def _merged(results: Iterable[CheckResult]) -> Iterator[CheckResult]:
    """One PASS for all columns of a table that a check found in order; the others as they are."""
    by_check = sorted(results, key=lambda r: (r.table, r.name, r.status))
    for (table, name, status), group in groupby(by_check, key=lambda r: (r.table, r.name, r.status)):
        found = list(group)
        if status is Status.PASS:
            yield CheckResult(name, status, table, ", ".join(result.column for result in found))
        else:
            yield from found
