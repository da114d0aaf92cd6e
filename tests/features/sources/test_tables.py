import csv
import gzip
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts import TABLES
from features.errors import BadInput
from features.sources import Attribute, BankTables
from features.sources.values import SQL_TYPES

from .small_bank import clean_tables, write_csv


def rows(tables: BankTables, name: str) -> list[tuple[Any, ...]]:
    return sorted(tables.connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)


def column(source: Path, table: str, name: str, mapping: Path | None = None) -> list[Any]:
    with BankTables.open(source, mapping, memory_limit="200MB", threads=1) as tables:
        found = tables.connection.execute(f'SELECT "{name}" FROM {table} ORDER BY ALL').fetchall()
    return [value for (value,) in found]


def with_opened(folder: Path, written: list[str]) -> Path:
    tables = clean_tables()
    first = tables["accounts"][0]
    tables["accounts"] = [first | {"account_id": f"a{i}", "opened_on": day} for i, day in enumerate(written)]
    return write_csv(folder, tables)


class TestViews:
    def test_every_table_has_every_column_in_its_type(self, tmp_path: Path) -> None:
        tables = {name: clean_tables()[name] for name in ("customers", "products", "accounts")}
        with BankTables.open(write_csv(tmp_path, tables)) as opened:
            assert opened.present == {"customers", "products", "accounts"}
            for table in TABLES.values():
                described = opened.connection.execute(f"DESCRIBE {table.name}").fetchall()
                assert [(row[0], row[1]) for row in described][: len(table.columns)] == [
                    (column.name, SQL_TYPES[column.type]) for column in table.columns
                ]
            assert rows(opened, "balances") == []

    def test_raw_views_hold_what_is_there_as_found(self, tmp_path: Path) -> None:
        with BankTables.open(with_opened(tmp_path, ["tomorrow"])) as tables:
            assert tables.connection.execute("SELECT opened_on FROM raw_accounts").fetchall() == [("tomorrow",)]
            assert tables.connection.execute("SELECT opened_on FROM accounts").fetchall() == [(None,)]
            raw = tables.connection.execute("DESCRIBE raw_accounts").fetchall()
            assert [row[0] for row in raw] == list(clean_tables()["accounts"][0])

    def test_attributes_are_the_columns_of_customers_that_the_contract_does_not_know(self, tmp_path: Path) -> None:
        with BankTables.open(write_csv(tmp_path, clean_tables())) as tables:
            assert tables.attributes == (Attribute("城市", is_number=False), Attribute("score", is_number=True))
            found = tables.connection.execute("SELECT 城市, score FROM customers ORDER BY score").fetchall()
            assert found == [("上海", 1.0), ("上海", 2.0), ("上海", 3.0), ("北京", 4.0), ("北京", 5.0)]

    def test_an_attribute_without_any_value_or_with_one_text_is_text(self, tmp_path: Path) -> None:
        tables = clean_tables()
        for number, row in enumerate(tables["customers"]):
            row.update(empty="", mixed="1" if number else "one", holes="" if number else "1.5")
        with BankTables.open(write_csv(tmp_path, tables)) as opened:
            assert opened.attributes[2:] == (
                Attribute("empty", is_number=False),
                Attribute("mixed", is_number=False),
                Attribute("holes", is_number=True),
            )


