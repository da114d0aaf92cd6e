"""Learners of what is left when the likely outcome is taken out: the R-learner, and the same in log-odds.

Both see how likely an acquisition is from models that have not seen the customer, so that their errors there do not
pass for effects. A tree splits only where the difference in effects is worth a parameter by the Bayesian information
criterion; where it never is, the effect is the same for all.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ..models.trees.ensemble import ScoringEngine
from .boosting import Bins, Gradients, boost, load_trees, raw_scores
from .learner import UpliftLearner
from .outcomes import OutcomeModel, Outcomes, cross_fitted
from .trials import Trials

_STEPS = 25


class ResidualLearner(UpliftLearner):
    """A constant effect and trees of how effects differ, fitted to the residuals of `Outcomes`."""

    def _fit(self, trials: Trials) -> None:
        bins, everything = Bins(trials.rows), np.arange(len(trials))
        self.learn(trials, bins, everything, cross_fitted(trials, bins, self.config))
        self._outcome_model = OutcomeModel.fit(trials, bins, everything, self.config)

    def _effects(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.effects_given(rows, self._outcome_model.outcomes(self._fitted(), rows))

    @abstractmethod
    def learn(self, trials: Trials, bins: Bins, chosen: NDArray[np.int64], outcomes: Outcomes) -> None:
        """Fit the effect on the trials at `chosen`, ascending; `outcomes` are of all trials, cross-fitted."""

    @abstractmethod
    def effects_given(self, rows: NDArray[np.float32], outcomes: Outcomes) -> NDArray[np.float64]:
        """Float64, shape (n,): effects where the likely outcomes are known."""

    def _grow(self, bins: Bins, chosen: NDArray[np.int64], gradients: Gradients) -> ScoringEngine:
        config = self.config
        return boost(
            bins.at(chosen),
            gradients,
            rounds=config.effect_rounds,
            leaves=config.effect_leaves,
            learning_rate=config.learning_rate,
            min_rows=config.min_rows,
            min_gain=config.effect_evidence * float(np.log(len(chosen))),
            column_share=config.effect_column_share,
            seed=config.seed,
        )

    def _tau(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return self._constant + raw_scores(self._trees, rows)

    def _save(self, folder: Path) -> None:
        self.save_effects(folder)
        self._outcome_model.save(folder)

    def _load(self, folder: Path) -> None:
        self.load_effects(folder)
        self._outcome_model = OutcomeModel.load(folder)

    def save_effects(self, folder: Path) -> None:
        """Write what `learn` found."""
        np.save(folder / "effect.npy", np.array([self._constant, self._anchor]))
        self._trees.save(folder / "effect.txt")

    def load_effects(self, folder: Path) -> None:
        """Read what `save_effects` wrote."""
        self._constant, self._anchor = np.load(folder / "effect.npy", allow_pickle=False).tolist()
        self._trees = load_trees(folder / "effect.txt")

    _constant: float
    _anchor: float = 0.0
    _trees: ScoringEngine


class RLearner(ResidualLearner):
    """The R-learner (Nie and Wager 2021): effects in points of probability.

    ``min over tau of the sum of ((y - m(x)) - (w - e) tau(x))^2 / v(x)`` with ``m`` the likely outcome over both arms,
    ``e`` the known probability of being treated, and ``v = m (1 - m)``, so that a trial counts by what it can tell.
    """

    name = "r_learner"

    def learn(self, trials: Trials, bins: Bins, chosen: NDArray[np.int64], outcomes: Outcomes) -> None:
        """Weighted least squares, boosted."""
        residual, contrast, variance = (part[chosen] for part in residuals(trials, outcomes))
        curvature = contrast**2 / variance
        self._constant = float((residual * contrast / variance).sum() / curvature.sum())

        def gradients(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return curvature * (self._constant + scores) - residual * contrast / variance, curvature

        self._trees = self._grow(bins, chosen, gradients)

    def effects_given(self, rows: NDArray[np.float32], outcomes: Outcomes) -> NDArray[np.float64]:
        """``tau(x)``, whatever the likely outcome."""
        return self._tau(rows)


class OddsLearner(ResidualLearner):
    """The R-learner's counterpart in log-odds (Gao and Hastie 2022, "DINA"): effects that grow with the appetite.

    ``logit P(y | x, w) = nu(x) + (w - a(x)) tau(x)`` with ``a = e v_1 / (e v_1 + (1 - e) v_0)`` and
    ``nu = a eta_1 + (1 - a) eta_0``, where ``eta_w`` is the likely outcome of an arm in log-odds and ``v_w`` its
    variance: errors in ``eta`` then do not move ``tau`` to first order.
    """

    name = "odds_learner"

    def learn(self, trials: Trials, bins: Bins, chosen: NDArray[np.int64], outcomes: Outcomes) -> None:
        """Logistic loss with an offset, boosted."""
        p, control, treated = trials.p_treated, outcomes.control, outcomes.treated
        v_control, v_treated = control * (1 - control), treated * (1 - treated)
        anchors = p * v_treated / (p * v_treated + (1 - p) * v_control)
        offset = (outcomes.log_odds + anchors * outcomes.shift)[chosen]
        contrast = (trials.treated - anchors)[chosen]
        acquired = trials.acquired[chosen].astype(np.float64)
        self._anchor = float(anchors[chosen].mean())
        self._constant = 0.0

        def gradients(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            probability = expit(offset + contrast * (self._constant + scores))
            return contrast * (probability - acquired), contrast**2 * probability * (1 - probability)

        for _ in range(_STEPS):
            slope, curvature = (part.sum() for part in gradients(np.zeros(len(chosen))))
            self._constant -= float(np.clip(slope / curvature, -2, 2))
        self._trees = self._grow(bins, chosen, gradients)

    def effects_given(self, rows: NDArray[np.float32], outcomes: Outcomes) -> NDArray[np.float64]:
        """The difference of the two probabilities."""
        tau = self._tau(rows)
        middle = outcomes.log_odds + self._anchor * outcomes.shift
        return np.asarray(expit(middle + (1 - self._anchor) * tau) - expit(middle - self._anchor * tau))


def residuals(
    trials: Trials, outcomes: Outcomes
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """``y - m``, ``w - e`` and ``m (1 - m)`` of each trial, each of shape (n,)."""
    p = trials.p_treated
    likely = p * outcomes.treated + (1 - p) * outcomes.control
    return trials.acquired - likely, trials.treated - p, likely * (1 - likely)
