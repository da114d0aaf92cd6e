"""A blend of models: a weighted product of their odds, the weights learned out of time.

The blended log-odds of a product are ``sum_m w_m log(p_m / (1 - p_m))`` with weights of at least 0: a logarithmic
opinion pool (Genest and Zidek 1986). The weights maximise the likelihood of what customers chose among their candidates
by a softmax of the blended log-odds, on the validation dates, which no model was fitted on. How far such odds are from
probabilities is then a matter of calibration, as for any other score.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numba import prange
from numpy.typing import NDArray

from features import CustomerBlock
from features.errors import BadInput, NotReady
from features.kernels import kernel

from .calibration import EDGE, ProductCalibration, Scale, expit, logit, scaled

BLEND = "blend"

_WEIGHTS, _CALIBRATION = "weights.json", "calibration.npz"

_CERTAIN = np.float32(1 - 1e-6)
_PRUNED = 0.02  # a weight too small to change an order: its model need not be computed
_RIDGE = 1.0  # models agree, so the likelihood hardly tells their weights apart
_FEW = 64  # customers: below this, waking the threads costs more than the arithmetic
_CHUNK = 256  # customers that a thread takes at a time


@dataclass(frozen=True)
class Blend:
    """Weights of models, and the calibration of what they add up to.

    Attributes
    ----------
    weights : model -> weight, above 0; a model without one takes no part
    calibration : of the pooled scores
    """

    weights: Mapping[str, float]
    calibration: ProductCalibration

    def save(self, folder: Path) -> None:
        """Write into `folder`."""
        (folder / _WEIGHTS).write_text(json.dumps(dict(self.weights), indent=1), encoding="utf-8")
        self.calibration.save(folder / _CALIBRATION)

    @classmethod
    def load(cls, folder: Path) -> Blend:
        """Read what `save` wrote."""
        weights = json.loads((folder / _WEIGHTS).read_text(encoding="utf-8"))
        return cls(weights, ProductCalibration.load(folder / _CALIBRATION))


@dataclass(frozen=True)
class CalibratedBlend:
    """A blend with the calibrations of its models, ready to make propensities of scores in one pass.

    Attributes
    ----------
    weights : float64, shape (n_models,); in the order of the blend's
    logarithmic : bool, shape (n_models + 1,); calibrations that read log-odds; the last one here and below is that of
        what is pooled
    centres, spreads : float64, same shape
    intercepts, slopes : float64, shape (n_models + 1, n_products)
    """

    weights: NDArray[np.float64]
    logarithmic: NDArray[np.bool_]
    centres: NDArray[np.float64]
    spreads: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    slopes: NDArray[np.float64]

    @classmethod
    def of(cls, blend: Blend, calibrations: Mapping[str, ProductCalibration]) -> CalibratedBlend:
        """`calibrations` : of the models, by name."""
        every = [*(calibrations[name] for name in blend.weights), blend.calibration]
        return cls(
            np.array(list(blend.weights.values())),
            np.array([calibration.scale is Scale.LOG_ODDS for calibration in every]),
            np.array([calibration.centre for calibration in every]),
            np.array([calibration.spread for calibration in every]),
            np.stack([calibration.intercepts for calibration in every]),
            np.stack([calibration.slopes for calibration in every]),
        )

    def propensities(self, scores: NDArray[np.float32], candidates: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Calibrated probability of acquisition; 0 for what is no candidate.

        To the last bit what the calibrations, `pooled` and the blend's calibration say one after the other, and each
        value its own customer's and product's only.

        Parameters
        ----------
        scores : float32, shape (n_models, n_customers, n_products); of the models in the order of the blend's
        candidates : bool, shape (n_customers, n_products)

        Raises
        ------
        BadInput : when the products are not those of the fit
        """
        if scores.shape != (len(self.weights), *candidates.shape) or candidates.shape[1] != self.slopes.shape[1]:
            raise BadInput(f"scores {scores.shape} cannot be blended for {self.slopes.shape[1]} products: train again")
        n, found = len(candidates), np.empty(candidates.shape, dtype=np.float32)
        arguments = (
            scores, candidates, self.weights, self.logarithmic, self.centres, self.spreads, self.intercepts,
            self.slopes, found,
        )  # fmt: skip
        if n < _FEW:
            _blend_rows(0, n, *arguments)
        else:
            _blend_many(*arguments)
        return found


def pooled(parts: Mapping[str, NDArray[np.float32]], weights: Mapping[str, float]) -> NDArray[np.float32]:
    """Scores within (0, 1) in the order of the blended log-odds.

    Parameters
    ----------
    parts : model -> probabilities, float32, shape (n_customers, n_products); of every model with a weight
    """
    return _pool(np.stack([parts[name] for name in weights], axis=-1), np.array(list(weights.values())))


