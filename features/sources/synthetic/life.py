"""The life of a block of customers, month by month: the one place where chance decides who acquires what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import money
from .appetite import appetite_of
from .bank import BURN_IN, BlockPlan, SyntheticBank, first_day, last_day
from .catalogue import catalogue_of
from .contacting import Contacts, answer, ask_consent, campaigns_of, choose_contacts
from .hazard import acquisition_probability, contacted_probability, wear_of
from .network import Payments, connect, pay
from .population import EMPLOYED, populate
from .state import AccountLedger, Holdings, State

_LEAVING = 0.0012  # of customers who acquired nothing, a month
_COMPLAINING = 0.005


@dataclass(frozen=True)
class Versions:
    """What the bank's customer records said from some day on; arrays have one entry a version.

    Attributes
    ----------
    customer : position
    valid_from : first day; for a customer's first version the day of joining
    tier, risk, assessed, stage : as in `State`
    """

    customer: NDArray[np.int64]
    valid_from: NDArray[np.int64]
    tier: NDArray[np.int8]
    risk: NDArray[np.int8]
    assessed: NDArray[np.int32]
    stage: NDArray[np.int8]


@dataclass(frozen=True)
class Month:
    """What one month leaves on record besides accounts and customer versions.

    Attributes
    ----------
    period : the month
    opened_on : int32 (n, P), day on which the current account was acquired if that was this month, else 0
    contacts : who was contacted or held out
    payments : companies only
    complained_on : int32 (n,), 0 where nobody complained
    """

    period: int
    opened_on: NDArray[np.int32]
    contacts: Contacts | None
    payments: Payments | None
    complained_on: NDArray[np.int32]


class BlockSimulation:
    """A block of customers of one kind, lived through from the burn-in to the last month.

    `probability` (n, P) and `wear` (n,) are those of the month to come, as things stand.
    """

    def __init__(self, bank: SyntheticBank, plan: BlockPlan) -> None:
        self.bank, self.plan = bank, plan
        self.catalogue = catalogue_of(bank, plan.kind)
        self.appetite = appetite_of(plan.kind, self.catalogue)
        self._rng = bank.random_of(plan)
        self.population = populate(bank, plan, len(self.appetite.tastes), self._rng)
        self.network = None if self.population.is_retail else connect(self.population, self._rng)
        self.consents = ask_consent(self.population, last_day(bank.last_period), self._rng)
        self.ledger = AccountLedger()
        self.state = State.blank(len(self.population), len(self.catalogue))
        self._holdings = Holdings(self.population, self.catalogue, self.state, self.ledger, self._rng)
        self._versions: list[tuple[NDArray, ...]] = []
        self._written: tuple[NDArray, ...] = ()
        self._settle(bank.first_period - BURN_IN)

    def run(
        self, record: Callable[[Month], None], publish: Callable[[int], None], tick: Callable[[], None] | None = None
    ) -> None:
        """Live through every month; `record` what it leaves, `publish` the truth as of its end, then `tick`."""
        for period in range(self.bank.first_period - BURN_IN, self.bank.last_period + 1):
            month = self._live(period)
            self._look_ahead(period)
            if period >= self.bank.first_period:
                record(month)
            if period in self.bank.published_periods:
                publish(period)
            if tick is not None:
                tick()

    @property
    def versions(self) -> Versions:
        """Every version of every customer, by customer and day."""
        columns = [np.concatenate(column) for column in zip(*self._versions, strict=True)]
        order = np.lexsort((columns[1], columns[0]))
        return Versions(*(column[order] for column in columns))

    def _look_ahead(self, period: int) -> None:
        self.probability = acquisition_probability(
            self.population, self.catalogue, self.appetite, self.state, self.network, period
        )
        self.wear = wear_of(self.state)

    def _settle(self, period: int) -> None:
        population, state = self.population, self.state
        joined = population.onboarded < first_day(period)
        self._welcome(joined)
        for _ in range(2):
            money.move_balances(population, self.catalogue, state, self._rng)
            self._look_ahead(period - 1)
            self._holdings.settle(self.probability, period)
        held_ratings = (state.held * self.catalogue.ratings).max(axis=1, initial=0)
        assessed = joined & ((held_ratings > 1) | (self._rng.random(len(population)) < 0.85))
        money.assess_risk(population, state, assessed, population.onboarded, self._rng)
        self._write_versions(joined, population.onboarded)
        self._look_ahead(period - 1)

    def _welcome(self, who: NDArray[np.bool_]) -> None:
        """Make `who` customers, with the products one joins with."""
        population, state = self.population, self.state
        state.member |= who
        money.first_tiers(population, self.catalogue, state, who)
        state.stage = np.where(who, population.stage_on(population.onboarded), state.stage).astype(np.int8)
        chance = self._rng.random((len(population), len(self.catalogue)), dtype=np.float32)
        wanted = chance < self._joining_chances() * who[:, None]
        customers, products = np.nonzero(wanted)
        self._holdings.open(customers, products, population.onboarded[customers].astype(np.int64))

    def _joining_chances(self) -> NDArray[np.float32]:
        """Float32 (n, P): probability of joining with each product; a few join without an account for money."""
        population, position = self.population, self.catalogue.position
        chances = np.zeros((len(population), len(self.catalogue)), dtype=np.float32)
        if population.is_retail:
            has_account = self._rng.random(len(population)) < 0.93
            chances[:, position("demand_deposit")] = has_account
            chances[:, position("debit_card")] = 0.65 * has_account
            chances[:, position("payroll")] = 0.26 * has_account * np.isin(population.trade, EMPLOYED)
            chances[:, position("mobile_banking")] = np.where(has_account, 0.5 * population.digital, 1)
        else:
            has_account = self._rng.random(len(population)) < 0.88
            chances[:, position("corp_settlement")] = has_account
            chances[:, position("corp_online_banking")] = 0.35 * has_account
            chances[:, position("corp_bill_discounting")] = ~has_account
        return chances

    def _live(self, period: int) -> Month:
        population, state, rng = self.population, self.state, self._rng
        state.age_a_month()
        contacts = self._contact(period) if period >= self.bank.first_period else None
        acquired_on = self._draw_acquisitions(period, contacts)
        renewed = self._end_accounts(period)
        customers, products = np.nonzero(acquired_on)
        self._holdings.open(customers, products, acquired_on[customers, products].astype(np.int64))
        self._assess_buyers(acquired_on, period)
        money.routine_assessments(population, state, period, rng)
        self._leave(period, (acquired_on > 0).any(axis=1) | renewed)
        joining = (population.onboarded >= first_day(period)) & (population.onboarded <= last_day(period))
        self._welcome(joining)
        if contacts is not None:
            answer(contacts, population, state, acquired_on, period, rng)
        complained_on = self._complain(period)
        payments = pay(self.network, state.member, rng) if self.network is not None else None
        windfall = money.move_balances(population, self.catalogue, state, rng)
        money.move_activity(population, self.catalogue, state, payments, windfall, period, rng)
        money.move_tiers(population, self.catalogue, state, rng)
        self._note_changes(period, joining)
        fresh = joining[:, None] & state.held
        opened_on = np.where(fresh, population.onboarded[:, None], acquired_on).astype(np.int32)
        return Month(period, opened_on, contacts, payments, complained_on)

    def _contact(self, period: int) -> Contacts:
        campaigns = campaigns_of(self.bank, self.plan.kind, self.catalogue, period)
        return choose_contacts(
            self.population, self.catalogue, self.state, self.consents, campaigns, self.probability, period, self._rng
        )

    def _draw_acquisitions(self, period: int, contacts: Contacts | None) -> NDArray[np.int32]:
        """Int32 (n, P): the day on which each pair is acquired in the month `period`, 0 where it is not."""
        chance = self.probability
        earliest = np.full(chance.shape, first_day(period), dtype=np.int32)
        if contacts is not None:
            who, what = contacts.customer[contacts.treated], contacts.product[contacts.treated]
            shift = self.appetite.lifts[self.population.response[who], what] - self.wear[who]
            chance = chance.copy()
            chance[who, what] = contacted_probability(self.probability[who, what], shift)
            earliest[who, what] = contacts.day[contacts.treated]
        customers, products = np.nonzero(self._rng.random(chance.shape, dtype=np.float32) < chance)
        first = earliest[customers, products]
        days = first + np.floor(self._rng.random(len(first)) * (last_day(period) - first + 1))
        acquired_on = np.zeros(chance.shape, dtype=np.int32)
        acquired_on[customers, products] = days
        return acquired_on

    def _end_accounts(self, period: int) -> NDArray[np.bool_]:
        """Close what is due and what customers tire of, renew some of what is due; (n,): renewed something."""
        state, catalogue, rng = self.state, self.catalogue, self._rng
        first, last = first_day(period), last_day(period)
        customers, products = np.nonzero(state.held)
        matures = state.matures[customers, products]
        due = (matures > 0) & (matures <= last)
        chance, day = rng.random(len(customers)), rng.integers(first, last + 1, len(customers))
        renewing = due & (chance < (catalogue.renewals * catalogue.on_sale(period - 1))[products])
        closing = (due & ~renewing) | (~due & (chance < catalogue.closures[products]))
        self._holdings.close(customers[closing], products[closing], np.where(due, matures, day)[closing])
        self._holdings.renew(customers[renewing], products[renewing])
        renewed = np.zeros(len(self.population), dtype=np.bool_)
        renewed[customers[renewing]] = True
        return renewed

    def _assess_buyers(self, acquired_on: NDArray[np.int32], period: int) -> None:
        bought_on = np.where(self.catalogue.ratings > 1, acquired_on, 0).max(axis=1, initial=0)
        stale = (self.state.risk == 0) | (self.state.assessed + 365 < first_day(period))
        money.assess_risk(self.population, self.state, (bought_on > 0) & stale, bought_on, self._rng)

    def _leave(self, period: int, engaged: NDArray[np.bool_]) -> None:
        state, rng = self.state, self._rng
        leaves = state.member & ~engaged & (rng.random(len(self.population)) < _LEAVING)
        state.member &= ~leaves
        customers, products = np.nonzero(state.held & leaves[:, None])
        day = rng.integers(first_day(period), last_day(period) + 1, len(self.population))
        self._holdings.close(customers, products, day[customers])

    def _complain(self, period: int) -> NDArray[np.int32]:
        state, rng, n = self.state, self._rng, len(self.population)
        complains = (rng.random(n) < _COMPLAINING) & state.member & (self.population.onboarded < first_day(period))
        state.since_complaint[complains] = 0
        return np.where(complains, rng.integers(first_day(period), last_day(period) + 1, n), 0).astype(np.int32)

    def _note_changes(self, period: int, joining: NDArray[np.bool_]) -> None:
        state = self.state
        self._write_versions(joining, self.population.onboarded)
        if self.population.is_retail:
            settled = state.member & ~joining
            state.stage = np.where(settled, self.population.stage_on(last_day(period)), state.stage).astype(np.int8)
        tier, risk, assessed, stage = (
            now != before for now, before in zip(self._recorded(), self._written, strict=True)
        )
        moved = tier | stage
        days = np.where(moved, last_day(period), state.assessed)
        self._write_versions(state.member & ~joining & (moved | risk | assessed), days)

    def _recorded(self) -> tuple[NDArray, ...]:
        return self.state.tier, self.state.risk, self.state.assessed, self.state.stage

    def _write_versions(self, who: NDArray[np.bool_], days: NDArray) -> None:
        customers, now = np.flatnonzero(who), self._recorded()
        self._versions.append((customers, days[customers].astype(np.int64), *(column[customers] for column in now)))
        before = self._written or tuple(np.zeros_like(column) for column in now)
        self._written = tuple(np.where(who, new, old) for new, old in zip(now, before, strict=True))
