"""A multinomial logit of what is chosen among the candidates, sparse by a lasso penalty.

Utility of product k to customer i: ``start_k + z_i . w_k``, with z the encoded features; the chosen product is drawn by
softmax over the candidates (McFadden 1974). The weights maximise the likelihood less ``l1 |w| + l2/2 w**2`` (Tibshirani
1996; Zou and Hastie 2005): of thousands of weights a few hundred stay, and each can be read. The lasso's strength grows
with the square root of the choices, as the noise of a score does, so one setting suits banks of any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from .encoding import Encoding, encoded

_L2 = 3.0
_INTERCEPT_L2 = 1.0
_MEMORY = 10  # pairs that L-BFGS keeps
_OUT_OF_REACH = np.float32(-30.0)


@dataclass(frozen=True)
class SparseChoice:
    """A fitted choice.

    Attributes
    ----------
    encoding : the m columns with a weight other than 0
    offsets : int64, shape (m + 1,); where each column's weights begin
    products : int32, shape (n_weights,); which alternative each weight belongs to
    weights : float64, shape (n_weights,)
    intercepts : float64, shape (n_alternatives,); what is added to the start
    """

    encoding: Encoding
    offsets: NDArray[np.int64]
    products: NDArray[np.int32]
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        encoding: Encoding,
        features: NDArray[np.float32],
        chosen: NDArray[np.bool_],
        candidates: NDArray[np.bool_],
        start: NDArray[np.float64],
        *,
        l1: float,
        iterations: int,
    ) -> SparseChoice:
        """Fit by L-BFGS-B on the positive and negative parts of the weights (Andrew and Gao 2007 discuss the split).

        Parameters
        ----------
        features : float32, shape (n_rows, n_features), of which `encoding` speaks
        chosen, candidates : bool, shape (n_rows, n_alternatives); every row has something chosen
        start : utilities to begin with, shape (n_alternatives,)
        l1 : lasso penalty in square roots of the choices
        iterations : at most so many
        """
        z = encoding.encode(features)
        middle = z.mean(axis=0, dtype=np.float64)
        z -= middle.astype(np.float32)
        n_columns, n_alternatives = z.shape[1], chosen.shape[1]
        penalty = l1 * np.sqrt(chosen.sum())
        problem = _Problem(z, chosen, candidates, start.astype(np.float32), penalty)
        size = n_columns * n_alternatives
        with threadpool_limits(limits=1, user_api="blas"):  # sums in another order give other weights
            found = minimize(
                problem.value_and_gradient,
                np.zeros(2 * size + n_alternatives),
                jac=True,
                method="L-BFGS-B",
                bounds=[(0, None)] * (2 * size) + [(None, None)] * n_alternatives,
                options={"maxiter": iterations, "maxcor": _MEMORY},
            )
        weights = (found.x[:size] - found.x[size : 2 * size]).reshape(n_columns, n_alternatives)
        intercepts = found.x[2 * size :] - middle @ weights
        used = np.flatnonzero(weights.any(axis=1))
        column, product = np.nonzero(weights[used])
        return cls(
            encoding.take(used),
            np.searchsorted(column, np.arange(len(used) + 1)).astype(np.int64),
            product.astype(np.int32),
            weights[used][column, product],
            intercepts,
        )

    def utilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """What is added to the start, shape (n_rows, n_alternatives)."""
        out = np.empty((len(features), len(self.intercepts)))
        encoding = self.encoding
        _add_up(
            np.ascontiguousarray(features), encoding.features, encoding.transforms, encoding.parameters,
            self.offsets, self.products, self.weights, self.intercepts, out,
        )  # fmt: skip
        return out

    def of_columns(self, columns: NDArray[np.int64]) -> SparseChoice:
        """The same choice, reading feature ``columns[i]`` where this one reads i."""
        features = columns[self.encoding.features].astype(np.int32)
        return replace(self, encoding=replace(self.encoding, features=features))

    def save(self, path: Path) -> None:
        """One .npz file."""
        np.savez(
            path,
            features=self.encoding.features,
            transforms=self.encoding.transforms,
            parameters=self.encoding.parameters,
            **{name: getattr(self, name) for name in _ARRAYS},
        )

    @classmethod
    def load(cls, path: Path) -> SparseChoice:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            encoding = Encoding(arrays["features"], arrays["transforms"], arrays["parameters"])
            return cls(encoding, *(arrays[name] for name in _ARRAYS))


_ARRAYS = ("offsets", "products", "weights", "intercepts")


class _Problem:
    """The penalised negative log-likelihood, as a function of (positive parts, negative parts, intercepts)."""

    def __init__(
        self,
        z: NDArray[np.float32],
        chosen: NDArray[np.bool_],
        candidates: NDArray[np.bool_],
        start: NDArray[np.float32],
        penalty: float,
    ) -> None:
        self._z, self._candidates, self._start, self._penalty = z, candidates, start, penalty
        self._chosen = chosen.astype(np.float32)
        self._choices = self._chosen.sum(axis=1, keepdims=True)
        self._shape = (z.shape[1], chosen.shape[1])
        self._size = z.shape[1] * chosen.shape[1]

    def value_and_gradient(self, parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        size = self._size
        weights = parameters[:size] - parameters[size : 2 * size]
        intercepts = parameters[2 * size :]
        utilities = self._z @ weights.reshape(self._shape).astype(np.float32)
        utilities += self._start + intercepts.astype(np.float32)
        utilities = np.where(self._candidates, utilities, _OUT_OF_REACH)
        utilities -= utilities.max(axis=1, keepdims=True)
        raised = np.exp(utilities)
        total = raised.sum(axis=1, keepdims=True)
        value = -float((self._chosen * (utilities - np.log(total))).sum(dtype=np.float64))
        value += self._penalty * float(parameters[: 2 * size].sum())
        value += 0.5 * (_L2 * float(weights @ weights) + _INTERCEPT_L2 * float(intercepts @ intercepts))
        residual = raised * (self._choices / total) - self._chosen
        slope = (self._z.T @ residual).ravel().astype(np.float64) + _L2 * weights
        return value, np.concatenate(
            [
                slope + self._penalty,
                self._penalty - slope,
                residual.sum(axis=0, dtype=np.float64) + _INTERCEPT_L2 * intercepts,
            ]
        )


@njit(cache=True, nogil=True)
def _add_up(values, features, transforms, parameters, offsets, products, weights, intercepts, out):  # type: ignore[no-untyped-def]
    for row in range(len(values)):
        out[row] = intercepts
        for column in range(len(features)):
            x = values[row, features[column]]
            z = encoded(x, transforms[column], parameters[column, 0], parameters[column, 1])
            if z != 0:
                for place in range(offsets[column], offsets[column + 1]):
                    out[row, products[place]] += np.float64(z) * weights[place]
