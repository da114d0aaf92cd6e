"""How likely an acquisition is, contacted or not: what the effects of contacts are told apart from.

One model serves both arms, as acquisitions are few and fewer still without a contact: log-odds ``h(x) + s w`` with
``w`` = 1 when contacted. ``h`` starts from the propensity, where one is given, and is boosted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ..models.trees.ensemble import ScoringEngine
from .boosting import Bins, boost, load_trees, raw_scores
from .config import UpliftConfig
from .design import Design
from .trials import Trials

_STEPS = 25
_RIDGE = 1e-3  # keeps a coefficient finite that the trials say nothing about


@dataclass(frozen=True)
class Outcomes:
    """What is thought of n trials or customers.

    Attributes
    ----------
    log_odds : float64, shape (n,); ``h(x)``, of an acquisition when not contacted
    shift : float64, shape (n,); ``s``, what a contact adds to them, the same for all that one model speaks of
    """

    log_odds: NDArray[np.float64]
    shift: NDArray[np.float64]

    @property
    def control(self) -> NDArray[np.float64]:
        """Shape (n,): probability when not contacted."""
        return np.asarray(expit(self.log_odds))

    @property
    def treated(self) -> NDArray[np.float64]:
        """Shape (n,): probability when contacted."""
        return np.asarray(expit(self.log_odds + self.shift))


@dataclass(frozen=True)
class OutcomeModel:
    """``h(x) = base + slope * logit(propensity) + trees(x)`` and the shift ``s``."""

    base: float
    shift: float
    slope: float
    trees: ScoringEngine

    @classmethod
    def fit(cls, trials: Trials, bins: Bins, chosen: NDArray[np.int64], config: UpliftConfig) -> OutcomeModel:
        """Learn from the trials at `chosen`, ascending."""
        prior = trials.design.log_odds(trials.rows[chosen])
        treated = trials.treated[chosen].astype(np.float64)
        acquired = trials.acquired[chosen].astype(np.float64)
        columns = np.stack([np.ones(len(chosen)), treated, prior], axis=1)
        coefficients = logistic_regression(columns, acquired)
        start = columns @ coefficients

        def gradients(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            probability = expit(start + scores)
            return probability - acquired, probability * (1 - probability)

        trees = boost(
            bins.at(chosen),
            gradients,
            rounds=config.outcome_rounds,
            leaves=config.outcome_leaves,
            learning_rate=config.learning_rate,
            min_rows=config.min_rows,
            ridge=config.outcome_ridge,
            column_share=config.outcome_column_share,
            seed=config.seed,
        )
        base, shift, slope = coefficients.tolist()
        return cls(base, shift, slope, trees)

    def outcomes(self, design: Design, rows: NDArray[np.float32]) -> Outcomes:
        """Of what `rows` of `design` speak of."""
        h = self.base + self.slope * design.log_odds(rows) + raw_scores(self.trees, rows)
        return Outcomes(h, np.full(len(h), self.shift))

    def save(self, folder: Path) -> None:
        """Write coefficients and trees into `folder`."""
        np.save(folder / "outcome.npy", np.array([self.base, self.shift, self.slope]))
        self.trees.save(folder / "outcome.txt")

    @classmethod
    def load(cls, folder: Path) -> OutcomeModel:
        """Read what `save` wrote."""
        base, shift, slope = np.load(folder / "outcome.npy", allow_pickle=False).tolist()
        return cls(base, shift, slope, load_trees(folder / "outcome.txt"))


def cross_fitted(trials: Trials, bins: Bins, config: UpliftConfig) -> Outcomes:
    """What is thought of each trial by a model that has not seen its customer (Chernozhukov and others 2018)."""
    folds = folds_of(trials, config)
    found = Outcomes(np.zeros(len(trials)), np.zeros(len(trials)))
    for fold in range(config.folds):
        model = OutcomeModel.fit(trials, bins, np.flatnonzero(folds != fold), config)
        held_out = np.flatnonzero(folds == fold)
        there = model.outcomes(trials.design, trials.rows[held_out])
        found.log_odds[held_out], found.shift[held_out] = there.log_odds, there.shift
    return found


def folds_of(trials: Trials, config: UpliftConfig) -> NDArray[np.int64]:
    """Shape (n,): the fold of each trial, the same for all of a customer."""
    customers, rows = np.unique(trials.customers, return_inverse=True)
    shuffled = np.random.default_rng(config.seed).permutation(len(customers))
    return np.asarray(shuffled[rows] % config.folds, dtype=np.int64)


def logistic_regression(columns: NDArray[np.float64], outcomes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients, shape (K,), of the log-odds of `outcomes` (n,) on `columns` (n, K), by Newton's method."""
    coefficients = np.zeros(columns.shape[1])
    rate = (outcomes.sum() + 0.5) / (len(outcomes) + 1)
    coefficients[0] = np.log(rate / (1 - rate))
    for _ in range(_STEPS):
        probability = expit(columns @ coefficients)
        gradient = columns.T @ (outcomes - probability) - _RIDGE * coefficients
        curvature = (columns * (probability * (1 - probability))[:, None]).T @ columns
        step = np.linalg.solve(curvature + _RIDGE * np.eye(columns.shape[1]), gradient)
        coefficients = coefficients + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return coefficients
