"""What the learners of propensity say, made a probability, P(anything) x P(this | anything), and taken apart again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from features.kernels import kernel

from ..trees.ensemble import score_trees
from .sparse_choice import add_up_utilities

EXCLUDED = -30.0
"""Utility of what is not a candidate: exp(-30) of the others."""

_LOWEST, _HIGHEST = np.float32(1e-7), np.float32(1 - 1e-6)
_FEW = 256  # customers: below this, waking the threads costs more than the arithmetic


@dataclass(frozen=True)
class PropensitySums:
    """What the learners of one kind say of some customers, before it is made a probability.

    Attributes
    ----------
    certain : nobody acquires nothing, so P(anything) is 1
    log_odds : float64, shape (n_rows,); of acquiring anything
    linear, trees : float64, shape (n_rows, n_alternatives); terms of the utilities
    log_rates : float64, shape (n_alternatives,); where the utilities start
    carried : share of `linear` that counts
    products : int64, shape (n_alternatives,); position of each alternative
    """

    certain: bool
    log_odds: NDArray[np.float64]
    linear: NDArray[np.float64]
    trees: NDArray[np.float64]
    log_rates: NDArray[np.float64]
    carried: float
    products: NDArray[np.int64]

    def score(self, candidates: NDArray[np.bool_], rows: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Write P(anything) x P(this | anything) into the `rows` of `scores`, shape as `candidates`."""
        score = _score_few if len(rows) < _FEW else _score_many
        score(*self._terms, candidates, rows, scores)

    def explained(
        self, candidates: NDArray[np.bool_], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-odds and the term `alternatives` of some alternatives; all of shape (n_rows, k), -1: none, 0."""
        log_odds, alternatives = np.zeros((2, *places.shape))
        _explain(*self._terms, candidates, places, log_odds, alternatives)
        return log_odds, alternatives

    @property
    def _terms(self) -> tuple[Any, ...]:
        return self.certain, self.log_odds, self.linear, self.trees, self.log_rates, self.carried, self.products


@kernel
def sum_up(features, any_trees, any_start, any_linear, any_carried, trees, linear, n_alternatives):  # type: ignore[no-untyped-def]
    """Log-odds of acquiring anything, and the terms of the utilities, `linear` and `trees`, as `PropensitySums` has
    them, of a few customers."""
    n = len(features)
    log_odds, raw, advantage = np.empty(n), np.empty((n, 1)), np.empty((n, 2))
    score_trees(features, any_trees, raw)
    add_up_utilities(features, any_linear, advantage)
    for i in range(n):
        log_odds[i] = (raw[i, 0] + any_start) + any_carried * (advantage[i, 1] - advantage[i, 0])
    utilities, scores = np.empty((n, n_alternatives)), np.empty((n, n_alternatives))
    add_up_utilities(features, linear, utilities)
    score_trees(features, trees, scores)
    return log_odds, utilities, scores


# not NumPy: its vectorised exponential may differ in the last bit by where in an array a value stands


@kernel(inline="always")
def _utility(log_rate, carried, linear, trees, is_candidate):  # type: ignore[no-untyped-def]
    return (log_rate + carried * linear if is_candidate else EXCLUDED) + trees


@kernel
def _score_row(certain, log_odds, linear, trees, log_rates, carried, products, candidates, raised, scores):  # type: ignore[no-untyped-def]
    """Write into `scores`, of all products; `raised`, of all alternatives, is to work with."""
    highest = -np.inf
    for j in range(len(products)):
        raised[j] = _utility(log_rates[j], carried, linear[j], trees[j], candidates[products[j]])
        highest = max(highest, raised[j])
    total = 0.0
    for j in range(len(products)):
        raised[j] = np.exp(raised[j] - highest)
        total += raised[j]
    anything = 1.0 if certain else 1.0 / (1.0 + np.exp(-log_odds))
    for j in range(len(products)):
        scores[products[j]] = min(max(np.float32(anything * (raised[j] / total)), _LOWEST), _HIGHEST)


@kernel
def _score_few(certain, log_odds, linear, trees, log_rates, carried, products, candidates, rows, scores):  # type: ignore[no-untyped-def]
    raised = np.empty(len(products))
    for i in range(len(rows)):
        _score_row(
            certain, log_odds[i], linear[i], trees[i], log_rates, carried, products,
            candidates[rows[i]], raised, scores[rows[i]],
        )  # fmt: skip


@kernel(parallel=True)
def _score_many(certain, log_odds, linear, trees, log_rates, carried, products, candidates, rows, scores):  # type: ignore[no-untyped-def]
    for i in prange(len(rows)):
        _score_row(
            certain, log_odds[i], linear[i], trees[i], log_rates, carried, products,
            candidates[rows[i]], np.empty(len(products)), scores[rows[i]],
        )  # fmt: skip


@kernel
def _explain(certain, log_odds, linear, trees, log_rates, carried, products, candidates, places, found, rest):  # type: ignore[no-untyped-def]
    """Write the log-odds of the score of each of `places` into `found`, and the term `alternatives` into `rest`."""
    utilities = np.empty(len(products))
    for i in range(len(places)):
        highest, total = -np.inf, 0.0
        for j in range(len(products)):
            is_candidate = candidates[i, products[j]]
            utilities[j] = _utility(log_rates[j], carried, linear[i, j], trees[i, j], is_candidate)
            highest = max(highest, utilities[j])
        for j in range(len(products)):
            total += np.exp(utilities[j] - highest)
        t = 0.0 if certain else log_odds[i]
        # log(sum exp u) + log(1 + exp t), neither ever the exponential of a large number
        shared = highest + np.log(total)
        if not certain:
            shared += max(t, 0.0) + np.log1p(np.exp(-abs(t)))
        for k in range(places.shape[1]):
            j = places[i, k]
            if j < 0:
                continue
            logarithm = t + utilities[j] - shared
            p = np.exp(logarithm)
            inside = min(max(p, np.float64(_LOWEST)), np.float64(_HIGHEST))
            odds_against = -np.log1p(-inside)
            rest[i, k] = odds_against - shared
            if not candidates[i, products[j]]:
                rest[i, k] += EXCLUDED - (log_rates[j] + carried * linear[i, j])
            if inside != p:
                rest[i, k] += np.log(inside) - logarithm
            found[i, k] = np.log(inside) + odds_against
