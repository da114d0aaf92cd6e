"""ALS: products and customers as short vectors whose product says how well they go together."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import threadpool_limits

from features.kernels import kernel

from .portfolios import PortfolioModel
from .protocol import ModelConfig


class ALSConfig(ModelConfig):
    """Settings of ALS."""

    factors: int = Field(default=16, ge=1)
    """Length of the vectors."""

    iterations: int = Field(default=15, ge=1)
    """Rounds of solving for customers, then for products."""

    regularization: float = Field(default=1.5, gt=0)
    """Strength of the ridge penalty on both sides, in square roots of the customers fitted on: c times the customers
    with sqrt(c) times the penalty learn the same, so one value suits banks of any size."""

    alpha: float = Field(default=10.0, gt=0)
    """Confidence in a product held, where one not held counts 1."""

    seed: int = Field(default=0, ge=0)
    """Where the random start comes from."""

    threads: int = Field(default=2, ge=1)
    """Threads of the fit; the result does not depend on them."""


class ALS(PortfolioModel):
    """Weighted matrix factorisation of ``implicit.als`` (Hu, Koren, Volinsky 2008).

    Only the products' vectors Y are kept. A customer's vector is solved from the portfolio,
    ``(Y'Y + penalty I + (alpha - 1) Y_held'Y_held) x = alpha sum(y_held)``, as implicit's ``recalculate_user`` does,
    so a customer met after the fit is scored like any other. With few products the penalty matters: almost
    as many factors as products, hardly penalised, only repeat what is held (implicit's default ranks near chance).
    """

    name: ClassVar[str] = "als"
    Config: ClassVar[type[ModelConfig]] = ALSConfig
    config: ALSConfig

    def _learn(self, holdings: sp.csr_matrix) -> None:
        holders = holdings[np.diff(holdings.indptr) > 0]
        penalty = self.config.regularization * max(holders.shape[0], 1) ** 0.5
        self._item_factors = np.zeros((holdings.shape[1], self.config.factors))
        if holders.nnz > 0:
            self._item_factors[:] = self._factorise(holders, penalty)
        with threadpool_limits(1, "blas"):
            gram = self._item_factors.T @ self._item_factors
        self._base = gram + penalty * np.eye(self.config.factors)

    def _factorise(self, holders: sp.csr_matrix, penalty: float) -> NDArray[np.float32]:
        # imported here: the service scores without implicit, and it is slow to import
        from implicit.cpu.als import AlternatingLeastSquares

        with threadpool_limits(1, "blas"):  # implicit's own threads and BLAS's would get in each other's way
            als = AlternatingLeastSquares(
                factors=self.config.factors,
                iterations=self.config.iterations,
                regularization=penalty,
                alpha=self.config.alpha,
                random_state=self.config.seed,
                num_threads=self.config.threads,
            )
            als.fit(holders, show_progress=False)
        return als.item_factors

    def _score_portfolios(self, portfolios: NDArray[np.bool_]) -> NDArray[np.float32]:
        customers = fold_in(portfolios, self._item_factors, self._base, self.config.alpha)
        return products_of(customers, self._item_factors, self._tiebreak)

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        np.save(folder / "item_factors.npy", self._item_factors)
        np.save(folder / "base.npy", self._base)

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        self._item_factors = np.load(folder / "item_factors.npy", allow_pickle=False)
        self._base = np.load(folder / "base.npy", allow_pickle=False)


@kernel
def fold_in(portfolios, item_factors, base, alpha):  # type: ignore[no-untyped-def]
    """Solve each portfolio's vector, by Cholesky, in float64, each on its own.

    Parameters
    ----------
    portfolios : bool, shape (m, n_products)
    item_factors : float64, shape (n_products, factors)
    base : float64, shape (factors, factors); ``item_factors' item_factors + penalty I``
    alpha : confidence in a product held

    Returns
    -------
    factors : float64, shape (m, factors)
    """
    n_portfolios, n_products = portfolios.shape
    n_factors = item_factors.shape[1]
    customers = np.zeros((n_portfolios, n_factors), np.float64)
    matrix = np.empty((n_factors, n_factors), np.float64)
    for row in range(n_portfolios):
        vector = customers[row]
        matrix[:] = base
        for product in range(n_products):
            if portfolios[row, product]:
                for i in range(n_factors):
                    vector[i] += alpha * item_factors[product, i]
                    for j in range(i + 1):
                        matrix[i, j] += (alpha - 1.0) * item_factors[product, i] * item_factors[product, j]
        factorise(matrix)
        solve(matrix, vector)
    return customers


@kernel
def factorise(matrix):  # type: ignore[no-untyped-def]
    """Replace the lower half of the positive definite `matrix` by its Cholesky factor."""
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = np.sqrt(value) if i == j else value / matrix[j, j]


@kernel
def solve(factor, vector):  # type: ignore[no-untyped-def]
    """Turn `vector` into the solution of ``matrix x = vector``, where `factor` is what `factorise` made of matrix."""
    size = vector.shape[0]
    for i in range(size):
        for k in range(i):
            vector[i] -= factor[i, k] * vector[k]
        vector[i] /= factor[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            vector[i] -= factor[k, i] * vector[k]
        vector[i] /= factor[i, i]


@kernel
def products_of(customers, item_factors, start):  # type: ignore[no-untyped-def]
    """Float32 (m, n_products): `start` plus the inner products, summed in order in float64."""
    n_customers, n_factors = customers.shape
    n_products = item_factors.shape[0]
    scores = np.empty((n_customers, n_products), np.float32)
    for row in range(n_customers):
        for product in range(n_products):
            total = start[product]
            for i in range(n_factors):
                total += customers[row, i] * item_factors[product, i]
            scores[row, product] = total
    return scores
