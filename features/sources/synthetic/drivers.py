"""What the acquisition hazard looks at, computed from a block's customers and how they stand at a month's end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .catalogue import TIERS, Catalogue, Money
from .network import Network
from .population import COASTAL_REGIONS, INDUSTRIES, OCCUPATIONS, STAGES, Population
from .state import CHANNELS, State

MONTH_DAYS = 30.44

Columns = dict[str, NDArray]


def drivers_of(
    population: Population, catalogue: Catalogue, state: State, network: Network | None, day: int
) -> Columns:
    """Each driver by name, shape (n,), as things stand at the end of `day`.

    Drivers with a scale are centred on a typical customer and divided by a typical spread.
    """
    columns = _of_anyone(population, catalogue, state, day)
    if network is None:
        return columns | _of_persons(population, state)
    return columns | _of_companies(population, catalogue, state, network, day)


def assets_of(catalogue: Catalogue, state: State) -> NDArray[np.float64]:
    """Shape (n,): yuan that the customer keeps with the bank, demand deposit included."""
    own = np.concatenate([catalogue.positions_of(Money.ASSET), catalogue.positions_of(Money.DEMAND)])
    return state.amount[:, own].sum(axis=1, dtype=np.float64)


def _of_anyone(population: Population, catalogue: Catalogue, state: State, day: int) -> Columns:
    demand = state.amount[:, catalogue.positions_of(Money.DEMAND)[0]]
    middle, spread = (3.85, 0.62) if population.is_retail else (5.4, 0.7)
    idle = _scaled(np.log10(demand + 10), middle, spread)
    assets = _scaled(np.log10(assets_of(catalogue, state) + 100), middle + 0.45, 0.8)
    total = state.counts.sum(axis=1)
    months = (day - population.onboarded) / MONTH_DAYS
    counts = {name: state.counts[:, column] for column, name in enumerate(CHANNELS)}
    return {
        **{name: state.tier == position for position, name in enumerate(TIERS)},
        "risk": np.where(state.risk > 0, (state.risk - 2.8) / 1.1, -0.4),
        "idle": idle,
        "idle_high": np.maximum(idle - 0.8, 0),
        "assets": assets,
        "mobile": _scaled(np.log1p(counts["mobile"]), 1.4, 1.1),
        "web": _scaled(np.log1p(counts["web"]), 1.5, 1.2),
        "counter": _scaled(np.log1p(counts["counter"]), 0.5, 0.5),
        "lively": _scaled(np.log1p(total), 2.0, 0.9),
        "newcomer": np.exp(-np.maximum(months, 0) / 5),
        "coastal": population.regions[population.branch] < COASTAL_REGIONS,
    }


def _of_persons(population: Population, state: State) -> Columns:
    return {
        **{name: state.stage == position for position, name in enumerate(STAGES)},
        **{name: population.trade == position for position, name in enumerate(OCCUPATIONS) if name not in STAGES},
        "female": population.female,
        "prefers_mobile": population.preference == 0,
        "income": _scaled(np.log10(population.income), 3.83, 0.28),
        "inflow": _scaled(np.log10(state.inflow + 100), 3.5, 0.45),
    }


def _of_companies(population: Population, catalogue: Catalogue, state: State, network: Network, day: int) -> Columns:
    def among_partners(product_id: str) -> NDArray[np.float32]:
        return network.neighbours @ state.held[:, catalogue.position(product_id)].astype(np.float32)

    return {
        **{name: population.trade == position for position, name in enumerate(INDUSTRIES)},
        "size": _scaled(population.size, 1.65, 0.55),
        "young_firm": np.exp(-population.age_on(day) / 5),
        "flow": _scaled(np.log10(state.flow + 1_000), 5.0, 0.7),
        "counterparties": _scaled(np.log1p(network.n_partners), 1.9, 0.5),
        "network_quick": among_partners("corp_quick_payment"),
        "network_bill": among_partners("corp_bill_pool"),
        "network_supply": among_partners("corp_supply_chain_finance"),
    }


def _scaled(values: NDArray, middle: float, spread: float) -> NDArray:
    return np.clip((values - middle) / spread, -2.5, 3.0)
