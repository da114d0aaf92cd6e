"""Monthly snapshots of a bank's customers, in the format of Kaggle's Santander Product Recommendation (train_ver2.csv).

The file has a row for each customer and month: 24 columns of profile, 24 flags of what is held. It becomes accounts and
versions of customers.

- Consecutive snapshots that hold a product are one account, opened on the first day of the first such month and closed
  on the first day of the month of the first snapshot that no longer holds it. So at each month's end what is held is
  what the month's snapshot says.
- What a customer's very first snapshot holds was opened on the day the customer came to the bank (fecha_alta), or on
  the first day of that month if that day is missing or later than the month. That is the earliest it can have been:
  the file does not say when, so history before the first snapshot is a bound, not an observation.
- What is missing in a month, be it the customer, a flag or a column of the profile (NA), has not changed: held before
  and after is held throughout.
- A customer who is missing from some month on has left: the accounts close on the first day of that month.
- Birth dates are 1 January of the first snapshot's year less the age there; the file has ages only.
"""

from pathlib import Path

from rich.progress import Progress

from ...contracts import ACCOUNTS, CUSTOMERS
from ...errors import BadInput
from ..files import parquet_relation
from ..values import literal, quoted
from .reading import csv_relation
from .santander_names import FLAGS, PRODUCTS, PROFILE, PROFILE_COLUMNS, number, text
from .writing import Import, importing

_BYTES_IN_BUCKET = 100 << 20
"""Bytes of the (uncompressed) file whose customers are worked on at a time."""

_COMPRESSION = 8  # a .gz of this file is about so much smaller
_ROWS_BEFORE_FLUSH = 100_000
"""Rows that wait in memory for their bucket, per thread; the engine's default is five times as many."""

_YES = "'1', '1.0'"
_NO = "'0', '0.0'"
_FLAGS_OR_NA = r"( *([01](\.0)?|NA)? *(,|$))*"
_ALL_FLAGS = (1 << len(FLAGS)) - 1


