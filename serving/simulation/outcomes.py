"""What a policy would have done: everyone known at a date, decided on as if it had been in use then.

A simulation is the stream of a campaign, under any policy and from any period that the states remember.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from ..decisions import Decisions, Layer, Reason, Score
from ..decisions.reason_codes import REASONS_OF, first_reasons, mask_of
from .scenarios import Scenario, Scores, decided

N_REASONS = len(Reason)

_EXCLUDING = ~Reason.PERSONALISATION_REFUSED.bit
_LAYERS = tuple(Layer)


@dataclass(frozen=True)
class Simulation:
    """What a policy would have offered, and why not the rest.

    Every customer and product is either offered or counted under its first reason.

    Attributes
    ----------
    policy : name and version
    product_ids : the columns of what follows
    customers : known at the period
    customers_with_offers : at least one
    customers_not_personalised : whose offers are chosen by popularity
    offers : int64, shape (n_products,); how often each is shown
    reasons : int64, shape (n_products, n_reasons); first reasons of what is not shown, by the number of `Reason`.
        `PERSONALISATION_REFUSED` excludes nothing and is none
    customers_left : int64, shape (n_layers,); with at least one product left after each `Layer`
    expected_value : sum of propensity x value of what is shown, in the bank's currency, of the customers for whom
        offers are personalised: what the offers would earn if each were acquired with its propensity
    """

    policy: str
    channel: str
    day: date
    product_ids: tuple[str, ...]
    customers: int
    customers_with_offers: int
    customers_not_personalised: int
    offers: NDArray[np.int64]
    reasons: NDArray[np.int64]
    customers_left: NDArray[np.int64]
    expected_value: float

    @property
    def excluded_by_layer(self) -> dict[Layer, int]:
        """How many pairs of customer and product each layer is the first to exclude."""
        return {
            layer: int(self.reasons[:, [reason.value for reason in reasons]].sum())
            for layer, reasons in REASONS_OF.items()
        }

    @property
    def customers_by_layer(self) -> dict[Layer, int]:
        """`customers_left` by layer."""
        return dict(zip(_LAYERS, self.customers_left.tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; only reasons that occur."""
        return {
            "policy": self.policy,
            "channel": self.channel,
            "day": self.day.isoformat(),
            "customers": self.customers,
            "customers_with_offers": self.customers_with_offers,
            "customers_not_personalised": self.customers_not_personalised,
            "expected_value": self.expected_value,
            "excluded_by_layer": {layer.value: count for layer, count in self.excluded_by_layer.items()},
            "customers_by_layer": {layer.value: count for layer, count in self.customers_by_layer.items()},
            "products": {
                product_id: {
                    "offers": int(self.offers[product]),
                    "reasons": {r.name: int(self.reasons[product, r]) for r in Reason if self.reasons[product, r]},
                }
                for product, product_id in enumerate(self.product_ids)
            },
        }


@dataclass(frozen=True)
class Difference:
    """What one scenario shows instead of another, to everybody.

    Attributes
    ----------
    customers : to whom something else is shown, or the same in another order
    gained, lost : int64, shape (n_products,); offers that only the one shows, and that only the other does
    expected_value : change in the sum of propensity x value of what is shown, see `compare`
    """

    customers: int
    gained: NDArray[np.int64]
    lost: NDArray[np.int64]
    expected_value: float

    @classmethod
    def none(cls, n_products: int) -> Difference:
        """Of a scenario from itself."""
        return cls(0, np.zeros(n_products, np.int64), np.zeros(n_products, np.int64), 0.0)

    def to_dict(self, product_ids: Sequence[str]) -> dict[str, Any]:
        """For JSON; only products whose offers changed."""
        return {
            "customers": self.customers,
            "gained": int(self.gained.sum()),
            "lost": int(self.lost.sum()),
            "expected_value": self.expected_value,
            "products": {
                product_id: {"gained": int(gained), "lost": int(lost)}
                for product_id, gained, lost in zip(product_ids, self.gained, self.lost, strict=True)
                if gained or lost
            },
        }


def simulated(scenarios: Sequence[Scenario], *, limit: int, progress: Progress | None = None) -> list[Simulation]:
    """What each of `scenarios`, of the same states and period, would have offered to everybody.

    Parameters
    ----------
    limit : offers a customer gets at most

    Raises
    ------
    BadInput : when the scenarios are of different states or periods
    """
    tallies = [_Tally(scenario) for scenario in scenarios]
    for number, _, decisions in decided(scenarios, limit=limit, progress=progress):
        tallies[number].add(decisions)
    return [tally.simulation() for tally in tallies]


