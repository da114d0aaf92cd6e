"""What a product is worth to the bank with a customer: the margin expected over the life of a holding.

The catalogue says what a typical account earns a year. How long a holding lasts comes from the holdings that ended,
how large this customer's would be from how the balances of holders go with what they keep elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features import CustomerStates
from features.kernels import kernel

LIFE_WINDOW = 24
"""Periods over which holdings and their ends are counted."""

PRIOR_DROPS = 4.0
"""Drops' worth of its family's rate of ending that a product's own is mixed with, and of the bank's that a family's
is."""

SAMPLE = 65_536
"""Customers from whom balances are learned, at most."""

RIDGE = 50.0
"""Holders of unit variance in log assets by whose weight an elasticity is drawn to 0."""

STEEPEST = 1.5
"""The highest elasticity believed. Below 0 none is: more money elsewhere does not make for a smaller balance."""

LEAST_SCALE, GREATEST_SCALE = 0.2, 5.0
"""How far a customer's expected balance may lie from a typical holder's."""


@dataclass(frozen=True)
class ProductValue:
    """What each product earns with a typical holder, for how long, and how that changes with a customer's assets.

    A holder's balance B of a product is taken to follow ``log(1 + B) = a + e log(1 + A) + noise``, A being the assets
    he keeps in other products; the expected balance at A over that of a typical holder is then
    ``exp(e (log(1 + A) - m))``, m being the holders' mean of ``log(1 + A)``.

    Attributes
    ----------
    margins : float64, shape (n_products,); annual margin of a typical account, in the bank's currency; where the
        catalogue gives none the median of those it gives, 1 everywhere when it gives none at all
    life_years : float64, shape (n_products,); expected life of a holding
    log_assets : float64, shape (n_products,); m, over the holders whose balance and assets are both known; 0 where
        there are none
    elasticity : float64, shape (n_products,); e, d log balance / d log assets; 0 where balances say nothing
    """

    margins: NDArray[np.float64]
    life_years: NDArray[np.float64]
    log_assets: NDArray[np.float64]
    elasticity: NDArray[np.float64]

    @classmethod
    def of(
        cls, states: CustomerStates, period: int, debts: NDArray[np.bool_], *, max_life_years: float
    ) -> ProductValue:
        """Learn from what was known at the end of `period`.

        Parameters
        ----------
        debts : shape (n_products,); the products whose balance is owed (loans, credit cards): no assets
        max_life_years : the longest life believed; that of every product where holdings have no dates

        Raises
        ------
        BadInput : when the states do not remember `period`
        """
        log_assets, elasticity = _balances_by_assets(states, period, debts)
        return cls(
            margins=_margins(states),
            life_years=_life_years(states, period, max_life_years),
            log_assets=log_assets,
            elasticity=elasticity,
        )

    def scales(self, assets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (n_customers, n_products): expected balance of each product over a typical holder's.

        `assets` : shape (n_customers,); what is kept with the bank, NaN: not known, then the scale is 1.
        """
        scales = np.empty((len(assets), len(self.elasticity)), dtype=np.float32)
        _scales(assets, self.log_assets, self.elasticity, scales)
        return scales

    def lifetime_margins(self, discount_rate: float) -> NDArray[np.float64]:
        """Shape (n_products,): present value of a typical account's margin over the life of a holding.

        An annuity paid at the end of each year, ``margin (1 - (1 + r)^-L) / r`` at the yearly rate r over L years;
        ``margin L`` at r = 0.
        """
        if discount_rate == 0:
            return self.margins * self.life_years
        # 1 - (1 + r)^-L would lose digits at small r
        annuity: NDArray[np.float64] = -np.expm1(-self.life_years * math.log1p(discount_rate)) / discount_rate
        return self.margins * annuity


@kernel(inline="always")
def log_assets_of(assets):  # type: ignore[no-untyped-def]
    """``log(1 + A)``; NaN where A is not known."""
    own = np.float64(assets)
    return math.log1p(max(own, 0.0)) if own == own else math.nan


