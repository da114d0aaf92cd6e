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
from .intervals import BootstrapEstimate, BootstrapInterval, Estimate, jackknife_groups
from .metrics import coverage, shown_at_k
from .outcomes import PERFECT, TRUTH, Outcomes, metric_names, metric_values, perfect_values
from .probabilities import PeriodCounts, ProbabilityTally, ProductFigures, ProductReliability
from .slices import Facets, ProductSlice, Slice, by_product, sliced

Scorer = Callable[[CustomerBlock], NDArray[np.float32]]
"""From a block to float32 (n_customers, n_products), higher is better; a probability if it is declared one."""

BASELINE = "popularity"
"""The model that every other is shown beside."""


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
class Evaluation:
    """Every model by every metric.

    Attributes
    ----------
    metrics : model -> metric -> value and interval; ``map@7`` and so on; NaN where a metric is undefined
    ceilings, truth : metric -> what a perfect ranking reaches, and what ranking by the true probabilities does, if
        they were given
    per_product, reliability, periods : probabilistic model -> figures in order of position; the last by date first
    slices : facet -> label -> figures, if facets were given
    product_slices : in order of position
    estimates : model -> metric -> what the intervals come from; paired between models
    outcomes : what each row was worth
    """

    metrics: dict[str, dict[str, BootstrapInterval]]
    ceilings: dict[str, float]
    truth: dict[str, float]
    counts: EvaluationCounts
    per_product: dict[str, tuple[ProductFigures, ...]]
    reliability: dict[str, tuple[ProductReliability, ...]]
    periods: dict[str, dict[int, tuple[PeriodCounts, ...]]]
    slices: dict[str, dict[str, Slice]]
    product_slices: tuple[ProductSlice, ...]
    estimates: dict[str, dict[str, Estimate]] = field(repr=False)
    outcomes: Outcomes = field(repr=False)

    def paired_difference(self, model_a: str, model_b: str, metric: str) -> BootstrapInterval:
        """The metric of `model_a` minus that of `model_b`, drawn on the same customers.

        Raises
        ------
        NotFound : when there is no such model or metric
        """
        a, b = (self._estimate(model, metric) for model in (model_a, model_b))
        return a.minus(b).interval()  # type: ignore[arg-type]

    def ratio(self, model_a: str, model_b: str, metric: str) -> BootstrapInterval:
        """The ranking metric of `model_a` over that of `model_b`, drawn on the same customers.

        Raises
        ------
        NotFound : when there is no such model or metric
        """
        a, b = (self._estimate(model, metric) for model in (model_a, model_b))
        if not isinstance(a, BootstrapEstimate) or not isinstance(b, BootstrapEstimate):
            raise NotFound(f"there are no ratios of {metric}: take the difference")
        return a.over(b).interval()

    def _estimate(self, model: str, metric: str) -> Estimate:
        if metric not in self.estimates.get(model, {}):
            raise NotFound(
                f"no {metric!r} of {model!r} in this evaluation; models: {', '.join(self.estimates)}; metrics: "
                f"{', '.join(self.estimates[next(iter(self.estimates))])}"
            )
        return self.estimates[model][metric]