class TestValues:
    @pytest.mark.parametrize("written", ["2023-01-31", "20230131", "2023/01/31", " 2023-01-31\t"])
    def test_dates(self, tmp_path: Path, written: str) -> None:
        assert column(with_opened(tmp_path, [written]), "accounts", "opened_on") == [date(2023, 1, 31)]

    @pytest.mark.parametrize("written", ["", " ", "2023-02-30", "31/01/2023", "230131", "2023-01", "-024-01-01", "NaN"])
    def test_what_is_no_date_is_null(self, tmp_path: Path, written: str) -> None:
        assert column(with_opened(tmp_path, [written]), "accounts", "opened_on") == [None]

    @pytest.mark.parametrize("written", ["2023-11", "202311", "2023/11", "2023-11-01", "20231101"])
    def test_periods(self, tmp_path: Path, written: str) -> None:
        tables = clean_tables()
        tables["activity"][0]["period"] = written
        assert column(write_csv(tmp_path, tables), "activity", "period") == [date(2023, 11, 1)]

    @pytest.mark.parametrize(
        ("written", "read"),
        [(text, True) for text in ("true", "1", "Y", "y", "是")]
        + [(text, False) for text in ("FALSE", "0", "N", "否")]
        + [(text, None) for text in ("", "perhaps")],
    )
    def test_flags(self, tmp_path: Path, written: str, read: bool | None) -> None:
        tables = clean_tables()
        tables["consents"] = [tables["consents"][0] | {"granted": written}]
        assert column(write_csv(tmp_path, tables), "consents", "granted") == [read]

    @pytest.mark.parametrize(
        ("written", "read"),
        [("a; b;;", ["a", "b"]), ("a", ["a"]), ("", None), (" ; ", None), ("存款;gold", ["存款", "gold"])],
    )
    def test_lists(self, tmp_path: Path, written: str, read: list[str] | None) -> None:
        tables = clean_tables()
        tables["products"] = [tables["products"][0] | {"requires": written}]
        assert column(write_csv(tmp_path, tables), "products", "requires") == [read]

    @pytest.mark.parametrize(
        ("written", "read"), [("12", 12), ("12.0", 12), ("-3", -3), ("1e3", 1000), ("12.5", None), ("many", None)]
    )
    def test_whole_numbers_are_not_rounded(self, tmp_path: Path, written: str, read: int | None) -> None:
        tables = clean_tables()
        tables["activity"][0]["count"] = written
        assert column(write_csv(tmp_path, tables), "activity", "count") == [read]

    @pytest.mark.parametrize("written", ["2023-11-05 10:00:00", "2023-11-05T10:00:00", "2023/11/05 10:00:00"])
    def test_moments(self, tmp_path: Path, written: str) -> None:
        tables = clean_tables()
        tables["occasions"] = [tables["occasions"][0] | {"at": written}]
        assert column(write_csv(tmp_path, tables), "occasions", "at") == [datetime(2023, 11, 5, 10)]

    def test_texts_are_trimmed_also_of_full_width_spaces(self, tmp_path: Path) -> None:
        tables = clean_tables()
        tables["products"] = [tables["products"][0] | {"name": "\u3000 理财 产品\u00a0", "family": "\u3000"}]
        source = write_csv(tmp_path, tables)
        assert column(source, "products", "name") == ["理财 产品"]
        assert column(source, "products", "family") == [None]

    @pytest.mark.parametrize("sql", ["123", "123.0::DOUBLE", "123::DECIMAL(18, 2)", "123::HUGEINT", "' 123 '"])
    def test_an_id_is_the_same_text_however_it_is_stored(self, tmp_path: Path, sql: str) -> None:
        write_csv(tmp_path, clean_tables())
        (tmp_path / "accounts.csv").unlink()
        duckdb.connect().execute(
            f"COPY (SELECT {sql} AS account_id, 'c1' AS customer_id, 'card' AS product_id) "
            f"TO '{tmp_path / 'accounts.parquet'}'"
        )
        assert column(tmp_path, "accounts", "account_id") == ["123"]

    @pytest.mark.parametrize(
        "sql",
        ["DATE '2023-01-31'", "TIMESTAMP '2023-01-31 15:00:00'", "20230131", "20230131.0::DOUBLE", "'2023/01/31'"],
    )
    def test_a_date_is_the_same_day_however_it_is_stored(self, tmp_path: Path, sql: str) -> None:
        write_csv(tmp_path, clean_tables())
        (tmp_path / "accounts.csv").unlink()
        duckdb.connect().execute(
            f"COPY (SELECT 'a1' AS account_id, 'c1' AS customer_id, 'card' AS product_id, {sql} AS opened_on) "
            f"TO '{tmp_path / 'accounts.parquet'}'"
        )
        assert column(tmp_path, "accounts", "opened_on") == [date(2023, 1, 31)]


