"""Memory of the checks and of the Santander importer as their input grows: it should not.

Run by ``python -m tests.benchmarks.bench_checks``. Each size runs in a process of its own, whose peak memory counts.
The last lines are JSON, one figure each.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

from features.calendar import Calendar
from features.checks import run_checks
from features.sources import BankTables
from features.sources.importers import import_santander
from tests.features.sources.santander_lookalike import write_lookalike

ACCOUNTS = (1_000_000, 4_000_000, 16_000_000)
CUSTOMERS = (67_100, 134_200, 268_400)
"""About 1, 2 and 4 million monthly rows."""

CHECKS_MEMORY = "500MB"
IMPORT_MEMORY = "1GB"


def write_bank(folder: Path, n_accounts: int) -> None:
    """A clean bank with four accounts a customer, as Parquet."""
    connection = duckdb.connect(config={"memory_limit": "1GB", "threads": "2", "preserve_insertion_order": "false"})
    tables = {
        "customers": "SELECT range AS customer_id, 'retail' AS kind, DATE '2020-01-01' AS valid_from, "
        f"'city ' || range % 300 AS city FROM range({n_accounts // 4})",
        "products": "SELECT 'p' || range AS product_id, 'Product ' || range AS name, 'family' AS family, "
        "'both' AS customer_kind FROM range(24)",
        "accounts": "SELECT 'account-' || range AS account_id, range // 4 AS customer_id, "
        "'p' || range % 24 AS product_id, "
        f"DATE '2020-01-01' + CAST(range % 1000 AS INTEGER) AS opened_on FROM range({n_accounts})",
    }
    for name, query in tables.items():
        connection.execute(f"COPY ({query}) TO '{folder / name}.parquet'")


def check(folder: Path) -> None:
    """Run the checks on a clean bank."""
    with BankTables.open(folder, memory_limit=CHECKS_MEMORY) as tables:
        assert not run_checks(tables, Calendar(), date(2023, 12, 31)).failed


def measured(job: str, source: Path) -> tuple[float, float]:
    """Seconds and peak GB of `job` on `source` in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_checks", job, str(source)]
    seconds, gigabytes = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds, gigabytes


def run(job: str, source: Path) -> None:
    """One measurement, in the process that counts."""
    start = time.perf_counter()
    if job == "checks":
        check(source)
    else:
        import_santander(source, source.parent / "tables", memory_limit=IMPORT_MEMORY)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))


def main() -> None:
    """Measure every size and print a line for each."""
    figures: dict[str, float] = {}
    print(f"{'job':<20}{'rows':>12}{'seconds':>10}{'rows/s':>12}{'peak GB':>10}")
    for job, sizes in (("checks", ACCOUNTS), ("santander", CUSTOMERS)):
        for size in sizes:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                if job == "checks":
                    write_bank(folder, size)
                    rows, source = size, folder
                else:
                    source = folder / "train_ver2.csv"
                    write_lookalike(source, size)
                    with source.open("rb") as lines:
                        rows = sum(1 for _ in lines) - 1
                seconds, gigabytes = measured(job, source)
            print(f"{job:<20}{rows:>12,}{seconds:>10.1f}{rows / seconds:>12,.0f}{gigabytes:>10.2f}")
            figures[f"{job}_{rows}_seconds"] = round(seconds, 2)
            figures[f"{job}_{rows}_peak_gb"] = round(gigabytes, 3)
    for figure, value in figures.items():
        print(json.dumps({figure: value}))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
