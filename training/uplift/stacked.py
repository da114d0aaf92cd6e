"""Effects in points of probability or in log-odds? Both are learned, and weighed by what they foretell.

Some campaigns add the same to all whom they speak to, most add more where there is appetite. Each learner is fitted on
part of the customers and judged on the others by the R-learner's loss (R-stacking, Nie and Wager 2021, section 5).
Log-odds are taken unless the trials speak clearly against: products differ in appetite by orders of magnitude.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .boosting import Bins
from .learner import UpliftLearner
from .outcomes import OutcomeModel, Outcomes, cross_fitted, folds_of
from .residual import OddsLearner, ResidualLearner, RLearner, residuals
from .trials import Trials

_PARTS: tuple[type[ResidualLearner], ...] = (OddsLearner, RLearner)


class Stacked(UpliftLearner):
    """``b_1 tau_1(x) + b_2 tau_2(x)`` with b >= 0, of effects in log-odds and in points of probability.

    Points in the place of log-odds must be worth one parameter, both together two, by the Bayesian information
    criterion.
    """

    name = "stacked"

    @property
    def weights(self) -> dict[str, float]:
        """What each learner counts; 0: it is not used."""
        return dict(zip((part.name for part in _PARTS), self._weights.tolist(), strict=True))

    def _fit(self, trials: Trials) -> None:
        bins, everything = Bins(trials.rows), np.arange(len(trials))
        outcomes = cross_fitted(trials, bins, self.config)
        price = self.config.effect_evidence * float(np.log(len(trials)))
        self._weights = stacking_weights(trials, outcomes, self._held_out(trials, bins, outcomes), price)
        self._parts = [part(self.config) for part in _PARTS]
        for part in self._parts:
            part.learn(trials, bins, everything, outcomes)
        self._outcome_model = OutcomeModel.fit(trials, bins, everything, self.config)

    def _held_out(self, trials: Trials, bins: Bins, outcomes: Outcomes) -> NDArray[np.float64]:
        """Shape (n, parts): the effect of each trial, by learners that have not seen its customer."""
        folds = folds_of(trials, self.config)
        effects = np.zeros((len(trials), len(_PARTS)))
        for fold in range(self.config.folds):
            rest, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            there = Outcomes(outcomes.log_odds[held_out], outcomes.shift[held_out])
            for column, part in enumerate(_PARTS):
                learner = part(self.config)
                learner.learn(trials, bins, rest, outcomes)
                effects[held_out, column] = learner.effects_given(trials.rows[held_out], there)
        return effects

    def _effects(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        outcomes = self._outcome_model.outcomes(self._fitted(), rows)
        effects = np.zeros(len(rows))
        for weight, part in zip(self._weights.tolist(), self._parts, strict=True):
            if weight > 0:
                effects += weight * part.effects_given(rows, outcomes)
        return effects

    def _save(self, folder: Path) -> None:
        np.save(folder / "weights.npy", self._weights)
        self._outcome_model.save(folder)
        for part in self._parts:
            (folder / part.name).mkdir()
            part.save_effects(folder / part.name)

    def _load(self, folder: Path) -> None:
        self._weights = np.load(folder / "weights.npy", allow_pickle=False)
        self._outcome_model = OutcomeModel.load(folder)
        self._parts = [part(self.config) for part in _PARTS]
        for part in self._parts:
            part.load_effects(folder / part.name)


def stacking_weights(
    trials: Trials, outcomes: Outcomes, effects: NDArray[np.float64], price: float
) -> NDArray[np.float64]:
    """Non-negative weights of two learners with the least R-loss, the second being used only where it pays.

    Parameters
    ----------
    outcomes : of the trials, cross-fitted
    effects : float64, shape (n, 2); of each trial, by learners that have not seen its customer
    price : what the second must gain in the place of the first; both together, twice that

    Returns
    -------
    float64, shape (2,)
    """
    from scipy.optimize import nnls  # who only scores does not need it

    residual, contrast, variance = residuals(trials, outcomes)
    scale = 1 / np.sqrt(variance)
    best, least = np.zeros(2), np.inf
    for chosen, parameters in (([0], 0), ([1], 1), ([0, 1], 2)):
        weights, left = nnls(effects[:, chosen] * (contrast * scale)[:, None], residual * scale)
        if left**2 + price * parameters < least:
            least = left**2 + price * parameters
            best = np.zeros(2)
            best[chosen] = weights
    return best
