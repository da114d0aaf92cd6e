"""Random banks with everything that a policy can see, as plain rows and as built states.

Facts lie where rules turn: birthdays, assessments, sales windows and maturities around the days of decisions, amounts
at thresholds. Amounts are multiples of `UNIT`, whose means over up to 12 periods, and eighths of those, are exact in
float32: no comparison depends on how it is rounded.
"""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from features import block_of
from features.blocks import CustomerBlock
from features.build import BuildConfig, build_states
from features.calendar import Calendar, Frequency
from features.contracts import OUTCOMES, RISK_LEVELS, RISK_RATINGS
from features.states import CustomerStates
from tests.features.banks import Row, Tables, write_parquet
from tests.oracles.policy import PolicyOracle, birthday

N_CUSTOMERS = 280
"""Of each bank: more than one chunk of what runs in parallel."""

UNIT = 3465
"""9 x 5 x 7 x 11."""

LARGE_UNIT = 8 * UNIT
"""What thresholds are multiples of."""

AGES = (18, 25, 30, 60, 65, 70)
VALID_DAYS = (20, 90, 365)
TIERS = ("basic", "silver", "gold", "private")
UNDEFINED_TIER = "legacy"
FAMILIES = ("cards", "deposits", "funds", "loans", "wealth")
RATED = ("funds", "wealth")
DEBTS = ("cards", "loans")
CHANNELS = ("rm", "phone", "sms")
UNDEFINED_CHANNEL = "kiosk"
LONGEST = 40
"""Days after the states' last one on which a decision may be made."""
FAVOURITE_DAYS = (0, 1, 2, 3, 30)
"""Days after it on which most are: of some banks they lead to 29 February and 1 March."""

# The last days of the states, and whether the bank brings nothing but what it has to: accounts without days, and no
# balances, contacts or answers. Two are followed by a 1 March, of a leap year and of another; one ends a week.
_BANKS = (
    (date(2024, 6, 30), Frequency.MONTH, False),
    (date(2023, 2, 28), Frequency.MONTH, False),
    (date(2024, 1, 31), Frequency.MONTH, False),
    (date(2023, 2, 26), Frequency.WEEK, False),
    (date(2023, 2, 28), Frequency.MONTH, True),
)
SEEDS = range(len(_BANKS))


@dataclass(frozen=True)
class Bank:
    """A bank's rows, and the states built of them."""

    seed: int
    tables: Tables
    calendar: Calendar
    states: CustomerStates

    def __repr__(self) -> str:
        return f"bank_of({self.seed})"

    @property
    def newest(self) -> int:
        return self.states.as_of_period

    @property
    def as_of(self) -> date:
        return self.calendar.end_of(self.newest)

    @property
    def product_ids(self) -> tuple[str, ...]:
        return self.states.catalogue.product_ids

    @cached_property
    def customer_ids(self) -> list[str]:
        return sorted({row["customer_id"] for row in self.tables["customers"]})

    def block_of(self, customer_ids: Sequence[str], period: int) -> CustomerBlock:
        """Several customers are taken from everybody's block, which is laid out once for each period."""
        positions = np.array([self.states.position_of(customer_id) for customer_id in customer_ids], dtype=np.int64)
        if len(positions) == 1:
            return block_of(self.states, positions, period)
        if period not in self._blocks:
            everyone = np.arange(self.states.n_customers)
            self._blocks[period] = block_of(self.states, everyone, period)
        return self._blocks[period].take(positions)

    @cached_property
    def _blocks(self) -> dict[int, CustomerBlock]:
        return {}

    @cached_property
    def oracle(self) -> PolicyOracle:
        return PolicyOracle(self.tables, self.calendar, self.newest)

    @cached_property
    def products(self) -> dict[str, Row]:
        return {row["product_id"]: row for row in self.tables["products"]}

    @cached_property
    def rows_of(self) -> dict[tuple[str, str], list[Row]]:
        """Of a table and a customer."""
        found: dict[tuple[str, str], list[Row]] = {}
        for table in self.tables.keys() - {"products"}:
            for row in self.tables[table]:
                found.setdefault((table, row["customer_id"]), []).append(row)
        return found