class TestFiles:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_chinese_text_survives_every_encoding(self, tmp_path: Path, encoding: str, compressed: bool) -> None:
        plain = write_csv(tmp_path / "plain", clean_tables())
        other = write_csv(tmp_path / "other", clean_tables(), encoding, compressed)
        with BankTables.open(plain) as expected, BankTables.open(other) as found:
            assert rows(found, "products")[0][2] == "信用卡"
            for name in TABLES:
                assert rows(found, name) == rows(expected, name)

    @given(text=st.text(st.characters(codec="gb18030", exclude_categories=["C", "Z"]), min_size=1, max_size=2000))
    @settings(max_examples=15, deadline=None)
    def test_any_text_of_gb18030_survives(self, text: str) -> None:
        tables = {name: clean_tables()[name] for name in ("customers", "products", "accounts")}
        # the second cell shifts the text by a byte, so that characters straddle the reader's chunks in other places
        tables["products"] = [tables["products"][0] | {"name": text, "family": "中" + "x" * len(text)}]
        with tempfile.TemporaryDirectory() as folder:
            assert column(write_csv(Path(folder), tables, "gb18030"), "products", "name") == [text]

    def test_a_character_across_chunks_is_read_whole(self, tmp_path: Path) -> None:
        tables = clean_tables()
        # a megabyte and more of characters of two bytes, from an odd byte in every other row
        names = [f"{number:04}{'中' * (500 + number % 2)}{'x' * (number % 2)}" for number in range(1200)]
        tables["products"] = [tables["products"][0] | {"product_id": name, "name": name} for name in names]
        assert column(write_csv(tmp_path, tables, "gb18030"), "products", "name") == names

    def test_what_is_neither_utf8_nor_gb18030_is_named_with_its_byte(self, tmp_path: Path) -> None:
        write_csv(tmp_path, clean_tables())
        (tmp_path / "accounts.csv").write_bytes(b"account_id,customer_id,product_id\n1,\xff\xff,3\n")
        offset = len("account_id,customer_id,product_id\n1,")
        with pytest.raises(BadInput, match=rf"accounts\.csv is neither UTF-8 \(byte {offset} is wrong\)"):
            BankTables.open(tmp_path)

    def test_the_byte_is_counted_from_the_start_of_a_long_file(self, tmp_path: Path) -> None:
        write_csv(tmp_path, clean_tables())
        good = b"account_id,customer_id,product_id\n" + "1,客户,3\n".encode() * 200_000
        (tmp_path / "accounts.csv").write_bytes(good + b"\xff\n")
        with pytest.raises(BadInput, match=f"byte {len(good)} is wrong"):
            BankTables.open(tmp_path)

    def test_parts_in_a_folder_are_one_table_and_may_differ_in_columns(self, tmp_path: Path) -> None:
        write_csv(tmp_path, clean_tables())
        (tmp_path / "accounts.csv").unlink()
        (tmp_path / "accounts").mkdir()
        ids = {"account_id": ["a1"], "customer_id": ["c1"], "product_id": ["card"]}
        pq.write_table(pa.table(ids), tmp_path / "accounts" / "1.parquet")
        more = ids | {"account_id": ["a2"], "opened_on": ["2023-01-01"]}
        pq.write_table(pa.table(more), tmp_path / "accounts" / "2.parquet")
        assert column(tmp_path, "accounts", "opened_on") == [date(2023, 1, 1), None]

    def test_a_path_that_looks_like_a_pattern_is_a_path(self, tmp_path: Path) -> None:
        source = write_csv(tmp_path / "year=2023" / "a[1]*?'", clean_tables())
        (source / "customers.csv").unlink()
        pq.write_table(pa.table({"customer_id": ["c2"], "kind": ["retail"]}), source / "customers.parquet")
        with BankTables.open(source) as tables:
            assert tables.attributes == ()
            assert len(rows(tables, "accounts")) == len(clean_tables()["accounts"])

    def test_column_names_match_in_any_case(self, tmp_path: Path) -> None:
        write_csv(tmp_path, clean_tables())
        path = tmp_path / "customers.csv"
        path.write_text(path.read_text("utf-8").replace("customer_id", "CUSTOMER_ID"), "utf-8")
        assert column(tmp_path, "customers", "customer_id") == ["c1", "c2", "c3", "c4", "c5"]

    @pytest.mark.parametrize("name", ["customers", "products", "accounts"])
    def test_a_missing_table_is_named_with_what_to_do(self, tmp_path: Path, name: str) -> None:
        write_csv(tmp_path, clean_tables())
        (tmp_path / f"{name}.csv").unlink()
        with pytest.raises(BadInput, match=rf"{name} is missing in .*{name}\.csv\.gz.*mapping\.yaml"):
            BankTables.open(tmp_path)

    def test_a_missing_column_is_named_with_what_is_there(self, tmp_path: Path) -> None:
        tables = clean_tables()
        for row in tables["accounts"]:
            row["CUST_NO"] = row.pop("customer_id")
        with pytest.raises(BadInput, match=r"customer_id of accounts is missing: .*accounts\.csv .*CUST_NO.*mapping"):
            BankTables.open(write_csv(tmp_path, tables))

    def test_a_table_that_is_there_twice_is_refused(self, tmp_path: Path) -> None:
        write_csv(tmp_path, clean_tables())
        (tmp_path / "accounts.csv.gz").write_bytes(gzip.compress(b"account_id\n"))
        with pytest.raises(BadInput, match=r"more than once: accounts\.csv, accounts\.csv\.gz"):
            BankTables.open(tmp_path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"account_id,,x\n", "column 2 has no name"),
            (b"account_id,b,ACCOUNT_ID\n", "the column ACCOUNT_ID is named twice"),
        ],
    )
    def test_a_bad_header_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        write_csv(tmp_path, clean_tables())
        (tmp_path / "accounts.csv").write_bytes(content)
        with pytest.raises(BadInput, match=message):
            BankTables.open(tmp_path)

    def test_a_damaged_archive_is_refused(self, tmp_path: Path) -> None:
        write_csv(tmp_path, clean_tables(), compressed=True)
        path = tmp_path / "accounts.csv.gz"
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(BadInput, match=r"accounts\.csv\.gz cannot be read"):
            BankTables.open(tmp_path)

    def test_a_source_that_is_not_there_or_no_database_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="There is no"):
            BankTables.open(tmp_path / "nowhere")
        (tmp_path / "tables.xlsx").write_bytes(b"")
        with pytest.raises(BadInput, match="neither a folder nor a DuckDB database"):
            BankTables.open(tmp_path / "tables.xlsx")
        (tmp_path / "bank.duckdb").write_bytes(b"this is no database" * 1000)
        with pytest.raises(BadInput, match="cannot be opened"):
            BankTables.open(tmp_path / "bank.duckdb")

    def test_temporary_files_go_with_the_tables(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
        (tmp_path / "scratch").mkdir()
        source = write_csv(tmp_path / "bank", clean_tables(), "gb18030")
        with BankTables.open(source):
            assert list((tmp_path / "scratch").glob("*/*.csv"))
        assert list((tmp_path / "scratch").iterdir()) == []
        (source / "accounts.csv").write_bytes(b"")
        with pytest.raises(BadInput):
            BankTables.open(source)
        assert list((tmp_path / "scratch").iterdir()) == []


class TestFingerprints:
    def test_they_follow_content_and_mapping(self, tmp_path: Path) -> None:
        source = write_csv(tmp_path, clean_tables())
        with BankTables.open(source) as tables:
            first = tables.fingerprints()
        assert set(first) == set(clean_tables())
        with BankTables.open(source) as tables:
            assert tables.fingerprints() == first
        (source / "accounts.csv").write_bytes((source / "accounts.csv").read_bytes() + b"\r\n")
        (source / "mapping.yaml").write_text("tables: {products: {values: {family: {cards: credit}}}}")
        with BankTables.open(source) as tables:
            second = tables.fingerprints()
        assert {name for name in first if first[name] != second[name]} == {"accounts", "products"}

    def test_those_of_a_table_expression_follow_its_rows_but_not_their_order(self, tmp_path: Path) -> None:
        source = write_csv(tmp_path, clean_tables())

        def fingerprint(values: str) -> str:
            query = f"(SELECT * FROM (VALUES {values}) t(account_id, customer_id, product_id))"
            (source / "mapping.yaml").write_text("tables: {accounts: {from: \"read_parquet('a/*.parquet')\"}}")
            (source / "a").mkdir(exist_ok=True)
            duckdb.connect().execute(f"COPY {query} TO '{source / 'a' / 'a.parquet'}'")
            with BankTables.open(source) as tables:
                return tables.fingerprints()["accounts"]

        first, second = "(1, 'c1', 'card')", "(2, 'c2', 'card')"
        assert fingerprint(f"{first}, {second}") == fingerprint(f"{second}, {first}")
        assert fingerprint(first) != fingerprint(f"{first}, {second}")


ids = st.integers(0, 50)
days = st.none() | st.dates(date(1950, 1, 1), date(2030, 12, 31))
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)
names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)

