import gzip
import os
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.progress import Progress

from features.calendar import Calendar
from features.checks import run_checks
from features.checks.checking import Status
from features.contracts import TABLES
from features.errors import BadInput
from features.sources import BankTables
from features.sources.importers import import_bruun, import_scf
from features.sources.importers.scf import ATTRIBUTES, PRODUCTS
from features.sources.importers.writing import IMPORT_FILE, importing

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"the real data are not in {REAL_DATA}")


def assert_clean(folder: Path, today: date) -> dict[str, int]:
    """No check fails or warns; gives the number of rows of each table."""
    with BankTables.open(folder) as tables:
        report = run_checks(tables, Calendar(), today)
    assert report.with_status(Status.WARN, Status.FAIL) == ()
    return report.table_rows


def query(folder: Path, table: str, sql: str) -> list[tuple[Any, ...]]:
    return duckdb.connect().execute(f"FROM '{folder / table}.parquet' {sql}").fetchall()


def write_purchases(folder: Path) -> Path:
    """Three users: 1 buys a twice and b at the test; 2 buys a at the test; 3 buys a and b at once."""
    folder.mkdir()
    (folder / "purchase_events.csv.gz").write_bytes(
        gzip.compress(
            b"event_id,user_id,event_time,item_id,split\n"
            b"1,1,2019-01-01 10:00:00,item_1,train\n"
            b"2,3,2019-01-02 10:00:00,item_1,train\n"
            b"2,3,2019-01-02 10:00:00,item_2,train\n"
            b"3,1,2019-06-01 10:00:00,item_1,valid\n"
            b"4,1,2020-01-01 10:00:00,item_2,test\n"
            b"5,2,2020-01-02 10:00:00,item_1,test\n"
        )
    )
    (folder / "filter_test.csv.gz").write_bytes(
        gzip.compress(b"event_id,item_id\n4,item_2\n4,item_3\n5,item_1\n5,item_2\n")
    )
    return folder


