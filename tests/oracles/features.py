"""Every feature of one customer at the end of one period, from the rows of the tables, one rule after another."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date
from functools import cache
from math import log, nan
from typing import Any

from features.calendar import Calendar

from .history import MEMORY, Account, HistoryOracle

Row = dict[str, Any]
Features = dict[str, float]

KINDS = ("retail", "corporate")
OUTCOMES = ("accepted", "declined", "later", "no_answer")
DATES = ("birth_date", "founded_on", "risk_assessed_on", "risk_expires_on", "onboarded_on")
DAYS_PER_YEAR = 365.2425


class FeatureOracle:
    """What the bank knew of a customer, as features by name.

    Parameters
    ----------
    tables : the rows of the contract's tables, dates as dates, what is missing as None
    newest : the period up to which the tables are looked at
    depth : periods of balances and activity remembered
    texts, numbers : the attributes of customers
    """

    def __init__(
        self,
        tables: dict[str, list[Row]],
        calendar: Calendar,
        newest: int,
        depth: int = MEMORY,
        texts: tuple[str, ...] = ("city",),
        numbers: tuple[str, ...] = ("score",),
    ) -> None:
        self.tables, self.calendar, self.newest, self.depth = tables, calendar, newest, depth
        self.texts = ("kind", "gender", "region", "tier", *texts)
        self.numbers = ("income", "risk_level", *numbers)
        self.products = sorted(tables["products"], key=lambda row: row["product_id"])
        self.product_ids = [row["product_id"] for row in self.products]
        accounts = [
            Account(r["customer_id"], r["product_id"], r["opened_on"], r["closed_on"], r["recorded_on"])
            for r in tables["accounts"]
        ]
        self.history = HistoryOracle(accounts, calendar, newest)
        self.word = cache(self.history.word)

    def features(self, customer: str, period: int) -> Features:
        return {
            **self.holdings(customer, period),
            **self.profile(customer, period),
            **self.balances(customer, period),
            **self.activity(customer, period),
            **self.contacts(customer, period),
            **self.adoption(customer, period),
        }

    # ----------------------------------------------------------------------------------------------------- holdings

    def holdings(self, customer: str, period: int) -> Features:
        words = {product: self.word(customer, product, period) for product in self.product_ids}
        adds = {product: adds_of(word) for product, word in words.items()}
        drops = {product: drops_of(word) for product, word in words.items()}
        tenures = {product: [*word, False].index(False) for product, word in words.items()}
        found: Features = {"products_held": sum(word[0] for word in words.values())}
        for window in (1, 3, 6, 12):
            found[f"products_added_{window}"] = sum(within(ages, window) for ages in adds.values())
            found[f"products_dropped_{window}"] = sum(within(ages, window) for ages in drops.values())
        found["oldest_holding"] = max(tenures.values())
        found["age_since_any_add"] = smallest(age for ages in adds.values() for age in ages)
        for product, word in words.items():
            found[f"held:{product}"] = word[0]
            for lag in (1, 2, 3):
                found[f"held_lag_{lag}:{product}"] = word[lag]
            found[f"tenure:{product}"] = tenures[product]
            found[f"age_since_add:{product}"] = smallest(adds[product])
            found[f"age_since_drop:{product}"] = smallest(drops[product])
            found[f"adds:{product}"] = within(adds[product], 12)
            found[f"drops:{product}"] = within(drops[product], 12)
        return found

    # ------------------------------------------------------------------------------------------------------ profile

    def version(self, customer: str, period: int) -> Row | None:
        """The last version that had begun by the end of the period; one without a date has always held."""
        end = self.calendar.end_of(period)
        rows = [r for r in self.tables["customers"] if r["customer_id"] == customer]
        begun = [r for r in rows if r["valid_from"] is None or r["valid_from"] <= end]
        return max(begun, key=lambda r: r["valid_from"] or date.min, default=None)

    def is_known(self, customer: str, period: int) -> bool:
        version = self.version(customer, period)
        end = self.calendar.end_of(period)
        return version is not None and (version["onboarded_on"] is None or version["onboarded_on"] <= end)

    def rank_of_text(self, column: str, text: str | None) -> float:
        if text is None:
            return nan
        if column == "kind":
            return KINDS.index(text)
        first: dict[str, date] = {}
        for row in self.tables["customers"]:
            known = max(row["valid_from"] or date.min, row["onboarded_on"] or date.min)
            began = row["valid_from"] is None or row["valid_from"] <= self.calendar.end_of(self.newest)
            if row[column] is not None and began:
                first[row[column]] = min(known, first.get(row[column], date.max))
        return sorted(first, key=lambda word: (first[word], word)).index(text)

    def profile(self, customer: str, period: int) -> Features:
        version = self.version(customer, period)
        end = self.calendar.end_of(period)
        found: Features = {"season": season(end, self.calendar.periods_per_year, self.calendar.start_of(period + 1))}
        for column in self.numbers:
            value = version[column] if version else None
            if column == "risk_level" and value is not None:
                value = int(value[1])  # C3 is 3
            found[column] = nan if value is None else value
        for column in self.texts:
            found[column] = self.rank_of_text(column, version[column]) if version else nan
        for column in DATES:
            day = version[column] if version else None
            found[f"years_since_{column}"] = nan if day is None else (end - day).days / DAYS_PER_YEAR
        return found

    # --------------------------------------------------------------------------------------------- balances, activity

    def period_of(self, row: Row) -> int:
        return self.calendar.period_of(row["period"])

    def remembers(self, period: int) -> bool:
        return 0 <= self.newest - period < self.depth

    def balance(self, customer: str, period: int, family: str | None = None) -> float:
        """Balance in products of a family, or in all; missing where no row says anything."""
        family_of = {row["product_id"]: row["family"] for row in self.products}
        amounts = [
            row["average_balance"]
            for row in self.tables["balances"]
            if row["customer_id"] == customer
            and self.period_of(row) == period
            and family in (None, family_of[row["product_id"]])
        ]
        return sum(amounts) if amounts and self.remembers(period) else nan

    def balances(self, customer: str, period: int) -> Features:
        now = self.balance(customer, period)
        found: Features = {"balance_total": now}
        for back in (1, 3, 12):
            found[f"balance_change_{back}"] = log_ratio(now, self.balance(customer, period - back))
        for family in {row["family"] for row in self.products}:
            own = self.balance(customer, period, family)
            found[f"balance:{family}"] = own
            found[f"balance_change:{family}"] = log_ratio(own, self.balance(customer, period - 3, family))
        return found

    def activity(self, customer: str, period: int) -> Features:
        found: Features = {}
        rows = [r for r in self.tables["activity"] if r["customer_id"] == customer]
        for channel in {r["channel"] for r in self.tables["activity"]}:
            own = [(self.period_of(r), r["count"]) for r in rows if r["channel"] == channel]
            found |= self.now_and_before("use", channel, own, period)
        for flow in ("inflow", "outflow"):
            own = [(self.period_of(r), r[flow]) for r in rows if r[flow] is not None]
            found |= self.now_and_before("flow", flow, own, period)
        for own_side, other_side, partners, amount in (
            ("payer_id", "payee_id", "payees", "paid"),
            ("payee_id", "payer_id", "payers", "received"),
        ):
            mine = [r for r in self.tables["payments"] if r[own_side] == customer]
            others = {(self.period_of(r), r[other_side]) for r in mine}
            found |= self.now_and_before("payments", partners, [(p, 1) for p, _ in others], period)
            found |= self.now_and_before("payments", amount, [(self.period_of(r), r["amount"]) for r in mine], period)
        return found

    def now_and_before(self, group: str, key: str, rows: list[tuple[int, float]], period: int) -> Features:
        """The period's sum and the mean of the three before; zero without a row, missing without any in the four."""
        sums = [sum(v for p, v in rows if p == period - back and self.remembers(p)) for back in range(4)]
        any_row = any(period - 3 <= p <= period and self.remembers(p) for p, _ in rows)
        return {
            f"{group}:{key}": sums[0] if any_row else nan,
            f"{group}_before:{key}": sum(sums[1:]) / 3 if any_row else nan,
        }

    # ----------------------------------------------------------------------------------------------------- contacts

    def contacts(self, customer: str, period: int) -> Features:
        end = self.calendar.end_of(period)
        mine = [r for r in self.tables["contacts"] if r["customer_id"] == customer and r["arm"] == "treated"]
        known = [r for r in mine if latest(r["contacted_on"], r["recorded_on"]) <= end]
        found: Features = {}
        for window in (1, 3, 12):
            start = self.calendar.end_of(period - window)
            found[f"contacts_{window}"] = sum(r["contacted_on"] > start for r in known)
        start = self.calendar.end_of(period - 6)
        for outcome in OUTCOMES:
            found[f"contacts_{outcome}"] = sum(
                r["outcome"] == outcome
                and r["contacted_on"] > start
                and latest(r["contacted_on"], r["recorded_on"], r["outcome_on"]) <= end
                for r in known
            )
        found["days_since_contact"] = smallest((end - r["contacted_on"]).days for r in known)
        found["open_complaints"] = sum(
            r["customer_id"] == customer
            and latest(r["opened_on"], r["recorded_on"]) <= end
            and (r["resolved_on"] is None or r["resolved_on"] > end)
            for r in self.tables["complaints"]
        )
        return found

    # ----------------------------------------------------------------------------------------------------- adoption

    def segment(self, customer: str, period: int) -> tuple[str, str | None, int | None]:
        """Kind, tier and age band; of a customer not known yet: retail, none, none."""
        version = self.version(customer, period)
        if version is None:
            return "retail", None, None
        retail = version["kind"] == "retail"
        born = version["birth_date" if retail else "founded_on"]
        bands = (25, 35, 45, 55, 65) if retail else (3, 10, 20)
        years = None if born is None else (self.calendar.end_of(period) - born).days / DAYS_PER_YEAR
        return version["kind"], version["tier"], None if years is None else bisect_right(bands, years)

    def adoption(self, customer: str, period: int) -> Features:
        found: Features = {}
        partners = self.partners(customer, period)
        for product in self.product_ids:
            holding, acquisition = self.rates(self.segment(customer, period), product, period)
            found[f"segment_holding_share:{product}"] = holding
            found[f"segment_acquisition_rate:{product}"] = acquisition
            holders = sum(self.word(partner, product, period)[0] for partner in partners)
            found[f"partner_holding_share:{product}"] = holders / len(partners) if partners else nan
        return found

    def partners(self, customer: str, period: int) -> set[str]:
        """Customers known by then whom the customer paid, or who paid him, in twelve periods."""
        found = set()
        for row in self.tables["payments"]:
            pair = (row["payer_id"], row["payee_id"])
            if customer in pair and period - 12 < self.period_of(row) <= period:
                found.add(pair[1] if pair[0] == customer else pair[0])
        return {partner for partner in found if self.is_known(partner, period)}

    def rates(self, segment: tuple, product: str, period: int) -> tuple[float, float]:
        """Holding share and acquisitions a period, mixed with those of all of the kind as if of 200 customers more."""
        members: list[str] = []
        of_kind: list[str] = []
        for customer in {r["customer_id"] for r in self.tables["customers"]}:
            if self.is_known(customer, period):
                own = self.segment(customer, period)
                of_kind += [customer] * (own[0] == segment[0])
                members += [customer] * (own == segment)
        rates = []
        for count in (lambda word: word[0], lambda word: within(adds_of(word), 3) / 3):
            counts = {customer: count(self.word(customer, product, period)) for customer in of_kind}
            overall = sum(counts.values()) / max(len(of_kind), 1)
            rates.append((sum(counts[m] for m in members) + 200 * overall) / (len(members) + 200))
        return rates[0], rates[1]


def adds_of(word: list[bool]) -> list[int]:
    """Periods since the product was added, each time; what was held in the oldest period may have been added before."""
    return [age for age in range(MEMORY - 1) if word[age] and not word[age + 1]]


def drops_of(word: list[bool]) -> list[int]:
    return [age for age in range(MEMORY - 1) if not word[age] and word[age + 1]]


def within(ages: list[int], window: int) -> int:
    return sum(age < window for age in ages)


def smallest(values: Iterable[float]) -> float:
    return min(values, default=nan)


def latest(*days: date | None) -> date:
    return max(day for day in days if day is not None)


def log_ratio(now: float, before: float) -> float:
    if now != now or before != before:
        return nan
    return log((max(now, 0) + 1) / (max(before, 0) + 1))


def season(end: date, periods_per_year: int, following: date) -> int:
    """Which part of the year the following period is in, from 0."""
    if periods_per_year == 12:
        return following.month - 1
    if periods_per_year == 4:
        return (following.month - 1) // 3
    return min(following.timetuple().tm_yday // 7, 51)
