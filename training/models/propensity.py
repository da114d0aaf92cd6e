"""Propensity by LightGBM: how likely is the customer to acquire anything, times what the choice would fall on.

The choice is a multinomial logit over the candidates whose utilities start from how often each product is acquired
and are then boosted (Friedman 2001, multiclass loss, with an offset). Two learners fit each kind of customer: retail
and corporate choices have nothing in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features import CustomerBlock
from features.contracts import KINDS

from ..examples import Examples
from .protocol import Model, ModelConfig

_EXCLUDED = -30.0  # utility of what is not a candidate: exp(-30) of the others
_RATE_FLOOR = 1e-6
_SMALL = 1000  # customers up to which starting a second thread costs more than it saves
_LOWEST, _HIGHEST = np.float32(1e-7), np.float32(1 - 1e-6)


class PropensityConfig(ModelConfig):
    """Settings of the propensity model."""

    leave_out: tuple[str, ...] = (
        "held_lag_1", "held_lag_2", "held_lag_3", "adds", "drops", "held",
        "segment_holding_share", "segment_acquisition_rate",
    )  # fmt: skip
    """Feature groups not used: other columns say the same, or say it with less noise."""
    any_rounds: int = Field(default=120, ge=1)
    """Trees of the model of acquiring anything."""
    any_leaves: int = Field(default=15, ge=2)
    """Leaves of each of them."""
    choice_rounds: int = Field(default=150, ge=1)
    """Trees a product of the model of what is chosen."""
    choice_leaves: int = Field(default=4, ge=2)
    """Leaves of each of them."""
    learning_rate: float = Field(default=0.06, gt=0, le=1)
    """Shrinkage of each tree."""
    min_rows: int = Field(default=60, ge=1)
    """Rows a leaf needs."""
    column_share: float = Field(default=0.25, gt=0, le=1)
    """Share of the features each tree may use."""
    max_rows: int = Field(default=150_000, ge=1000)
    """Customers who acquired nothing that are kept, drawn at random and weighted up."""
    threads: int = Field(default=1, ge=1)
    """Threads of LightGBM. Each number of them adds up in its own order, so it is part of what makes a run repeatable.
    More than one pays only from a million rows or so, and costs dearly where other processes want the cores too."""
    seed: int = 1
    """Of the draws of rows and columns."""


@dataclass
class _Learners:
    """What was fitted for one kind of customer.

    Attributes
    ----------
    columns : features used
    products : products that anybody acquired
    rates : acquisitions of each of `products` a row
    """

    columns: NDArray[np.int64]
    products: NDArray[np.int64]
    rates: NDArray[np.float32]
    any: lgb.Booster | None
    choice: lgb.Booster | None


class Propensity(Model):
    """Probability of acquisition = P(anything) x P(this | anything)."""

    name = "propensity"
    Config = PropensityConfig
    config: PropensityConfig

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._learners: dict[int, _Learners] = {}

    def _fit(self, examples: Examples) -> None:
        names = examples.states.feature_set.names
        usable = np.array(
            [i for i, name in enumerate(names) if name.partition(":")[0] not in self.config.leave_out], dtype=np.int64
        )
        rows = _Rows.gather(examples, usable, self.config)
        self._learners = {}
        for kind in range(len(KINDS)):
            mine = rows.of_kind(kind)
            if len(mine.weights):
                self._learners[kind] = self._fit_kind(mine, usable)

    def _fit_kind(self, rows: _Rows, usable: NDArray[np.int64]) -> _Learners:
        varied = np.array(
            [_varies(rows.features[:, column]) for column in range(rows.features.shape[1])], dtype=np.bool_
        )
        features = rows.features[:, varied]
        bought = rows.acquired.any(axis=1)
        products = np.flatnonzero(rows.acquired.any(axis=0))
        rates = rows.acquired[:, products].mean(axis=0, dtype=np.float64).astype(np.float32)
        any_model = None
        if bought.any() and not bought.all() and features.shape[1]:
            any_model = self._train(
                features,
                np.asarray(bought, dtype=np.float32),
                {"objective": "binary", "num_leaves": self.config.any_leaves},
                self.config.any_rounds,
                weight=rows.weights,
            )
        choice = None
        if len(products) > 1 and features.shape[1]:
            row, label = np.nonzero(rows.acquired[:, products])
            offset = _utilities(rates, rows.candidates[row][:, products])
            choice = self._train(
                features[row],
                label.astype(np.float32),
                {"objective": "multiclass", "num_class": len(products), "num_leaves": self.config.choice_leaves},
                self.config.choice_rounds,
                init_score=offset,
            )
        return _Learners(usable[varied], products, rates, any_model, choice)

    def _train(
        self,
        features: NDArray[np.float32],
        label: NDArray[np.float32],
        params: dict[str, Any],
        rounds: int,
        **data: Any,
    ) -> lgb.Booster:
        settings = {
            **params,
            "learning_rate": self.config.learning_rate,
            "min_data_in_leaf": min(self.config.min_rows, max(len(label) // 20, 1)),
            "min_sum_hessian_in_leaf": 1.0,
            "feature_fraction": self.config.column_share,
            "bagging_fraction": 1.0,
            "lambda_l2": 1.0,
            "max_bin": 63,
            "seed": self.config.seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": self.config.threads,
            "verbosity": -1,
        }
        return lgb.train(settings, lgb.Dataset(features, label=label, **data), num_boost_round=rounds)

    def _score(self, block: CustomerBlock) -> NDArray[np.float32]:
        scores = np.zeros((block.n_customers, block.n_products), dtype=np.float32)
        kinds = block.kinds
        for kind, learners in self._learners.items():
            rows = np.flatnonzero(kinds == kind)
            if not len(rows) or not len(learners.products):
                continue
            mine = block if len(rows) == block.n_customers else block.take(rows)
            features = mine.features[:, learners.columns]
            utilities = _utilities(learners.rates, mine.candidates[:, learners.products])
            threads = self.config.threads if len(rows) > _SMALL else 1
            if learners.choice is not None:
                utilities = utilities + learners.choice.predict(features, raw_score=True, num_threads=threads)
            anything: NDArray[np.float64] = np.ones((len(rows), 1))
            if learners.any is not None:
                anything = np.asarray(learners.any.predict(features, num_threads=threads)).reshape(-1, 1)
            probability = (anything * _softmax(utilities)).astype(np.float32)
            scores[rows[:, None], learners.products] = np.clip(probability, _LOWEST, _HIGHEST)
        return scores

    def _save(self, folder: Path) -> None:
        for kind, learners in self._learners.items():
            np.savez(
                folder / f"{KINDS[kind]}.npz",
                columns=learners.columns,
                products=learners.products,
                rates=learners.rates,
            )
            for role in ("any", "choice"):
                booster = getattr(learners, role)
                if booster is not None:
                    booster.save_model(folder / f"{KINDS[kind]}-{role}.txt")

    def _load(self, folder: Path) -> None:
        self._learners = {}
        for kind, name in enumerate(KINDS):
            if not (folder / f"{name}.npz").is_file():
                continue
            with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
                columns, products, rates = arrays["columns"], arrays["products"], arrays["rates"]
            boosters = [
                lgb.Booster(model_file=str(path)) if path.is_file() else None
                for path in (folder / f"{name}-{role}.txt" for role in ("any", "choice"))
            ]
            self._learners[kind] = _Learners(columns, products, rates, boosters[0], boosters[1])


@dataclass(frozen=True)
class _Rows:
    """Everybody who acquired something, and a weighted draw of those who did not."""

    features: NDArray[np.float32]
    acquired: NDArray[np.bool_]
    candidates: NDArray[np.bool_]
    kinds: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def gather(cls, examples: Examples, columns: NDArray[np.int64], config: PropensityConfig) -> _Rows:
        """Two passes: one counts, one computes the features of the rows that are kept."""
        nothing = sum(int((~batch.acquired.any(axis=1)).sum()) for batch in examples.batches())
        share = min(1.0, config.max_rows / max(nothing, 1))
        generator = np.random.default_rng(config.seed)
        parts: list[tuple[NDArray, ...]] = []
        for batch in examples.batches():
            bought = np.asarray(batch.acquired.any(axis=1))
            kept = np.flatnonzero(bought | (generator.random(len(bought)) < share))
            block = batch.block.take(kept)
            parts.append(
                (
                    block.features[:, columns],
                    batch.acquired[kept],
                    block.candidates,
                    block.kinds,
                    np.where(bought[kept], 1.0, 1.0 / share).astype(np.float32),
                )
            )
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def of_kind(self, kind: int) -> _Rows:
        """The rows of one kind of customer."""
        mine: NDArray[np.bool_] = np.asarray(self.kinds == kind)
        return _Rows(*(getattr(self, name)[mine] for name in self.__dataclass_fields__))


def _varies(column: NDArray[np.float32]) -> bool:
    missing: NDArray[np.bool_] = np.isnan(column)
    if missing.all():
        return False
    return bool(missing.any() or (column != column[0]).any())


def _utilities(rates: NDArray[np.float32], candidates: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Where the boosting starts: the log of how often each product is acquired; what is no candidate, out of reach."""
    return np.where(candidates, np.log(rates.astype(np.float64) + _RATE_FLOOR), _EXCLUDED)


def _softmax(utilities: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(utilities - utilities.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
