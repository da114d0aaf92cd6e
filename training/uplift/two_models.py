"""The T-learner (Künzel and others 2019): a model of those contacted, minus a model of those held back.

LightGBM as it comes, with nothing tuned: what the other learners are shown beside, as popularity is beside rankings.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .learner import UpliftLearner
from .trials import Trials

if TYPE_CHECKING:
    import lightgbm as lgb

_ROUNDS = 100
_ARMS = ("control", "treated")


class TwoModels(UpliftLearner):
    """``mu_1(x) - mu_0(x)``, each a binary LightGBM of one arm, weighted to stand for both."""

    name = "two_models"

    def _fit(self, trials: Trials) -> None:
        self._models = [self._arm(trials, trials.treated == bool(arm)) for arm in range(2)]

    def _arm(self, trials: Trials, chosen: NDArray[np.bool_]) -> lgb.Booster:
        import lightgbm as lgb

        settings = {
            "objective": "binary",
            "num_threads": 1,
            "deterministic": True,
            "force_col_wise": True,
            "seed": self.config.seed,
            "verbosity": -1,
        }
        weights = trials.weights[chosen]
        data = lgb.Dataset(
            trials.rows[chosen], label=trials.acquired[chosen].astype(np.float32), weight=weights / weights.mean()
        )
        return lgb.train(settings, data, num_boost_round=_ROUNDS)

    def _effects(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        if not len(rows):
            return np.zeros(0)
        control, treated = (np.asarray(model.predict(rows, num_threads=1)) for model in self._models)
        return np.asarray(treated - control, dtype=np.float64)

    def _save(self, folder: Path) -> None:
        for arm, model in zip(_ARMS, self._models, strict=True):
            model.save_model(folder / f"{arm}.txt")

    def _load(self, folder: Path) -> None:
        import lightgbm as lgb

        self._models = [lgb.Booster(model_file=str(folder / f"{arm}.txt")) for arm in _ARMS]