@cache
def bank_of(seed: int) -> Bank:
    """The bank of a seed, built once a run."""
    as_of, frequency, is_bare = _BANKS[seed]
    tables = RandomTables(seed, as_of, Calendar(frequency)).tables()
    if is_bare:
        tables = bare(tables)
    folder = Path(tempfile.mkdtemp(prefix="random-bank-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = write_parquet(folder / "tables", tables)
    states = build_states(source, folder / "workspace", BuildConfig(period=frequency, threads=1), as_of=as_of).states
    return Bank(seed, tables, states.calendar, states)


def bare(tables: Tables) -> Tables:
    """What a bank has to bring."""
    undated = {"opened_on": None, "closed_on": None, "recorded_on": None, "matures_on": None}
    return {
        "customers": tables["customers"],
        "products": tables["products"],
        "accounts": [row | undated for row in tables["accounts"]],
    }


class RandomTables:
    """Draws the tables of one bank."""

    def __init__(self, seed: int, as_of: date, calendar: Calendar) -> None:
        self.random = random.Random(seed)
        self.as_of, self.calendar = as_of, calendar
        self.newest = calendar.period_of(as_of)
        self.customer_ids = [f"c{number:03d}" for number in range(N_CUSTOMERS)]
        self.products = self._products(10 + 2 * (seed % 3))
        self.product_ids = [row["product_id"] for row in self.products]

    def tables(self) -> Tables:
        everyone = self.customer_ids
        return {
            "customers": [row for customer_id in everyone for row in self._versions(customer_id)],
            "products": self.products,
            "accounts": [row for customer_id in everyone for row in self._accounts(customer_id)],
            "balances": [row for customer_id in everyone for row in self._balances(customer_id)],
            "activity": [row for customer_id in everyone for row in self._activity(customer_id)],
            "contacts": [row for customer_id in everyone for row in self._contacts(customer_id)],
            "consents": [row for customer_id in everyone for row in self._consents(customer_id)],
            "complaints": [row for customer_id in everyone for row in self._complaints(customer_id)],
        }

    # ------------------------------------------------------------------------------------------------------- chance

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def one_of(self, *values):
        return self.random.choice(values)

    def maybe(self, value, probability: float = 0.5):
        return value if self.chance(probability) else None

    def day_near(self, before: int, after: int) -> date:
        """A day from so many days before the states' last one to so many after."""
        return self.as_of + timedelta(days=self.random.randint(-before, after))

    def decision_day(self) -> date:
        """A day on which a decision may be made, most often one on which many are."""
        if self.chance(0.25):
            return self.day_near(0, LONGEST)
        return self.as_of + timedelta(days=self.one_of(*FAVOURITE_DAYS))

    def day_around(self, day: date) -> date:
        """That day or one beside, or as far from it as rules like to look."""
        return day + timedelta(days=self.one_of(-31, -30, -8, -7, -1, 0, 0, 0, 1, 2, 7, 8, 30, 31))

    def day_in(self, age: int) -> date:
        start, end = self.calendar.start_of(self.newest - age), self.calendar.end_of(self.newest - age)
        return start + timedelta(days=self.random.randrange((end - start).days + 1))

    def later(self, day: date, days: int, probability: float) -> date | None:
        return self.maybe(day + timedelta(days=self.random.randint(0, days)), probability)

    # ----------------------------------------------------------------------------------------------------- products

    def _products(self, n_products: int) -> list[Row]:
        ids = [f"p{number:02d}" for number in range(n_products)]
        self.random.shuffle(ids)  # what a product is does not go by its place
        rows: list[Row] = []
        for number, product_id in enumerate(ids):
            others = [row["product_id"] for row in rows]
            rows.append(self._product(product_id, FAMILIES[number % len(FAMILIES)], others))
        return rows

    def _product(self, product_id: str, family: str, others: list[str]) -> Row:
        """Requires or excludes some of `others`, so that nothing requires itself in a circle."""
        related = self.random.sample(others, k=min(len(others), 2))
        is_rated = family in RATED
        return {
            "product_id": product_id,
            "name": f"Product {product_id}",
            "family": family,
            "customer_kind": self.one_of("both", "both", "both", "retail", "retail", "corporate"),
            "risk_rating": self.maybe(self.one_of(*RISK_RATINGS), 0.8 if is_rated else 0.1),
            "issuer_risk_rating": self.maybe(self.one_of(*RISK_RATINGS), 0.5 if is_rated else 0.05),
            "on_sale_from": self.maybe(self.day_near(3, LONGEST // 2), 0.15),
            "on_sale_to": self.maybe(self.day_near(0, LONGEST // 2), 0.15) if self.chance(0.8) else None,
            "annual_margin": self.maybe(float(self.one_of(10, 50, 200, 200, 1000)), 0.8),
            "contact_minutes": self.maybe(float(self.one_of(0, 4, 8, 32)), 0.75),
            "min_age": self.maybe(float(self.one_of(*AGES[:3])), 0.2),
            "max_age": self.maybe(float(self.one_of(*AGES[3:])), 0.2),
            "min_tier": self.maybe(self.one_of(*TIERS), 0.1),
            "min_balance": self.maybe(float(LARGE_UNIT * self.one_of(1, 2, 3)), 0.1),
            "requires": related[:1] if self.chance(0.2) else None,
            "excludes": related[1:] if self.chance(0.2) else None,
            "repeatable": self.chance(0.3),
        } | ({"on_sale_from": None} if self.chance(0.9) else {"on_sale_to": None})

    # ---------------------------------------------------------------------------------------------------- customers

    def _versions(self, customer_id: str) -> list[Row]:
        kind = self.one_of("retail", "retail", "retail", "corporate")
        born = self._born()
        onboarded = self.one_of(
            None, None, date(2015, 3, 4), self.day_in(self.random.randint(0, 5)), self.day_near(0, 9)
        )
        starts: list[date | None] = [None]
        if self.chance(0.3):
            starts = [*self.one_of([None], []), self.one_of(self.day_in(0), self.day_in(1), self.day_in(2))]
        if self.chance(0.04):
            starts = [self.as_of + timedelta(days=self.random.randint(1, 9))]
        return [self._version(customer_id, kind, born, onboarded, start) for start in starts]

    def _born(self) -> date | None:
        """Comes to an age of a rule around the days of decisions; or born on 29 February, or at any time."""
        if self.chance(0.1):
            return None
        if self.chance(0.15):
            return date(self.one_of(1952, 1956, 1960, 1964, 1992, 1996, 2000, 2004), 2, 29)
        if self.chance(0.25):
            return date(self.random.randint(1930, 2010), self.random.randint(1, 12), self.random.randint(1, 28))
        day = self.decision_day()
        return self.day_around(birthday(day, -self.one_of(*AGES, *AGES, 26, 31, 61, 66, 71, 75)))

    def _version(
        self, customer_id: str, kind: str, born: date | None, onboarded: date | None, start: date | None
    ) -> Row:
        return {
            "customer_id": customer_id,
            "kind": kind,
            "valid_from": start,
            "birth_date": born if kind == "retail" else None,
            "founded_on": born if kind == "corporate" else self.maybe(date(2001, 2, 3), 0.1),
            "tier": self.one_of(None, *TIERS, *TIERS, UNDEFINED_TIER),
            "onboarded_on": onboarded,
            **self._assessment(),
        }

    def _assessment(self) -> Row:
        level = self.one_of(None, *RISK_LEVELS, *RISK_LEVELS)
        valid = timedelta(days=self.one_of(*VALID_DAYS))
        assessed = self.one_of(
            None,
            date(2012, 2, 3),
            *[self.day_near(15, 0)] * 5,
            *[self.decision_day() - valid] * 2,  # its validity ends soon
            self.decision_day(),  # perhaps in the future
        )
        expires = self.one_of(*[None] * 4, *[date(2031, 1, 1)] * 4, *[self.decision_day()] * 3, self.day_near(90, 0))
        if assessed and expires and expires < assessed:
            expires = assessed
        return {"risk_level": level, "risk_assessed_on": assessed, "risk_expires_on": expires}

    # ---------------------------------------------------------------------------------------------------------- having

    def _accounts(self, customer_id: str) -> list[Row]:
        rows = []
        for number in range(self.one_of(0, 2, 3, 4, 5)):
            opened = self.one_of(
                None,
                self.day_in(0),
                self.day_in(1),
                self.day_in(2),
                *(self.day_in(self.random.randrange(80)) for _ in "abc"),
            )
            if self.chance(0.03):
                opened = self.day_near(0, LONGEST)
            start = opened or self.as_of - timedelta(days=900)
            closed = self.maybe(max(start, self.one_of(self.day_in(0), self.day_in(1), self.day_near(5, 30))), 0.35)
            matures = self.day_around(self.decision_day()) if self.chance(0.8) else self.day_near(400, 140)
            rows.append(
                {
                    "account_id": f"{customer_id}-{number}",
                    "customer_id": customer_id,
                    "product_id": self.one_of(*self.product_ids),
                    "opened_on": opened,
                    "closed_on": closed,
                    "matures_on": self.maybe(max(start, matures), 0.7),
                    "recorded_on": self.later(start, self.one_of(1, 40, 300), 0.2),
                }
            )
        return rows

    def _balances(self, customer_id: str) -> list[Row]:
        rows = []
        for product_id in self.random.sample(self.product_ids, k=self.one_of(0, 1, 2, 3, 3)):
            usual = LARGE_UNIT * self.one_of(1, 1, 2, 3)
            is_steady = self.chance(0.5)
            for age in range(self.random.randrange(16)):
                if self.chance(0.85):
                    amount = usual if age > 2 and is_steady else self._amount_beside(usual)
                    key = {"customer_id": customer_id, "product_id": product_id, "period": self.day_in(age)}
                    rows.append(key | {"average_balance": float(amount)})
        return rows

    def _amount_beside(self, usual: int) -> int:
        """The usual one, eighths of it, or another."""
        return self.one_of(usual, usual * self.random.randrange(8) // 8, UNIT * self.one_of(-1, 0, 1, 7, 12, 32))

    def _activity(self, customer_id: str) -> list[Row]:
        usual = UNIT * self.one_of(4, 4, 8)
        rows = []
        if self.chance(0.4):  # the same every period, and a multiple of it lately
            for age in range(14):
                amount = usual if age > 1 else usual * self.one_of(4, 5, 6, 8, 12, 16) / 4
                key = {"customer_id": customer_id, "period": self.day_in(age), "channel": "mobile"}
                rows.append(key | {"count": 1, "inflow": float(amount), "outflow": None})
            return rows
        for age in range(self.one_of(0, 1, 2, 4, 8, 14)):
            for channel in ("mobile", "branch"):
                if self.chance(0.5):
                    amount = self.one_of(None, usual, usual, UNIT * self.one_of(0, 1, 3, 8, 12, 16))
                    inflow = None if amount is None else float(amount)
                    key = {"customer_id": customer_id, "period": self.day_in(age), "channel": channel}
                    rows.append(key | {"count": 1, "inflow": inflow, "outflow": None})
        return rows

    # ---------------------------------------------------------------------------------------------------------- saying

    def _contacts(self, customer_id: str) -> list[Row]:
        rows = []
        about = self.random.sample(self.product_ids, k=3)  # the same ones again and again
        for number in range(self.one_of(0, 0, 2, 4, 7, 10)):
            contacted = self.day_near(self.one_of(3, 6, 20, 60), self.one_of(0, 0, 0, 5))
            outcome = self.one_of(None, *OUTCOMES, "declined", "later", "later")
            rows.append(
                {
                    "contact_id": f"{customer_id}-{number}",
                    "customer_id": customer_id,
                    "product_id": self.one_of(*about),
                    "channel": self.one_of(*CHANNELS, "rm", UNDEFINED_CHANNEL),
                    "contacted_on": contacted,
                    "arm": "control" if self.chance(0.2) else "treated",
                    "outcome": outcome,
                    "outcome_on": self.later(contacted, self.one_of(0, 4, 30), 0.5) if outcome else None,
                    "recorded_on": self.later(contacted, self.one_of(2, 30), 0.3),
                }
            )
        return rows

    def _consents(self, customer_id: str) -> list[Row]:
        rows = {}
        for _ in range(self.one_of(0, 0, 0, 1, 2, 4)):
            changed = self.day_near(self.one_of(2, 4, 300), self.one_of(0, 0, 3))
            purpose = self.one_of("marketing", "marketing", "marketing", "personalisation")
            channel = self.one_of(None, None, *CHANNELS, "rm", UNDEFINED_CHANNEL)
            rows[purpose, channel, changed] = {
                "customer_id": customer_id,
                "purpose": purpose,
                "channel": channel,
                "granted": self.chance(0.6),
                "changed_on": changed,
                "recorded_on": self.later(changed, self.one_of(2, 40), 0.3),
            }
        return list(rows.values())

    def _complaints(self, customer_id: str) -> list[Row]:
        rows = []
        for number in range(self.one_of(0, 0, 0, 0, 1, 2)):
            opened = self.day_near(self.one_of(20, 200), self.one_of(0, 3))
            resolved = self.one_of(None, opened, opened + timedelta(days=5), max(opened, self.decision_day()))
            rows.append(
                {
                    "complaint_id": f"{customer_id}-{number}",
                    "customer_id": customer_id,
                    "opened_on": opened,
                    "resolved_on": resolved,
                    "severity": self.one_of("low", "high"),
                    "recorded_on": self.later(opened, 30, 0.3),
                }
            )
        return rows
