"""What moves every month besides products: balances, activity, tiers, risk assessments, complaints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .bank import CALENDAR, first_day, last_day
from .catalogue import Catalogue, Money
from .drivers import assets_of
from .network import Payments
from .population import PREFERENCES, Population
from .state import CHANNELS, State

_TIER_FLOORS = {True: (100_000, 500_000, 4_000_000), False: (1_500_000, 8_000_000, 40_000_000)}
_DRIFTING = ("wealth_mixed", "fund_mixed", "fund_equity", "gold_accumulation", "paper_gold", "private_trust")
_REVOLVING = ("credit_card", "credit_card_platinum")
_BONUS = {1: 1.7, 2: 1.3, 12: 1.25}  # a month's income over a usual month's: year-end pay


def move_balances(population: Population, catalogue: Catalogue, state: State, rng: np.random.Generator) -> NDArray:
    """Let a month pass over every balance; windfalls are returned, shape (n,), bool."""
    n = len(population)
    windfall = rng.random(n) < 0.015
    state.shock *= np.float32(0.78)
    state.shock += np.float32(0.14) * rng.standard_normal(n, dtype=np.float32) + np.float32(0.6) * windfall
    demand = catalogue.positions_of(Money.DEMAND)[0]
    state.amount[:, demand] = np.where(
        state.held[:, demand], np.rint(10 ** (population.means - np.float32(0.3) + state.shock)), 0
    )
    noise = rng.standard_normal((n, 2), dtype=np.float32)
    loans = catalogue.positions_of(Money.LOAN)
    revolving = np.isin(np.array(catalogue.product_ids)[loans], _REVOLVING)
    state.amount[:, loans[~revolving]] = np.rint(state.amount[:, loans[~revolving]] * np.float32(0.985))
    for column in loans[revolving]:
        typical = population.income * np.float32(10 ** catalogue.scales[column])
        state.amount[:, column] = np.where(state.held[:, column], np.rint(typical * np.exp(0.4 * noise[:, 0])), 0)
    drifting = np.flatnonzero(np.isin(catalogue.product_ids, _DRIFTING))
    state.amount[:, drifting] = np.rint(state.amount[:, drifting] * (1 + np.float32(0.03) * noise[:, 1:]))
    return windfall


def move_activity(
    population: Population,
    catalogue: Catalogue,
    state: State,
    payments: Payments | None,
    windfall: NDArray[np.bool_],
    period: int,
    rng: np.random.Generator,
) -> None:
    """Draw a month's use of the channels and the money that comes and goes."""
    n = len(population)
    state.liveliness *= np.float32(0.95)
    state.liveliness += np.float32(0.17) * rng.standard_normal(n, dtype=np.float32)
    rates = _rates(population, catalogue, state) * np.exp(state.liveliness)[:, None] * state.member[:, None]
    state.counts = rng.poisson(rates)
    usual = _usual_inflow(population, catalogue, state, period)
    noise = rng.standard_normal((2, n), dtype=np.float32)
    inflow = usual * np.exp(0.2 * noise[0]) + windfall * 10 ** (population.means + 0.2)
    outflow = usual * np.exp(0.25 * noise[1]) * 0.97
    if payments is not None:
        received, paid = payments.received(n), payments.paid(n)
        state.flow = (received + paid).astype(np.float32)
        inflow, outflow = inflow + received, outflow + paid
    active = state.counts.sum(axis=1) > 0
    state.inflow = np.where(active, np.rint(inflow), 0).astype(np.float64)
    state.outflow = np.where(active, np.rint(outflow), 0).astype(np.float64)


def move_tiers(population: Population, catalogue: Catalogue, state: State, rng: np.random.Generator) -> None:
    """Raise customers whose assets have grown to a higher tier, and lower some whose assets have shrunk."""
    floors = _TIER_FLOORS[population.is_retail]
    assets = assets_of(catalogue, state)
    deserved = np.searchsorted(floors, assets, side="right")
    tolerated = np.searchsorted(floors, assets / 0.6, side="right")
    chance = rng.random(len(population))
    rises = (deserved > state.tier) & (chance < 0.35) & state.member
    falls = (tolerated < state.tier) & (chance < 0.06) & state.member
    state.tier = np.where(rises, deserved, np.where(falls, tolerated, state.tier)).astype(np.int8)


def first_tiers(population: Population, catalogue: Catalogue, state: State, who: NDArray[np.bool_]) -> None:
    """Give the tier that their usual balances deserve to customers who join."""
    floors = _TIER_FLOORS[population.is_retail]
    deserved = np.searchsorted(floors, 1.2 * 10**population.means, side="right")
    state.tier = np.where(who, deserved, state.tier).astype(np.int8)


def assess_risk(
    population: Population, state: State, who: NDArray[np.bool_], days: NDArray, rng: np.random.Generator
) -> None:
    """Assess the risk level of `who` on `days`, both (n,): a customer's own daring, with some noise."""
    level = np.rint(2.8 + 1.05 * population.daring + 0.35 * rng.standard_normal(len(population))).clip(1, 5)
    state.risk = np.where(who, level, state.risk).astype(np.int8)
    state.assessed = np.where(who, days, state.assessed).astype(np.int32)


def routine_assessments(population: Population, state: State, period: int, rng: np.random.Generator) -> None:
    """Renew some of the expired risk assessments, and make a few first ones."""
    first, last = first_day(period), last_day(period)
    chance, day = rng.random(len(population)), rng.integers(first, last + 1, len(population))
    expired = (state.risk > 0) & (state.assessed < first - 365)
    who = state.member & (population.onboarded < first) & (chance < np.where(expired, 0.12, 0.015 * (state.risk == 0)))
    assess_risk(population, state, who, day, rng)


def _rates(population: Population, catalogue: Catalogue, state: State) -> NDArray[np.float32]:
    digital = population.digital

    def with_product(product_id: str, without: float) -> NDArray[np.float32]:
        return np.where(state.held[:, catalogue.position(product_id)], np.float32(1), np.float32(without))

    if population.is_retail:
        rates = {
            "mobile": 14 * digital**1.5 * with_product("mobile_banking", 0.03),
            "web": 1.6 * digital,
            "counter": 1.5 * (1.05 - digital),
            "atm": 1.3 * with_product("debit_card", 0.1),
            "call": np.full(len(population), 0.2),
        }
    else:
        size = np.exp(0.5 * (population.size - 1.7))
        rates = {
            "mobile": 2 * digital * size,
            "web": 18 * digital * size * with_product("corp_online_banking", 0.02),
            "counter": 3.5 * (1.2 - digital) * size,
            "atm": np.zeros(len(population)),
            "call": np.full(len(population), 0.8),
        }
    preferred = 0.7 + 0.8 * (population.preference[:, None] == [_preference_of(channel) for channel in CHANNELS])
    return (np.column_stack([rates[channel] for channel in CHANNELS]) * preferred).astype(np.float32)


def _preference_of(channel: str) -> int:
    return PREFERENCES.index(channel) if channel in PREFERENCES else -1


def _usual_inflow(population: Population, catalogue: Catalogue, state: State, period: int) -> NDArray[np.float32]:
    if not population.is_retail:
        return population.income / np.float32(12 * 8)
    paid_here = state.held[:, catalogue.position("payroll")]
    bonus = _BONUS.get(CALENDAR.season_of(period) + 1, 1.0)
    return population.income * np.where(paid_here, np.float32(bonus), np.float32(0.35))
