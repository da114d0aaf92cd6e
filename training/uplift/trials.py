"""Trials: contacts whose arm was drawn at random, what was known before each, and whether the product was acquired.

A contact about a product, and its twin that was held back, are compared by the same outcome: an acquisition of the
product within the horizon that begins with the period of the contact. Features are those of the end of the period
before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates, block_of

from .design import Design


@dataclass(frozen=True)
class Trials:
    """n contacts with a randomised arm, oldest period first.

    Attributes
    ----------
    design : how `rows` are made, for blocks to be laid out the same way
    rows : float32, shape (n, design.width)
    products : int64, shape (n,); position of the product that the contact was about
    treated : bool, shape (n,); contacted, not held back
    p_treated : float64, shape (n,); probability of being treated, within (0, 1)
    acquired : bool, shape (n,); the product, within the horizon
    customers : int64, shape (n,); position of the customer
    periods : int64, shape (n,); the last period before the contact
    campaigns : int64, shape (n,); code of the campaign in the contacts' log; -1: none
    """

    design: Design
    rows: NDArray[np.float32]
    products: NDArray[np.int64]
    treated: NDArray[np.bool_]
    p_treated: NDArray[np.float64]
    acquired: NDArray[np.bool_]
    customers: NDArray[np.int64]
    periods: NDArray[np.int64]
    campaigns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.products)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Shape (n,): one over the probability of the arm that was drawn (Horvitz and Thompson 1952)."""
        return 1.0 / np.where(self.treated, self.p_treated, 1.0 - self.p_treated)

    def take(self, chosen: NDArray) -> Trials:
        """The trials at `chosen`, positions or a mask of shape (n,)."""
        arrays = {field.name: getattr(self, field.name)[chosen] for field in fields(self) if field.name != "design"}
        return Trials(self.design, **arrays)


def trials_of(
    states: CustomerStates,
    *,
    horizon: int,
    known_to: int | None = None,
    later_than: int | None = None,
    newest: int | None = None,
    propensities: Callable[[CustomerBlock], NDArray[np.float32]] | None = None,
) -> Trials:
    """The trials of `states`.

    A contact counts as randomised when the bank noted a probability of its arm strictly between 0 and 1, or when its
    campaign, for that product, has both arms; the share of the treated then stands for the probability. What a
    relationship manager does unasked is no trial. Contacts about what the customer could not acquire tell nothing and
    are left out, of both arms alike.

    Parameters
    ----------
    horizon : periods within which an acquisition counts
    known_to : the last period whose facts may be used: contacts and outcomes; by default the newest
    later_than : only contacts made after the end of that period
    newest : at most so many, the newest
    propensities : calibrated probability of acquisition of a block's customers, shape (n_customers, n_products), for
        learners to start from; by default they find their own way
    """
    known_to = states.as_of_period if known_to is None else known_to
    log, design = states.contacts, Design.of(states, with_propensity=propensities is not None)
    if not states.manifest.dated:
        return _nothing(design)
    customers = np.repeat(np.arange(states.n_customers, dtype=np.int64), np.diff(log.indptr))
    products = log.columns["product"].astype(np.int64)
    campaigns = log.columns["campaign"].astype(np.int64)
    treated = np.asarray(log.columns["treated"]) == 1
    days = np.asarray(log.columns["happened_on"])
    periods = states.calendar.periods_of(days.astype("datetime64[D]")) - 1
    known = (products >= 0) & (log.columns["known_on"] <= states.calendar.as_of_day(known_to))
    p_treated = _p_treated(
        np.asarray(log.columns["propensity_of_arm"], dtype=np.float64),
        treated,
        campaigns * len(states.catalogue) + products,
        known & (campaigns >= 0),
    )
    usable = known & ~np.isnan(p_treated)
    usable &= (periods + horizon <= known_to) & (periods > states.as_of_period - states.manifest.depth)
    if later_than is not None:
        usable &= periods >= later_than
    chosen = np.flatnonzero(usable)
    chosen = chosen[np.argsort(periods[chosen], kind="stable")]
    if newest is not None:
        chosen = chosen[-newest:]
    parts = [
        _of_period(states, design, horizon, period, customers[there], products[there], there, propensities)
        for period, there in _by_period(periods, chosen)
    ]
    if not parts:
        return _nothing(design)
    kept, rows, acquired = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Trials(
        design=design,
        rows=rows,
        products=products[kept],
        treated=treated[kept],
        p_treated=p_treated[kept],
        acquired=acquired,
        customers=customers[kept],
        periods=periods[kept],
        campaigns=campaigns[kept],
    )


def _by_period(periods: NDArray[np.int64], chosen: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    for period in np.unique(periods[chosen]).tolist():
        yield period, chosen[periods[chosen] == period]


def _of_period(
    states: CustomerStates,
    design: Design,
    horizon: int,
    period: int,
    customers: NDArray[np.int64],
    products: NDArray[np.int64],
    contacts: NDArray[np.int64],
    propensities: Callable[[CustomerBlock], NDArray[np.float32]] | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Of contacts made in the period after `period`: those about a candidate, their rows, whether it was acquired."""
    block = block_of(states, customers, period)
    possible = np.flatnonzero(block.candidates[np.arange(len(customers)), products])
    block, products = block.take(possible), products[possible]
    pairs = (np.arange(len(possible)), products)
    features = block.features  # first: the propensities then find them computed
    likely = None if propensities is None else propensities(block)[pairs]
    opened = states.history.opened_within(block.positions, period, horizon)
    return contacts[possible], design.rows(features, products, likely), opened[pairs]


def _p_treated(
    of_arm: NDArray[np.float64], treated: NDArray[np.bool_], campaigns: NDArray[np.int64], counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Probability of being treated; NaN where the arm was not drawn at random."""
    noted = np.where(treated, of_arm, 1.0 - of_arm)
    noted[~((noted > 0) & (noted < 1))] = np.nan
    _, groups = np.unique(campaigns[counted], return_inverse=True)
    share = np.full(len(treated), np.nan)
    if len(groups):
        means = np.bincount(groups, treated[counted]) / np.bincount(groups)
        share[counted] = np.where((means > 0) & (means < 1), means, np.nan)[groups]
    return np.where(np.isnan(of_arm), share, noted)


def _nothing(design: Design) -> Trials:
    none: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    return Trials(
        design=design,
        rows=np.zeros((0, design.width), dtype=np.float32),
        products=none,
        treated=none.astype(np.bool_),
        p_treated=none.astype(np.float64),
        acquired=none.astype(np.bool_),
        customers=none,
        periods=none,
        campaigns=none,
    )
