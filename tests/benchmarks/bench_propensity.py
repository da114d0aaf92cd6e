"""Which shape of propensity model ranks best: one over pairs, one a product, one of what is chosen, or the one we keep.

All learn from the same dates of the same synthetic bank with the same features, and are judged on the same later dates,
as shares of what ranking by the true probabilities reaches. What came of it:
`docs/adr/0006-the-shape-of-propensity.md`.
"""

from __future__ import annotations

import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, build_states, feature_set_of
from features.sources.synthetic import SyntheticBank, generate
from tests.benchmarks.figures import TrueProbabilities, report, share_of
from training.config import TrainingConfig
from training.evaluation import EvaluationBatch, evaluate_scorers
from training.examples import DatedExamples, Examples
from training.models import EASE, Model, Popularity, Propensity
from training.models.propensity import PropensityConfig
from training.ranking import scores_at, top_k

LEFT_OUT = PropensityConfig().leave_out
NEGATIVES = 10  # for each positive, of the models that need them
TRUTH = "truth"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        generate(SyntheticBank(), Path(scratch) / "bank")
        states = build_states(Path(scratch) / "bank" / "tables", Path(scratch) / "workspace").states
        config = TrainingConfig()
        parts = config.split(states)
        scorers: dict[str, Any] = {TRUTH: TrueProbabilities(Path(scratch) / "bank" / "truth", states)}
        for name, model in shapes().items():
            started = time.perf_counter()
            scorers[name] = model.fit(parts.train).score
            print(f"  fitted {name} in {time.perf_counter() - started:.0f} s", flush=True)
        judged = DatedExamples(states, (parts.trained_to, parts.trained_to + 1), config.horizon)
        evaluation = evaluate_scorers(
            (EvaluationBatch(batch, batch.block.positions) for batch in judged.batches()),
            scorers,
            ks=(7,),
            seed=1,
            resamples=500,
            probabilistic=frozenset(),
        )
        shares = {name: share_of(evaluation, name, TRUTH, "map@7") for name in scorers if name != TRUTH}
        expected = expected_shares(judged, scorers)
        for name, share in sorted(shares.items(), key=lambda item: -expected[item[0]]):
            interval = f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"
            print(f"  {name:34} {expected[name]:.4f} of the expected reciprocal rank, {interval} of the MAP@7")
        kept = next(iter(shares))
        for name in list(shares)[1:]:
            difference = evaluation.paired_difference(kept, name, "map@7")
            print(f"  {kept} less {name}: {difference.value:+.5f} [{difference.low:+.5f}, {difference.high:+.5f}]")
            report(f"share of the truth's MAP@7, {kept}", shares[kept], name, shares[name].value)


def expected_shares(examples: Examples, scorers: dict[str, Any]) -> dict[str, float]:
    """Sum over the first seven of true probability / rank, as a share of what ranking by the truth reaches.

    It judges the ranking by the probabilities and not by what was drawn from them, so it has hardly any noise.
    """
    reached = dict.fromkeys(scorers, 0.0)
    for batch in examples.batches():
        truth = np.where(batch.block.candidates, scorers[TRUTH](batch.block), 0)
        for name, scorer in scorers.items():
            ranked = top_k(np.asarray(scorer(batch.block), np.float32), batch.block.candidates, 7)
            found = np.nan_to_num(scores_at(truth.astype(np.float32), ranked))
            reached[name] += float((found / np.arange(1, 8)).sum())
    return {name: value / reached[TRUTH] for name, value in reached.items()}


def shapes() -> dict[str, Any]:
    """Every shape by its name, the one that is kept first."""
    return {
        "any x (rates, linear, trees)": Propensity(),
        "any x (rates, linear)": Propensity(PropensityConfig(choice_carried=1.0, choice_rounds=1, learning_rate=1e-9)),
        "any x (rates, trees)": Propensity(PropensityConfig(choice_l1=1e6, choice_rounds=150)),
        "multiclass": Multiclass(),
        "multiclass, with EASE scores": Multiclass(collaborative=True),
        "one binary a product": BinaryPerProduct(),
        "pairs with product features": Pairs(),
        "popularity": Popularity(),
    }