def compare(
    base: Scenario,
    others: Sequence[Scenario],
    *,
    limit: int,
    judge: Score | None = None,
    progress: Progress | None = None,
) -> tuple[Simulation, list[Difference]]:
    """What `base` shows, and what each of `others` shows instead.

    Expected values are measured by one yardstick, or they could change although the same is shown: the propensities
    of `judge` and the values of `base`, of every customer for whom either of the two scenarios personalises.

    Parameters
    ----------
    judge : by default what `base` decides on
    """
    judge, scores = judge or base.score, Scores()
    tally = _Tally(base)
    n_products = len(tally.offers)
    counts = [_Changes(n_products) for _ in others]
    shown: Decisions | None = None
    for number, block, decisions in decided([base, *others], limit=limit, scores=scores, progress=progress):
        if number == 0:
            tally.add(decisions)
            shown = decisions
            continue
        assert shown is not None
        counts[number - 1].add(shown, decisions, scores.of(judge, block), base)
    return tally.simulation(), [count.difference() for count in counts]


class _Tally:
    """Counts up to a `Simulation`, block by block."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.product_ids = scenario.policy.states.catalogue.product_ids
        n_products = len(self.product_ids)
        self.customers = self.with_offers = self.not_personalised = 0
        self.offers = np.zeros(n_products, dtype=np.int64)
        self.reasons = np.zeros((n_products, N_REASONS), dtype=np.int64)
        self.left = np.zeros(len(_LAYERS), dtype=np.int64)
        self.expected_value = 0.0

    def add(self, decisions: Decisions) -> None:
        n_products = len(self.offers)
        excluded = decisions.excluded & _EXCLUDING
        self.customers += len(excluded)
        self.with_offers += int((decisions.products[:, :1] >= 0).sum())
        self.not_personalised += int((~decisions.personalised).sum())
        self.offers += np.bincount(decisions.products[decisions.products >= 0], minlength=n_products)
        first = first_reasons(excluded).astype(np.int64)
        cells = (np.arange(n_products) * N_REASONS + first)[first >= 0]
        self.reasons += np.bincount(cells, minlength=self.reasons.size).reshape(self.reasons.shape)
        so_far = np.uint32(0)
        for number, layer in enumerate(_LAYERS):
            so_far |= mask_of(*REASONS_OF[layer])
            self.left[number] += int(((excluded & so_far) == 0).any(axis=1).sum())
        # who is not personalised has propensities of 0
        self.expected_value += float((decisions.propensities.astype(np.float64) * decisions.values).sum())

    def simulation(self) -> Simulation:
        policy, context = self.scenario.policy.policy, self.scenario.context
        return Simulation(
            policy.name, context.channel, context.day, self.product_ids, self.customers, self.with_offers,
            self.not_personalised, self.offers, self.reasons, self.left, self.expected_value,
        )  # fmt: skip


class _Changes:
    """Counts up to a `Difference`, block by block."""

    def __init__(self, n_products: int) -> None:
        self.customers = 0
        self.gained = np.zeros(n_products, dtype=np.int64)
        self.lost = np.zeros(n_products, dtype=np.int64)
        self.expected_value = 0.0

    def add(self, before: Decisions, after: Decisions, propensities: NDArray[np.float32], base: Scenario) -> None:
        rows = np.flatnonzero((before.products != after.products).any(axis=1))
        if not len(rows):
            return
        n_products = len(self.gained)
        was, now = _shown(before.products[rows], n_products), _shown(after.products[rows], n_products)
        self.customers += len(rows)
        self.gained += (now & ~was).sum(axis=0)
        self.lost += (was & ~now).sum(axis=0)
        weights = base.policy.tables(base.context).weights
        scales = base.policy.value.scales(before.facts.assets[rows])
        # float32, as decisions have them
        values = np.maximum(weights.margins * scales - weights.costs, 0.0).astype(np.float32)
        worth = propensities[rows].astype(np.float64) * values
        worth[~(before.personalised[rows] | after.personalised[rows])] = 0
        self.expected_value += float((worth * (now.astype(np.int8) - was)).sum())

    def difference(self) -> Difference:
        return Difference(self.customers, self.gained, self.lost, self.expected_value)


def _shown(products: NDArray[np.int32], n_products: int) -> NDArray[np.bool_]:
    """Shape (n_customers, n_products): whether each product is among those shown; -1 is nothing."""
    shown = np.zeros((len(products), n_products + 1), dtype=np.bool_)
    shown[np.arange(len(products))[:, None], products] = True
    return shown[:, :-1]
