"""An e-mail campaign with three randomised arms (Hillstrom's MineThatData challenge, 2008): 64,000 customers of a shop.

A third was sent an e-mail about men's merchandise, a third one about women's, a third none; who visited the shop's
website, and who bought there, was noted for two weeks. Each e-mail becomes a campaign whose treated arm are those who
got it and whose control arm are those who got none, so the latter are in both. Visits and purchases become products;
the contacts are about visits.

The data have no dates. Invented here: the e-mails went out on 2008-03-03, to customers as they were on 2008-02-29, and
who visited or bought did so on 2008-03-10. Neither have they ids: a customer is called by the line in the file.
"""

from pathlib import Path

from rich.progress import Progress

from ...contracts import ACCOUNTS, CONTACTS, CUSTOMERS
from ..values import quoted
from .reading import csv_relation, file_in
from .writing import importing

VISIT, CONVERSION = "visit", "conversion"
KNOWN_ON, SENT_ON, VISITED_ON = "2008-02-29", "2008-03-03", "2008-03-10"
CAMPAIGNS = {"mens": "Mens E-Mail", "womens": "Womens E-Mail"}
"""Campaign and the arm of the file that it treated."""

_CONTROL = "No E-Mail"
_NUMBERS = ("recency", "history", "mens", "womens", "newbie")
_TEXTS = ("history_segment", "zip_code", "channel")


def import_hillstrom(source: Path, target: Path, progress: Progress | None = None) -> None:
    """Turn the folder `source` (``hillstrom.csv.gz``) or that file into tables in `target`.

    Raises
    ------
    BadInput : when the file is missing or `target` holds something else
    """
    task = progress.add_task("Importing the e-mail campaign", total=3) if progress else None

    def step() -> None:
        if progress and task is not None:
            progress.advance(task)

    with importing("hillstrom", source, target) as work:
        path = file_in(source, "hillstrom.csv.gz") if source.is_dir() else source
        lines = csv_relation(path, (*_NUMBERS, *_TEXTS, "segment", VISIT, CONVERSION))
        work.connection.execute(
            "CREATE TABLE shoppers AS "
            f"SELECT 'H' || lpad(CAST(row_number() OVER () AS VARCHAR), 5, '0') AS customer_id, * FROM {lines}"
        )
        step()
        columns = ", ".join(
            [*(f"CAST({quoted(name)} AS DOUBLE) AS {quoted(name)}" for name in _NUMBERS), *map(quoted, _TEXTS)]
        )
        work.write(
            CUSTOMERS.name,
            f"SELECT customer_id, 'retail' AS kind, DATE '{KNOWN_ON}' AS valid_from, {columns} FROM shoppers "
            "ORDER BY customer_id",
        )
        work.write_products([(VISIT, "Visit", "访问", "website"), (CONVERSION, "Purchase", "购买", "website")])
        step()
        work.write(
            ACCOUNTS.name,
            "SELECT customer_id || '-' || product_id AS account_id, customer_id, product_id, "
            f"DATE '{VISITED_ON}' AS opened_on FROM "
            f"(UNPIVOT shoppers ON {VISIT}, {CONVERSION} INTO NAME product_id VALUE happened) WHERE happened = '1' "
            "ORDER BY account_id",
        )
        work.write(CONTACTS.name, " UNION ALL ".join(map(_campaign, CAMPAIGNS)) + " ORDER BY contact_id")
        step()


def _campaign(name: str) -> str:
    """SQL for one e-mail's contacts; the three arms are of equal size, so of the two compared each has one half."""
    return (
        f"SELECT '{name}-' || customer_id AS contact_id, customer_id, '{VISIT}' AS product_id, 'email' AS channel, "
        f"DATE '{SENT_ON}' AS contacted_on, '{name}' AS campaign_id, "
        f"CASE segment WHEN '{_CONTROL}' THEN 'control' ELSE 'treated' END AS arm, 0.5 AS propensity_of_arm "
        f"FROM shoppers WHERE segment IN ('{CAMPAIGNS[name]}', '{_CONTROL}')"
    )
