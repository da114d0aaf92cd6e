"""How the customers of a block stand at the end of a month, and the ledger of every account they ever had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bank import first_day
from .catalogue import Catalogue, Money
from .population import Population

CHANNELS = ("mobile", "web", "counter", "atm", "call")
NEVER = 255
"""Months since what never happened, and the longest time that is told apart."""

MONTH_DAYS = 30.44


class AccountLedger:
    """Every account of a block's customers, in the order in which they were opened month by month."""

    def __init__(self) -> None:
        self._chunks: list[tuple[NDArray[np.int64], ...]] = []
        self._closed: NDArray[np.int32] = np.zeros(1024, dtype=np.int32)
        self.n_accounts = 0

    def open(
        self, customers: NDArray[np.int64], products: NDArray[np.int64], days: NDArray, matures: NDArray
    ) -> NDArray[np.int64]:
        """Write new accounts down; their rows."""
        self._chunks.append((customers, products, days, matures))
        rows = np.arange(self.n_accounts, self.n_accounts + len(customers))
        self.n_accounts += len(customers)
        if self.n_accounts > len(self._closed):
            self._closed = np.concatenate([self._closed, np.zeros(self.n_accounts, dtype=np.int32)])
        return rows

    def close(self, rows: NDArray[np.integer], days: NDArray) -> None:
        """Note the day on which the accounts in `rows` ended."""
        self._closed[rows] = days

    def accounts(self) -> tuple[NDArray[np.int64], ...]:
        """Customer, product, opened, matures (0: open-ended) and closed (0: open), by customer, day and product."""
        customer, product, opened, matures = (np.concatenate(column) for column in zip(*self._chunks, strict=True))
        order = np.lexsort((product, opened, customer))
        closed = self._closed[: self.n_accounts]
        return tuple(column[order] for column in (customer, product, opened, matures, closed))


@dataclass
class State:
    """The customers of a block (n) and their products (P) at the end of a month.

    Attributes
    ----------
    member : (n,), a customer now: joined and not left
    held : (n, P)
    matures : int32 (n, P), day on which the account is due, 0 where open-ended or not held
    amount : float32 (n, P), yuan, 0 where there is none; the demand deposit's is its month's average
    row : int32 (n, P), the current account's row in the ledger
    since_opened, since_closed : uint8 (n, P), months since, NEVER where never
    leaning : float32 (n, P), log-odds left behind by answers to earlier contacts
    tier, risk, stage : int8 (n,); position in TIERS; 1 to 5 or 0 for none; position in STAGES
    assessed : int32 (n,), day of the last risk assessment
    shock : float32 (n,), log10 of the demand balance over its usual level
    liveliness : float32 (n,), log of activity over its usual level
    counts : int64 (n, 5), this month's activity by CHANNELS
    inflow, outflow : float64 (n,), whole yuan this month
    flow : float32 (n,), yuan paid to and by counterparties this month, companies only
    fatigue : float32 (n,), contacts, each month counting 0.6 of the month after
    since_complaint : uint8 (n,), months
    """

    member: NDArray[np.bool_]
    held: NDArray[np.bool_]
    matures: NDArray[np.int32]
    amount: NDArray[np.float32]
    row: NDArray[np.int32]
    since_opened: NDArray[np.uint8]
    since_closed: NDArray[np.uint8]
    leaning: NDArray[np.float32]
    tier: NDArray[np.int8]
    risk: NDArray[np.int8]
    stage: NDArray[np.int8]
    assessed: NDArray[np.int32]
    shock: NDArray[np.float32]
    liveliness: NDArray[np.float32]
    counts: NDArray[np.int64]
    inflow: NDArray[np.float64]
    outflow: NDArray[np.float64]
    flow: NDArray[np.float32]
    fatigue: NDArray[np.float32]
    since_complaint: NDArray[np.uint8]

    @classmethod
    def blank(cls, n: int, n_products: int) -> State:
        """Nobody a customer yet, nothing held."""
        shape = (n, n_products)
        return cls(
            member=np.zeros(n, dtype=np.bool_),
            held=np.zeros(shape, dtype=np.bool_),
            matures=np.zeros(shape, dtype=np.int32),
            amount=np.zeros(shape, dtype=np.float32),
            row=np.zeros(shape, dtype=np.int32),
            since_opened=np.full(shape, NEVER, dtype=np.uint8),
            since_closed=np.full(shape, NEVER, dtype=np.uint8),
            leaning=np.zeros(shape, dtype=np.float32),
            tier=np.zeros(n, dtype=np.int8),
            risk=np.zeros(n, dtype=np.int8),
            stage=np.zeros(n, dtype=np.int8),
            assessed=np.zeros(n, dtype=np.int32),
            shock=np.zeros(n, dtype=np.float32),
            liveliness=np.zeros(n, dtype=np.float32),
            counts=np.zeros((n, len(CHANNELS)), dtype=np.int64),
            inflow=np.zeros(n, dtype=np.float64),
            outflow=np.zeros(n, dtype=np.float64),
            flow=np.zeros(n, dtype=np.float32),
            fatigue=np.zeros(n, dtype=np.float32),
            since_complaint=np.full(n, NEVER, dtype=np.uint8),
        )

    def age_a_month(self) -> None:
        """Let everything that fades fade by one month."""
        for since in (self.since_opened, self.since_closed, self.since_complaint):
            since += since < NEVER
        self.leaning *= np.float32(0.6)
        self.fatigue *= np.float32(0.6)


