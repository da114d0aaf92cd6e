"""Small random banks that keep the contract, as plain rows, and the Parquet files made of them."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.calendar import Calendar
from features.contracts import TABLES, Type

Row = dict[str, Any]
Tables = dict[str, list[Row]]

NEWEST_DAY = date(2024, 6, 30)
"""Ends a week, a month and a quarter."""

ATTRIBUTES = {"city": pa.string(), "score": pa.float64()}

_TYPES = {
    Type.ID: pa.string(),
    Type.TEXT: pa.string(),
    Type.DATE: pa.date32(),
    Type.PERIOD: pa.date32(),
    Type.NUMBER: pa.float64(),
    Type.INTEGER: pa.int64(),
    Type.FLAG: pa.bool_(),
    Type.MOMENT: pa.timestamp("us"),
    Type.LIST: pa.list_(pa.string()),
}


def write_parquet(folder: Path, tables: Tables) -> Path:
    """Each table with rows as ``<table>.parquet``, with every column of the contract."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        fields = [pa.field(column.name, _TYPES[column.type]) for column in TABLES[name].columns]
        if TABLES[name].open_ended:
            fields += [pa.field(attribute, type_) for attribute, type_ in ATTRIBUTES.items()]
        (folder / f"{name}.parquet").unlink(missing_ok=True)
        if rows:
            pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), folder / f"{name}.parquet")
    return folder


def products() -> list[Row]:
    """Five products of three families; one only for retail, one only for corporate customers, one off sale, one new."""
    return [
        {
            "product_id": product_id,
            "name": product_id.title(),
            "family": family,
            "customer_kind": kind,
            "on_sale_from": on_sale_from,
            "on_sale_to": on_sale_to,
        }
        for product_id, family, kind, on_sale_from, on_sale_to in (
            ("card", "cards", "retail", None, None),
            ("deposit", "deposits", "both", None, None),
            ("fund", "deposits", "both", date(2024, 4, 1), None),
            ("loan", "loans", "both", None, date(2024, 5, 31)),
            ("pool", "deposits", "corporate", None, None),
        )
    ]


