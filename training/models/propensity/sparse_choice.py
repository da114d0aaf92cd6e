"""A multinomial logit of what is chosen among the candidates, sparse by a lasso penalty.

Utility of product k to customer i: ``start_k + z_i . w_k``, with z the encoded features; the chosen product is drawn by
softmax over the candidates (McFadden 1974). The weights maximise the likelihood less ``l1 |w| + l2/2 w**2`` (Tibshirani
1996; Zou and Hastie 2005): of thousands of weights a few hundred stay, and each can be read. The lasso's strength grows
with the square root of the choices, as the noise of a score does, so one setting suits banks of any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numba import prange
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from features.kernels import kernel

from .encoding import Encoding, encode_tile, encoded

_L2 = 3.0
_INTERCEPT_L2 = 1.0
_MEMORY = 10  # pairs that L-BFGS keeps
_OUT_OF_REACH = np.float32(-30.0)
_TILE = 128  # rows added up side by side: their utilities stay in the processor's nearest cache
_FEW = 256  # rows: below this, waking the threads costs more than the arithmetic
_FEWEST_ALIKE = 4  # rows that ask for one alternative from whom on encoding columns for all of them pays
_SINGLY = 6  # rows: up to as many, one after the other is faster


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
    middle : float64, shape (m,); mean of each column over the rows of the fit
    """

    encoding: Encoding
    offsets: NDArray[np.int64]
    products: NDArray[np.int32]
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    middle: NDArray[np.float64]

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
        from scipy.optimize import minimize  # who only scores does not need it; before its threads are limited

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
            middle[used],
        )

    def utilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """What is added to the start, shape (n_rows, n_alternatives)."""
        out = np.empty((len(features), len(self.intercepts)))
        add_up = add_up_utilities if len(features) < _FEW else _add_up_many
        add_up(np.ascontiguousarray(features), self.arguments, out)
        return out

    @cached_property
    def arguments(self) -> tuple[NDArray, ...]:
        """The choice as kernels read it."""
        encoding = self.encoding
        return (
            encoding.features, encoding.transforms, encoding.parameters, self.offsets, self.products, self.weights,
            self.intercepts,
        )  # fmt: skip

    @property
    def base(self) -> NDArray[np.float64]:
        """Utilities of a row whose every column is its mean, shape (n_alternatives,)."""
        column = np.repeat(np.arange(len(self.middle)), np.diff(self.offsets))
        means = np.bincount(self.products, self.weights * self.middle[column], len(self.intercepts))
        return np.asarray(self.intercepts + means)

    def add_contributions(
        self, features: NDArray[np.float32], alternatives: NDArray[np.int64], factor: float, out: NDArray[np.float64]
    ) -> None:
        """Add `factor` times what each feature contributes to the utilities of some alternatives.

        A column contributes ``weight (z - middle)``: what sets the row apart from the others. Each row's contributions
        are, to the last bit, its own. Over the features they add up to the utility less `base`.

        Parameters
        ----------
        features : float32, shape (n_rows, n_features)
        alternatives : int64, shape (n_rows, k); -1: none
        out : float64, shape (n_rows, k, n_features); is added to
        """
        encoding = self.encoding
        contribute = _contribute_few if len(features) < _FEW else _contribute_many
        contribute(
            np.ascontiguousarray(features), encoding.features, encoding.transforms, encoding.parameters,
            *self._by_alternative, self.middle, np.ascontiguousarray(alternatives, dtype=np.int64), factor, out,
        )  # fmt: skip

    @cached_property
    def _by_alternative(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Where the weights of each alternative begin, shape (n_alternatives + 1,), and their columns, ascending, and
        values, shape (n_weights,)."""
        order = np.argsort(self.products, kind="stable")
        column = np.repeat(np.arange(len(self.middle)), np.diff(self.offsets))
        begin = np.searchsorted(self.products[order], np.arange(len(self.intercepts) + 1))
        return begin.astype(np.int64), column[order].astype(np.int64), self.weights[order]

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


_ARRAYS = ("offsets", "products", "weights", "intercepts", "middle")


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


# a total starts from "+ 0.0": were it -0, adding what is 0 would change its bits and leaving that out would not


@kernel
def _add_up_singly(values, choice, out):  # type: ignore[no-untyped-def]
    features, transforms, parameters, offsets, products, weights, intercepts = choice
    for row in range(len(values)):
        out[row] = intercepts + 0.0
        for column in range(len(features)):
            x = values[row, features[column]]
            z = encoded(x, transforms[column], parameters[column, 0], parameters[column, 1])
            if z != 0:
                for place in range(offsets[column], offsets[column + 1]):
                    out[row, products[place]] += np.float64(z) * weights[place]


@kernel(inline="always")
def _add_up_tile(size, start, values, choice, out):  # type: ignore[no-untyped-def]
    """`size` rows from `start`; where that are more than there are, the last one repeats."""
    features, transforms, parameters, offsets, products, weights, intercepts = choice
    last = len(values) - 1
    x = np.empty(size, np.float32)
    z = np.empty(size, np.float64)
    exponents = np.empty(size, np.float64)
    totals = np.empty((len(intercepts), size), np.float64)
    for j in range(len(intercepts)):
        totals[j] = intercepts[j] + 0.0
    for column in range(len(features)):
        # the columns of a feature stand together: fetched once
        if column == 0 or features[column] != features[column - 1]:
            for row in range(size):
                x[row] = values[np.uint64(min(start + row, last)), features[column]]
        transform, a, b = transforms[column], parameters[column, 0], parameters[column, 1]
        encode_tile(x, transform, a, b, exponents, z)
        for place in range(offsets[column], offsets[column + 1]):
            weight, total = weights[place], totals[products[place]]
            for row in range(size):
                total[row] += z[row] * weight
    for row in range(min(size, len(values) - start)):
        for j in range(len(intercepts)):
            out[start + row, j] = totals[j, row]


@kernel
def _add_up_few(values, choice, out):  # type: ignore[no-untyped-def]
    for start in range(0, len(values), _TILE):
        _add_up_tile(min(_TILE, len(values) - start), start, values, choice, out)


@kernel
def add_up_utilities(values, choice, out):  # type: ignore[no-untyped-def]
    """Write the utilities by `SparseChoice.arguments` into `out`, float64, shape (n_rows, n_alternatives)."""
    if len(values) <= _SINGLY:
        _add_up_singly(values, choice, out)
    else:
        _add_up_few(values, choice, out)


@kernel
def _add_up_whole_tile(start, values, choice, out):  # type: ignore[no-untyped-def]
    """Always as many rows as a tile has, so that loops over them are unrolled."""
    _add_up_tile(_TILE, start, values, choice, out)


@kernel(parallel=True)
def _add_up_many(values, choice, out):  # type: ignore[no-untyped-def]
    for tile in prange((len(values) + _TILE - 1) // _TILE):
        _add_up_whole_tile(tile * _TILE, values, choice, out)


@kernel
def _contribute_one(  # type: ignore[no-untyped-def]
    values, features, transforms, parameters, starts, columns, weights, middle, alternative, factor, out
):
    for at in range(starts[alternative], starts[alternative + 1]):
        column = columns[at]
        x = values[features[column]]
        z = encoded(x, transforms[column], parameters[column, 0], parameters[column, 1])
        out[features[column]] += factor * (np.float64(z) - middle[column]) * weights[at]


@kernel
def _contribute_alike(  # type: ignore[no-untyped-def]
    values, features, transforms, parameters, starts, columns, weights, middle, alternative, place, factor, out
):
    """Of rows that ask for the same alternative at `place`: a column is encoded for all at a time."""
    n = len(values)
    x, z, exponents = np.empty(n, np.float32), np.empty(n, np.float64), np.empty(n, np.float64)
    for at in range(starts[alternative], starts[alternative + 1]):
        column = columns[at]
        for row in range(n):
            x[row] = values[row, features[column]]
        encode_tile(x, transforms[column], parameters[column, 0], parameters[column, 1], exponents, z)
        for row in range(n):
            out[row, place, features[column]] += factor * (z[row] - middle[column]) * weights[at]


@kernel
def _contribute_few(  # type: ignore[no-untyped-def]
    values, features, transforms, parameters, starts, columns, weights, middle, alternatives, factor, out
):
    for place in range(alternatives.shape[1]):
        alike = len(values) >= _FEWEST_ALIKE and alternatives[0, place] >= 0
        for row in range(len(values)):
            alike &= alternatives[row, place] == alternatives[0, place]
        if alike:
            _contribute_alike(
                values, features, transforms, parameters, starts, columns, weights, middle,
                alternatives[0, place], place, factor, out,
            )  # fmt: skip
            continue
        for row in range(len(values)):
            if alternatives[row, place] >= 0:
                _contribute_one(
                    values[row], features, transforms, parameters, starts, columns, weights, middle,
                    alternatives[row, place], factor, out[row, place],
                )  # fmt: skip


@kernel(parallel=True)
def _contribute_many(  # type: ignore[no-untyped-def]
    values, features, transforms, parameters, starts, columns, weights, middle, alternatives, factor, out
):
    for row in prange(len(values)):
        for place in range(alternatives.shape[1]):
            if alternatives[row, place] >= 0:
                _contribute_one(
                    values[row], features, transforms, parameters, starts, columns, weights, middle,
                    alternatives[row, place], factor, out[row, place],
                )  # fmt: skip