class Shape(ABC):
    """An alternative: LightGBM at settings like those of the kept model, on features made as its are."""

    params: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.06, "num_leaves": 4, "min_data_in_leaf": 60, "feature_fraction": 0.25, "lambda_l2": 1.0,
        "max_bin": 63, "seed": 1, "deterministic": True, "force_col_wise": True, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip

    def __init__(self, collaborative: bool = False) -> None:
        self._collaborative = collaborative
        self._model: Model | None = None

    def fit(self, examples: Examples) -> Shape:
        names = feature_set_of(examples.states).names
        self._columns = np.flatnonzero([name.partition(":")[0] not in LEFT_OUT for name in names])
        if self._collaborative:
            # holdings as known at the first date, before any label
            assert isinstance(examples, DatedExamples)
            first = DatedExamples(examples.states, (min(examples.periods) - 1,), 1)
            self._model = EASE().fit(first)
        rng = np.random.default_rng(1)
        kept = []
        for batch in examples.batches():
            bought = batch.acquired.any(axis=1)
            rows = np.flatnonzero(bought | (rng.random(len(bought)) < 0.2))
            block = batch.block.take(rows)
            kept.append((self.features(block), batch.acquired[rows], block.candidates, self.popularity(block)))
        self.learn(*(np.concatenate(arrays) for arrays in zip(*kept, strict=True)))
        return self

    def features(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Shape (n_customers, n_features)."""
        own = block.features[:, self._columns]
        return own if self._model is None else np.hstack([own, self._model.score(block)])

    def popularity(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Shape (n_customers, n_products), of a shape that reads how popular the product is; else without columns."""
        return np.zeros((block.n_customers, 0), np.float32)

    @abstractmethod
    def learn(self, features: NDArray, acquired: NDArray, candidates: NDArray, popularity: NDArray) -> None:
        """Fit on customers who acquired something, and a fifth of the others."""

    @abstractmethod
    def score(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Shape (n_customers, n_products)."""


class Multiclass(Shape):
    """What was acquired, of those who acquired something."""

    def learn(self, features: NDArray, acquired: NDArray, candidates: NDArray, popularity: NDArray) -> None:
        row, label = np.nonzero(acquired)
        self._classes, codes = np.unique(label, return_inverse=True)
        self._booster = lgb.train(
            {**self.params, "objective": "multiclass", "num_class": len(self._classes)},
            lgb.Dataset(features[row], codes),
            150,
        )

    def score(self, block: CustomerBlock) -> NDArray[np.float32]:
        scores = np.full(block.candidates.shape, -1e9, np.float32)
        scores[:, self._classes] = self._booster.predict(self.features(block), raw_score=True)
        return scores


class BinaryPerProduct(Shape):
    """Who acquired the product, of its candidates: all who did, and `NEGATIVES` times as many who did not."""

    def learn(self, features: NDArray, acquired: NDArray, candidates: NDArray, popularity: NDArray) -> None:
        rng = np.random.default_rng(2)
        self._boosters: dict[int, tuple[lgb.Booster, float]] = {}
        for product in range(acquired.shape[1]):
            positive = np.flatnonzero(acquired[:, product])
            negative = np.flatnonzero(candidates[:, product] & ~acquired[:, product])
            if not len(positive):
                continue
            drawn = rng.permutation(negative)[: NEGATIVES * len(positive)]
            rows = np.concatenate([positive, drawn])
            params = {**self.params, "objective": "binary", "min_data_in_leaf": 20}
            booster = lgb.train(params, lgb.Dataset(features[rows], acquired[rows, product]), 150)
            self._boosters[product] = booster, float(np.log(len(drawn) / len(negative)))

    def score(self, block: CustomerBlock) -> NDArray[np.float32]:
        scores = np.full(block.candidates.shape, -1e9, np.float32)
        features = self.features(block)
        for product, (booster, drawn) in self._boosters.items():
            scores[:, product] = booster.predict(features, raw_score=True) + drawn
        return scores


class Pairs(Shape):
    """One model over customer-product pairs, which knows the product by its features."""

    params: ClassVar[dict[str, Any]] = {**Shape.params, "num_leaves": 63, "feature_fraction": 0.5}

    def fit(self, examples: Examples) -> Pairs:
        self._popularity = Popularity().fit(examples)
        products = examples.states.catalogue.products
        families = sorted({product.family for product in products})
        rating = [int(product.risk_rating[1]) if product.risk_rating else np.nan for product in products]
        self._products = np.column_stack(
            [
                np.arange(len(products)),
                [families.index(product.family) for product in products],
                rating,
                [product.annual_margin or np.nan for product in products],
                [product.min_age or np.nan for product in products],
                [product.min_balance or np.nan for product in products],
            ]
        ).astype(np.float32)
        return super().fit(examples)  # type: ignore[return-value]

    def learn(self, features: NDArray, acquired: NDArray, candidates: NDArray, popularity: NDArray) -> None:
        rng = np.random.default_rng(3)
        positive = np.nonzero(acquired)
        negative = np.nonzero(candidates & ~acquired)
        drawn = rng.permutation(len(negative[0]))[: NEGATIVES * len(positive[0])]
        row, product = (
            np.concatenate([of_positive, of_negative[drawn]])
            for of_positive, of_negative in zip(positive, negative, strict=True)
        )
        pairs = self._pairs(features[row], popularity[row, product], product)
        label = np.arange(len(row)) < len(positive[0])
        n = pairs.shape[1]
        self._booster = lgb.train(
            {**self.params, "objective": "binary"},
            lgb.Dataset(
                pairs, label, categorical_feature=[n - self._products.shape[1], n - self._products.shape[1] + 1]
            ),
            400,
        )

    def popularity(self, block: CustomerBlock) -> NDArray[np.float32]:
        return self._popularity.score(block)

    def _pairs(self, features: NDArray, popularity: NDArray, product: NDArray) -> NDArray[np.float32]:
        return np.hstack([features, popularity[:, None], self._products[product]]).astype(np.float32)

    def score(self, block: CustomerBlock) -> NDArray[np.float32]:
        scores = np.zeros(block.candidates.shape, np.float32)
        features, popularity = self.features(block), self.popularity(block)
        for product in range(scores.shape[1]):
            rows = np.flatnonzero(block.candidates[:, product])
            pairs = self._pairs(features[rows], popularity[rows, product], np.full(len(rows), product))
            scores[rows, product] = self._booster.predict(pairs, raw_score=True)
        return scores


if __name__ == "__main__":
    main()