class RandomBank:
    """Draws the tables of one bank.

    `style` goes into the texts, so that two banks have texts in common and texts of their own.
    """

    def __init__(self, seed: int, calendar: Calendar, style: str = "a", n_customers: int = 12) -> None:
        self.random = random.Random(seed)
        self.calendar = calendar
        self.style = style
        self.newest = calendar.period_of(NEWEST_DAY)
        self.customer_ids = [f"c{number:02d}" for number in range(n_customers)] + [f"new-{style}{n}" for n in range(3)]
        self.product_ids = [row["product_id"] for row in products()]

    def tables(self) -> Tables:
        return {
            "customers": [row for customer_id in self.customer_ids for row in self._versions(customer_id)],
            "products": products(),
            "accounts": [self._account(number) for number in range(4 * len(self.customer_ids))],
            "balances": self._balances(),
            "activity": self._activity(),
            "payments": self._payments(),
            "contacts": [self._contact(number) for number in range(40)],
            "consents": self._consents(),
            "complaints": [self._complaint(number) for number in range(15)],
            "occasions": self._occasions(),
        }

    # ------------------------------------------------------------------------------------------------------- chance

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def day_in(self, period: int) -> date:
        """A day of the period; its first and last ones more often than others."""
        start, end = self.calendar.start_of(period), self.calendar.end_of(period)
        if self.chance(0.3):
            return self.random.choice((start, end))
        return start + timedelta(days=self.random.randrange((end - start).days + 1))

    def recent_day(self, span: int = 18) -> date:
        return self.day_in(self.newest - self.random.randrange(span))

    def later(self, day: date | None, days: int, probability: float) -> date | None:
        """A day up to `days` after `day`, or none."""
        if day is None or not self.chance(probability):
            return None
        return day + timedelta(days=self.random.randrange(days + 1))

    # ------------------------------------------------------------------------------------------------------- tables

    def _versions(self, customer_id: str) -> list[Row]:
        is_new = customer_id.startswith("new")
        kind = "corporate" if self.chance(0.3) else "retail"
        onboarded = self.recent_day(8) if is_new else self.random.choice((None, date(2015, 3, 4), self.recent_day()))
        born = date(self.random.randrange(1940, 2006), self.random.randrange(1, 13), 28)
        starts: list[date | None] = [*sorted({self.recent_day() for _ in range(self.random.randrange(4))})]
        if not starts or self.chance(0.5):
            starts.insert(0, None)
        return [self._version(customer_id, kind, onboarded, born, start) for start in starts]

    def _version(self, customer_id: str, kind: str, onboarded: date | None, born: date, start: date | None) -> Row:
        maybe = self.random.choice
        return {
            "customer_id": customer_id,
            "kind": kind,
            "valid_from": start,
            "birth_date": born if kind == "retail" and customer_id != "c00" else None,
            "founded_on": born if kind == "corporate" else None,
            "gender": maybe(("F", "M", None)),
            "region": maybe(("north", "south", f"{self.style} land")),
            "branch_id": maybe(("b1", "b2")),
            "rm_id": maybe(("r1", None)),
            "tier": maybe(("ordinary", "VIP", None, f"{self.style} tier")),
            "risk_level": maybe(("C1", "C3", "C5", None)),
            "risk_assessed_on": maybe((date(2023, 1, 31), None)),
            "risk_expires_on": maybe((date(2025, 1, 31), None)),
            "onboarded_on": onboarded,
            "income": maybe((None, 1234.5, 98_765.0)),
            "city": maybe(("上海", "Aa", f"{self.style} city", None)),
            "score": maybe((0.0, -1.5, None)),
        }

    def _account(self, number: int) -> Row:
        age = self.random.choice((*range(20), 25, 40, 62, 63, 64, 65, 100, 200))
        opened = None if self.chance(0.1) else self.day_in(self.newest - age)
        closed = self.later(opened or self.recent_day(), self.random.choice((1, 40, 300)), 0.5)
        recorded = self.later(opened or self.recent_day(), self.random.choice((1, 40, 300)), 0.4)
        account_id = f"{self.style}{number}"
        terms = random.Random(account_id)  # chance of its own: with maturities or without, the bank is the same
        runs = terms.choice((0, 1, 30, 365, 2000)) + terms.randrange(30)
        starts = opened or NEWEST_DAY - timedelta(days=terms.randrange(3000))
        return {
            "account_id": account_id,
            "customer_id": self.random.choice(self.customer_ids),
            "product_id": self.random.choice(self.product_ids),
            "opened_on": opened,
            "closed_on": closed if closed is None or closed <= NEWEST_DAY else None,
            "matures_on": starts + timedelta(days=runs) if terms.random() < 0.6 else None,
            "recorded_on": recorded,
        }

    def _balances(self) -> list[Row]:
        rows = []
        for customer_id in self.random.sample(self.customer_ids, k=min(8, len(self.customer_ids))):
            for product_id in self.random.sample(self.product_ids, k=2):
                for age in range(self.random.randrange(22)):
                    if self.chance(0.85):
                        row = {"customer_id": customer_id, "product_id": product_id}
                        amount = round(self.random.uniform(-50, 3000), 2)
                        rows.append(row | {"period": self.day_in(self.newest - age), "average_balance": amount})
        return rows

    def _activity(self) -> list[Row]:
        channels = ("mobile", "branch", f"{self.style} channel")
        return [
            {
                "customer_id": customer_id,
                "period": self.day_in(self.newest - age),
                "channel": channel,
                "count": self.random.randrange(9),
                "inflow": self.random.choice((None, round(self.random.uniform(0, 900), 2))),
                "outflow": self.random.choice((None, round(self.random.uniform(0, 900), 2))),
            }
            for customer_id in self.customer_ids
            for age in range(14)
            for channel in channels
            if self.chance(0.3)
        ]

    def _payments(self) -> list[Row]:
        rows = {}
        for _ in range(60):
            payer, payee = self.random.sample([*self.customer_ids, "elsewhere"], k=2)
            age = self.random.randrange(20)
            rows[payer, payee, age] = {
                "payer_id": payer,
                "payee_id": payee,
                "period": self.day_in(self.newest - age),
                "count": self.random.randrange(1, 5),
                "amount": round(self.random.uniform(1, 1e6), 2),
            }
        return list(rows.values())

    def _contact(self, number: int) -> Row:
        contacted = self.recent_day()
        outcome = self.random.choice((None, "accepted", "declined", "later", "no_answer"))
        return {
            "contact_id": f"{self.style}{number}",
            "customer_id": self.random.choice(self.customer_ids),
            "product_id": self.random.choice(self.product_ids),
            "channel": self.random.choice(("phone", f"{self.style} desk")),
            "contacted_on": contacted,
            "arm": "control" if self.chance(0.2) else "treated",
            "outcome": outcome,
            "outcome_on": self.later(contacted, 60, 0.6) if outcome else None,
            "recorded_on": self.later(contacted, 60, 0.3),
        }

    def _consents(self) -> list[Row]:
        rows = {}
        for _ in range(15):
            changed = self.recent_day()
            customer_id = self.random.choice(self.customer_ids)
            channel = self.random.choice((None, "phone", self.style))
            rows[customer_id, channel, changed] = {
                "customer_id": customer_id,
                "purpose": "marketing",
                "channel": channel,
                "granted": self.chance(0.5),
                "changed_on": changed,
                "recorded_on": self.later(changed, 60, 0.3),
            }
        return list(rows.values())

    def _complaint(self, number: int) -> Row:
        opened = self.recent_day()
        return {
            "complaint_id": f"{self.style}{number}",
            "customer_id": self.random.choice(self.customer_ids),
            "opened_on": opened,
            "resolved_on": self.later(opened, 120, 0.6),
            "severity": self.random.choice(("low", "high", self.style)),
            "recorded_on": self.later(opened, 60, 0.3),
        }

    def _occasions(self) -> list[Row]:
        rows = []
        for number in range(3):
            moment = datetime.combine(self.recent_day(), time(12, 30))
            occasion = {"occasion_id": f"{self.style}{number}", "customer_id": self.random.choice(self.customer_ids)}
            for product_id in self.product_ids:
                bought = self.chance(0.2)
                rows.append(
                    occasion
                    | {"product_id": product_id, "at": moment, "buyable": bought or self.chance(0.5)}
                    | {"bought": bought}
                )
        return rows
