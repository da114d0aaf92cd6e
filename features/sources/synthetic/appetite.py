"""What makes customers want products: the coefficients of the acquisition hazard, in log-odds a month.

The truth of a synthetic bank is one logistic regression per product. What it looks at is nearly all in the tables:
stage of life, tier, risk level, trade, income, balances, activity, what is held, what was just opened or closed,
the month, what counterparties use; a small personal taste is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import corporate_coefficients, retail_coefficients
from .bank import CORPORATE, RETAIL
from .catalogue import Catalogue

RECENT = np.zeros(256, dtype=np.float32)
"""How much something that happened so many months ago still counts."""
RECENT[:3] = 1.0, 0.7, 0.4

TASTE_SIZE = 0.25
"""Standard deviation of one direction of the personal taste that no table shows."""

RESPONSES = ("responsive", "self_directed", "indifferent", "averse")
"""How a customer takes to being contacted: persuadables, sure things, lost causes and sleeping dogs."""

_LIFTS = {RETAIL: (1.5, 0.5, 0.05, -0.7), CORPORATE: (1.3, 0.6, 0.1, -0.4)}

_MISMATCH = 1.2  # log-odds lost for each step that a product's rating exceeds the customer's risk level
_UNASSESSED = 0.6  # the same, for each step above R1, of customers without a risk level

_PERSONAL_SALES = ("insurance", "trust", "wealth", "funds", "pension", "investment_banking", "cash_management")


@dataclass(frozen=True)
class Appetite:
    """The coefficients for one kind of customer, as arrays in the order of its catalogue (P products).

    Attributes
    ----------
    drivers : names of the K columns of the drivers' matrix
    base : (P,)
    weights : (K, P), of the drivers
    seasons : (12, P), by month of the year, January first
    held, opened, closed : (P, P), row: what is held, was just opened, was just closed; column: what is wanted
    tastes : (L, P), of the personal taste's L directions
    suitability : (6, P), by risk level, 0 where none was assessed
    lifts : (4, P), log-odds that a contact adds, by response
    """

    drivers: tuple[str, ...]
    base: NDArray[np.float32]
    weights: NDArray[np.float32]
    seasons: NDArray[np.float32]
    held: NDArray[np.float32]
    opened: NDArray[np.float32]
    closed: NDArray[np.float32]
    tastes: NDArray[np.float32]
    suitability: NDArray[np.float32]
    lifts: NDArray[np.float32]


def appetite_of(kind: str, catalogue: Catalogue) -> Appetite:
    """The coefficients of customers of `kind`."""
    ids = catalogue.product_ids
    source = retail_coefficients if kind == RETAIL else corporate_coefficients
    names = tuple(sorted({name for weights in source.DRIVERS.values() for name in weights}))
    return Appetite(
        drivers=names,
        base=np.array([source.BASES[product_id] for product_id in ids], dtype=np.float32),
        weights=_table(source.DRIVERS, ids, names).T.copy(),
        seasons=_table(source.SEASONS, ids, range(1, 13)).T.copy(),
        held=_pair_table(source.PAIRS.held, ids),
        opened=_pair_table(source.PAIRS.opened, ids),
        closed=_pair_table(source.PAIRS.closed, ids),
        tastes=TASTE_SIZE * _memberships(source.TASTES, ids),
        suitability=_suitability(catalogue),
        lifts=_lifts(kind, catalogue),
    )


def lift_table(kind: str, catalogue: Catalogue) -> NDArray[np.float32]:
    """Shape (4, P): log-odds that a contact adds, by response and product."""
    return _lifts(kind, catalogue)


def _table(rows: Mapping[str, Mapping], ids: tuple[str, ...], columns: tuple[str, ...] | range) -> NDArray[np.float32]:
    return np.array([[rows.get(row, {}).get(column, 0.0) for column in columns] for row in ids], dtype=np.float32)


def _pair_table(pairs: Mapping[tuple[str, str], float], ids: tuple[str, ...]) -> NDArray[np.float32]:
    return np.array([[pairs.get((owned, wanted), 0.0) for wanted in ids] for owned in ids], dtype=np.float32)


def _memberships(groups: Mapping[str, tuple[str, ...]], ids: tuple[str, ...]) -> NDArray[np.float32]:
    return np.array([[product_id in group for product_id in ids] for group in groups.values()], dtype=np.float32)


def _suitability(catalogue: Catalogue) -> NDArray[np.float32]:
    ratings = catalogue.ratings.astype(np.float32)
    levels = np.arange(1, 6, dtype=np.float32)[:, None]
    assessed = -_MISMATCH * np.maximum(ratings - levels, 0)
    unassessed = -_UNASSESSED * np.maximum(ratings - 1, 0)
    return np.vstack([unassessed, assessed]).astype(np.float32)


def _lifts(kind: str, catalogue: Catalogue) -> NDArray[np.float32]:
    by_product = [1.3 if product.family in _PERSONAL_SALES else 0.9 for product in catalogue.products]
    return np.outer(_LIFTS[kind], by_product).astype(np.float32)
