"""Writes files in the format of Kaggle's train_ver2.csv, of any size, with its quirks; nothing is held in memory.

Everything follows from hashes of customer, product and month, so a file of the same size is the same file.
"""

import shutil
import tempfile
from datetime import date
from pathlib import Path

import duckdb

from features.sources.importers.santander_names import FLAGS, PROFILE_COLUMNS

FIRST_YEAR = 2015


def write_lookalike(path: Path, n_customers: int, n_months: int = 17, encoding: str = "utf-8") -> None:
    """Write a file of up to ``n_customers * n_months`` rows, month by month as the original."""
    with tempfile.TemporaryDirectory() as scratch, path.open("wb") as file:
        connection = duckdb.connect(config={"memory_limit": "500MB", "threads": "2"})
        file.write(",".join(f'"{name}"' for name in (*PROFILE_COLUMNS, *FLAGS)).encode() + b"\n")
        part = Path(scratch) / "month.csv"
        for month in range(n_months):
            connection.execute(f"COPY ({_month_sql(month, n_months, n_customers)}) TO '{part}' (HEADER false)")
            with part.open("rb") as rows:
                if encoding == "utf-8":
                    shutil.copyfileobj(rows, file)
                else:
                    file.write(rows.read().decode("utf-8").encode(encoding))
        connection.close()


def _draw(n: int, *keys: object) -> str:
    """SQL for a number in 0..n-1 that is always the same for one customer `c` and `keys`."""
    return f"CAST(hash(concat_ws(':', c, {', '.join(repr(str(key)) for key in keys)})) % {n} AS INTEGER)"


def _month_sql(month: int, n_months: int, n_customers: int) -> str:
    day = date(FIRST_YEAR + month // 12, month % 12 + 1, 28)
    first = f"greatest({_draw(5 * n_months, 'first')} - {4 * n_months}, 0)"
    last = f"CASE WHEN {_draw(20, 'leaves')} = 0 THEN {_draw(n_months, 'last')} ELSE {n_months} END"
    flags = ", ".join(_flag(number, flag, month, n_months) for number, flag in enumerate(FLAGS))
    return f"""
    SELECT '{day}', c + 15889,
        CASE WHEN blank THEN '' ELSE 'N' END,
        CASE WHEN blank THEN '' ELSE 'ES' END,
        CASE WHEN blank THEN '' WHEN {_draw(2, "sex")} = 0 THEN 'H' ELSE 'V' END,
        CASE WHEN blank THEN ' NA' ELSE lpad(CAST({_draw(80, "age")} + 18 + {month // 12} AS VARCHAR), 3, ' ') END,
        CASE WHEN blank THEN '' ELSE CAST(joined AS VARCHAR) END,
        CASE WHEN blank THEN ' NA' ELSE ' 0' END,
        CASE WHEN blank THEN '     NA' WHEN {_draw(200, "seniority")} = 0 THEN '-999999'
            ELSE lpad(CAST(datediff('month', joined, DATE '{day}') AS VARCHAR), 7, ' ') END,
        CASE WHEN blank THEN ' NA' WHEN {_draw(100, "indrel")} = 0 THEN '99' ELSE ' 1' END,
        '',
        CASE {_draw(4, "relation", month // 6)} WHEN 0 THEN '1' WHEN 1 THEN '1.0' WHEN 2 THEN 'P' ELSE '' END,
        CASE WHEN blank THEN '' WHEN {_draw(2, "active type", month // 4)} = 0 THEN 'A' ELSE 'I' END,
        'S', 'N', '',
        CASE WHEN blank THEN '' ELSE 'K' || chr(65 + {_draw(5, "channel")}) || 'T' END,
        'N', ' 1', '15',
        CASE {_draw(3, "province")} WHEN 0 THEN 'CORUÑA, A' WHEN 1 THEN 'MADRID' ELSE '' END,
        CASE WHEN blank THEN 'NA' ELSE CAST({_draw(2, "active", month // 3)} AS VARCHAR) END,
        CASE WHEN {_draw(3, "income known")} = 0 THEN '         NA'
            ELSE CAST({_draw(200_000, "income")} + 0.5 AS VARCHAR) END,
        CASE {_draw(4, "segment", month // 9)} WHEN 0 THEN '01 - TOP' WHEN 1 THEN '02 - PARTICULARES'
            WHEN 2 THEN '03 - UNIVERSITARIO' ELSE '' END,
        {flags}
    FROM (
        SELECT *, {_draw(300, "blank", month)} = 0 AS blank,
            CASE WHEN first = 0 THEN DATE '1995-01-16' + {_draw(7000, "joined")}
                ELSE make_date({FIRST_YEAR}, 1, 1) + to_months(CAST(first AS INTEGER)) + to_days({_draw(28, "day")}) END
                AS joined_at, CAST(joined_at AS DATE) AS joined
        FROM (SELECT range AS c, {first} AS first, {last} AS last FROM range({n_customers}))
        WHERE {month} >= first AND {month} < last AND {_draw(150, "missing", month)} > 0
    )
    """


def _flag(number: int, flag: str, month: int, n_months: int) -> str:
    """SQL for one flag: a run of months for some customers, broken now and then, and NA in the last two payrolls."""
    owners = 2 if flag == "ind_cco_fin_ult1" else 12 + number
    start = f"{_draw(3 * n_months, flag, 'start')} - {2 * n_months}"
    length = f"{_draw(2 * n_months, flag, 'length')} + 1"
    held = (
        f"CASE WHEN {_draw(owners, flag, 'owner')} = 0 AND {month} >= {start} AND {month} < {start} + {length} "
        f"AND {_draw(40, flag, 'pause', month)} > 0 THEN '1' ELSE '0' END"
    )
    if flag in ("ind_nomina_ult1", "ind_nom_pens_ult1"):
        return f"CASE WHEN {_draw(60, 'unknown', month)} = 0 THEN 'NA' ELSE {held} END"
    return held