@dataclass
class Choices:
    """What customers chose among their candidates, and what each model said of it beforehand."""

    models: tuple[str, ...]
    _log_odds: list[NDArray[np.float64]] = field(default_factory=list)
    _candidates: list[NDArray[np.bool_]] = field(default_factory=list)
    _acquired: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(
        self,
        parts: Mapping[str, NDArray[np.float32]],
        acquired: NDArray[np.bool_],
        candidates: NDArray[np.bool_],
    ) -> None:
        """Keep the rows with an acquisition; all arrays of shape (n_customers, n_products)."""
        chose = np.flatnonzero(acquired.any(axis=1))
        said = np.stack([parts[name][chose] for name in self.models], axis=-1)
        inside = np.clip(said.astype(np.float64), EDGE, 1 - EDGE)
        self._log_odds.append(np.log(inside) - np.log1p(-inside))
        self._candidates.append(candidates[chose])
        self._acquired.append(acquired[chose])

    def fit(self) -> dict[str, float]:
        """Model -> weight: those under which the choices are likeliest, less a small ridge; without negligible ones.

        Raises
        ------
        NotReady : when nobody chose anything
        """
        if not sum(len(part) for part in self._acquired):
            raise NotReady("there is no acquisition on the validation dates to learn a blend from: add periods")
        log_odds = np.concatenate(self._log_odds)
        candidates, acquired = np.concatenate(self._candidates), np.concatenate(self._acquired)
        kept: NDArray[np.int64] = np.arange(len(self.models), dtype=np.int64)
        while True:
            weights = _weights(log_odds[..., kept], candidates, acquired)
            large = weights >= _PRUNED
            if large.all() or not large.any():
                break
            kept = kept[large]
        return {self.models[model]: float(weight) for model, weight in zip(kept, weights, strict=True)}


def given_buyable(propensities: NDArray[np.float32], block: CustomerBlock) -> NDArray[np.float32]:
    """`propensities`, learned where it was not known who could buy what, once that is known.

    By Bayes' rule ``P(acquired | buyable) = P(acquired) / P(buyable)``, as nobody acquires what cannot be bought. The
    divisor is the block's availability; a block without one is left as it is.
    """
    return propensities if block.availability is None else conditioned(propensities, block.availability)


def conditioned(propensities: NDArray[np.float32], availability: NDArray[np.float32]) -> NDArray[np.float32]:
    """`propensities` of what can be bought, each by how often it could be before; arrays of one shape."""
    return np.minimum(propensities / availability, _CERTAIN)


def _weights(
    log_odds: NDArray[np.float64], candidates: NDArray[np.bool_], acquired: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Shape (n_models,), at least 0."""
    chosen = acquired.astype(np.float64)
    times = chosen.sum(axis=1, keepdims=True)

    def value_and_gradient(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        utilities = np.where(candidates, (log_odds * weights).sum(axis=-1), -np.inf)
        utilities -= utilities.max(axis=1, keepdims=True)
        raised = np.exp(utilities)
        total = raised.sum(axis=1, keepdims=True)
        value = (chosen * (np.log(total) - np.where(candidates, utilities, 0.0))).sum()
        residual = times * raised / total - chosen
        return value + 0.5 * _RIDGE * (weights @ weights), (residual[..., None] * log_odds).sum(axis=(0, 1)) + (
            _RIDGE * weights
        )

    from scipy.optimize import minimize  # who only scores does not need it

    n_models = log_odds.shape[-1]
    found = minimize(
        value_and_gradient,
        np.full(n_models, 1.0 / n_models),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * n_models,
    )
    return np.asarray(found.x)


@kernel
def _pool(propensities, weights):  # type: ignore[no-untyped-def]
    """Float32 (n, p) from (n, p, m) probabilities; loops, so that a row's bits do not depend on the others."""
    n_rows, n_products, n_models = propensities.shape
    out = np.empty((n_rows, n_products), np.float32)
    for row in range(n_rows):
        for product in range(n_products):
            log_odds = 0.0
            for model in range(n_models):
                log_odds += weights[model] * logit(np.float64(propensities[row, product, model]), EDGE)
            out[row, product] = expit(log_odds)
    return out


@kernel(inline="always")
def _calibrate(p, places, logarithmic, centre, spread, intercepts, slopes, x):  # type: ignore[no-untyped-def]
    """Make probabilities of the scores in `p`, those of the products at `places`; `x` is to work with."""
    for i in range(len(places)):
        x[i] = scaled(p[i], logarithmic, centre, spread)
    for i in range(len(places)):
        p[i] = expit(intercepts[places[i]] + slopes[places[i]] * x[i])


@kernel
def _blend_rows(start, stop, scores, candidates, weights, logarithmic, centres, spreads, intercepts, slopes, out):  # type: ignore[no-untyped-def]
    """Each step for all products of a row before the next: a processor has several logarithms under way at a time."""
    n_models, n_products = len(weights), candidates.shape[1]
    places = np.empty(n_products, np.int64)
    p, log_odds, x = np.empty(n_products, np.float32), np.empty(n_products), np.empty(n_products)
    for row in range(start, stop):
        n = 0
        for product in range(n_products):
            out[row, product], log_odds[product] = 0, 0
            if candidates[row, product]:
                places[n] = product
                n += 1
        here = places[:n]
        for m in range(n_models):
            for i in range(n):
                p[i] = scores[m, row, here[i]]
            _calibrate(p, here, logarithmic[m], centres[m], spreads[m], intercepts[m], slopes[m], x)
            for i in range(n):
                log_odds[i] += weights[m] * logit(np.float64(p[i]), EDGE)
        for i in range(n):
            p[i] = expit(log_odds[i])
        m = n_models
        _calibrate(p, here, logarithmic[m], centres[m], spreads[m], intercepts[m], slopes[m], x)
        for i in range(n):
            out[row, here[i]] = p[i]


@kernel(parallel=True)
def _blend_many(scores, candidates, weights, logarithmic, centres, spreads, intercepts, slopes, out):  # type: ignore[no-untyped-def]
    n = len(candidates)
    for chunk in prange((n + _CHUNK - 1) // _CHUNK):
        _blend_rows(
            chunk * _CHUNK, min(n, chunk * _CHUNK + _CHUNK), scores, candidates, weights, logarithmic, centres, spreads,
            intercepts, slopes, out,
        )  # fmt: skip
