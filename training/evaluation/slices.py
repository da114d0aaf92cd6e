"""Slices: the same figures for parts of the customers, and for each product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from .intervals import BootstrapInterval, resample
from .outcomes import PERFECT, TRUTH, Outcomes

if TYPE_CHECKING:
    from features import CustomerBlock

FEW_ACQUIRERS = 30
"""Below as many customers who acquired something a slice's figures say little, and are marked."""


@dataclass(frozen=True)
class Facet:
    """A way to tell customers apart: every row has one of `labels`."""

    name: str
    labels: tuple[str, ...]


class Facets(Protocol):
    """Which slice of each facet a row belongs to."""

    facets: tuple[Facet, ...]

    def codes(self, block: CustomerBlock) -> NDArray[np.int16]:
        """Shape (n_customers, len(facets)); places in each facet's labels."""
        ...


@dataclass(frozen=True)
class Slice:
    """A part of the rows.

    Attributes
    ----------
    rows, customers, acquirers : as `EvaluationCounts` has them, of the part
    is_small : fewer than `FEW_ACQUIRERS` acquirers: its figures say little
    models : model -> the metric
    above_baseline : model -> the metric minus the baseline's, on the same customers
    ceiling : what a perfect ranking reaches
    """

    rows: int
    customers: int
    acquirers: int
    is_small: bool
    models: Mapping[str, BootstrapInterval]
    above_baseline: Mapping[str, BootstrapInterval]
    ceiling: float


@dataclass(frozen=True)
class ProductSlice:
    """The acquisitions of one product: how many, by how many customers, and the share of them within the list."""

    acquisitions: int
    acquirers: int
    is_small: bool
    models: Mapping[str, BootstrapInterval]


def sliced(
    outcomes: Outcomes,
    facets: tuple[Facet, ...],
    codes: NDArray[np.int16],
    active_codes: NDArray[np.int16],
    *,
    metric: str,
    baseline: str,
    seed: int,
    resamples: int,
) -> dict[str, dict[str, Slice]]:
    """Facet -> label -> figures; a facet in which all rows are alike is left out, as is a label without rows.

    Parameters
    ----------
    codes, active_codes : int16, shapes (n_rows, n_facets) and (n_active_rows, n_facets)
    """
    found: dict[str, dict[str, Slice]] = {}
    for column, facet in enumerate(facets):
        present = np.unique(codes[:, column])
        if len(present) < 2:
            continue
        found[facet.name] = {
            facet.labels[code]: _slice(
                outcomes.part(active_codes[:, column] == code, codes[:, column] == code, [metric]),
                metric,
                baseline,
                seed,
                resamples,
            )
            for code in present.tolist()
        }
    return found


def _slice(part: Outcomes, metric: str, baseline: str, seed: int, resamples: int) -> Slice:
    estimates = {name: found[metric] for name, found in part.estimates(seed=seed, resamples=resamples).items()}
    models = {name: estimate for name, estimate in estimates.items() if name not in (PERFECT, TRUTH)}
    acquirers = len(np.unique(part.acquirers))
    return Slice(
        rows=len(part.clusters),
        customers=len(np.unique(part.clusters)),
        acquirers=acquirers,
        is_small=acquirers < FEW_ACQUIRERS,
        models={name: estimate.interval() for name, estimate in models.items()},
        above_baseline={
            name: estimate.minus(models[baseline]).interval() for name, estimate in models.items() if name != baseline
        }
        if baseline in models
        else {},
        ceiling=estimates[PERFECT].value,
    )


def by_product(
    found: Mapping[str, NDArray[np.bool_]],
    products: NDArray[np.int64],
    customers: NDArray[np.int64],
    n_products: int,
    *,
    seed: int,
    resamples: int,
) -> tuple[ProductSlice, ...]:
    """The share of each product's acquisitions that a model had among the customer's first offers.

    Parameters
    ----------
    found : model -> bool, shape (n_acquisitions,); whether it was on the list
    products, customers : int64, same shape; what was acquired, by whom
    """
    slices = []
    for product in range(n_products):
        mine = products == product
        who = customers[mine]
        acquirers = len(np.unique(who))
        models: dict[str, BootstrapInterval] = {}
        if len(who):
            columns = np.stack([*(hits[mine] for hits in found.values())], axis=1).astype(np.float64)
            drawn = resample(columns, who, who, seed=seed, resamples=resamples)
            models = {name: drawn.mean(place).interval() for place, name in enumerate(found)}
        slices.append(ProductSlice(len(who), acquirers, acquirers < FEW_ACQUIRERS, models))
    return tuple(slices)
