"""Calibration: from a model's scores to probabilities of acquisition, product by product.

Platt scaling (Platt 1999): a product's log-odds are a straight line in the score, ``intercept + slope * x``, so
expected counts come out right and, as slopes are positive, the order of customers within a product stays. Few
acquisitions cannot fix a line, so the lines of all products are fitted together and each is drawn to the pooled one,
the more the fewer its acquisitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numba import prange
from numpy.typing import NDArray

from features.errors import BadInput, NotReady
from features.kernels import kernel

from .score_histogram import ANY_SCORE, ScoreHistogram

_POOLED_SHIFT_SPREAD = 10.0  # all but free: only data without any acquisition need it
_POOLED_LOG_SLOPE_SPREAD = 1.0
EDGE = 1e-7
"""Scores of 0 and 1 have no log-odds: those nearer to them are read as this far from them."""

_MAX_STEPS = 100
_TOLERANCE = 1e-9
_FEW = 4096  # scores: below this, waking the threads costs more than the arithmetic


class Scale(StrEnum):
    """In what a product's log-odds are a straight line."""

    LOG_ODDS = "log_odds"  # x = log(score / (1 - score)): scores that are probabilities already
    STANDARD = "standard"  # x = (score - centre) / spread: any other

    @property
    def shift_spread(self) -> float:
        """Standard deviation of a product's shift from the pooled line, in log-odds; s is worth ``1 / s**2``
        acquisitions. A probability knows its product's level from years; how the few calibration dates differ from
        that mostly passes, and following it costs rank. Other scores do not know it at all."""
        return 0.05 if self is Scale.LOG_ODDS else 1.0

    @property
    def log_slope_spread(self) -> float:
        """Standard deviation of the logarithm of a product's slope over the pooled one."""
        return 0.05 if self is Scale.LOG_ODDS else 0.25


