"""BPR: vectors learnt from pairs, so that what a customer holds scores above what the customer does not."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field

from features.kernels import kernel

from .als import factorise, products_of, solve
from .portfolios import PortfolioModel
from .protocol import ModelConfig

_STEPS = 30
"""Steps of the fold-in; each comes nearer to the optimum."""


class BPRConfig(ModelConfig):
    """Settings of BPR."""

    factors: int = Field(default=16, ge=1)
    """Length of the vectors."""

    iterations: int = Field(default=50, ge=1)
    """Passes over the holdings."""

    learning_rate: float = Field(default=0.05, gt=0)
    """Length of a step of the gradient descent."""

    regularization: float = Field(default=0.01, gt=0)
    """Strength of the ridge penalty on both sides."""

    seed: int = Field(default=0, ge=0)
    """Of the random start and of the pairs drawn."""


class BPR(PortfolioModel):
    """Bayesian personalised ranking of ``implicit.bpr`` (Rendle and others 2009), on one thread: repeatable.

    Only the products' vectors y and biases b are kept. A customer's vector is found from the portfolio: it maximises
    what the fit maximises for a customer, the mean over pairs of a product i held and a product j not held, j drawn by
    how many hold it, of ``log sigmoid(x'(y_i - y_j) + b_i - b_j)``, minus ``penalty / 2 |x|^2``. As the second
    derivative of log sigmoid is at least -1/4, steps ``x += inverse(C) gradient`` with ``C = penalty I + 1/4 mean of
    (y_i - y_j)(y_i - y_j)'`` never overshoot (Böhning and Lindsay 1988), and need no step length.

    As popular products are drawn as often as the other side of a pair, the fit does not learn that they are
    popular: it approaches the log of a product's share among such customers over its share among all. The log of the
    latter is added back, without which it ranks no better than popularity of holdings.
    """

    name: ClassVar[str] = "bpr"
    Config: ClassVar[type[ModelConfig]] = BPRConfig
    config: BPRConfig

    def _learn(self, holdings: sp.csr_matrix) -> None:
        holders = np.asarray(holdings.sum(axis=0, dtype=np.float64)).ravel()
        self._shares = (holders + 1.0) / (holders.sum() + len(holders))
        self._item_factors = np.zeros((holdings.shape[1], self.config.factors + 1))
        if holdings.nnz > 0:
            self._item_factors[:] = self._factorise(holdings[np.diff(holdings.indptr) > 0])
        # never drawn: where it started from says nothing
        self._item_factors[holders == 0] = 0.0

    def _factorise(self, holders: sp.csr_matrix) -> NDArray[np.float32]:
        # imported here: the service scores without implicit, and it is slow to import
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        bpr = BayesianPersonalizedRanking(
            factors=self.config.factors,
            iterations=self.config.iterations,
            learning_rate=self.config.learning_rate,
            regularization=self.config.regularization,
            random_state=self.config.seed,
            num_threads=1,
        )
        bpr.fit(holders, show_progress=False)
        return bpr.item_factors

    def _score_portfolios(self, portfolios: NDArray[np.bool_]) -> NDArray[np.float32]:
        customers = fold_in(portfolios, self._item_factors, self._shares, self.config.regularization, _STEPS)
        return products_of(customers, self._item_factors, np.log(self._shares))

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        np.save(folder / "item_factors.npy", self._item_factors)
        np.save(folder / "shares.npy", self._shares)

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        self._item_factors = np.load(folder / "item_factors.npy", allow_pickle=False)
        self._shares = np.load(folder / "shares.npy", allow_pickle=False)


@kernel
def fold_in(portfolios, item_factors, shares, penalty, steps):  # type: ignore[no-untyped-def]
    """Climb from 0 to each portfolio's vector, in float64, each on its own.

    Parameters
    ----------
    portfolios : bool, shape (m, n_products)
    item_factors : float64, shape (n_products, factors + 1); the last column are the biases
    shares : float64, shape (n_products,), all above 0; how often a product not held is drawn, relative to others
    penalty : on the vector
    steps : of the climb

    Returns
    -------
    factors : float64, shape (m, factors + 1); the last is 1, to go with the biases. All 0 where there is no pair:
        nothing is held, or everything.
    """
    n_portfolios, n_products = portfolios.shape
    n_factors = item_factors.shape[1] - 1
    customers = np.zeros((n_portfolios, n_factors + 1), np.float64)
    weights = np.empty(n_products, np.float64)
    curvature = np.empty((n_factors, n_factors), np.float64)
    for row in range(n_portfolios):
        held = portfolios[row]
        if _weigh(held, shares, weights):
            customers[row, n_factors] = 1.0
            _bound(held, weights, item_factors, penalty, curvature)
            factorise(curvature)
            _climb(held, weights, item_factors, penalty, curvature, steps, customers[row])
    return customers


@kernel
def _weigh(held, shares, weights):  # type: ignore[no-untyped-def]
    """Weights of each product among those held and among those not held, each side adding up to 1; False without."""
    n_held = 0
    others = 0.0
    for product in range(len(held)):
        if held[product]:
            n_held += 1
        else:
            others += shares[product]
    if n_held == 0 or others == 0.0:
        return False
    for product in range(len(held)):
        weights[product] = 1.0 / n_held if held[product] else shares[product] / others
    return True


@kernel
def _bound(held, weights, item_factors, penalty, curvature):  # type: ignore[no-untyped-def]
    """Fill the lower half of ``penalty I + 1/4 mean (y_i - y_j)(y_i - y_j)'``, without going through the pairs."""
    n_factors = len(curvature)
    means = np.zeros((2, n_factors), np.float64)
    for product in range(len(held)):
        side = 1 if held[product] else 0
        for a in range(n_factors):
            means[side, a] += weights[product] * item_factors[product, a]
    for a in range(n_factors):
        for b in range(a + 1):
            total = -means[0, a] * means[1, b] - means[1, a] * means[0, b]
            for product in range(len(held)):
                total += weights[product] * item_factors[product, a] * item_factors[product, b]
            curvature[a, b] = 0.25 * total + (penalty if a == b else 0.0)


@kernel(error_model="numpy")
def _climb(held, weights, item_factors, penalty, factor, steps, vector):  # type: ignore[no-untyped-def]
    n_products, n_factors = len(held), len(factor)
    scores = np.empty(n_products, np.float64)
    pull = np.empty(n_products, np.float64)
    gradient = np.empty(n_factors, np.float64)
    for _ in range(steps):
        for product in range(n_products):
            scores[product] = item_factors[product, n_factors]
            pull[product] = 0.0
            for a in range(n_factors):
                scores[product] += vector[a] * item_factors[product, a]
        for i in range(n_products):
            if held[i]:
                for j in range(n_products):
                    if not held[j]:
                        share = weights[i] * weights[j] / (1.0 + np.exp(scores[i] - scores[j]))
                        pull[i] += share
                        pull[j] -= share
        for a in range(n_factors):
            gradient[a] = -penalty * vector[a]
        for product in range(n_products):
            for a in range(n_factors):
                gradient[a] += pull[product] * item_factors[product, a]
        solve(factor, gradient)
        for a in range(n_factors):
            vector[a] += gradient[a]
