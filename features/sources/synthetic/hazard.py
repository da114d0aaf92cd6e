"""The probability of an acquisition: the truth that the tables only hint at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .appetite import RECENT, Appetite
from .bank import CALENDAR, last_day
from .catalogue import TIERS, Catalogue
from .drivers import assets_of, drivers_of
from .network import Network
from .population import Population
from .state import State

GRIEVANCE_MONTHS = 3
"""How long a complaint is remembered."""

_GRIEVANCE = 0.9
_FATIGUE = 0.25
_CEILING = 0.6  # log-odds: nothing is more likely than 65% a month


def acquisition_probability(
    population: Population,
    catalogue: Catalogue,
    appetite: Appetite,
    state: State,
    network: Network | None,
    period: int,
) -> NDArray[np.float32]:
    """Probability that a customer not contacted acquires a product in the month after `period`.

    Shape (n, P); 0 where not a candidate, not eligible or no longer a customer. Rounded to half precision, so that
    what is published (as float16) is exactly what is drawn from.
    """
    columns = drivers_of(population, catalogue, state, network, last_day(period))
    drivers = np.column_stack([columns[name].astype(np.float32) for name in appetite.drivers])
    log_odds = drivers @ appetite.weights
    log_odds += appetite.base + appetite.seasons[CALENDAR.season_of(period + 1)]
    log_odds += state.held.astype(np.float32) @ appetite.held
    log_odds += RECENT[state.since_opened] @ appetite.opened
    log_odds += RECENT[state.since_closed] @ appetite.closed
    log_odds += population.taste @ appetite.tastes
    log_odds += appetite.suitability[state.risk]
    log_odds += state.leaning
    log_odds -= (_GRIEVANCE * (state.since_complaint < GRIEVANCE_MONTHS)).astype(np.float32)[:, None]
    probability = 1 / (1 + np.exp(-np.minimum(log_odds, np.float32(_CEILING))))
    probability *= may_acquire(population, catalogue, state, period)
    return probability.astype(np.float16).astype(np.float32)


def may_acquire(population: Population, catalogue: Catalogue, state: State, period: int) -> NDArray[np.bool_]:
    """Shape (n, P): a candidate at the end of `period` who is a customer and fulfils the product's own conditions."""
    allowed = ~state.held
    allowed &= state.member[:, None]
    allowed &= catalogue.on_sale(period)
    age, age_after = population.age_on(last_day(period)), population.age_on(last_day(period + 1))
    assets = assets_of(catalogue, state)
    for column, product in enumerate(catalogue.products):
        fit = allowed[:, column]
        if product.min_age is not None:
            fit &= age >= product.min_age
        if product.max_age is not None:
            fit &= age_after <= product.max_age
        if product.min_tier is not None:
            fit &= state.tier >= TIERS.index(product.min_tier)
        if product.min_balance is not None:
            fit &= assets >= product.min_balance
        for needed in product.requires:
            fit &= state.held[:, catalogue.position(needed)]
        for excluded in product.excludes:
            fit &= ~state.held[:, catalogue.position(excluded)]
    return allowed


def wear_of(state: State) -> NDArray[np.float32]:
    """Shape (n,): log-odds that a contact in the next month loses to weariness of contacts and to a fresh complaint.

    Rounded to half precision, as it is published.
    """
    wear = _FATIGUE * state.fatigue + _GRIEVANCE * (state.since_complaint < GRIEVANCE_MONTHS)
    return wear.astype(np.float16).astype(np.float32)


def contacted_probability(probability: NDArray[np.float32], shift: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of an acquisition when contacted: `shift` log-odds are added; what is impossible stays so.

    p' = p e^s / (1 - p + p e^s), for p in [0, 1).
    """
    odds = probability * np.exp(shift)
    return odds / (1 - probability + odds)
