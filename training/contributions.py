"""Why a propensity is what it is: its log-odds as a sum of what each feature, model and circumstance adds.

Every step from a score to the propensity that serves is a straight line in log-odds or a difference of log-odds, so a
sum stays a sum: a calibration ``a + b x`` scales each term and adds to the base, a blend adds up weighted terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log, log1p
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .calibration import EDGE, ProductCalibration

_FURTHEST = log1p(-EDGE) - log(EDGE)  # the log-odds of 1 - EDGE


@dataclass(frozen=True)
class Contributions:
    """Additive contributions to propensities, in log-odds.

    ``log_odds = base + features.sum(axis=-1) + sum(models.values()) + alternatives + fallback``, to the rounding of
    float64; the propensity that serves is its logistic function, rounded to float32. Where there is nothing to explain,
    all are 0.

    Attributes
    ----------
    log_odds : float64, shape (n_customers, k); of each propensity
    base : float64, shape (n_customers, k); the same for all customers of a kind: the mean score of those learned from,
        and the product's overall rate of acquisition for what `models` holds. Features that the bundle knows and the
        states no longer have are missing for everybody: what that adds is here too
    features : float64, shape (n_customers, k, n_features); what sets the customer apart from the others, by the columns
        of the features explained
    models : model -> float64, shape (n_customers, k); what a model that is not explained by features says beyond the
        product's overall rate
    alternatives : float64, shape (n_customers, k); what else the customer could acquire, that a customer acquires
        something or nothing, how often the product can be bought; and what the edges of probabilities cut off
    fallback : float64, shape (n_customers, k); what products like it add to what is known of a product that does not
        stand on its own, all of the log-odds where nothing is known of it
    """

    log_odds: NDArray[np.float64]
    base: NDArray[np.float64]
    features: NDArray[np.float64]
    models: Mapping[str, NDArray[np.float64]]
    alternatives: NDArray[np.float64]
    fallback: NDArray[np.float64]

    def laid_out(self, names: tuple[str, ...], wanted: tuple[str, ...]) -> Contributions:
        """By the columns `wanted` instead of those called `names`; what has no column there goes to the base."""
        if names == wanted:
            return self
        index = {name: column for column, name in enumerate(wanted)}
        columns = np.array([index.get(name, -1) for name in names], dtype=np.int64)
        there, gone = np.flatnonzero(columns >= 0), np.flatnonzero(columns < 0)
        features = np.zeros((*self.log_odds.shape, len(wanted)))
        features[..., columns[there]] = self.features[..., there]
        return replace(self, features=features, base=self.base + self.features.take(gone, axis=-1).sum(axis=-1))

    def only(self, kept: NDArray[np.bool_]) -> Contributions:
        """0 where not `kept`, shape (n_customers, k)."""
        if kept.all():
            return self
        features = self.features.copy()
        features[~kept] = 0.0
        return Contributions(
            np.where(kept, self.log_odds, 0.0),
            np.where(kept, self.base, 0.0),
            features,
            {name: np.where(kept, values, 0.0) for name, values in self.models.items()},
            np.where(kept, self.alternatives, 0.0),
            np.where(kept, self.fallback, 0.0),
        )

    def moved(self, term: Literal["alternatives", "fallback"], log_odds: NDArray[np.float64]) -> Contributions:
        """To other log-odds, shape (n_customers, k); the difference is added to `term`."""
        moved = getattr(self, term) + (log_odds - self.log_odds)
        return replace(self, log_odds=log_odds, **{term: moved})


@dataclass(frozen=True)
class Terms:
    """Contributions on their way from a score to what serves: few arrays, as one customer's take microseconds.

    Attributes
    ----------
    values : float64, shape (3 + n_models, n_customers, k); log-odds, base, alternatives, and one for each of `models`
    models : names, each once
    features : float64, shape (n_customers, k, n_features), before they are multiplied by `slopes`; none: 0
    slopes : float64, shape (n_customers, k)
    """

    values: NDArray[np.float64]
    models: tuple[str, ...]
    features: NDArray[np.float64] | None
    slopes: NDArray[np.float64]

    @classmethod
    def of(cls, found: Contributions) -> Terms:
        """Of a model that is explained by features alone."""
        values = np.array([found.log_odds, found.base, found.alternatives])
        return cls(values, (), found.features, np.ones(values.shape[1:]))

    @classmethod
    def of_model(cls, name: str, log_odds: NDArray[np.float64], overall: NDArray[np.float64]) -> Terms:
        """Of a model that is not; `overall` : log-odds of each product's overall rate, same shape."""
        values = np.array([log_odds, overall, np.zeros(overall.shape), log_odds - overall])
        return cls(values, (name,), None, np.ones(overall.shape))

    @classmethod
    def pooled(cls, parts: Mapping[str, Terms], weights: Mapping[str, float]) -> Terms:
        """Of the weighted sum of the parts' log-odds, each within the edges, as `training.blend` adds them up.

        The parts have `models` of their own, and one of them features at most.
        """
        scaled = [parts[name].along(np.zeros(1), np.array([weight]), None) for name, weight in weights.items()]
        shared = scaled[0].values[:3]
        for part in scaled[1:]:
            shared = shared + part.values[:3]
        explained = next((part for part in scaled if part.features is not None), scaled[0])
        return cls(
            np.concatenate([shared, *(part.values[3:] for part in scaled)]),
            tuple(name for part in scaled for name in part.models),
            explained.features,
            explained.slopes,
        )

    @property
    def log_odds(self) -> NDArray[np.float64]:
        """Shape (n_customers, k)."""
        return self.values[0]

    def calibrated(self, calibration: ProductCalibration, products: NDArray[np.int64]) -> Terms:
        """After a calibration on log-odds; `products`, shape (n_customers, k), are the lines that hold."""
        return self.along(calibration.intercepts, calibration.slopes, products)

    def along(
        self, intercepts: NDArray[np.float64], slopes: NDArray[np.float64], lines: NDArray[np.int64] | None
    ) -> Terms:
        """Of ``intercept + slope * log_odds``, with log-odds no further from 0 than `EDGE` allows.

        What the edges cut off is taken from the alternatives.

        Parameters
        ----------
        intercepts, slopes : shape (n_lines,)
        lines : shape (n_customers, k); which of them holds; none: the first
        """
        values, sloped = np.empty_like(self.values), np.empty_like(self.slopes)
        _along(self.values, self.slopes, intercepts, slopes, lines, values, sloped)
        return Terms(values, self.models, self.features, sloped)

    def summed_up(self, n_features: int) -> Contributions:
        """What has become of them."""
        log_odds, base, alternatives, *models = self.values
        if self.features is None:
            features = np.zeros((*log_odds.shape, n_features))
        else:
            features = self.slopes[..., None] * self.features
        models_by_name = dict(zip(self.models, models, strict=True))
        return Contributions(log_odds, base, features, models_by_name, alternatives, np.zeros(log_odds.shape))


@njit(cache=True, nogil=True)
def _along(values, slopes_so_far, intercepts, slopes, lines, out, sloped):  # type: ignore[no-untyped-def]
    n_terms, n_rows, n_places = values.shape
    for row in range(n_rows):
        for place in range(n_places):
            line = 0 if lines is None else lines[row, place]
            slope = slopes[line]
            log_odds = values[0, row, place]
            inside = min(max(log_odds, -_FURTHEST), _FURTHEST)
            for term in range(1, n_terms):
                out[term, row, place] = slope * values[term, row, place]
            out[0, row, place] = intercepts[line] + slope * inside
            out[1, row, place] += intercepts[line]
            out[2, row, place] += slope * (inside - log_odds)
            sloped[row, place] = slope * slopes_so_far[row, place]