SCHEMAS: dict[str, pa.Schema] = {
    "customers": pa.schema(
        {
            "customer_id": pa.int64(),
            "kind": pa.string(),
            "birth_date": pa.date32(),
            "tier": pa.string(),
            "income": pa.float64(),
            "年龄": pa.float64(),
            "city": pa.string(),
        }
    ),
    "products": pa.schema(
        {
            "product_id": pa.string(),
            "name": pa.string(),
            "family": pa.string(),
            "customer_kind": pa.string(),
            "requires": pa.list_(pa.string()),
            "repeatable": pa.bool_(),
            "min_age": pa.float64(),
        }
    ),
    "accounts": pa.schema(
        {"account_id": pa.int64(), "customer_id": pa.int64(), "product_id": pa.string(), "opened_on": pa.date32()}
    ),
    "occasions": pa.schema(
        {
            "occasion_id": pa.int64(),
            "product_id": pa.string(),
            "customer_id": pa.int64(),
            "at": pa.timestamp("us"),
            "buyable": pa.bool_(),
            "bought": pa.bool_(),
        }
    ),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(["retail", "corporate"]),
    "customer_kind": st.just("both"),
    "tier": st.none() | names,
    # text, not a number in all rows of a CSV file
    "city": names.map(lambda name: "区" + name),
    "name": names,
    "family": names,
    "product_id": names.filter(lambda name: ";" not in name),
    "requires": st.none() | st.lists(names.filter(lambda name: ";" not in name), min_size=1, max_size=3),
    "at": st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)),
    "buyable": st.booleans(),
    "bought": st.booleans(),
    "repeatable": st.none() | st.booleans(),
    "birth_date": days,
    "opened_on": days,
    "income": numbers,
    "min_age": numbers,
    "年龄": st.floats(0, 100),
}


