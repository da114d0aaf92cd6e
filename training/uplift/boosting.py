"""LightGBM as the uplift models use it: one thread, small trees, and splits that must be worth their parameter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..models.trees.ensemble import ScoringEngine

if TYPE_CHECKING:
    import lightgbm as lgb

Gradients = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""First and second derivative of a loss by the raw scores; all of shape (n,)."""

_COMMON: dict[str, Any] = {
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
    "max_bin": 63,
    "feature_pre_filter": False,  # one set of bins serves fits on fewer rows
}

_PATIENCE = 5  # trees without a split after which there is none to find


class Bins:
    """Rows binned once, for several fits on parts of them."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        import lightgbm as lgb  # takes over a second, and who only scores does not need it

        self._all = lgb.Dataset(rows, params=_COMMON, free_raw_data=False).construct()

    def at(self, chosen: NDArray[np.int64]) -> lgb.Dataset:
        """The rows at `chosen`, ascending."""
        return self._all.subset(chosen.tolist(), params=_COMMON)


def boost(
    data: lgb.Dataset,
    gradients: Gradients,
    *,
    rounds: int,
    leaves: int,
    learning_rate: float,
    min_rows: int,
    min_gain: float = 0.0,
    ridge: float = 1.0,
    column_share: float = 1.0,
    seed: int = 0,
) -> ScoringEngine:
    """Grow up to `rounds` trees on a loss given by its `gradients`; stop when no split gains `min_gain`.

    With the negative log-likelihood as loss, a split's gain is its score statistic: about chi-squared with one degree
    of freedom where there is nothing to find.
    """  # fmt: skip
    import lightgbm as lgb

    settings = _COMMON | {
        "objective": "none",
        "num_leaves": leaves,
        "learning_rate": learning_rate,
        "min_data_in_leaf": min_rows,
        "min_sum_hessian_in_leaf": 0.1,
        "min_gain_to_split": min_gain,
        "lambda_l2": ridge,
        "feature_fraction": column_share,
        "seed": seed,
    }
    booster = lgb.Booster(settings, data)
    failed = 0
    for _ in range(rounds):
        # the columns drawn for the next tree may have what those of this one had not
        failed = failed + 1 if booster.update(fobj=lambda scores, _: gradients(scores)) else 0
        if failed == _PATIENCE or (failed and column_share == 1):
            break
    return ScoringEngine.of(booster, np.arange(booster.num_feature()))


def raw_scores(trees: ScoringEngine, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Float64, shape (n,): the sum of the trees."""
    return trees.raw_scores(rows)[:, 0] if len(rows) else np.zeros(0)


def load_trees(path: Path) -> ScoringEngine:
    """Read what ``trees.save(path)`` wrote."""
    return ScoringEngine.load(path)