@dataclass(frozen=True)
class ProductCalibration:
    """One increasing map per product.

    Attributes
    ----------
    scale, centre, spread : how a score becomes x
    intercepts, slopes : float64, shape (n_products,); log-odds at x = 0, and per unit of x, above 0
    """

    scale: Scale
    centre: float
    spread: float
    intercepts: NDArray[np.float64]
    slopes: NDArray[np.float64]

    @staticmethod
    def accumulator(n_products: int) -> CalibrationCounts:
        """Where to count scores and acquisitions before `CalibrationCounts.fit`."""
        return CalibrationCounts(n_products)

    def apply(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of acquisition within the horizon of the fit.

        Each value depends, to the last bit, on its own score and product only. A NaN stays one.

        Parameters
        ----------
        scores : float32, shape (n_customers, n_products)

        Returns
        -------
        float32, same shape, within [0, 1]

        Raises
        ------
        BadInput : when the products are not those of the fit
        """
        if scores.ndim != 2 or scores.shape[1] != len(self.slopes):
            raise BadInput(f"scores {scores.shape} cannot be calibrated for {len(self.slopes)} products: train again")
        exact = np.ascontiguousarray(scores, dtype=np.float32)
        probabilities = np.empty_like(exact)
        apply = _apply_few if exact.size < _FEW else _apply_many
        logarithmic = self.scale is Scale.LOG_ODDS
        apply(exact, logarithmic, self.centre, self.spread, self.intercepts, self.slopes, probabilities)
        return probabilities

    def save(self, path: Path) -> None:
        """Write to `path`, an ``.npz`` file."""
        np.savez(
            path,
            scale=np.array(self.scale.value),
            placing=np.array([self.centre, self.spread]),
            intercepts=self.intercepts,
            slopes=self.slopes,
        )

    @classmethod
    def load(cls, path: Path) -> ProductCalibration:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            centre, spread = arrays["placing"].tolist()
            return cls(Scale(str(arrays["scale"])), centre, spread, arrays["intercepts"], arrays["slopes"])


def log_odds_of(probabilities: NDArray[np.float32] | NDArray[np.float64], edge: float = EDGE) -> NDArray[np.float64]:
    """Log-odds as calibrations and blends read them, those of `edge` at the edges; each value's bits are its own."""
    exact = np.ascontiguousarray(probabilities, dtype=np.float64)
    out = np.empty(exact.shape)
    _log_odds_of(exact.reshape(-1), edge, out.reshape(-1))
    return out


def probabilities_of(log_odds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The inverse of `log_odds_of`, rounded as `ProductCalibration.apply` rounds."""
    exact = np.ascontiguousarray(log_odds, dtype=np.float64)
    out = np.empty(exact.shape, dtype=np.float32)
    _probabilities_of(exact.reshape(-1), out.reshape(-1))
    return out


class CalibrationCounts:
    """Scores and acquisitions of as many blocks as there are, in a size that depends on the products only."""

    def __init__(self, n_products: int) -> None:
        self._histogram = ScoreHistogram(n_products, ANY_SCORE)
        self._lowest, self._highest = np.inf, -np.inf

    def add(self, scores: NDArray[np.float32], acquired: NDArray[np.bool_], candidates: NDArray[np.bool_]) -> None:
        """Count a block.

        Parameters
        ----------
        scores : float32, shape (n_customers, n_products); read at candidates only
        acquired, candidates : bool, same shape

        Raises
        ------
        BadInput : when shapes differ or a candidate's score is not finite
        """
        self._histogram.add(scores, acquired, candidates)
        self._lowest = min(self._lowest, float(np.min(scores, where=candidates, initial=np.inf)))
        self._highest = max(self._highest, float(np.max(scores, where=candidates, initial=-np.inf)))

    def fit(self) -> ProductCalibration:
        """Fit the lines of all products.

        Scores that all lie between 0 and 1 are taken for probabilities.

        Raises
        ------
        NotReady : when no candidate was counted
        """
        counts = self._histogram.counts[0]
        products, bins = np.nonzero(counts)
        if not len(products):
            raise NotReady("there is no candidate to calibrate on: add the scores of at least one block")
        weights = counts[products, bins].astype(np.float64)
        acquired = self._histogram.acquired[0][products, bins].astype(np.float64)
        # a bin stands at the mean of its scores, not at its middle: where all are equal nothing is lost
        scores = self._histogram.sums[0][products, bins] / weights
        if self._lowest >= 0 and self._highest <= 1:
            scale, centre, spread = Scale.LOG_ODDS, 0.0, 1.0
            inside = np.clip(scores, EDGE, 1 - EDGE)
            x = np.log(inside) - np.log1p(-inside)
        else:
            scale, centre = Scale.STANDARD, float(np.average(scores, weights=weights))
            spread = float(np.sqrt(np.average((scores - centre) ** 2, weights=weights))) or 1.0
            x = (scores - centre) / spread
        cells = _Cells(products, weights, acquired, x, len(counts))
        intercepts, slopes = _fit_lines(cells, scale)
        return ProductCalibration(scale, centre, spread, intercepts, slopes)


@dataclass(frozen=True)
class _Cells:
    """The histogram's filled bins, one after the other; all arrays but n_products of shape (n_cells,)."""

    products: NDArray[np.int64]
    weights: NDArray[np.float64]
    acquired: NDArray[np.float64]
    x: NDArray[np.float64]
    n_products: int

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of `values` in each product."""
        return np.bincount(self.products, weights=values, minlength=self.n_products).astype(np.float64)


def _fit_lines(cells: _Cells, scale: Scale) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intercepts and slopes of the posterior mode.

    Log-odds of product j: ``a + b m_j + d_j + b exp(g_j) (x - m_j)``, with the pooled line ``a + b x``, m_j where the
    product's scores lie, and shifts d_j and log slopes g_j normal about 0 with the scale's spreads. As `a` is all but
    free, its score equation makes expected and realised acquisitions equal overall. Parameters are kept as
    ``(a, log b, d_1.., g_1..)`` and found by Fisher scoring with step halving.
    """
    n = cells.n_products
    overall = (cells.acquired.sum() + 0.5) / (cells.weights.sum() + 1.0)
    # information at a line through nothing but the overall rate: where the product's scores matter
    at = np.average(cells.x, weights=cells.weights)
    middle = np.full(n, at)
    filled = cells.sums(cells.weights) > 0
    tilted = cells.weights * _variance(np.log(overall / (1 - overall)) + (cells.x - at))
    middle[filled] = cells.sums(tilted * cells.x)[filled] / cells.sums(tilted)[filled]

    precision = np.concatenate(
        [
            [_POOLED_SHIFT_SPREAD**-2, _POOLED_LOG_SLOPE_SPREAD**-2],
            np.full(n, scale.shift_spread**-2),
            np.full(n, scale.log_slope_spread**-2),
        ]
    )
    parameters = np.zeros(2 + 2 * n)
    parameters[0] = np.log(overall / (1 - overall)) - at
    value = _log_posterior(cells, middle, precision, parameters)
    for _ in range(_MAX_STEPS):
        gradient, information = _scoring(cells, middle, precision, parameters)
        step = np.linalg.solve(information, gradient)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        while True:
            proposed = _log_posterior(cells, middle, precision, parameters + step)
            if proposed >= value or np.abs(step).max() < _TOLERANCE:
                break
            step /= 2
        parameters, value = parameters + step, proposed
        if np.abs(step).max() < _TOLERANCE:
            break
    intercepts, slopes = _lines(middle, parameters)
    return intercepts - slopes * middle, slopes


def _lines(
    middle: NDArray[np.float64], parameters: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each product's log-odds at its middle, and its slope."""
    n = len(middle)
    pooled = np.exp(parameters[1])
    return parameters[0] + pooled * middle + parameters[2 : 2 + n], pooled * np.exp(parameters[2 + n :])


def _log_odds(cells: _Cells, middle: NDArray[np.float64], parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    level, slopes = _lines(middle, parameters)
    return level[cells.products] + slopes[cells.products] * (cells.x - middle[cells.products])


def _log_posterior(
    cells: _Cells, middle: NDArray[np.float64], precision: NDArray[np.float64], parameters: NDArray[np.float64]
) -> float:
    log_odds = _log_odds(cells, middle, parameters)
    likelihood = cells.acquired @ log_odds - cells.weights @ np.logaddexp(0.0, log_odds)
    return float(likelihood - 0.5 * (precision @ parameters**2))


def _scoring(
    cells: _Cells, middle: NDArray[np.float64], precision: NDArray[np.float64], parameters: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient and Fisher information of the log posterior."""
    n = cells.n_products
    log_odds = _log_odds(cells, middle, parameters)
    away = (cells.x - middle[cells.products]) * _lines(middle, parameters)[1][cells.products]
    residual = cells.acquired - cells.weights * _probability(log_odds)
    variance = cells.weights * _variance(log_odds)
    # per product, with respect to the log-odds' level and log slope
    g0, g1 = cells.sums(residual), cells.sums(residual * away)
    i00, i01, i11 = cells.sums(variance), cells.sums(variance * away), cells.sums(variance * away**2)
    # the pooled log slope moves the level by b m_j as well
    lift = np.exp(parameters[1]) * middle
    gradient = np.concatenate([[g0.sum(), (lift * g0 + g1).sum()], g0, g1]) - precision * parameters

    information = np.zeros((2 + 2 * n, 2 + 2 * n))
    shifts, logs = np.arange(2, 2 + n), np.arange(2 + n, 2 + 2 * n)
    information[0, 0] = i00.sum()
    information[0, 1] = (lift * i00 + i01).sum()
    information[1, 1] = (lift**2 * i00 + 2 * lift * i01 + i11).sum()
    information[0, shifts], information[0, logs] = i00, i01
    information[1, shifts], information[1, logs] = lift * i00 + i01, lift * i01 + i11
    information[shifts, logs] = i01
    information += information.T
    information[0, 0] /= 2
    information[1, 1] /= 2
    information[shifts, shifts], information[logs, logs] = i00, i11
    information[np.diag_indices_from(information)] += precision
    return gradient, information


def _probability(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0.0, -log_odds))


def _variance(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    probability = _probability(log_odds)
    return probability * (1 - probability)


@kernel(inline="always")
def logit(p, edge):  # type: ignore[no-untyped-def]
    """Log-odds of a probability, of `edge` at the edges; NaN stays NaN."""
    p = min(max(p, edge), 1.0 - edge) if p == p else p
    return np.log(p) - np.log1p(-p)


@kernel(inline="always")
def expit(log_odds):  # type: ignore[no-untyped-def]
    """The inverse of `logit`, float32."""
    raised = np.exp(-abs(log_odds))  # never the exponential of a large number
    return np.float32((raised if log_odds < 0 else 1.0) / (1.0 + raised))


@kernel(inline="always")
def scaled(score, logarithmic, centre, spread):  # type: ignore[no-untyped-def]
    """The x of a score, see `Scale`."""
    return logit(np.float64(score), EDGE) if logarithmic else (np.float64(score) - centre) / spread


@kernel(inline="always")
def _calibrated(score, logarithmic, centre, spread, intercept, slope):  # type: ignore[no-untyped-def]
    return expit(intercept + slope * scaled(score, logarithmic, centre, spread))


# not NumPy: its vectorised logarithm may differ in the last bit by where in an array a value stands


@kernel
def _apply_few(scores, logarithmic, centre, spread, intercepts, slopes, out):  # type: ignore[no-untyped-def]
    for row in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            out[row, j] = _calibrated(scores[row, j], logarithmic, centre, spread, intercepts[j], slopes[j])


@kernel(parallel=True)
def _apply_many(scores, logarithmic, centre, spread, intercepts, slopes, out):  # type: ignore[no-untyped-def]
    for row in prange(scores.shape[0]):
        for j in range(scores.shape[1]):
            out[row, j] = _calibrated(scores[row, j], logarithmic, centre, spread, intercepts[j], slopes[j])


@kernel
def _log_odds_of(probabilities, edge, out):  # type: ignore[no-untyped-def]
    for i in range(len(probabilities)):
        out[i] = logit(probabilities[i], edge)


@kernel
def _probabilities_of(log_odds, out):  # type: ignore[no-untyped-def]
    for i in range(len(log_odds)):
        out[i] = expit(log_odds[i])