def contents(schema: pa.Schema) -> st.SearchStrategy[pa.Table]:
    row = st.fixed_dictionaries({field.name: VALUES.get(field.name, ids) for field in schema})
    return st.lists(row, min_size=1, max_size=4).map(lambda rows: pa.Table.from_pylist(rows, schema))


banks = st.fixed_dictionaries({name: contents(schema) for name, schema in SCHEMAS.items()})


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return ";".join(value) if isinstance(value, list) else str(value)


@given(bank=banks)
@settings(max_examples=10, deadline=None)
def test_csv_parquet_and_a_database_of_the_same_data_are_equal(bank: dict[str, pa.Table]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "csv").mkdir()
        (root / "parquet").mkdir()
        database = duckdb.connect(str(root / "bank.duckdb"))
        for table, content in bank.items():
            pq.write_table(content, root / "parquet" / f"{table}.parquet")
            database.execute(f"CREATE TABLE {table} AS FROM '{root}/parquet/{table}.parquet'")
            with (root / "csv" / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(content.column_names)
                writer.writerows(map(as_text, row.values()) for row in content.to_pylist())
        database.close()
        sources = (root / "csv", root / "parquet", root / "bank.duckdb")
        with BankTables.open(sources[0]) as a, BankTables.open(sources[1]) as b, BankTables.open(sources[2]) as c:
            assert a.attributes == b.attributes == c.attributes
            for table in TABLES:
                assert rows(a, table) == rows(b, table) == rows(c, table)
            assert len(rows(a, "accounts")) == bank["accounts"].num_rows
