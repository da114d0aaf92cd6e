"""What the page on the contract lists: types, tables, columns, and the checks of each column."""

from collections.abc import Iterator
from datetime import date

from features.calendar import Calendar, Frequency
from features.checks.rules import QueryRule, RowRule, query_rules, row_rules
from features.contracts import TABLES, Column, Table, Type
from features.sources.values import READABLE
from tests.documentation.markdown import code, sentence, table

_OF_EVERY_COLUMN = ("types", "share of missing values")


def types() -> str:
    """How a value of each type is written."""
    return table(("type", "in a text file"), [(code(type_), READABLE[type_]) for type_ in Type])


def tables() -> str:
    """A table for each table of the contract."""
    return "\n\n".join(_table(each) for each in TABLES.values())


def rules() -> list[RowRule | QueryRule]:
    """Every rule that the checks know of a bank which brings all tables with all columns."""
    calendar, today = Calendar(Frequency.MONTH), date(2026, 1, 1)
    found: list[RowRule | QueryRule] = []
    for each in TABLES.values():
        found += row_rules(each, each.columns, calendar, today)
    return found + list(query_rules({each.name: each.columns for each in TABLES.values()}, calendar))


def _table(of: Table) -> str:
    needed = "needed" if of.required else "optional"
    more = " Further columns become attributes that the models may use." if of.open_ended else ""
    key = ", ".join(map(code, of.key))
    rows = [
        (code(column.name), code(column.type), "needed" if column.required else "", _says(column), _checks(of, column))
        for column in of.columns
    ]
    head = ("column", "type", "", "meaning", "checks")
    return f"### `{of.name}` ({needed})\n\n{of.row} The key: {key}.{more}\n\n{table(head, rows)}"


def _says(column: Column) -> str:
    choices = f" One of: {', '.join(map(code, column.choices))}." if column.choices else ""
    return sentence(column.meaning) + choices


def _checks(of: Table, column: Column) -> str:
    return ", ".join(dict.fromkeys(_named(of, column)))


def _named(of: Table, column: Column) -> Iterator[str]:
    for rule in rules():
        if rule.table == of.name and column.name in rule.column.split(", ") and rule.name not in _OF_EVERY_COLUMN:
            yield rule.name