class Holdings:
    """Opens and closes accounts: keeps a block's state and its ledger in step."""

    def __init__(
        self,
        population: Population,
        catalogue: Catalogue,
        state: State,
        ledger: AccountLedger,
        rng: np.random.Generator,
    ) -> None:
        self._population = population
        self._catalogue = catalogue
        self._state = state
        self._ledger = ledger
        self._rng = rng
        self._assets = np.isin(np.arange(len(catalogue)), catalogue.positions_of(Money.ASSET))
        self._loans = np.isin(np.arange(len(catalogue)), catalogue.positions_of(Money.LOAN))
        self._least = np.array([product.min_balance or 0 for product in catalogue.products]) / 2

    def open(self, customers: NDArray[np.int64], products: NDArray[np.int64], days: NDArray) -> None:
        """Open one account each, on `days`; terms and amounts are drawn."""
        state, catalogue = self._state, self._catalogue
        months = catalogue.term_table[products, self._rng.integers(0, catalogue.term_table.shape[1], len(products))]
        matures = np.where(months > 0, days + np.rint(months * MONTH_DAYS), 0).astype(np.int32)
        state.row[customers, products] = self._ledger.open(customers, products, days, matures)
        state.held[customers, products] = True
        state.matures[customers, products] = matures
        state.since_opened[customers, products] = 0
        state.amount[customers, products] = self._amounts(customers, products)
        np.subtract.at(state.shock, customers, np.float32(0.15) * self._assets[products])

    def close(self, customers: NDArray[np.int64], products: NDArray[np.int64], days: NDArray) -> None:
        """Close the current account of each pair, on `days`; what was put in returns to the demand balance."""
        state = self._state
        self._ledger.close(state.row[customers, products], days)
        state.held[customers, products] = False
        state.matures[customers, products] = 0
        state.amount[customers, products] = 0
        state.since_closed[customers, products] = 0
        np.add.at(state.shock, customers, np.float32(0.3) * self._assets[products])

    def renew(self, customers: NDArray[np.int64], products: NDArray[np.int64]) -> None:
        """Replace matured accounts by new ones of the same day: held throughout, so nobody acquires anything."""
        state = self._state
        since, shock, days = state.since_opened.copy(), state.shock.copy(), state.matures[customers, products]
        self._ledger.close(state.row[customers, products], days)
        self.open(customers, products, days)
        state.since_opened[:] = since
        state.shock[:] = shock

    def settle(self, chance: NDArray[np.float32], period: int) -> None:
        """Give customers of old what they may have gathered before `period`.

        `chance` (n, P) is the probability of an acquisition in a month; a product is held if it was acquired within
        the time that an account usually lives.
        """
        today = first_day(period)
        terms = self._catalogue.term_table.max(axis=1)
        lives = np.where(terms > 0, terms * 0.7, 0.6 / np.maximum(self._catalogue.closures, 0.005))
        tenure = np.maximum(today - self._population.onboarded, 0) / MONTH_DAYS
        months = np.minimum(tenure[:, None], lives)
        gathered = self._rng.random(chance.shape) < 1 - (1 - chance) ** (0.5 * months)
        never = self._state.since_opened == NEVER
        customers, products = np.nonzero(gathered & never & self._state.member[:, None])
        age = self._rng.random(len(customers)) * months[customers, products] * MONTH_DAYS
        days = np.maximum(today - 1 - np.floor(age), self._population.onboarded[customers]).astype(np.int64)
        self.open(customers, products, days)
        overdue = (self._state.matures[customers, products] <= today) & (self._state.matures[customers, products] > 0)
        self.close(customers[overdue], products[overdue], self._state.matures[customers, products][overdue])
        months_ago = np.clip((today - days) / MONTH_DAYS, 0, NEVER - 1).astype(np.uint8)
        self._state.since_opened[customers, products] = months_ago
        self._state.since_closed[customers[overdue], products[overdue]] = NEVER
        self._state.shock[:] = 0

    def _amounts(self, customers: NDArray[np.int64], products: NDArray[np.int64]) -> NDArray[np.float32]:
        population = self._population
        income = population.means - 0.4 if not population.is_retail else np.log10(population.income)
        basis = np.where(self._loans[products], income[customers], population.means[customers])
        noise = np.float32(0.22) * self._rng.standard_normal(len(customers), dtype=np.float32)
        sums = np.maximum(10 ** (basis + self._catalogue.scales[products] + noise), self._least[products])
        return np.where(self._assets[products] | self._loans[products], np.rint(sums / 100) * 100, 0).astype(np.float32)