@kernel(inline="always")
def scale_of(log_own, log_assets, elasticity):  # type: ignore[no-untyped-def]
    """What `ProductValue.scales` says of one customer and product."""
    if log_own != log_own or elasticity == 0:
        return np.float32(1.0)
    return np.float32(min(max(math.exp(elasticity * (log_own - log_assets)), LEAST_SCALE), GREATEST_SCALE))


@kernel
def _scales(assets, log_assets, elasticity, scales):  # type: ignore[no-untyped-def]
    for row in range(len(assets)):
        log_own = log_assets_of(assets[row])
        for product in range(len(elasticity)):
            scales[row, product] = scale_of(log_own, log_assets[product], elasticity[product])


def _margins(states: CustomerStates) -> NDArray[np.float64]:
    given = np.array([product.annual_margin for product in states.catalogue.products], dtype=np.float64)
    known = ~np.isnan(given)
    return np.where(known, given, np.median(given[known]) if known.any() else 1.0)


def _life_years(states: CustomerStates, period: int, max_life_years: float) -> NDArray[np.float64]:
    """The mean life of a holding that ends with the same probability every period, 1 over that hazard."""
    if not states.manifest.dated:
        return np.full(len(states.catalogue), max_life_years)
    # of the time before anything was opened the bank kept no record, nor of what ended then
    exposure, drops = states.history.spells(period, min(LIFE_WINDOW, period - states.manifest.first_period + 1))
    families = np.array([product.family for product in states.catalogue.products])
    a_year = _hazards(exposure, drops, families) * states.calendar.periods_per_year
    return 1 / np.maximum(a_year, 1 / max_life_years)


def _hazards(exposure: NDArray[np.int64], drops: NDArray[np.int64], families: NDArray[np.str_]) -> NDArray[np.float64]:
    """Drops a customer-period of each product, shrunk to its family's, and that to the bank's.

    The posterior mean under a gamma prior worth k = `PRIOR_DROPS` drops at the hazard h, which is
    ``(drops + k) / (exposure + k / h)``: Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6.
    """
    if not drops.any():
        return np.zeros(len(drops))
    bank = drops.sum() / exposure.sum()
    _, family = np.unique(families, return_inverse=True)
    of_family = _shrunk(np.bincount(family, exposure), np.bincount(family, drops), bank)
    return _shrunk(exposure, drops, of_family[family])


def _shrunk(
    exposure: NDArray[np.int64 | np.float64], drops: NDArray[np.int64 | np.float64], hazard: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    return (drops + PRIOR_DROPS) / (exposure + PRIOR_DROPS / hazard)


def _balances_by_assets(
    states: CustomerStates, period: int, debts: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`log_assets` and `elasticity`, by ridge regression over the holders among `SAMPLE` customers spread evenly.

    The regressor leaves a product's own balance out, so that it is what the assets are of one who does not hold it.
    """
    n_products, age = len(debts), states.age_of(period)
    known = states.known_at(period)
    if len(known) > SAMPLE:
        known = known[np.arange(SAMPLE) * len(known) // SAMPLE]
    balances = states.balances.by_group(known, np.array([age]), np.arange(n_products), n_products)[:, :, 0]
    held = (states.history.words_at(known, period) & np.uint64(1)).astype(np.bool_)
    is_asset = ~np.isnan(balances) & ~debts
    n_assets = is_asset.sum(axis=1)
    total = np.where(is_asset, balances, 0).sum(axis=1, dtype=np.float64)
    log_assets, elasticity = np.zeros(n_products), np.zeros(n_products)
    for product in range(n_products):
        balance, mine = balances[:, product], is_asset[:, product]
        holders = np.flatnonzero(held[:, product] & ~np.isnan(balance) & (n_assets > mine))
        if len(holders) == 0:
            continue
        own = np.where(mine[holders], balance[holders], 0)
        x = np.log1p(np.maximum(total[holders] - own, 0))
        y = np.log1p(np.maximum(balance[holders], 0), dtype=np.float64)
        log_assets[product] = x.mean()
        deviation = x - x.mean()
        # not by BLAS, which adds up in another order elsewhere
        slope = (deviation * y).sum() / ((deviation**2).sum() + RIDGE)
        elasticity[product] = min(max(slope, 0.0), STEEPEST)
    return log_assets, elasticity
