"""What an insurer's customers hold, undated: CoIL Challenge 2000, training part (van der Putten and van Someren 2000).

A kind of policy is a product, held where the customer's count of it is above zero; the mobile home policy, ``CARAVAN``,
is one more, of which nothing but the holding is told. What is known of the postcode area becomes attributes.
A premium gives its own policy away, so it is no attribute but the policy's balance: whoever hides the holding hides it
too.
"""

from pathlib import Path

from rich.progress import Progress

from ...contracts import ACCOUNTS, BALANCES, CUSTOMERS
from ..values import quoted
from .reading import csv_relation, file_in
from .writing import importing

TARGET = "CARAVAN"
"""The product that the challenge asks for."""

PRODUCTS = (
    ("WAPART", "Private liability insurance", "个人责任险", "liability"),
    ("WABEDR", "Business liability insurance", "企业责任险", "liability"),
    ("WALAND", "Agricultural liability insurance", "农业责任险", "liability"),
    ("PERSAUT", "Car policy", "私家车险", "cars"),
    ("BESAUT", "Delivery van policy", "货运面包车险", "vans and lorries"),
    ("MOTSCO", "Motorcycle or scooter policy", "摩托车险", "two-wheelers"),
    ("VRAAUT", "Lorry policy", "卡车险", "vans and lorries"),
    ("AANHANG", "Trailer policy", "拖车险", "vans and lorries"),
    ("TRACTOR", "Tractor policy", "拖拉机险", "farm"),
    ("WERKT", "Agricultural machine policy", "农机险", "farm"),
    ("BROM", "Moped policy", "轻便摩托车险", "two-wheelers"),
    ("LEVEN", "Life insurance", "人寿保险", "persons"),
    ("PERSONG", "Private accident policy", "个人意外险", "persons"),
    ("GEZONG", "Family accident policy", "家庭意外险", "persons"),
    ("WAOREG", "Disability policy", "伤残险", "persons"),
    ("BRAND", "Fire policy", "火险", "home"),
    ("ZEILPL", "Surfboard policy", "冲浪板险", "leisure"),
    ("PLEZIER", "Boat policy", "船艇险", "leisure"),
    ("FIETS", "Bicycle policy", "自行车险", "two-wheelers"),
    ("INBOED", "Contents policy", "家庭财产险", "home"),
    ("BYSTAND", "Social security policy", "社会保障险", "social security"),
    (TARGET, "Mobile home policy", "房车险", "leisure"),
)
"""Product, name, Chinese name, family. Of all but the last, ``A<product>`` is the count and ``P<product>`` the premium
class of the data."""

TYPES = ("MOSTYPE", "MOSHOOFD")
"""Numbers of the data that name a type of area: they become texts, two digits long so that they keep their order."""

NUMBERS = (
    "MAANTHUI", "MGEMOMV", "MGEMLEEF", "MGODRK", "MGODPR", "MGODOV", "MGODGE", "MRELGE", "MRELSA", "MRELOV", "MFALLEEN",
    "MFGEKIND", "MFWEKIND", "MOPLHOOG", "MOPLMIDD", "MOPLLAAG", "MBERHOOG", "MBERZELF", "MBERBOER", "MBERMIDD",
    "MBERARBG", "MBERARBO", "MSKA", "MSKB1", "MSKB2", "MSKC", "MSKD", "MHHUUR", "MHKOOP", "MAUT1", "MAUT2", "MAUT0",
    "MZFONDS", "MZPART", "MINKM30", "MINK3045", "MINK4575", "MINK7512", "MINK123M", "MINKGEM", "MKOOPKLA",
)  # fmt: skip
"""The other columns on the area: classes of shares, ages, incomes and purchasing power; attributes in lower case."""

PREMIUMS = (0, 1, 50, 100, 200, 500, 1_000, 5_000, 10_000, 20_000)
"""The least that a premium class says, in guilders a year."""

_SNAPSHOT = "DATE '2000-01-31'"  # balances need a period; the data, published for a challenge early in 2000, have none
_FILE = "coil2000_train.csv.gz"


def import_coil(source: Path, target: Path, progress: Progress | None = None) -> None:
    """Turn the folder `source` (``coil2000_train.csv.gz``) or that file into tables in `target`.

    The data name no customer: one is called by its row.

    Raises
    ------
    BadInput : when the file is missing or `target` holds something else
    """
    task = progress.add_task("Importing the insurer's policies", total=2) if progress else None

    def step() -> None:
        if progress and task is not None:
            progress.advance(task)

    policies = [product for product, *_ in PRODUCTS if product != TARGET]
    counts, premiums = [f"A{policy}" for policy in policies], [f"P{policy}" for policy in policies]
    columns = (*TYPES, *NUMBERS, *premiums, *counts, TARGET)
    with importing("coil", source, target) as work:
        rows = csv_relation(file_in(source, _FILE) if source.is_dir() else source, columns)
        numbers = ", ".join(f"CAST({quoted(name)} AS INTEGER) AS {quoted(name)}" for name in columns)
        work.connection.execute("SET preserve_insertion_order = true")  # a customer's number is that of the row
        work.connection.execute(
            "CREATE TABLE people AS "
            f"SELECT lpad(CAST(row_number() OVER () AS VARCHAR), 5, '0') AS customer_id, {numbers} FROM {rows}"
        )
        step()
        types = ", ".join(f"lpad(CAST({name} AS VARCHAR), 2, '0') AS {name.lower()}" for name in TYPES)
        attributes = ", ".join(f"{name} AS {name.lower()}" for name in NUMBERS)
        work.write(
            CUSTOMERS.name, f"SELECT customer_id, 'retail' AS kind, {types}, {attributes} FROM people ORDER BY 1"
        )
        work.write_products(PRODUCTS)
        work.write(
            ACCOUNTS.name,
            f"""
            SELECT customer_id || '-' || product_id AS account_id, customer_id, product_id
            FROM (
                SELECT customer_id, substr(name, 2) AS product_id
                FROM (UNPIVOT people ON {", ".join(counts)} INTO NAME name VALUE policies) WHERE policies > 0
                UNION ALL SELECT customer_id, '{TARGET}' FROM people WHERE {TARGET} = 1
            ) ORDER BY account_id
            """,
        )
        work.write(
            BALANCES.name,
            f"""
            SELECT customer_id, substr(name, 2) AS product_id, {_SNAPSHOT} AS period,
                CAST(list_extract({list(PREMIUMS)}, class + 1) AS DOUBLE) AS average_balance
            FROM (UNPIVOT people ON {", ".join(premiums)} INTO NAME name VALUE class) WHERE class > 0
            ORDER BY ALL
            """,
        )
        step()
