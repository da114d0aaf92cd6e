"""The last layer: what is left is ranked by propensity x value x context x lever, every factor kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.kernels import kernel

from ..reason_codes import BEFORE_ARBITRATION, Reason
from .value import log_assets_of, scale_of

_BELOW_FLOOR, _NOT_PERSONAL = Reason.PROPENSITY_BELOW_FLOOR.bit, Reason.PERSONALISATION_REFUSED.bit
_BARRED = BEFORE_ARBITRATION


class Weights(NamedTuple):
    """What priority is made of beside propensity and the tables by group.

    Attributes
    ----------
    margins, costs : float64, shape (n_products,); of a typical account's life, and of a contact about the product
    log_assets, elasticity : float64, shape (n_products,); how value changes with assets, see `ProductValue`
    popularity : float32, shape (n_products,); what ranks for who is not to be personalised
    trigger_weights : float64, shape (n_triggers, n_products)
    later_weight : of context, for an offer whose "later" has come
    lowest, highest : limits of the context
    """

    margins: NDArray[np.float64]
    costs: NDArray[np.float64]
    log_assets: NDArray[np.float64]
    elasticity: NDArray[np.float64]
    popularity: NDArray[np.float32]
    trigger_weights: NDArray[np.float64]
    later_weight: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Priorities:
    """The factors of every customer and product, float32, shape (n_customers, n_products).

    Attributes
    ----------
    propensities : as scored; 0 for who is not to be personalised
    values : money that an acquisition is worth, 1 for who is not to be personalised
    contexts, levers : weights, 1 likewise
    priorities : their product; popularity for who is not to be personalised
    """

    propensities: NDArray[np.float32]
    values: NDArray[np.float32]
    contexts: NDArray[np.float32]
    levers: NDArray[np.float32]
    priorities: NDArray[np.float32]

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Priorities:
        """Nothing but 0, to be filled."""
        return cls(*(np.zeros(shape, dtype=np.float32) for _ in range(5)))


@kernel
def rows(start, stop, propensities, assets, groups, triggers, raised, asked, tables, weights, reasons, found):  # type: ignore[no-untyped-def]
    """Write the factors of what no layer excluded into some rows of `found`, the arrays of `Priorities`, which are 0;
    `PROPENSITY_BELOW_FLOOR` is added to `reasons` where it holds.

    Parameters
    ----------
    propensities, raised, reasons : shape (n_customers, n_products)
    assets, groups, triggers : shape (n_customers,)
    asked : bool, shape (n_products,); what the client asked for

    Returns
    -------
    How many propensities are NaN
    """
    given, values, contexts, levers, priorities = found
    n_broken = 0
    for row in range(start, stop):
        group, log_own = groups[row], log_assets_of(assets[row])
        for product in range(propensities.shape[1]):
            propensity = propensities[row, product]
            n_broken += propensity != propensity
            if reasons[row, product] & _BARRED:
                continue
            if reasons[row, product] & _NOT_PERSONAL:
                values[row, product] = contexts[row, product] = levers[row, product] = 1
                priorities[row, product] = weights.popularity[product]
                continue
            scale = scale_of(log_own, weights.log_assets[product], weights.elasticity[product])
            value = max(weights.margins[product] * scale - weights.costs[product], 0.0)
            context = tables.contexts[group, product]
            for trigger in range(len(weights.trigger_weights)):
                if triggers[row] >> np.uint16(trigger) & np.uint16(1):
                    context *= weights.trigger_weights[trigger, product]
            if raised[row, product]:
                context *= weights.later_weight
            context = min(max(context, weights.lowest), weights.highest)
            lever = tables.levers[group, product]
            given[row, product], values[row, product] = propensity, value
            contexts[row, product], levers[row, product] = context, lever
            priorities[row, product] = np.float64(propensity) * value * context * lever
            if propensity < tables.floors[group, product] and not asked[product]:
                reasons[row, product] |= _BELOW_FLOOR
    return n_broken
