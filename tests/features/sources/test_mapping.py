from pathlib import Path

import duckdb
import pytest

from features.errors import BadConfiguration, BadInput
from features.sources import BankTables
from features.sources.mapping import Mapping, TableMapping, read_mapping

from .small_bank import clean_tables, write_csv
from .test_tables import column, rows

OURS = """
tables:
  customers:
    from: 客户表
    columns: {customer_id: CUST_NO, kind: TYPE, 等级: GRADE}
    values: {kind: {01: retail, 对公: corporate}}
  accounts:
    columns: {customer_id: CUST_NO, product_id: PROD_CD, closed_on: END_DT}
    values: {closed_on: {9999-12-31: ''}}
"""


def write_own_names(folder: Path) -> Path:
    tables = clean_tables()
    for row in tables["customers"]:
        row["CUST_NO"] = row.pop("customer_id")
        row["TYPE"] = {"retail": "01", "corporate": "对公"}[row.pop("kind")]
        row["GRADE"] = "A"
    for row in tables["accounts"]:
        row["CUST_NO"] = row.pop("customer_id")
        row["PROD_CD"] = row.pop("product_id")
        row["END_DT"] = row.pop("closed_on") or "9999-12-31"
    write_csv(folder, tables)
    (folder / "customers.csv").rename(folder / "客户表.csv")
    return folder


def test_a_banks_own_tables_columns_and_values_are_renamed(tmp_path: Path) -> None:
    ours = write_csv(tmp_path / "ours", clean_tables())
    theirs = write_own_names(tmp_path / "theirs")
    (theirs / "mapping.yaml").write_text(OURS, encoding="utf-8")
    with BankTables.open(ours) as expected, BankTables.open(theirs) as found:
        assert rows(found, "accounts") == rows(expected, "accounts")
        columns = "customer_id, kind, valid_from, income, 城市, score"
        query = f"SELECT {columns} FROM customers ORDER BY ALL"
        assert found.connection.execute(query).fetchall() == expected.connection.execute(query).fetchall()
        assert {attribute.name for attribute in found.attributes} == {"城市", "score", "等级"}


def test_a_mapping_may_be_elsewhere(tmp_path: Path) -> None:
    source = write_own_names(tmp_path / "theirs")
    mapping = tmp_path / "elsewhere.yaml"
    mapping.write_text(OURS, encoding="utf-8")
    assert column(source, "customers", "customer_id", mapping) == ["c1", "c2", "c3", "c4", "c5"]


def test_a_table_expression_reads_what_duckdb_reads_beside_the_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_csv(tmp_path / "bank", clean_tables())
    (tmp_path / "other").mkdir()
    connection = duckdb.connect()
    for part in (1, 2):
        connection.execute(
            f"COPY (SELECT 'x{part}' AS account_id, 'c1' AS customer_id, 'card' AS product_id) "
            f"TO '{tmp_path / 'other' / f'{part}.parquet'}'"
        )
    mapping = tmp_path / "other" / "mapping.yaml"
    origin = "(SELECT * FROM read_parquet('*.parquet') WHERE account_id <> 'x.2')"
    mapping.write_text(f'tables: {{accounts: {{from: "{origin}"}}}}')
    monkeypatch.chdir(source)
    assert column(source, "accounts", "account_id", mapping) == ["x1", "x2"]


def test_a_database_is_read_by_table_and_schema_and_never_written(tmp_path: Path) -> None:
    folder = write_csv(tmp_path / "csv", clean_tables())
    database = tmp_path / "bank.duckdb"
    connection = duckdb.connect(str(database))
    connection.execute("CREATE SCHEMA core")
    for name in ("customers", "products"):
        connection.execute(f"CREATE TABLE {name} AS FROM read_csv('{folder / name}.csv')")
    connection.execute(f"CREATE TABLE core.T_ACCT AS FROM read_csv('{folder / 'accounts'}.csv')")
    connection.close()
    (tmp_path / "mapping.yaml").write_text("tables: {accounts: {from: core.t_acct}}")
    before = database.read_bytes()
    with BankTables.open(database) as found, BankTables.open(folder) as expected:
        for name in ("customers", "products", "accounts"):
            assert rows(found, name) == rows(expected, name)
        assert found.present == {"customers", "products", "accounts"}
        with pytest.raises(duckdb.Error, match="read-only"):
            found.connection.execute("DELETE FROM bank.core.T_ACCT")
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tables: {accouns: {from: x}}", "unknown table tables.accouns; known: customers"),
        ("tables: {accounts: {form: x}}", r"unknown key tables\.accounts\.form; known here: from"),
        ("table: {}", "unknown key table; known here: tables"),
        ("tables: {accounts: {columns: {cust: x}}}", r"unknown column tables\.accounts\.columns\.cust"),
        ("tables: {accounts: {values: {cust: {a: b}}}}", r"unknown column tables\.accounts\.values\.cust"),
        ("tables: {accounts: {columns: [a]}}", r"tables\.accounts\.columns: "),
        ("tables: {accounts: ", "not valid YAML"),
        ("tables: {accounts: {from: \"read_parquet('nowhere/*.parquet')\"}}", r"tables\.accounts\.from is no table"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_by_file_and_key(tmp_path: Path, content: str, message: str) -> None:
    write_csv(tmp_path, clean_tables())
    (tmp_path / "mapping.yaml").write_text(content)
    with pytest.raises(BadConfiguration, match=message) as raised:
        BankTables.open(tmp_path)
    assert str(tmp_path / "mapping.yaml") in str(raised.value)


def test_a_mapped_column_or_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path, clean_tables())
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("tables: {accounts: {columns: {closed_on: END_DT}}}")
    with pytest.raises(BadInput, match=r"closed_on of accounts is missing: .* no column END_DT"):
        BankTables.open(tmp_path)
    mapping.write_text("tables: {balances: {from: T_BAL}}")
    with pytest.raises(BadInput, match=r"balances is missing in .*looked for T_BAL"):
        BankTables.open(tmp_path)


def test_an_unreadable_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read"):
        read_mapping(tmp_path / "nowhere.yaml")
    (tmp_path / "gbk.yaml").write_bytes("tables: {客户: {}}".encode("gb18030"))
    with pytest.raises(BadConfiguration, match="not UTF-8"):
        read_mapping(tmp_path / "gbk.yaml")


def test_an_empty_mapping_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text("")
    assert read_mapping(tmp_path / "mapping.yaml") == Mapping()
    assert Mapping().of("accounts") == TableMapping()
