"""Purchases of an insurer's products (Bruun, Maistro and Lioma, RecSys 2022, doi 10.1145/3523227.3546775).

A user's first purchase of an item opens an account that stays open; the data knows no end, and a later purchase of the
same item is taken for a renewal. Portfolios bought before the data begins were never published: the customer's products
are those seen bought, and what the filter calls no longer buyable says the rest. Test events become occasions.
"""

from pathlib import Path

from rich.progress import Progress

from ...contracts import ACCOUNTS, CUSTOMERS, OCCASIONS
from .reading import csv_relation, file_in
from .writing import importing

_EVENTS = ("event_id", "user_id", "event_time", "item_id", "split")
_N_ITEMS = 16


def import_bruun(source: Path, target: Path, progress: Progress | None = None) -> None:
    """Turn the folder `source` (``purchase_events.csv.gz``, ``filter_test.csv.gz``) into tables in `target`.

    Every occasion has a row for each item: `buyable` where the filter has it, `bought` where the event has it.

    Raises
    ------
    BadInput : when a file is missing or `target` holds something else
    """
    task = progress.add_task("Importing the insurer's purchases", total=4) if progress else None

    def step() -> None:
        if progress and task is not None:
            progress.advance(task)

    with importing("bruun", source, target) as work:
        events = csv_relation(file_in(source, "purchase_events.csv.gz"), _EVENTS)
        buyable = csv_relation(file_in(source, "filter_test.csv.gz"), ("event_id", "item_id"))
        work.connection.execute(
            "CREATE TABLE events AS "
            f"SELECT event_id, user_id, CAST(event_time AS TIMESTAMP) AS event_time, item_id, split FROM {events}"
        )
        step()
        work.write(CUSTOMERS.name, "SELECT DISTINCT user_id AS customer_id, 'retail' AS kind FROM events ORDER BY 1")
        work.write_products(
            [
                (f"item_{number}", f"Insurance {number}", f"保险{number}", "insurance")
                for number in range(1, _N_ITEMS + 1)
            ]
        )
        step()
        work.write(
            ACCOUNTS.name,
            "SELECT user_id || '-' || item_id AS account_id, user_id AS customer_id, item_id AS product_id, "
            "CAST(min(event_time) AS DATE) AS opened_on FROM events GROUP BY user_id, item_id "
            "ORDER BY opened_on, account_id",
        )
        step()
        work.write(
            OCCASIONS.name,
            f"""
            SELECT o.event_id AS occasion_id, item.item_id AS product_id, o.user_id AS customer_id,
                o.event_time AS "at",
                (o.event_id, item.item_id) IN (SELECT event_id, item_id FROM {buyable}) AS buyable,
                (o.event_id, item.item_id) IN (SELECT event_id, item_id FROM events) AS bought
            FROM (SELECT DISTINCT event_id, user_id, event_time FROM events WHERE split = 'test') o
            CROSS JOIN (SELECT 'item_' || i AS item_id FROM range(1, {_N_ITEMS + 1}) t(i)) item
            ORDER BY "at", occasion_id, product_id
            """,
        )
        step()
