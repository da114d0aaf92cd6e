"""The evaluator: every model on the same rows, in one pass, by every metric, with intervals.

How the rows came about (periods, occasions, hidden holdings) is the caller's matter: a row is a customer asked about
once, with candidates to rank and products acquired among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.errors import BadInput, NotFound

from ..examples import Batch
from ..ranking import top_k
from ..score_histogram import PROBABILITIES, ScoreHistogram
from .intervals import (
    JACKKNIFE_GROUPS,
    BootstrapEstimate,
    BootstrapInterval,
    Estimate,
    JackknifeEstimate,
    jackknife_groups,
    resample,
)
from .metrics import (
    RANKING_METRICS,
    auc_error_per_product,
    auc_per_product,
    calibration_error_per_product,
    coverage,
    perfect_ranking,
    shown_at_k,
)

Scorer = Callable[[CustomerBlock], NDArray[np.float32]]
"""From a block to float32 (n_customers, n_products), higher is better; a probability if it is declared one."""


@dataclass(frozen=True)
class EvaluationBatch:
    """Rows to be judged on.

    Attributes
    ----------
    batch : what was known, and what was acquired
    clusters : int64, shape (n_customers,); who each row is: rows of one customer are one unit of the intervals
    """

    batch: Batch
    clusters: NDArray[np.int64]


@dataclass(frozen=True)
class EvaluationCounts:
    """What an evaluation rests on.

    Attributes
    ----------
    rows : customers asked about, once for each date, occasion or hidden product; the denominator of every mean
    customers : different customers among them
    acquirers : different customers who acquired something
    acquisitions : products acquired
    rows_left_out : rows without any candidate, which nothing could be suggested to
    """

    rows: int
    customers: int
    acquirers: int
    acquisitions: int
    rows_left_out: int


@dataclass(frozen=True)
class ProductFigures:
    """How well one product's probabilities tell and count; NaN where it cannot be said.

    Attributes
    ----------
    candidates, acquired : rows
    expected : sum of the probabilities; calibrated overall when equal to `acquired`
    auc, auc_error : over the candidates, and the most it may be off
    calibration_error : over the candidates
    """

    candidates: int
    acquired: int
    expected: float
    auc: float
    auc_error: float
    calibration_error: float


@dataclass(frozen=True)
class Evaluation:
    """Every model by every metric.

    Attributes
    ----------
    metrics : model -> metric -> value and interval; ``map@7`` and so on; NaN where a metric is undefined
    ceilings : metric -> what a perfect ranking reaches
    per_product : probabilistic model -> figures in order of position
    estimates : model -> metric -> what the intervals come from; paired between models
    """

    metrics: dict[str, dict[str, BootstrapInterval]]
    ceilings: dict[str, float]
    counts: EvaluationCounts
    per_product: dict[str, tuple[ProductFigures, ...]]
    estimates: dict[str, dict[str, Estimate]] = field(repr=False)

    def paired_difference(self, model_a: str, model_b: str, metric: str) -> BootstrapInterval:
        """The metric of `model_a` minus that of `model_b`, drawn on the same customers.

        Raises
        ------
        NotFound : when there is no such model or metric
        """
        for model in (model_a, model_b):
            if metric not in self.estimates.get(model, {}):
                raise NotFound(
                    f"no {metric!r} of {model!r} in this evaluation; models: {', '.join(self.estimates)}; metrics: "
                    f"{', '.join(self.estimates[next(iter(self.estimates))])}"
                )
        a, b = self.estimates[model_a][metric], self.estimates[model_b][metric]
        return a.minus(b).interval()  # type: ignore[arg-type]


def evaluate(
    batches: Iterable[EvaluationBatch],
    scorers: Mapping[str, Scorer],
    *,
    ks: Sequence[int] = (1, 3, 5, 7),
    seed: int,
    resamples: int,
    probabilistic: frozenset[str],
) -> Evaluation:
    """Judge `scorers` on `batches`, going through them once.

    Only rows with an acquisition are kept, as all others have the value 0, so memory grows with the acquisitions.

    Parameters
    ----------
    scorers : model -> how it scores
    ks : lengths of list at which ranking metrics are taken
    seed, resamples : of the bootstrap over customers
    probabilistic : models whose scores are probabilities, to be judged as such too (``auc``, ``calibration_error``)

    Raises
    ------
    BadInput : when there is no row with a candidate, an acquisition is not among the candidates, or a model gives
        scores that cannot be used
    """
    if not scorers or not ks or min(ks) < 1 or not probabilistic <= scorers.keys():
        raise BadInput(
            f"cannot evaluate models {sorted(scorers)} at {list(ks)}, with probabilities from {sorted(probabilistic)}: "
            "name at least one model, lengths of at least 1, and as probabilistic only models that are named"
        )
    rows = _Rows(tuple(ks))
    tallies = {name: _Tally(tuple(ks), name in probabilistic) for name in scorers}
    for batch in batches:
        kept = rows.add(batch)
        if not kept.any():
            continue
        groups = jackknife_groups(batch.clusters[kept], seed)
        for name, scorer in scorers.items():
            scores = np.asarray(scorer(batch.batch.block))
            try:
                tallies[name].add(scores, batch.batch, kept, groups)
            except BadInput as error:
                raise BadInput(f"{name}: {error}") from error
    if not rows.n_rows:
        raise BadInput("there is nothing to evaluate on: no customer had a product left to acquire")
    return _evaluation(rows, tallies, seed, resamples)


class _Rows:
    """What all models share: who was asked, what they acquired, what a perfect ranking reaches."""

    def __init__(self, ks: tuple[int, ...]) -> None:
        self.ks = ks
        self.n_rows = 0
        self.n_left_out = 0
        self.n_acquisitions = 0
        self.possible = np.zeros(0, np.bool_)
        self.clusters: list[NDArray[np.int64]] = []
        self.acquirers: list[NDArray[np.int64]] = []
        self.ceilings: list[NDArray[np.float32]] = []

    def add(self, batch: EvaluationBatch) -> NDArray[np.bool_]:
        """Count a batch; bool, shape (n_customers,): the rows that are judged."""
        candidates, acquired = batch.batch.block.candidates, batch.batch.acquired
        if acquired.shape != candidates.shape or len(batch.clusters) != len(candidates):
            raise BadInput(
                f"acquired {acquired.shape}, candidates {candidates.shape} and clusters {batch.clusters.shape} do not "
                "speak of the same customers and products"
            )
        if (acquired & ~candidates).any():
            raise BadInput(
                f"{int((acquired & ~candidates).sum())} acquisitions are not among the candidates: what cannot be "
                "suggested must not be asked for"
            )
        kept = np.asarray(candidates.any(axis=1))
        active = np.flatnonzero(acquired.any(axis=1))
        if not len(self.possible):
            self.possible = np.zeros(candidates.shape[1], np.bool_)
        self.possible |= candidates.any(axis=0)
        self.n_rows += int(kept.sum())
        self.n_left_out += int((~kept).sum())
        self.n_acquisitions += int(acquired.sum())
        self.clusters.append(batch.clusters[kept])
        self.acquirers.append(batch.clusters[active])
        relevant = acquired[active]
        self.ceilings.append(_values(perfect_ranking(relevant, max(self.ks)), relevant, self.ks))
        return kept


class _Tally:
    """What one model has reached so far."""

    def __init__(self, ks: tuple[int, ...], probabilistic: bool) -> None:
        self.ks = ks
        self.probabilistic = probabilistic
        self.values: list[NDArray[np.float32]] = []
        self.shown = np.zeros((0, 0), np.bool_)
        self.histogram = ScoreHistogram(0, PROBABILITIES)

    def add(
        self, scores: NDArray[np.float32], batch: Batch, kept: NDArray[np.bool_], groups: NDArray[np.int64]
    ) -> None:
        n_products = batch.block.n_products
        if not len(self.shown):
            self.shown = np.zeros((len(self.ks), n_products), np.bool_)
            if self.probabilistic:
                self.histogram = ScoreHistogram(n_products, PROBABILITIES, JACKKNIFE_GROUPS)
        ranked = top_k(scores, batch.block.candidates, max(self.ks))
        for shown, k in zip(self.shown, self.ks, strict=True):
            shown |= shown_at_k(ranked, n_products, k)
        active = np.flatnonzero(batch.acquired.any(axis=1))
        self.values.append(_values(ranked[active], batch.acquired[active], self.ks))
        if self.probabilistic:
            self.histogram.add(scores[kept], batch.acquired[kept], batch.block.candidates[kept], groups)


def _names(ks: tuple[int, ...]) -> list[str]:
    return [f"{name}@{k}" for name in RANKING_METRICS for k in ks]


def _values(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], ks: tuple[int, ...]) -> NDArray[np.float32]:
    """Shape (n_rows, n_metrics), columns as `_names` has them."""
    columns = [metric(ranked, relevant, k) for metric in RANKING_METRICS.values() for k in ks]
    return np.stack(columns, axis=1).astype(np.float32)


def _evaluation(rows: _Rows, tallies: Mapping[str, _Tally], seed: int, resamples: int) -> Evaluation:
    names = _names(rows.ks)
    acquirers, clusters = np.concatenate(rows.acquirers), np.concatenate(rows.clusters)
    parts = [np.concatenate(values) for values in [*(tally.values for tally in tallies.values()), rows.ceilings]]
    drawn = resample(np.hstack(parts), acquirers, clusters, seed=seed, resamples=resamples)
    ceiling = {name: len(tallies) * len(names) + column for column, name in enumerate(names)}

    estimates: dict[str, dict[str, Estimate]] = {}
    per_product: dict[str, tuple[ProductFigures, ...]] = {}
    for place, (model, tally) in enumerate(tallies.items()):
        columns = {name: place * len(names) + column for column, name in enumerate(names)}
        found: dict[str, Estimate] = {name: drawn.mean(column) for name, column in columns.items()}
        for k, shown in zip(rows.ks, tally.shown, strict=True):
            found[f"share_of_ceiling@{k}"] = drawn.ratio(columns[f"map@{k}"], ceiling[f"map@{k}"])
            covered = coverage(shown, rows.possible)
            # a fact about these lists, not an estimate: its interval is itself
            found[f"coverage@{k}"] = BootstrapEstimate(covered, np.array([covered]))
        if tally.probabilistic:
            found |= _probability_estimates(tally.histogram)
            per_product[model] = _figures(tally.histogram.pooled())
        estimates[model] = found
    return Evaluation(
        metrics={
            model: {name: estimate.interval() for name, estimate in found.items()} for model, found in estimates.items()
        },
        ceilings={name: drawn.mean(column).value for name, column in ceiling.items()},
        counts=EvaluationCounts(
            rows=rows.n_rows,
            customers=len(np.unique(clusters)),
            acquirers=len(np.unique(acquirers)),
            acquisitions=rows.n_acquisitions,
            rows_left_out=rows.n_left_out,
        ),
        per_product=per_product,
        estimates=estimates,
    )


def _probability_estimates(histogram: ScoreHistogram) -> dict[str, Estimate]:
    auc, error = _over_products(histogram.pooled())
    replicates = np.array([_over_products(part) for part in histogram.without_each()])
    return {
        "auc": JackknifeEstimate(auc, replicates[:, 0], 0.0, 1.0),
        "calibration_error": JackknifeEstimate(error, replicates[:, 1], 0.0, 1.0),
    }


def _over_products(histogram: ScoreHistogram) -> tuple[float, float]:
    """Mean AUC over products with both classes; mean calibration error weighted by acquisitions."""
    auc = auc_per_product(histogram)
    auc = auc[~np.isnan(auc)]
    acquired = histogram.acquired[0].sum(axis=1)
    errors = np.nan_to_num(calibration_error_per_product(histogram))
    weighted = float(errors @ acquired / acquired.sum()) if acquired.any() else float("nan")
    return float(auc.mean()) if len(auc) else float("nan"), weighted


def _figures(histogram: ScoreHistogram) -> tuple[ProductFigures, ...]:
    columns = zip(
        histogram.counts[0].sum(axis=1).tolist(),
        histogram.acquired[0].sum(axis=1).tolist(),
        histogram.sums[0].sum(axis=1).tolist(),
        auc_per_product(histogram).tolist(),
        auc_error_per_product(histogram).tolist(),
        calibration_error_per_product(histogram).tolist(),
        strict=True,
    )
    return tuple(ProductFigures(*values) for values in columns)
