"""Propensity by LightGBM: how likely is the customer to acquire anything, times what the choice would fall on.

The choice is a multinomial logit over the candidates, in three layers: how often each product is acquired, a sparse
linear part, and boosted trees (Friedman 2001, multiclass loss, with an offset) for what is not linear. The linear part
learns from few choices what trees need many for: `docs/adr/0006-the-shape-of-propensity.md` has the comparison. Each
kind of customer has its own learners: retail and corporate choices have nothing in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log, log1p
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features import CustomerBlock, feature_set_of
from features.contracts import KINDS

from ...examples import Examples
from ...explanations.contributions import Contributions
from ...probabilities.calibration import EDGE
from ..protocol import Model, ModelConfig
from ..trees.contributions import TreeExplainer
from ..trees.ensemble import ScoringEngine, TreeEnsemble
from .encoding import Encoding
from .sparse_choice import SparseChoice
from .sums import EXCLUDED, PropensitySums, sum_up

if TYPE_CHECKING:
    import lightgbm as lgb

_RATE_FLOOR = 1e-6
_EVENTS_PER_LEAF = 100  # trees that divide fewer acquisitions than that learn them by heart
_FEW = 64  # customers up to whom everything is summed up in one call, and the sums are kept for contributions
_LINEAR_ROWS = 50_000  # customers that the linear part of acquiring anything is fitted on: a few hundred weights
_NEVER = log(EDGE) - log1p(-EDGE)  # log-odds read from a score of 0


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
    """Leaves of each of them, fewer where few customers acquired anything."""
    any_l1: float = Field(default=0.08, gt=0)
    """Lasso penalty of the linear part of acquiring anything, in square roots of the customers learned from."""
    any_carried: float = Field(default=0.8, ge=0, le=1)
    """Share of that part that the trees start from: on the rows it was fitted on it knows too much."""
    choice_l1: float = Field(default=0.08, gt=0)
    """Lasso penalty of the linear part of the choice, in square roots of the choices learned from."""
    choice_iterations: int = Field(default=80, ge=1)
    """Steps of its solver."""
    choice_carried: float = Field(default=0.8, ge=0, le=1)
    """Share of the linear part that the trees start from: on the rows it was fitted on it knows too much."""
    choice_rounds: int = Field(default=50, ge=1)
    """Trees a product of the model of what is chosen."""
    choice_leaves: int = Field(default=4, ge=2)
    """Leaves of each of them."""
    max_choices: int = Field(default=150_000, ge=1000)
    """Customers who acquired something that the choice is learned from, drawn at random."""
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
    any_start : log-odds of acquiring anything, the same for all
    any_linear, any : what is added to them, the one before the other
    linear, choice : what is added to the utilities that the rates give, the one before the other
    """

    columns: NDArray[np.int64]
    products: NDArray[np.int64]
    rates: NDArray[np.float32]
    any_start: float
    any_linear: SparseChoice | None
    any: ScoringEngine | None
    linear: SparseChoice | None
    choice: ScoringEngine | None

    def sums(self, features: NDArray[np.float32], config: PropensityConfig) -> PropensitySums:
        """What they say of customers with `features`, float32, shape (n_rows, n_features)."""
        shape = (len(features), len(self.products))
        if len(features) <= _FEW and (parts := self._parts) is not None:
            any_trees, any_linear, trees, linear = parts
            log_odds, utilities, scores = sum_up(
                trees.readable(any_trees.readable(features)), any_trees.arguments, self.any_start, any_linear.arguments,
                config.any_carried, trees.arguments, linear.arguments, shape[1],
            )  # fmt: skip
            return PropensitySums(
                False, log_odds, utilities, scores, self.log_rates, config.choice_carried, self.products
            )
        log_odds = np.zeros(shape[0])
        if self.any is not None:
            log_odds = self.any.raw_scores(features, config.threads)[:, 0] + self.any_start
        if self.any_linear is not None:
            log_odds = log_odds + config.any_carried * _advantage(self.any_linear, features)
        return PropensitySums(
            self.any is None,
            log_odds,
            np.zeros(shape) if self.linear is None else self.linear.utilities(features),
            np.zeros(shape) if self.choice is None else self.choice.raw_scores(features, config.threads),
            self.log_rates,
            config.choice_carried,
            self.products,
        )

    @cached_property
    def _parts(self) -> tuple[TreeEnsemble, SparseChoice, TreeEnsemble, SparseChoice] | None:
        """All four, when there are all and none is LightGBM's to score: of few customers, one call is enough."""
        any_trees, trees = (None if engine is None else engine.ensemble for engine in (self.any, self.choice))
        if any_trees is None or self.any_linear is None or trees is None or self.linear is None:
            return None
        return any_trees, self.any_linear, trees, self.linear

    @cached_property
    def log_rates(self) -> NDArray[np.float64]:
        """Where the utilities start, shape (n_alternatives,)."""
        return _log_rates(self.rates)


