import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest
from rich.console import Console
from rich.progress import Progress

from features.calendar import Calendar, Frequency
from features.checks import CheckReport, CheckResult, checks_table, run_checks
from features.checks.checking import Status
from features.errors import BadInput
from features.sources import BankTables
from tests.features.sources.small_bank import Rows, clean_tables, write_csv

TODAY = date(2023, 12, 31)
Tables = dict[str, Rows]


def check(folder: Path, today: date = TODAY, calendar: Calendar | None = None) -> CheckReport:
    with BankTables.open(folder, memory_limit="200MB", threads=1) as tables:
        return run_checks(tables, calendar or Calendar(), today)


def problems(report: CheckReport) -> tuple[CheckResult, ...]:
    return report.with_status(Status.WARN, Status.FAIL)


def test_in_a_clean_bank_everything_passes(tmp_path: Path) -> None:
    report = check(write_csv(tmp_path, clean_tables()))
    assert problems(report) == ()
    assert not report.failed
    assert {result.table for result in report.results} == set(clean_tables())
    assert report.table_rows == {name: len(rows) for name, rows in clean_tables().items()}


@dataclass(frozen=True)
class Break:
    """One change of the clean bank, and what the checks should say of it."""

    check: str
    status: Status
    table: str
    column: str
    change: Callable[[Tables], None]
    rows: int
    keys: tuple[str, ...]


def sets(table: str, row: int, **values: str) -> Callable[[Tables], None]:
    return lambda tables: tables[table][row].update(values)


def sets_all(table: str, **values: str) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        for row in tables[table]:
            row.update(values)

    return change


def repeats(table: str, row: int, **values: str) -> Callable[[Tables], None]:
    return lambda tables: tables[table].append(tables[table][row] | values)


def renames(column: str, old: str, new: str) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        for row in (row for rows in tables.values() for row in rows if row.get(column) == old):
            row[column] = new

    return change


def test_ids_of_other_characters_are_addressed(tmp_path: Path) -> None:
    tables = clean_tables()
    for old, new in (("c1", "R/1"), ("c2", "客户 ?#%2F"), ("c3", "..."), ("c4", "x" * 200)):
        renames("customer_id", old, new)(tables)
        renames("payer_id", old, new)(tables)
        renames("payee_id", old, new)(tables)
    assert problems(check(write_csv(tmp_path, tables))) == ()


def empties_three_tiers(tables: Tables) -> None:
    for row in tables["customers"][:3]:
        row["tier"] = ""


def undates_customers(tables: Tables) -> None:
    for row in tables["customers"]:
        del row["valid_from"]


def many_cities(tables: Tables) -> None:
    first = tables["customers"][0]
    tables["customers"] += [first | {"customer_id": f"x{i}", "城市": f"city {i}"} for i in range(1001)]


