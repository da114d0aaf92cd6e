import calendar
import csv
import gzip
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.calendar import Calendar
from features.checks import run_checks
from features.errors import BadInput
from features.sources import BankTables
from features.sources.importers import import_santander, santander
from features.sources.importers.santander_names import FLAGS, PROFILE, PROFILE_COLUMNS

from .santander_lookalike import write_lookalike

CARD, CURRENT, PAYROLL = "ind_tjcr_fin_ult1", "ind_cco_fin_ult1", "ind_nomina_ult1"


def write_snapshots(path: Path, snapshots: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, (*PROFILE_COLUMNS, *FLAGS), restval="")
        writer.writeheader()
        writer.writerows(dict.fromkeys(FLAGS, "0") | {"fecha_alta": "2010-03-04"} | row for row in snapshots)
    return path


def snapshot(month: str, **values: str) -> dict[str, str]:
    return {"fecha_dato": f"{month}-28", "ncodpers": "1"} | values


def imported(tmp_path: Path, snapshots: list[dict[str, str]]) -> Path:
    import_santander(write_snapshots(tmp_path / "train.csv", snapshots), tmp_path / "tables")
    return tmp_path / "tables"


def read(tables: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    return duckdb.connect().execute(f"SELECT {columns} FROM '{tables}/{table}/*.parquet' ORDER BY ALL").fetchall()


def spans(tmp_path: Path, snapshots: list[dict[str, str]]) -> list[tuple[Any, ...]]:
    return read(imported(tmp_path, snapshots), "accounts", "opened_on, closed_on")


class TestAccounts:
    def test_a_run_of_months_is_one_account(self, tmp_path: Path) -> None:
        flags = ["0", "1", "1", "0", "1"]
        snapshots = [snapshot(f"2015-0{month}", **{CARD: flag}) for month, flag in enumerate(flags, start=1)]
        tables = imported(tmp_path, snapshots)
        assert read(tables, "accounts", "account_id, customer_id, product_id, opened_on, closed_on") == [
            (f"1-{CARD}-1", "1", CARD, date(2015, 2, 1), date(2015, 4, 1)),
            (f"1-{CARD}-2", "1", CARD, date(2015, 5, 1), None),
        ]

    def test_what_the_first_snapshot_holds_was_opened_when_the_customer_came(self, tmp_path: Path) -> None:
        assert spans(tmp_path, [snapshot("2015-01", **{CARD: "1"})]) == [(date(2010, 3, 4), None)]

    @pytest.mark.parametrize("joined", ["", "NA", "2015-06-01"])
    def test_or_in_that_month_if_that_day_is_unknown_or_later(self, tmp_path: Path, joined: str) -> None:
        rows = [snapshot("2015-01", fecha_alta=joined, **{CARD: "1"})]
        assert spans(tmp_path, rows) == [(date(2015, 1, 1), None)]

    def test_the_day_the_customer_came_may_follow_the_snapshot_within_its_month(self, tmp_path: Path) -> None:
        rows = [snapshot("2015-01", fecha_alta="2015-01-30", **{CARD: "1"})]
        assert spans(tmp_path, rows) == [(date(2015, 1, 30), None)]

    def test_a_missing_month_between_two_held_ones_changes_nothing(self, tmp_path: Path) -> None:
        rows = [snapshot(month, **{CARD: "1"}) for month in ("2014-12", "2015-03")]
        assert spans(tmp_path, rows) == [(date(2010, 3, 4), None)]

    def test_an_unknown_flag_changes_nothing(self, tmp_path: Path) -> None:
        flags = ["NA", "1", "NA", "", "1", "NA", "0", "NA"]
        rows = [snapshot(f"2015-0{month}", **{PAYROLL: flag}) for month, flag in enumerate(flags, start=1)]
        assert spans(tmp_path, rows) == [(date(2015, 2, 1), date(2015, 7, 1))]

    def test_a_customer_who_is_gone_has_closed_everything(self, tmp_path: Path) -> None:
        rows = [
            snapshot("2015-01", **{CARD: "1"}),
            snapshot("2015-02", **{CARD: "1"}),
            snapshot("2015-05", ncodpers="2"),
        ]
        assert spans(tmp_path, rows) == [(date(2010, 3, 4), date(2015, 3, 1))]

    def test_a_year_ends(self, tmp_path: Path) -> None:
        rows = [snapshot("2015-11"), snapshot("2015-12", **{CARD: "1"}), snapshot("2016-01")]
        assert spans(tmp_path, rows) == [(date(2015, 12, 1), date(2016, 1, 1))]


class TestCustomers:
    def test_a_version_begins_where_the_profile_changes(self, tmp_path: Path) -> None:
        rows = [
            snapshot("2015-01", segmento="02 - PARTICULARES", renta="100.5", age=" 23", antiguedad="     12"),
            snapshot("2015-02", segmento="02 - PARTICULARES", renta="100.5", age=" 24", antiguedad="-999999"),
            snapshot("2015-03", segmento="01 - TOP", renta="         NA", age=" NA"),
            snapshot("2015-04", segmento="", renta="200"),
        ]
        tables = imported(tmp_path, rows)
        columns = "valid_from, kind, tier, income, birth_date, onboarded_on"
        born, joined = date(2015 - 23, 1, 1), date(2010, 3, 4)
        assert read(tables, "customers", columns) == [
            (date(2015, 1, 28), "retail", "individuals", 100.5, born, joined),
            (date(2015, 3, 28), "retail", "top", 100.5, born, joined),  # what is missing has not changed
            (date(2015, 4, 28), "retail", "top", 200, born, joined),
        ]

    def test_codes_mean_the_same_however_they_are_written(self, tmp_path: Path) -> None:
        rows = [
            snapshot("2015-01", indrel_1mes="1", ind_actividad_cliente=" 1", sexo="H"),
            snapshot("2015-02", indrel_1mes="1.0", ind_actividad_cliente="1.0", sexo=""),
            snapshot("2015-03", indrel_1mes="P", nomprov="CORUÑA, A"),
        ]
        tables = imported(tmp_path, rows)
        assert read(tables, "customers", "valid_from, customer_type, is_active, gender, region") == [
            (date(2015, 1, 28), "1", 1, "female", None),
            (date(2015, 3, 28), "P", 1, "female", "CORUÑA, A"),
        ]

    @pytest.mark.parametrize("age", ["", " NA", "-1", "164"])
    def test_an_age_nobody_has_is_unknown(self, tmp_path: Path, age: str) -> None:
        assert read(imported(tmp_path, [snapshot("2015-01", age=age)]), "customers", "birth_date") == [(None,)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([], "has no rows"),
            ([snapshot("2015-01", **{CARD: "2"})], "1 rows have .* the first: 1 at 2015-01-28"),
            ([snapshot("2015-01", **{CARD: "yes"})], "1 rows have"),
            ([snapshot("1/2015")], "1 rows have"),
            ([snapshot("2015-01", ncodpers="x")], "1 rows have"),
            ([snapshot("2015-01"), snapshot("2015-01")], "Customer 1 has several snapshots in the month of 2015-01-28"),
        ],
    )
    def test_bad_rows_are_named(self, tmp_path: Path, rows: list[dict[str, str]], message: str) -> None:
        with pytest.raises(BadInput, match=message):
            imported(tmp_path, rows)
        assert not (tmp_path / "tables").exists()

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "other.csv").write_text("a,b\n1,2\n")
        with pytest.raises(BadInput, match="has no column fecha_dato, ncodpers"):
            import_santander(tmp_path / "other.csv", tmp_path / "tables")
        with pytest.raises(BadInput, match="There is no file"):
            import_santander(tmp_path / "nowhere.csv", tmp_path / "tables")


