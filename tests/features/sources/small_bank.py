"""A bank of five customers in which every rule of the contract holds, as texts: break one rule at a time."""

import csv
import gzip
from copy import deepcopy
from pathlib import Path

Rows = list[dict[str, str]]

_TABLES: dict[str, Rows] = {
    "customers": [
        {
            "customer_id": f"c{number}",
            "kind": "corporate" if number == 5 else "retail",
            "valid_from": "2023-01-01",
            "birth_date": "" if number == 5 else f"198{number}-02-03",
            "founded_on": "2001-05-06" if number == 5 else "",
            "rm_id": "r1",
            "tier": "VIP",
            "risk_level": f"C{number}",
            "risk_assessed_on": "2023-02-01",
            "risk_expires_on": "2033-02-01",
            "onboarded_on": "2022-01-01",
            "income": f"{number}000.5",
            "城市": "上海" if number < 4 else "北京",
            "score": f"{number}",
        }
        for number in range(1, 6)
    ],
    "products": [
        {
            "product_id": product,
            "name": name,
            "name_zh": name_zh,
            "family": family,
            "customer_kind": kind,
            "on_sale_from": "2020-01-01",
            "on_sale_to": "2099-01-01",
            "min_age": "18",
            "max_age": "70",
            "requires": requires,
            "excludes": "",
            "repeatable": "N",
        }
        for product, name, name_zh, family, kind, requires in (
            ("card", "Credit card", "信用卡", "cards", "retail", "deposit"),
            ("deposit", "Deposit", "存款", "deposits", "both", ""),
            ("pool", "Cash pool", "现金池", "cash", "corporate", "deposit;"),
        )
    ],
    "accounts": [
        {
            "account_id": f"a{number}",
            "customer_id": f"c{customer}",
            "product_id": product,
            "opened_on": f"2023-0{number}-15",
            "closed_on": closed,
            "matures_on": "",
            "recorded_on": f"2023-0{number}-16",
        }
        for number, customer, product, closed in (
            (1, 1, "deposit", ""),
            (2, 1, "card", "2023-11-01"),
            (3, 2, "deposit", ""),
            (4, 5, "deposit", ""),
            (5, 5, "pool", ""),
        )
    ],
    "balances": [
        {
            "customer_id": "c1",
            "product_id": "deposit",
            "period": period,
            "average_balance": "10.5",
            "closing_balance": "9",
        }
        for period in ("2023-10", "2023-11")
    ],
    "activity": [
        {"customer_id": "c1", "period": "202311", "channel": "mobile", "count": "12", "inflow": "5", "outflow": "7.25"}
    ],
    "payments": [
        {"payer_id": "c5", "payee_id": "elsewhere", "period": "2023-11", "count": "3", "amount": "99"},
    ],
    "contacts": [
        {
            "contact_id": f"k{number}",
            "customer_id": "c1",
            "product_id": "card",
            "channel": "phone",
            "contacted_on": f"2023-0{number}-01",
            "arm": "treated",
            "propensity_of_arm": "0.9",
            "outcome": "declined",
            "outcome_on": f"2023-0{number}-02",
            "recorded_on": f"2023-0{number}-02",
        }
        for number in (1, 2)
    ],
    "consents": [
        {
            "customer_id": "c1",
            "purpose": "marketing",
            "channel": "",
            "granted": "是",
            "changed_on": "2023-01-02",
            "recorded_on": "",
        },
        {
            "customer_id": "c1",
            "purpose": "marketing",
            "channel": "phone",
            "granted": "否",
            "changed_on": "2023-01-02",
            "recorded_on": "2023-01-02",
        },
    ],
    "complaints": [
        {
            "complaint_id": "m1",
            "customer_id": "c2",
            "opened_on": "2023-05-01",
            "resolved_on": "2023-05-08",
            "severity": "low",
            "recorded_on": "2023-05-01",
        }
    ],
    "occasions": [
        {
            "occasion_id": "o1",
            "product_id": product,
            "customer_id": "c2",
            "at": "2023-11-05 10:00:00",
            "buyable": "1",
            "bought": bought,
        }
        for product, bought in (("card", "0"), ("deposit", "1"))
    ],
}


def clean_tables() -> dict[str, Rows]:
    """The bank's tables, free to be changed."""
    return deepcopy(_TABLES)


def write_csv(folder: Path, tables: dict[str, Rows], encoding: str = "utf-8", compressed: bool = False) -> Path:
    """Each table as ``<table>.csv`` (or ``.csv.gz``); the columns are those of its first row."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        columns = list(rows[0]) if rows else list(_TABLES[name][0])
        opened = gzip.open if compressed else open
        path = folder / f"{name}.csv{'.gz' if compressed else ''}"
        with opened(path, "wt", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    return folder