class TestBruun:
    def test_the_first_purchase_of_an_item_opens_its_account(self, tmp_path: Path) -> None:
        import_bruun(write_purchases(tmp_path / "source"), tmp_path / "tables")
        accounts = query(tmp_path / "tables", "accounts", "SELECT customer_id, product_id, opened_on ORDER BY ALL")
        assert accounts == [
            ("1", "item_1", date(2019, 1, 1)),
            ("1", "item_2", date(2020, 1, 1)),
            ("2", "item_1", date(2020, 1, 2)),
            ("3", "item_1", date(2019, 1, 2)),
            ("3", "item_2", date(2019, 1, 2)),
        ]

    def test_test_events_become_occasions_with_what_was_buyable(self, tmp_path: Path) -> None:
        import_bruun(write_purchases(tmp_path / "source"), tmp_path / "tables")
        columns = "SELECT occasion_id, customer_id, list(product_id ORDER BY product_id) "
        group = "GROUP BY ALL ORDER BY ALL"
        assert query(tmp_path / "tables", "occasions", f"{columns} WHERE buyable {group}") == [
            ("4", "1", ["item_2", "item_3"]),
            ("5", "2", ["item_1", "item_2"]),
        ]
        assert query(tmp_path / "tables", "occasions", f"{columns} WHERE bought {group}") == [
            ("4", "1", ["item_2"]),
            ("5", "2", ["item_1"]),
        ]
        # every other item is there as not buyable
        assert query(tmp_path / "tables", "occasions", "SELECT count(*)") == [(2 * 16,)]

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        source = write_purchases(tmp_path / "source")
        (source / "filter_test.csv.gz").unlink()
        with pytest.raises(BadInput, match=r"source holds no filter_test\.csv\.gz"):
            import_bruun(source, tmp_path / "tables")
        assert not (tmp_path / "tables").exists()

    def test_a_file_of_another_kind_is_refused_by_its_columns(self, tmp_path: Path) -> None:
        source = write_purchases(tmp_path / "source")
        (source / "filter_test.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
        with pytest.raises(BadInput, match="has no column event_id, item_id"):
            import_bruun(source, tmp_path / "tables")

    @needs_real_data
    def test_the_real_data_pass_every_check(self, tmp_path: Path) -> None:
        with Progress(disable=True) as progress:
            import_bruun(REAL_DATA / "bruun_insurance", tmp_path / "tables", progress)
            assert all(task.finished for task in progress.tasks)
        # 61,740 purchases less 1,605 repeated ones; 5,376 test events of 16 items
        assert assert_clean(tmp_path / "tables", date(2020, 9, 30)) == {
            "customers": 44_434,
            "products": 16,
            "accounts": 61_740 - 1_605,
            "occasions": 5_376 * 16,
        }
        buyable = query(tmp_path / "tables", "occasions", "SELECT count(*) WHERE buyable")
        bought = query(
            tmp_path / "tables", "occasions", "SELECT count(*), count(*) FILTER (WHERE buyable) WHERE bought"
        )
        assert buyable == [(58_338,)]
        assert bought == [(6_121, 6_121)]


@needs_real_data
class TestScf:
    def test_the_real_data_pass_every_check(self, tmp_path: Path) -> None:
        import_scf(REAL_DATA / "scf2019", tmp_path / "tables")
        rows = assert_clean(tmp_path / "tables", date(2020, 1, 1))
        assert rows["customers"] == 28_885 / 5
        assert rows["products"] == 22

    def test_accounts_are_the_flags_of_the_first_imputation(self, tmp_path: Path) -> None:
        import_scf(REAL_DATA / "scf2019", tmp_path / "tables")
        survey = f"read_csv('{REAL_DATA / 'scf2019' / 'SCFP2019.csv.gz'}')"
        sums = ", ".join(f"sum({flag})" for flag, *_ in PRODUCTS)
        (expected,) = duckdb.connect().execute(f"SELECT {sums} FROM {survey} WHERE Y1 % 10 = 1").fetchall()
        counts = dict(query(tmp_path / "tables", "accounts", "SELECT product_id, count(*) GROUP BY 1"))
        assert [counts[flag] for flag, *_ in PRODUCTS] == list(expected)

    def test_only_the_named_attributes_are_taken(self, tmp_path: Path) -> None:
        import_scf(REAL_DATA / "scf2019", tmp_path / "tables")
        with BankTables.open(tmp_path / "tables") as tables:
            assert {attribute.name for attribute in tables.attributes} == {
                name.lower() for name in ATTRIBUTES if name != "INCOME"
            }
            assert tables.connection.execute("SELECT count(income) FROM customers").fetchall() == [(5_777,)]


def interrupted_import(source: Path, target: Path) -> None:
    with importing("bruun", source, target) as work:
        work.write("customers", "SELECT 1 AS customer_id")
        raise KeyboardInterrupt


class TestWriting:
    def test_a_previous_import_is_replaced(self, tmp_path: Path) -> None:
        source, target = write_purchases(tmp_path / "source"), tmp_path / "tables"
        target.mkdir()  # an empty folder may be taken
        import_bruun(source, target)
        (target / "old.txt").write_text("from before")
        import_bruun(source, target)
        assert not (target / "old.txt").exists()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "tables"]

    def test_anything_else_is_left_alone_and_named(self, tmp_path: Path) -> None:
        target = tmp_path / "tables"
        target.mkdir()
        (target / "mine.txt").write_text("precious")
        with pytest.raises(BadInput, match="tables is not empty and was not made by an import"):
            import_bruun(write_purchases(tmp_path / "source"), target)
        assert [path.name for path in target.iterdir()] == ["mine.txt"]
        with pytest.raises(BadInput, match="is a file"):
            import_bruun(tmp_path / "source", target / "mine.txt")

    def test_an_import_that_fails_leaves_the_previous_one(self, tmp_path: Path) -> None:
        source, target = write_purchases(tmp_path / "source"), tmp_path / "tables"
        import_bruun(source, target)
        before = {path.name: path.read_bytes() for path in target.iterdir()}
        with pytest.raises(BadInput, match="cannot be imported"), importing("bruun", source, target) as work:
            work.write("customers", "SELECT 1 / 'x'::INTEGER")
        with pytest.raises(KeyboardInterrupt):
            interrupted_import(source, target)
        assert {path.name: path.read_bytes() for path in target.iterdir()} == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "tables"]

    def test_an_interruption_while_putting_in_place_leaves_the_previous_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, target = write_purchases(tmp_path / "source"), tmp_path / "tables"
        import_bruun(source, target)
        before = sorted(path.name for path in target.iterdir())

        def interrupted(self: Path, to: Path) -> None:
            if to == target and self.name == "tables" and self.parent != tmp_path:
                raise KeyboardInterrupt
            os.replace(self, to)

        monkeypatch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            import_bruun(source, target)
        assert sorted(path.name for path in target.iterdir()) == before

    def test_the_same_source_gives_the_same_bytes(self, tmp_path: Path) -> None:
        source = write_purchases(tmp_path / "source")
        for name in ("a", "b"):
            import_bruun(source, tmp_path / name)
        files = sorted(path.name for path in (tmp_path / "a").iterdir())
        assert files == sorted([IMPORT_FILE, *(f"{name}.parquet" for name in TABLES if name in _WRITTEN)])
        for name in files:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


_WRITTEN = ("customers", "products", "accounts", "occasions")