FAIL, WARN = Status.FAIL, Status.WARN
C1_2023 = ("c1 / 2023-01-01",)
BREAKS = [
    *(
        Break("addressable ids", FAIL, "customers", "customer_id", renames("customer_id", "c3", new), 1, (key,))
        for new, key in ((".", ". / 2023-01-01"), ("..", ".. / 2023-01-01"), ("x" * 201, "x" * 201 + " / 2023-01-01"))
    ),
    Break("addressable ids", FAIL, "products", "product_id", renames("product_id", "pool", "a\x01b"), 1, ("a\x01b",)),
    Break("types", FAIL, "accounts", "matures_on", sets("accounts", 0, matures_on="15.01.2033"), 1, ("a1",)),
    Break("types", FAIL, "accounts", "closed_on", sets("accounts", 0, closed_on="2023-02-30"), 1, ("a1",)),
    Break("types", FAIL, "activity", "count", sets("activity", 0, count="12.5"), 1, ("c1 / 2023-11-01 / mobile",)),
    Break("types", FAIL, "customers", "income", sets("customers", 0, income="1,000"), 1, C1_2023),
    Break("types", FAIL, "products", "repeatable", sets("products", 0, repeatable="maybe"), 1, ("card",)),
    Break("types", FAIL, "occasions", "at", sets("occasions", 0, at="noon"), 1, ("o1 / card",)),
    Break("required values", FAIL, "products", "family", sets("products", 1, family=" "), 1, ("deposit",)),
    Break("keys", FAIL, "accounts", "account_id", sets("accounts", 0, account_id=""), 1, ("(empty)",)),
    Break("keys", FAIL, "accounts", "account_id", sets("accounts", 0, account_id="a3"), 2, ("a3",)),
    Break("keys", FAIL, "customers", "customer_id, valid_from", repeats("customers", 0), 2, C1_2023),
    Break(
        "keys",
        FAIL,
        "balances",
        "customer_id, product_id, period",
        repeats("balances", 0, period="2023-10-31"),
        2,
        ("c1 / deposit / 2023-10-01",),
    ),
    Break(
        "keys",
        FAIL,
        "consents",
        "customer_id, purpose, channel, changed_on",
        repeats("consents", 1),
        2,
        ("c1 / marketing / phone / 2023-01-02",),
    ),
    Break("choices", FAIL, "customers", "kind", sets("customers", 1, kind="private"), 1, ("c2 / 2023-01-01",)),
    Break("choices", FAIL, "products", "customer_kind", sets("products", 2, customer_kind="firms"), 1, ("pool",)),
    Break("choices", FAIL, "contacts", "arm", sets_all("contacts", arm="test"), 2, ("k1", "k2")),
    Break("references", FAIL, "accounts", "customer_id", sets("accounts", 2, customer_id="c9"), 1, ("a3",)),
    Break("references", FAIL, "complaints", "customer_id", sets("complaints", 0, customer_id="c9"), 1, ("m1",)),
    Break(
        "references",
        WARN,
        "payments",
        "payer_id, payee_id",
        sets("payments", 0, payer_id="nobody"),
        1,
        ("nobody / elsewhere / 2023-11-01",),
    ),
    Break("unknown products", FAIL, "accounts", "product_id", sets("accounts", 2, product_id="gold"), 1, ("a3",)),
    Break("unknown products", FAIL, "contacts", "product_id", sets_all("contacts", product_id="gold"), 2, ("k1", "k2")),
    Break(
        "closed before opened", FAIL, "accounts", "closed_on", sets("accounts", 1, closed_on="2023-02-14"), 1, ("a2",)
    ),
    Break("dates in order", FAIL, "accounts", "matures_on", sets("accounts", 1, matures_on="2023-02-14"), 1, ("a2",)),
    Break("dates in order", FAIL, "contacts", "outcome_on", sets("contacts", 0, outcome_on="2022-12-31"), 1, ("k1",)),
    Break("dates in order", FAIL, "products", "on_sale_to", sets("products", 0, on_sale_to="2019-12-31"), 1, ("card",)),
    Break(
        "dates in order", WARN, "customers", "onboarded_on", sets("customers", 0, birth_date="2022-02-01"), 1, C1_2023
    ),
    Break(
        "recorded before it happened",
        WARN,
        "accounts",
        "recorded_on",
        sets("accounts", 0, recorded_on="2023-01-14"),
        1,
        ("a1",),
    ),
    Break(
        "opened in the future",
        FAIL,
        "accounts",
        "opened_on",
        sets("accounts", 0, opened_on="2024-01-01", recorded_on=""),
        1,
        ("a1",),
    ),
    Break(
        "dates in the future", FAIL, "accounts", "closed_on", sets("accounts", 0, closed_on="9999-12-31"), 1, ("a1",)
    ),
    Break(
        "dates in the future",
        FAIL,
        "balances",
        "period",
        sets("balances", 0, period="2024-01"),
        1,
        ("c1 / deposit / 2024-01-01",),
    ),
    Break(
        "placeholder dates", WARN, "customers", "birth_date", sets("customers", 0, birth_date="1900-01-01"), 1, C1_2023
    ),
    Break(
        "negative counts", FAIL, "activity", "count", sets("activity", 0, count="-1"), 1, ("c1 / 2023-11-01 / mobile",)
    ),
    Break(
        "negative amounts",
        WARN,
        "payments",
        "amount",
        sets("payments", 0, amount="-1"),
        1,
        ("c5 / elsewhere / 2023-11-01",),
    ),
    Break(
        "probabilities", FAIL, "contacts", "propensity_of_arm", sets("contacts", 1, propensity_of_arm="0"), 1, ("k2",)
    ),
    Break("ages in order", FAIL, "products", "max_age", sets("products", 0, max_age="17"), 1, ("card",)),
    Break(
        "duplicate accounts",
        WARN,
        "accounts",
        "customer_id, product_id, opened_on",
        repeats("accounts", 0, account_id="a9"),
        2,
        ("a1",),
    ),
    Break("customer kinds", WARN, "accounts", "product_id", sets("accounts", 2, product_id="pool"), 1, ("a3",)),
    Break("dated accounts", WARN, "accounts", "opened_on", sets("accounts", 0, opened_on=""), 1, ("a1",)),
    Break(
        "product relations", FAIL, "products", "requires", sets("products", 0, requires="deposit; gold"), 1, ("card",)
    ),
    Break("product relations", FAIL, "products", "excludes", sets("products", 0, excludes="gold;silver"), 2, ("card",)),
    Break(
        "share of missing values",
        WARN,
        "customers",
        "tier",
        empties_three_tiers,
        3,
        ("c1 / 2023-01-01", "c2 / 2023-01-01", "c3 / 2023-01-01"),
    ),
    Break("customer versions", WARN, "customers", "valid_from", undates_customers, 5, ()),
    Break("attributes", WARN, "customers", "城市", many_cities, 1003, ()),
]