def flags_in(path: Path, encoding: str) -> Iterator[tuple[str, date, str, str]]:
    """The oracle: customer, day, product and flag of every cell, read as plainly as can be."""
    with path.open(encoding=encoding, newline="") as file:
        for row in csv.DictReader(file):
            for flag in FLAGS:
                yield row["ncodpers"], date.fromisoformat(row["fecha_dato"]), flag, row[flag].strip()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_what_is_held_at_each_month_end_is_what_the_snapshot_says(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "train_ver2.csv"
    write_lookalike(path, n_customers=300, encoding=encoding)
    monkeypatch.setattr(santander, "_BYTES_IN_BUCKET", path.stat().st_size // 3)
    import_santander(path, tmp_path / "tables")
    assert len(list((tmp_path / "tables" / "accounts").iterdir())) == 4

    accounts: dict[tuple[str, str], list[tuple[date, date | None]]] = {}
    for customer, product, opened, closed in read(
        tmp_path / "tables", "accounts", "customer_id, product_id, opened_on, closed_on"
    ):
        accounts.setdefault((customer, product), []).append((opened, closed))
    compared = {"0": 0, "1": 0, "NA": 0}
    for customer, day, product, flag in flags_in(path, encoding):
        end = day.replace(day=calendar.monthrange(day.year, day.month)[1])
        held = [o for o, c in accounts.get((customer, product), []) if o <= end and (c is None or c > end)]
        assert len(held) <= 1
        assert flag == "NA" or len(held) == int(flag)
        compared[flag] += 1
    assert min(compared.values()) > 20  # the file has what is to be compared

    regions = {region for (region,) in read(tmp_path / "tables", "customers", "region")}
    assert regions == {"CORUÑA, A", "MADRID", None}


def test_the_tables_pass_the_checks(tmp_path: Path) -> None:
    write_lookalike(tmp_path / "train.csv", n_customers=300, n_months=6)
    import_santander(tmp_path / "train.csv", tmp_path / "tables")
    with BankTables.open(tmp_path / "tables") as tables:
        report = run_checks(tables, Calendar(), today=date(2015, 6, 30))
        assert not report.failed
        assert {attribute.name for attribute in tables.attributes} == set(PROFILE) - {
            "gender",
            "region",
            "tier",
            "income",
        }
    assert report.table_rows["products"] == 24
    assert report.table_rows["accounts"] > 0


def test_a_compressed_file_gives_the_same_tables(tmp_path: Path) -> None:
    write_lookalike(tmp_path / "train.csv", n_customers=100, n_months=4)
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress((tmp_path / "train.csv").read_bytes()))
    for name in ("train.csv", "train.csv.gz"):
        import_santander(tmp_path / name, tmp_path / f"{name} tables")
    for table in ("accounts", "customers"):
        plain, compressed = (read(tmp_path / f"{name} tables", table, "*") for name in ("train.csv", "train.csv.gz"))
        assert plain == compressed
        assert plain