@dataclass(frozen=True)
class _Explainer:
    """Learners and settings, ready to say what each feature adds.

    Attributes
    ----------
    places : int64, shape (n_products + 1,); where each product is among the alternatives; -1: nowhere, as what is at -1
    base : float64, shape (n_alternatives,); log-odds of acquiring anything plus utility, of the mean customer
    any_trees, choice_trees : explainers of the learners' boosters
    """

    learners: _Learners
    config: PropensityConfig
    places: NDArray[np.int64]
    base: NDArray[np.float64]
    any_trees: TreeExplainer | None
    choice_trees: TreeExplainer | None

    @classmethod
    def of(cls, learners: _Learners, config: PropensityConfig, n_products: int) -> _Explainer:
        places = np.full(n_products + 1, -1, dtype=np.int64)
        places[learners.products] = np.arange(len(learners.products))
        base = learners.log_rates
        any_trees, choice_trees = (
            None if engine is None else TreeExplainer.of(engine) for engine in (learners.any, learners.choice)
        )
        if learners.linear is not None:
            base = base + config.choice_carried * learners.linear.base
        if choice_trees is not None:
            base = base + choice_trees.base
        if any_trees is not None:
            base = base + (learners.any_start + any_trees.base[0])
        if learners.any_linear is not None:
            nothing, something = learners.any_linear.base
            base = base + config.any_carried * (something - nothing)
        return cls(learners, config, places, base, any_trees, choice_trees)

    def contributed(
        self, features: NDArray[np.float32], places: NDArray[np.int64], known: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Float64, shape (n_rows, k, n_features): contributions to log-odds plus utility of some alternatives.

        Parameters
        ----------
        features : float32, shape (n_rows, n_features)
        places : int64, shape (n_rows, k); -1: none
        known : shape of `places`; which of them are not; None: all
        """
        learners, config = self.learners, self.config
        anything = np.zeros((len(features), 1, features.shape[1]))
        nothing = np.zeros((len(features), 1), dtype=np.int64)
        something = nothing + 1
        if learners.any_linear is not None:
            learners.any_linear.add_contributions(features, something, config.any_carried, anything)
            learners.any_linear.add_contributions(features, nothing, -config.any_carried, anything)
        if self.any_trees is not None:
            self.any_trees.add(features, nothing, 1.0, anything)
        out = np.empty((*places.shape, features.shape[1]))
        out[:] = anything
        if known is not None:
            out[~known] = 0.0
        if learners.linear is not None:
            learners.linear.add_contributions(features, places, config.choice_carried, out)
        if self.choice_trees is not None:
            self.choice_trees.add(features, places, 1.0, out)
        return out


@dataclass(frozen=True)
class _Summed:
    """The sums of a block that was scored: of each kind, its rows and theirs."""

    block: ref[CustomerBlock]
    sums: dict[int, tuple[NDArray[np.int64], PropensitySums]]


class Propensity(Model):
    """Probability of acquisition = P(anything) x P(this | anything)."""

    name = "propensity"
    Config = PropensityConfig
    config: PropensityConfig

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._learners: dict[int, _Learners] = {}
        self._explainers: dict[int, _Explainer] = {}
        self._summed: _Summed | None = None

    def contributions(self, block: CustomerBlock, products: NDArray[np.int64]) -> Contributions:
        """Why the scores of some products are what they are.

        ``logit P = t + u_p - log sum_j exp(u_j) - log(1 + exp(t)) - log(1 - P)``, with t the log-odds of acquiring
        anything and u the utilities of the choice. The first two are sums over features; `alternatives` is the rest,
        with what the limits of a score cut off, and what keeps a product that is no candidate away. A product that
        nobody of the customer's kind acquired has a score of 0 whoever asks: its `base` is the log-odds read from that.

        Parameters
        ----------
        products : int64, shape (n_customers, k); positions in `block`; -1: nothing

        Returns
        -------
        Contributions, each customer's to the last bit its own, over all features of `block`: n_customers x k x
            n_features numbers, so of many customers ask a few thousand at a time
        """
        self._check(block)
        parts: list[tuple[int, NDArray[np.int64], PropensitySums | None]]
        if (summed := self._summed) is not None and summed.block() is block:
            parts = [(kind, *scored) for kind, scored in summed.sums.items()]
        else:
            parts = [(kind, rows, None) for kind, rows in self._by_kind(block)]
        if len(parts) == 1 and len(parts[0][1]) == block.n_customers:
            return self._contributions_of(*parts[0], block, products)
        base = np.where(products >= 0, _NEVER, 0.0)
        nothing = np.zeros(products.shape)
        features = np.zeros((*products.shape, block.features.shape[1]))
        found = Contributions(base.copy(), base, features, {}, nothing.copy(), nothing)
        for kind, rows, sums in parts:
            mine = self._contributions_of(kind, rows, sums, block, products[rows])
            for name in ("log_odds", "base", "features", "alternatives"):
                getattr(found, name)[rows] = getattr(mine, name)
        return found

    def prepare_contributions(self) -> None:
        """Lay out what contributions are read from, which otherwise the first ones of each kind of customers do."""
        for kind in self._learners:
            self._explainer(kind)

    def _explainer(self, kind: int) -> _Explainer:
        explainer = self._explainers.get(kind)
        if explainer is None:
            # kept for the next block: whoever asks at the same time computes the same
            explainer = self._explainers[kind] = _Explainer.of(self._learners[kind], self.config, self.n_products)
        return explainer

    def _contributions_of(
        self,
        kind: int,
        rows: NDArray[np.int64],
        sums: PropensitySums | None,
        block: CustomerBlock,
        products: NDArray[np.int64],
    ) -> Contributions:
        """Those of the customers at `rows`, of one kind.

        Parameters
        ----------
        sums : what was summed up when `rows` were scored, if they were
        products : shape (len(rows), k)
        """
        explainer = self._explainer(kind)
        places = explainer.places[products]
        whole = len(rows) == block.n_customers
        features = block.features if whole else block.features[rows]
        known: NDArray[np.bool_] = places >= 0
        all_known = bool(known.all())
        contributed = explainer.contributed(features, places, None if all_known else known)
        if sums is None:
            sums = self._learners[kind].sums(features, self.config)
        log_odds, alternatives = sums.explained(block.candidates if whole else block.candidates[rows], places)
        base = explainer.base[places]
        if not all_known:
            never = np.where(products >= 0, _NEVER, 0.0)
            base, log_odds = np.where(known, base, never), np.where(known, log_odds, never)
        return Contributions(log_odds, base, contributed, {}, alternatives, np.zeros(products.shape))

    def _by_kind(self, block: CustomerBlock) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Kinds of which something was learned, each with its rows of the block."""
        kinds = block.kinds
        for kind, learners in self._learners.items():
            rows = (kinds == kind).nonzero()[0]
            if len(rows) and len(learners.products):
                yield kind, rows

    def _fit(self, examples: Examples) -> None:
        described = feature_set_of(examples.states).features
        left_out = self.config.leave_out
        usable = np.array([i for i, feature in enumerate(described) if feature.group not in left_out], dtype=np.int64)
        dtypes = tuple(feature.dtype for feature in described)
        rows = _Rows.gather(examples, usable, self.config)
        self._learners, self._explainers, self._summed = {}, {}, None
        for kind in range(len(KINDS)):
            mine = rows.of_kind(kind)
            if len(mine.weights):
                self._learners[kind] = self._fit_kind(mine, usable, dtypes)

    def _fit_kind(self, rows: _Rows, usable: NDArray[np.int64], dtypes: tuple[str, ...]) -> _Learners:
        varied = np.array(
            [_varies(rows.features[:, column]) for column in range(rows.features.shape[1])], dtype=np.bool_
        )
        features = rows.features[:, varied]
        bought = rows.acquired.any(axis=1)
        products = np.flatnonzero(rows.acquired.any(axis=0))
        rates = rows.acquired[:, products].mean(axis=0, dtype=np.float64).astype(np.float32)
        columns = usable[varied]
        any_start, any_linear, any_model = 0.0, None, None
        if bought.any() and not bought.all() and features.shape[1]:
            any_start = _log_odds(float(np.average(bought, weights=rows.weights)))
            any_linear, any_model = self._fit_any(
                features, np.asarray(bought), rows.weights, any_start, tuple(dtypes[column] for column in columns)
            )
        linear, choice = None, None
        if len(products) > 1 and features.shape[1]:
            chosen = np.flatnonzero(bought)
            if len(chosen) > self.config.max_choices:
                drawn = np.random.default_rng(self.config.seed).permutation(len(chosen))[: self.config.max_choices]
                chosen = chosen[np.sort(drawn)]
            linear, choice = self._fit_choice(
                features[chosen],
                rows.acquired[np.ix_(chosen, products)],
                rows.candidates[np.ix_(chosen, products)],
                rates,
                tuple(dtypes[column] for column in columns),
            )
        return _Learners(
            columns,
            products,
            rates,
            any_start,
            None if any_linear is None else any_linear.of_columns(columns),
            None if any_model is None else ScoringEngine.of(any_model, columns),
            None if linear is None else linear.of_columns(columns),
            None if choice is None else ScoringEngine.of(choice, columns),
        )

    def _fit_any(
        self,
        features: NDArray[np.float32],
        bought: NDArray[np.bool_],
        weights: NDArray[np.float32],
        start: float,
        dtypes: tuple[str, ...],
    ) -> tuple[SparseChoice, lgb.Booster]:
        """The linear part of acquiring anything, a choice between nothing and something, and trees that start from it.

        The linear part is fitted on a draw of the rows and may ignore the weights: keeping fewer of those who acquired
        nothing moves all log-odds by the same amount (Prentice and Pyke 1979), and `start` is that of everybody.
        """
        kept = np.sort(np.random.default_rng(self.config.seed).permutation(len(bought))[:_LINEAR_ROWS])
        outcomes = np.stack([~bought[kept], bought[kept]], axis=1)
        linear = SparseChoice.fit(
            Encoding.of(features[kept], dtypes),
            features[kept],
            outcomes,
            np.ones_like(outcomes),
            _log_rates(outcomes.mean(axis=0, dtype=np.float64).astype(np.float32)),
            l1=self.config.any_l1,
            iterations=self.config.choice_iterations,
        )
        leaves = min(self.config.any_leaves, max(2, int(bought.sum()) // _EVENTS_PER_LEAF))
        trees = self._train(
            features,
            np.asarray(bought, dtype=np.float32),
            {"objective": "binary", "num_leaves": leaves},
            self.config.any_rounds,
            weight=weights,
            init_score=start + self.config.any_carried * _advantage(linear, features),
        )
        return linear, trees

    def _fit_choice(
        self,
        features: NDArray[np.float32],
        acquired: NDArray[np.bool_],
        candidates: NDArray[np.bool_],
        rates: NDArray[np.float32],
        dtypes: tuple[str, ...],
    ) -> tuple[SparseChoice, lgb.Booster]:
        """The linear part of the choice, and trees that start from it; every row acquired something."""
        linear = SparseChoice.fit(
            Encoding.of(features, dtypes),
            features,
            acquired,
            candidates,
            _log_rates(rates),
            l1=self.config.choice_l1,
            iterations=self.config.choice_iterations,
        )
        row, label = np.nonzero(acquired)
        start = _utilities(rates, linear, self.config.choice_carried, features, candidates)
        trees = self._train(
            features[row],
            label.astype(np.float32),
            {"objective": "multiclass", "num_class": len(rates), "num_leaves": self.config.choice_leaves},
            self.config.choice_rounds,
            init_score=start[row],
        )
        return linear, trees

    def _train(
        self,
        features: NDArray[np.float32],
        label: NDArray[np.float32],
        params: dict[str, Any],
        rounds: int,
        **data: Any,
    ) -> lgb.Booster:
        import lightgbm as lgb  # takes over a second, and who only scores does not need it

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
        summed: dict[int, tuple[NDArray[np.int64], PropensitySums]] = {}
        for kind, rows in self._by_kind(block):
            mine = block.features if len(rows) == block.n_customers else block.features.take(rows, axis=0)
            sums = self._learners[kind].sums(mine, self.config)
            sums.score(block.candidates, rows, scores)
            if block.n_customers <= _FEW:  # who scores so few decides about them, and asks next why it is so
                summed[kind] = rows, sums
        self._summed = _Summed(ref(block), summed) if summed else None
        return scores

    def _save(self, folder: Path) -> None:
        for kind, learners in self._learners.items():
            np.savez(
                folder / f"{KINDS[kind]}.npz",
                columns=learners.columns,
                products=learners.products,
                rates=learners.rates,
                any_start=np.float64(learners.any_start),
            )
            for role in ("linear", "any_linear"):
                part = getattr(learners, role)
                if part is not None:
                    part.save(folder / f"{KINDS[kind]}-{role}.npz")
            for role in ("any", "choice"):
                engine = getattr(learners, role)
                if engine is not None:
                    engine.save(folder / f"{KINDS[kind]}-{role}.txt")

    def _load(self, folder: Path) -> None:
        self._learners, self._explainers, self._summed = {}, {}, None
        for kind, name in enumerate(KINDS):
            if not (folder / f"{name}.npz").is_file():
                continue
            with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
                columns, products, rates = arrays["columns"], arrays["products"], arrays["rates"]
                any_start = float(arrays["any_start"])
            any_linear, linear = (
                SparseChoice.load(path) if path.is_file() else None
                for path in (folder / f"{name}-{role}.npz" for role in ("any_linear", "linear"))
            )
            anything, choice = (
                ScoringEngine.load(path, columns) if path.is_file() else None
                for path in (folder / f"{name}-{role}.txt" for role in ("any", "choice"))
            )
            self._learners[kind] = _Learners(columns, products, rates, any_start, any_linear, anything, linear, choice)


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


def _utilities(
    rates: NDArray[np.float32],
    linear: SparseChoice | None,
    carried: float,
    features: NDArray[np.float32],
    candidates: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Where the trees start, shape of `candidates`: the log of how often each product is acquired, and `carried` of the
    linear part; what is no candidate is out of reach."""
    utilities = np.broadcast_to(_log_rates(rates), candidates.shape)
    if linear is not None:
        utilities = utilities + carried * linear.utilities(features)
    return np.where(candidates, utilities, EXCLUDED)


def _log_rates(rates: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.log(rates.astype(np.float64) + _RATE_FLOOR)


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))


def _advantage(linear: SparseChoice, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-odds that the linear part adds for something against nothing, shape (n_rows,)."""
    utilities = linear.utilities(features)
    return utilities[:, 1] - utilities[:, 0]
