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
from numpy.typing import NDArray

from features.kernels import kernel

from ..probabilities.calibration import EDGE, ProductCalibration, Scale, logit

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
        values = np.empty((3, *found.log_odds.shape))
        values[0], values[1], values[2] = found.log_odds, found.base, found.alternatives
        return cls(values, (), found.features, np.ones(found.log_odds.shape))

    @classmethod
    def of_model(
        cls,
        name: str,
        scores: NDArray[np.float32],
        calibration: ProductCalibration,
        overall: NDArray[np.float64],
        products: NDArray[np.int64],
    ) -> Terms:
        """Of a model that is not, after its calibration.

        Parameters
        ----------
        scores : float32, shape (n_customers, n_products)
        overall : float64, shape (n_products,); log-odds of each product's overall rate
        products : int64, shape (n_customers, k); whose scores are meant; below 0, from the end
        """
        values = np.empty((4, *products.shape))
        logarithmic = calibration.scale is Scale.LOG_ODDS
        line = calibration.centre, calibration.spread, calibration.intercepts, calibration.slopes
        _of_model(scores, logarithmic, *line, overall, products, values)
        return cls(values, (name,), None, np.ones(products.shape))

    @classmethod
    def pooled(cls, parts: Mapping[str, Terms], weights: Mapping[str, float]) -> Terms:
        """Of the weighted sum of the parts' log-odds, each within the edges: see `training.probabilities.blend`.

        The parts have `models` of their own, and one of them features at most.
        """
        models = tuple([model for name in weights for model in parts[name].models])
        shape = next(iter(parts.values())).log_odds.shape
        values, slopes, features, at = np.zeros((3 + len(models), *shape)), np.ones(shape), None, 3
        for name, weight in weights.items():
            part = parts[name]
            _pool(part.values, weight, at, values)
            at += len(part.models)
            if part.features is not None:
                features, slopes = part.features, weight * part.slopes
        return cls(values, models, features, slopes)

    @property
    def log_odds(self) -> NDArray[np.float64]:
        """Shape (n_customers, k)."""
        return self.values[0]

    def calibrated(self, calibration: ProductCalibration, products: NDArray[np.int64]) -> Terms:
        """After a calibration on log-odds, which are read no further from 0 than `EDGE` allows.

        What the edges cut off is taken from the alternatives.

        Parameters
        ----------
        products : shape (n_customers, k); whose lines hold; below 0, from the end
        """
        values, slopes = np.empty(self.values.shape), np.empty(self.slopes.shape)
        _calibrate(self.values, self.slopes, calibration.intercepts, calibration.slopes, products, values, slopes)
        return Terms(values, self.models, self.features, slopes)

    def only(self, kept: NDArray[np.bool_]) -> Terms:
        """0 where not `kept`, shape (n_customers, k)."""
        return Terms(np.where(kept, self.values, 0.0), self.models, self.features, np.where(kept, self.slopes, 0.0))

    def summed_up(self, n_features: int) -> Contributions:
        """What has become of them; `features` are used up."""
        log_odds, base, alternatives, *models = self.values
        if self.features is None:
            features = np.zeros((*log_odds.shape, n_features))
        else:
            features = np.multiply(self.features, self.slopes[..., None], out=self.features)
        models_by_name = dict(zip(self.models, models, strict=True))
        return Contributions(log_odds, base, features, models_by_name, alternatives, np.zeros(log_odds.shape))


@kernel
def _of_model(scores, logarithmic, centre, spread, intercepts, slopes, overall, products, values):  # type: ignore[no-untyped-def]
    for row in range(products.shape[0]):
        for place in range(products.shape[1]):
            product = products[row, place]
            x = np.float64(scores[row, product])
            x = logit(x, EDGE) if logarithmic else (x - centre) / spread
            log_odds = intercepts[product] + slopes[product] * x
            values[0, row, place], values[1, row, place] = log_odds, overall[product]
            values[2, row, place], values[3, row, place] = 0.0, log_odds - overall[product]


@kernel(inline="always")
def _along(intercept, slope, values, row, place):  # type: ignore[no-untyped-def]
    """Log-odds, base and alternatives of ``intercept + slope * log_odds``."""
    log_odds = values[0, row, place]
    inside = min(max(log_odds, -_FURTHEST), _FURTHEST)
    base = slope * values[1, row, place] + intercept
    return intercept + slope * inside, base, slope * values[2, row, place] + slope * (inside - log_odds)


@kernel
def _calibrate(values, slopes_so_far, intercepts, slopes, products, out, sloped):  # type: ignore[no-untyped-def]
    for row in range(products.shape[0]):
        for place in range(products.shape[1]):
            slope = slopes[products[row, place]]
            shared = _along(intercepts[products[row, place]], slope, values, row, place)
            out[0, row, place], out[1, row, place], out[2, row, place] = shared
            for term in range(3, len(values)):
                out[term, row, place] = slope * values[term, row, place]
            sloped[row, place] = slope * slopes_so_far[row, place]


@kernel
def _pool(values, weight, first_model, out):  # type: ignore[no-untyped-def]
    """Add the weighted terms to those in `out`, and write those of models from `first_model` on."""
    for row in range(values.shape[1]):
        for place in range(values.shape[2]):
            log_odds, base, alternatives = _along(0.0, weight, values, row, place)
            out[0, row, place] += log_odds
            out[1, row, place] += base
            out[2, row, place] += alternatives
            for term in range(3, len(values)):
                out[first_model + term - 3, row, place] = weight * values[term, row, place]