def import_santander(
    source: Path, target: Path, progress: Progress | None = None, *, memory_limit: str = "1GB"
) -> None:
    """Turn the file `source` (``.csv``, ``.csv.gz``; UTF-8 or Latin-1) into tables in `target`.

    The file is read once and spread by customer over buckets on disk, beside `target`; then each bucket is worked on by
    itself. Memory does not grow with the file.

    Raises
    ------
    BadInput : when the file is missing or not of this format, or `target` holds something else
    """
    with importing("santander", source, target, memory_limit) as work:
        relation = csv_relation(source, PROFILE_COLUMNS + FLAGS)
        size = source.stat().st_size * (_COMPRESSION if source.suffix == ".gz" else 1)
        n_buckets = max(1, -(-size // _BYTES_IN_BUCKET))
        task = progress.add_task("Reading the snapshots", total=None) if progress else None
        last_month, unknown_flags = _spread(work, relation, source, n_buckets)
        if progress and task is not None:
            progress.update(task, description="Turning snapshots into accounts", total=n_buckets)
        for bucket in range(n_buckets):
            _convert(work, bucket, last_month, unknown_flags)
            if progress and task is not None:
                progress.advance(task)
        work.write_products(PRODUCTS)


def _month(day: str) -> str:
    return f"CAST(year({day}) * 12 + month({day}) - 1 AS INTEGER)"


def _first_day(month: str) -> str:
    return f"make_date(CAST({month} // 12 AS INTEGER), CAST({month} % 12 + 1 AS INTEGER), 1)"


def _spread(work: Import, relation: str, source: Path, n_buckets: int) -> tuple[int, int]:
    """Write the rows by bucket of customers, typed; give the last month and the flags that are somewhere unknown."""
    held = _bits([f"trim({flag}) IN ({_YES})" for flag in FLAGS])
    known = _bits([f"trim({flag}) IN ({_YES}, {_NO})" for flag in FLAGS])
    # one pattern over the few rows that lack a flag: 24 comparisons in every row would double the time
    flags = f"concat_ws(',', {', '.join(FLAGS)})"
    unreadable = f"CASE WHEN known = {_ALL_FLAGS} THEN false ELSE NOT regexp_full_match({flags}, '{_FLAGS_OR_NA}') END"
    profile = ", ".join(f"{value} AS {quoted(name)}" for name, value in PROFILE.items())
    customer = f"TRY_CAST({text('ncodpers')} AS BIGINT)"
    snapshot = f"TRY_CAST({text('fecha_dato')} AS DATE)"
    joined = f"TRY_CAST({text('fecha_alta')} AS DATE)"
    work.connection.execute(f"SET partitioned_write_flush_threshold = {_ROWS_BEFORE_FLUSH}")
    work.connection.execute(
        f"""
        COPY (
            SELECT coalesce(abs({customer}), 0) % {n_buckets} AS bucket, {customer} AS customer,
                {snapshot} AS snapshot,
                CASE WHEN {joined} <= last_day({snapshot}) THEN {joined} END AS joined,
                CAST(CASE WHEN {number("age")} BETWEEN 0 AND 120 THEN {number("age")} END AS INTEGER) AS age,
                {held} AS held, {known} AS known, {profile},
                customer IS NULL OR snapshot IS NULL OR {unreadable} AS bad
            FROM {relation}
        ) TO {literal(str(work.scratch / "buckets"))} (FORMAT parquet, PARTITION_BY (bucket))
        """
    )
    if not _bucket_files(work, "*"):
        raise BadInput(f"{source} has no rows.")
    [(bad_rows, keys, last_month, always_known)] = work.connection.execute(
        f"""
        SELECT count(*) FILTER (WHERE bad), min(concat_ws(' at ', customer, snapshot), 5) FILTER (WHERE bad),
            max({_month("snapshot")}), bit_and(known)
        FROM {parquet_relation(_bucket_files(work, "*")).sql}
        """
    ).fetchall()
    if bad_rows:
        raise BadInput(
            f"{source}: {bad_rows:,} rows have a customer (ncodpers), month (fecha_dato) or flag that cannot be read; "
            f"the first: {', '.join(keys)}. Is the file damaged?"
        )
    return last_month, _ALL_FLAGS & ~always_known


def _bits(conditions: list[str]) -> str:
    """SQL for a number whose bit `i` says whether the i-th condition holds."""
    bits = (f"CASE WHEN {condition} THEN {1 << bit} ELSE 0 END" for bit, condition in enumerate(conditions))
    return f"CAST({' + '.join(bits)} AS INTEGER)"


def _bucket_files(work: Import, bucket: int | str) -> list[Path]:
    return sorted((work.scratch / "buckets").glob(f"bucket={bucket}/*.parquet"))


def _convert(work: Import, bucket: int, last_month: int, unknown_flags: int) -> None:
    """Write the accounts and the customers of one bucket."""
    files = _bucket_files(work, bucket)
    if not files:
        return
    # a flag that is unknown in one month stays what it was; the few flags that ever are unknown are filled one by one
    filled = "".join(
        f" + CASE WHEN last_value(CASE WHEN known & {1 << bit} > 0 THEN held & {1 << bit} > 0 END IGNORE NULLS) "
        f"OVER so_far THEN {1 << bit} ELSE 0 END"
        for bit in range(len(FLAGS))
        if unknown_flags >> bit & 1
    )
    profile = ", ".join(f"last_value({quoted(name)} IGNORE NULLS) OVER so_far AS {quoted(name)}" for name in PROFILE)
    work.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE snapshots AS
        SELECT *, row_number() OVER so_far AS nth, lead(month) OVER by_month IS NULL AS is_last,
            coalesce(lag(holding) OVER by_month, 0) AS held_before
        FROM (
            SELECT customer, snapshot, joined, age, {profile}, {_month("snapshot")} AS month,
                (held & {_ALL_FLAGS & ~unknown_flags}){filled} AS holding
            FROM {parquet_relation(files).sql}
            WINDOW so_far AS (PARTITION BY customer ORDER BY snapshot ROWS UNBOUNDED PRECEDING)
        )
        WINDOW by_month AS (PARTITION BY customer ORDER BY month),
            so_far AS (PARTITION BY customer ORDER BY month ROWS UNBOUNDED PRECEDING)
        """
    )
    _refuse_repeated(work)
    work.write(f"{ACCOUNTS.name}/part-{bucket:04}", _accounts_sql(last_month))
    work.write(f"{CUSTOMERS.name}/part-{bucket:04}", _customers_sql())
    work.connection.execute("DROP TABLE snapshots")


def _refuse_repeated(work: Import) -> None:
    repeated = work.connection.execute(
        "SELECT customer, min(snapshot) FROM snapshots GROUP BY customer, month HAVING count(*) > 1 "
        "ORDER BY ALL LIMIT 1"
    ).fetchall()
    for customer, snapshot in repeated:
        raise BadInput(f"Customer {customer} has several snapshots in the month of {snapshot}. Keep one of them.")


def _accounts_sql(last_month: int) -> str:
    """SQL for the accounts of the snapshots: each start of holding, with the end that follows it."""
    return f"""
    WITH changes AS (
        SELECT customer, month, nth, joined,
            holding & ~held_before AS started, held_before & ~holding AS ended
        FROM snapshots
        UNION ALL
        SELECT customer, month + 1, NULL, NULL, 0, holding FROM snapshots WHERE is_last AND month < {last_month}
    ), events AS (
        SELECT *, unnest(list_filter(range({len(FLAGS)}), lambda bit: ((started | ended) >> bit) & 1 = 1)) AS bit
        FROM changes WHERE started | ended > 0
    ), spans AS (
        SELECT *, started >> bit & 1 = 1 AS is_start, lead(month) OVER of_product AS ended_in,
            row_number() OVER of_product AS event
        FROM events WINDOW of_product AS (PARTITION BY customer, bit ORDER BY month)
    )
    SELECT CAST(customer AS VARCHAR) || '-' || flag || '-' || CAST((event + 1) // 2 AS VARCHAR) AS account_id,
        CAST(customer AS VARCHAR) AS customer_id, flag AS product_id,
        coalesce(CASE WHEN nth = 1 THEN joined END, {_first_day("month")}) AS opened_on,
        {_first_day("ended_in")} AS closed_on
    FROM (SELECT *, [{", ".join(map(literal, FLAGS))}][bit + 1] AS flag FROM spans)
    WHERE is_start ORDER BY customer, bit, event
    """


def _customers_sql() -> str:
    """SQL for the versions of customers: the first snapshot, and each that differs from the one before it."""
    profile = ", ".join(map(quoted, PROFILE))
    return f"""
    SELECT CAST(customer AS VARCHAR) AS customer_id, 'retail' AS kind, snapshot AS valid_from,
        make_date(CAST(born AS INTEGER), 1, 1) AS birth_date, first_joined AS onboarded_on, {profile}
    FROM (
        SELECT *, row({profile}) IS DISTINCT FROM lag(row({profile})) OVER by_month AS changed,
            first_value(year(snapshot) - age IGNORE NULLS) OVER whole AS born, min(joined) OVER whole AS first_joined
        FROM snapshots
        WINDOW by_month AS (PARTITION BY customer ORDER BY month),
            whole AS (PARTITION BY customer ORDER BY month ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    )
    WHERE nth = 1 OR changed ORDER BY customer, valid_from
    """