@pytest.mark.parametrize("broken", BREAKS, ids=lambda b: f"{b.check}: {b.table}.{b.column}")
def test_a_broken_rule_is_named_and_no_other(tmp_path: Path, broken: Break) -> None:
    tables = clean_tables()
    broken.change(tables)
    tables = {name: tables[name] for name in {"customers": 0, "products": 0, "accounts": 0, broken.table: 0}}
    report = check(write_csv(tmp_path, tables))
    assert [(p.name, p.status, p.table, p.column, p.rows, p.first_keys) for p in problems(report)] == [
        (broken.check, broken.status, broken.table, broken.column, broken.rows, broken.keys)
    ]
    assert report.failed == (broken.status is FAIL)
    assert problems(report)[0].message
    assert problems(report)[0].remedy


def test_every_check_has_a_test_that_breaks_it(tmp_path: Path) -> None:
    names = {result.name for result in check(write_csv(tmp_path, clean_tables())).results}
    assert names - {broken.check for broken in BREAKS} == {"empty tables"}


@pytest.mark.parametrize("name", ["customers", "products", "accounts"])
def test_a_needed_table_without_rows_fails(tmp_path: Path, name: str) -> None:
    tables = clean_tables()
    tables[name].clear()
    failures = {(p.name, p.table) for p in problems(check(write_csv(tmp_path, tables)))}
    assert ("empty tables", name) in failures


def test_at_most_five_keys_are_shown_the_smallest(tmp_path: Path) -> None:
    tables = clean_tables()
    first = tables["accounts"][0]
    tables["accounts"] = [first | {"account_id": f"a{i}", "product_id": f"gold{i}"} for i in range(9)]
    (unknown,) = [p for p in problems(check(write_csv(tmp_path, tables))) if p.name == "unknown products"]
    assert unknown.rows == 9
    assert unknown.first_keys == ("a0", "a1", "a2", "a3", "a4")
    assert "gold0, gold1, gold2, gold3, gold4" in unknown.message


def test_the_message_shows_offending_values(tmp_path: Path) -> None:
    tables = clean_tables()
    sets("accounts", 0, closed_on="15.01.2023")(tables)
    (problem,) = problems(check(write_csv(tmp_path, tables)))
    assert "15.01.2023" in problem.message
    assert "YYYY-MM-DD" in problem.message


def test_a_week_is_a_key_of_its_own_when_periods_are_weeks(tmp_path: Path) -> None:
    tables = clean_tables()
    repeats("balances", 0, period="2023-10-20")(tables)  # the month of 2023-10-01, another week
    report = check(write_csv(tmp_path, tables), calendar=Calendar(Frequency.WEEK))
    assert problems(report) == ()


def test_progress_ends_complete(tmp_path: Path) -> None:
    with BankTables.open(write_csv(tmp_path, clean_tables())) as tables, Progress(disable=True) as progress:
        run_checks(tables, Calendar(), TODAY, progress)
        assert [task.finished for task in progress.tasks] == [True]


def test_undated_accounts_are_not_a_problem(tmp_path: Path) -> None:
    tables = clean_tables()
    for row in tables["accounts"]:
        for column in ("opened_on", "closed_on", "matures_on", "recorded_on"):
            del row[column]
    undates_customers(tables)
    assert problems(check(write_csv(tmp_path, tables))) == ()


def test_a_row_too_short_is_bad_input_and_names_the_line(tmp_path: Path) -> None:
    write_csv(tmp_path, clean_tables())
    with (tmp_path / "accounts.csv").open("a") as file:
        file.write("a9,c1\r\n")
    with pytest.raises(BadInput, match="Line: 7"):
        check(tmp_path)


def test_not_a_number_counts_as_missing_and_infinity_as_unreadable(tmp_path: Path) -> None:
    write_csv(tmp_path, clean_tables())
    (tmp_path / "balances.csv").unlink()
    duckdb.connect().execute(
        "COPY (SELECT 'c1' AS customer_id, 'deposit' AS product_id, DATE '2023-10-01' AS period, "
        "average_balance FROM (VALUES ('inf'::DOUBLE), ('nan'::DOUBLE)) t(average_balance)) "
        f"TO '{tmp_path / 'balances.parquet'}'"
    )
    found = {(p.name, p.column, p.rows) for p in problems(check(tmp_path))}
    assert {("types", "average_balance", 1), ("required values", "average_balance", 1)} <= found


def test_the_report_is_json_and_a_table(tmp_path: Path) -> None:
    tables = clean_tables()
    sets("accounts", 0, account_id="[a]3", closed_on="1999-01-01")(tables)
    report = check(write_csv(tmp_path, tables))
    content = json.loads(report.to_json())
    assert content["failed"] is True
    assert content["today"] == "2023-12-31"
    (failure,) = [entry for entry in content["checks"] if entry["status"] == "FAIL"]
    assert failure["name"] == "closed before opened"
    assert failure["first_keys"] == ["[a]3"]
    console = Console(width=160)
    with console.capture() as capture:
        console.print(checks_table(report))
    assert "closed before opened" in capture.get()
    assert "[a]3" in capture.get()
    assert "PASS" in capture.get()
    with console.capture() as capture:
        console.print(checks_table(report, passes=False))
    assert "PASS" not in capture.get().split("\n", 1)[1]