def evaluate_scorers(
    batches: Iterable[EvaluationBatch],
    scorers: Mapping[str, Scorer],
    *,
    ks: Sequence[int] = (1, 3, 5, 7),
    seed: int,
    resamples: int,
    probabilistic: frozenset[str],
    selected_k: int = 3,
    truth: Scorer | None = None,
    facets: Facets | None = None,
) -> Evaluation:
    """Judge `scorers` on `batches`, going through them once.

    Only rows with an acquisition are kept, as all others have the value 0, so memory grows with the acquisitions.

    Parameters
    ----------
    scorers : model -> how it scores
    ks : lengths of list at which ranking metrics are taken
    seed, resamples : of the bootstrap over customers
    probabilistic : models whose scores are probabilities, to be judged as such too (``auc``, ``calibration_error``)
    selected_k : the first offers of a customer whose probabilities are also judged apart
    truth : the true probabilities, where they are known
    facets : by which MAP at the longest list is sliced

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
    rows = _Rows(tuple(ks), facets)
    tallies = {name: _Tally(tuple(ks), name in probabilistic, selected_k, truth is not None) for name in scorers}
    true_values: list[NDArray[np.float32]] = []
    for batch in batches:
        kept = rows.add(batch)
        if not kept.any():
            continue
        block, acquired = batch.batch.block, batch.batch.acquired
        groups = jackknife_groups(batch.clusters[kept], seed)
        true_scores = truth(block) if truth else None
        if true_scores is not None:
            active = np.flatnonzero(acquired.any(axis=1))
            ranked = top_k(true_scores[active], block.candidates[active], max(ks))
            true_values.append(metric_values(ranked, acquired[active], tuple(ks)))
        for name, scorer in scorers.items():
            scores = np.asarray(scorer(block))
            try:
                tallies[name].add(scores, batch.batch, kept, groups, true_scores)
            except BadInput as error:
                raise BadInput(f"{name}: {error}") from error
    if not rows.n_rows:
        raise BadInput("there is nothing to evaluate on: no customer had a product left to acquire")
    return _evaluation(rows, tallies, true_values, seed, resamples)


class _Rows:
    """What all models share: who was asked, what they acquired, what a perfect ranking reaches."""

    def __init__(self, ks: tuple[int, ...], facets: Facets | None) -> None:
        self.ks = ks
        self.facets = facets
        self.n_rows = 0
        self.n_left_out = 0
        self.possible = np.zeros(0, np.bool_)
        self.clusters: list[NDArray[np.int64]] = []
        self.acquirers: list[NDArray[np.int64]] = []
        self.ceilings: list[NDArray[np.float32]] = []
        self.bought: list[NDArray[np.int64]] = []
        self.buyers: list[NDArray[np.int64]] = []
        self.codes: list[NDArray[np.int16]] = []
        self.active_codes: list[NDArray[np.int16]] = []

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
        self.clusters.append(batch.clusters[kept])
        self.acquirers.append(batch.clusters[active])
        self.ceilings.append(perfect_values(acquired[active], self.ks))
        rows, products = np.nonzero(acquired)
        self.bought.append(products)
        self.buyers.append(batch.clusters[rows])
        if self.facets is not None and kept.any():
            codes = self.facets.codes(batch.batch.block)
            self.codes.append(codes[kept])
            self.active_codes.append(codes[active])
        return kept


class _Tally:
    """What one model has reached so far."""

    def __init__(self, ks: tuple[int, ...], is_probabilistic: bool, selected_k: int, with_truth: bool) -> None:
        self.ks = ks
        self.selected_k = selected_k
        self.is_probabilistic = is_probabilistic
        self.with_truth = with_truth
        self.values: list[NDArray[np.float32]] = []
        self.found: list[NDArray[np.bool_]] = []
        self.shown = np.zeros((0, 0), np.bool_)
        self.probabilities: ProbabilityTally | None = None

    def add(
        self,
        scores: NDArray[np.float32],
        batch: Batch,
        kept: NDArray[np.bool_],
        groups: NDArray[np.int64],
        truth: NDArray[np.float32] | None,
    ) -> None:
        block, acquired = batch.block, batch.acquired
        if not len(self.shown):
            self.shown = np.zeros((len(self.ks), block.n_products), np.bool_)
            if self.is_probabilistic:
                self.probabilities = ProbabilityTally(block.n_products, with_truth=self.with_truth)
        longest = max(self.ks)
        ranked = top_k(scores, block.candidates, max(longest, self.selected_k))
        for shown, k in zip(self.shown, self.ks, strict=True):
            shown |= shown_at_k(ranked, block.n_products, k)
        active = np.flatnonzero(acquired.any(axis=1))
        self.values.append(metric_values(ranked[active], acquired[active], self.ks))
        self.found.append(_listed(ranked[active, :longest], block.n_products)[acquired[active]])
        if self.probabilities is not None:
            self.probabilities.add(
                scores[kept],
                acquired[kept],
                block.candidates[kept],
                _listed(ranked[kept, : self.selected_k], block.n_products),
                groups,
                block.period,
                None if truth is None else truth[kept],
            )


def _listed(ranked: NDArray[np.int32], n_products: int) -> NDArray[np.bool_]:
    """Shape (n_rows, n_products): whether the product is among those ranked."""
    listed = np.zeros((len(ranked), n_products + 1), np.bool_)
    np.put_along_axis(listed, np.where(ranked < 0, n_products, ranked), True, axis=1)
    return listed[:, :-1]


def _evaluation(
    rows: _Rows, tallies: Mapping[str, _Tally], true_values: list[NDArray[np.float32]], seed: int, resamples: int
) -> Evaluation:
    values = {name: np.concatenate(tally.values) for name, tally in tallies.items()}
    values[PERFECT] = np.concatenate(rows.ceilings)
    if true_values:
        values[TRUTH] = np.concatenate(true_values)
    outcomes = Outcomes(metric_names(rows.ks), values, np.concatenate(rows.acquirers), np.concatenate(rows.clusters))
    means = outcomes.estimates(seed=seed, resamples=resamples)
    estimates: dict[str, dict[str, Estimate]] = {}
    for model, tally in tallies.items():
        found: dict[str, Estimate] = {**means[model]}
        for k, shown in zip(rows.ks, tally.shown, strict=True):
            found[f"share_of_ceiling@{k}"] = means[model][f"map@{k}"].over(means[PERFECT][f"map@{k}"])
            if TRUTH in means:
                found[f"share_of_truth@{k}"] = means[model][f"map@{k}"].over(means[TRUTH][f"map@{k}"])
            covered = coverage(shown, rows.possible)
            # a fact about these lists, not an estimate: its interval is itself
            found[f"coverage@{k}"] = BootstrapEstimate(covered, np.array([covered]))
        if tally.probabilities is not None:
            found |= tally.probabilities.estimates()
        estimates[model] = found
    judged = {model: tally.probabilities for model, tally in tallies.items() if tally.probabilities is not None}
    bought, buyers = np.concatenate(rows.bought), np.concatenate(rows.buyers)
    return Evaluation(
        metrics={
            model: {name: estimate.interval() for name, estimate in found.items()} for model, found in estimates.items()
        },
        ceilings={name: estimate.value for name, estimate in means[PERFECT].items()},
        truth={name: estimate.value for name, estimate in means.get(TRUTH, {}).items()},
        counts=EvaluationCounts(
            rows=rows.n_rows,
            customers=len(np.unique(outcomes.clusters)),
            acquirers=len(np.unique(outcomes.acquirers)),
            acquisitions=len(bought),
            rows_left_out=rows.n_left_out,
        ),
        per_product={model: tally.per_product() for model, tally in judged.items()},
        reliability={model: tally.reliability() for model, tally in judged.items()},
        periods={model: tally.periods() for model, tally in judged.items()},
        slices=sliced(
            outcomes,
            rows.facets.facets,
            np.concatenate(rows.codes),
            np.concatenate(rows.active_codes),
            metric=f"map@{max(rows.ks)}",
            baseline=BASELINE,
            seed=seed,
            resamples=resamples,
        )
        if rows.facets is not None
        else {},
        product_slices=by_product(
            {model: np.concatenate(tally.found) for model, tally in tallies.items()},
            bought,
            buyers,
            len(rows.possible),
            seed=seed,
            resamples=resamples,
        ),
        estimates=estimates,
        outcomes=outcomes,
    )
