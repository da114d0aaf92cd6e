"""Probabilities judged as such: do they tell customers apart, do they count right, also among the offers selected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..probabilities.score_histogram import PROBABILITIES, SELECTED, ScoreHistogram
from .intervals import JACKKNIFE_GROUPS, BootstrapEstimate, Estimate, Figure, JackknifeEstimate
from .metrics import (
    Reliability,
    auc_error_per_product,
    auc_per_product,
    calibration_error_per_product,
    calibration_noise_per_product,
    reliability,
)


@dataclass(frozen=True)
class ProductFigures:
    """How well one product's probabilities tell and count; NaN where it cannot be said.

    Attributes
    ----------
    candidates, acquired : rows
    expected : sum of the probabilities; calibrated overall when equal to `acquired`
    auc, auc_error : over the candidates, and the most it may be off
    calibration_error : over the candidates
    selected, selected_acquired, selected_expected, calibration_error_selected : the same where the model puts the
        product among a customer's first offers
    """

    candidates: int
    acquired: int
    expected: float
    auc: Figure
    auc_error: Figure
    calibration_error: Figure
    selected: int
    selected_acquired: int
    selected_expected: float
    calibration_error_selected: Figure


@dataclass(frozen=True)
class PeriodCounts:
    """One product at one date: what was expected of its candidates and what came.

    Attributes
    ----------
    candidates : rows
    realised : acquisitions
    expected : sum of the probabilities
    deviation : standard deviation of `realised` if the probabilities are true, ``sqrt(sum of p (1 - p))``
    """

    candidates: int
    realised: int
    expected: float
    deviation: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Candidates of about equal probability: how many, what was said of them on average, and what share acquired."""

    candidates: int
    expected: float
    realised: float


@dataclass(frozen=True)
class ProductReliability:
    """A product's bins by ascending probability: over all its candidates, and where it was selected."""

    candidates: tuple[ReliabilityBin, ...]
    selected: tuple[ReliabilityBin, ...]


class ProbabilityTally:
    """What one model's probabilities have come to so far."""

    def __init__(self, n_products: int, *, with_truth: bool) -> None:
        self._everywhere = ScoreHistogram(n_products, PROBABILITIES, JACKKNIFE_GROUPS)
        self._selected = ScoreHistogram(n_products, SELECTED, JACKKNIFE_GROUPS)
        self._truth = ScoreHistogram(n_products, SELECTED, is_expected=True) if with_truth else None
        self._periods: dict[int, NDArray[np.float64]] = {}

    def add(
        self,
        probabilities: NDArray[np.float32],
        acquired: NDArray[np.bool_],
        candidates: NDArray[np.bool_],
        selected: NDArray[np.bool_],
        groups: NDArray[np.int64],
        period: int,
        truth: NDArray[np.float32] | None,
    ) -> None:
        """Count a block of n customers looked at from `period`.

        Parameters
        ----------
        probabilities, truth : float32, shape (n, n_products)
        acquired, candidates, selected : bool, same shape; selected offers are candidates
        groups : int64, shape (n,); of the jackknife
        """
        self._everywhere.add(probabilities, acquired, candidates, groups)
        self._selected.add(probabilities, acquired, selected, groups)
        if self._truth is not None and truth is not None:
            self._truth.add(probabilities, truth, selected)
        said = np.where(candidates, probabilities, 0.0).astype(np.float64)
        counted = np.stack(
            [candidates.sum(axis=0), acquired.sum(axis=0), said.sum(axis=0), (said * (1 - said)).sum(axis=0)]
        )
        self._periods[period] = self._periods.get(period, 0.0) + counted

    def estimates(self) -> dict[str, Estimate]:
        """The metrics that are taken over products, with what their intervals come from."""
        auc = _jackknife(self._everywhere, _mean_auc)
        error = _jackknife(self._everywhere, _calibration_error)
        chosen = _jackknife(self._selected, _calibration_error)
        ratio = _jackknife(self._selected, _expected_over_realised, highest=np.inf)
        noise = _weighted(calibration_noise_per_product(self._selected.pooled()), self._selected.pooled())
        found: dict[str, Estimate] = {
            "auc": auc,
            "calibration_error": error,
            "calibration_error_selected": chosen,
            "calibration_noise_selected": _fact(noise),
            "expected_over_realised_selected": ratio,
        }
        if self._truth is not None:
            errors = calibration_error_per_product(self._truth.pooled())
            found["calibration_error_selected_truth"] = _fact(_weighted(errors, self._selected.pooled()))
        return found

    def per_product(self) -> tuple[ProductFigures, ...]:
        """In order of position."""
        everywhere, selected = self._everywhere.pooled(), self._selected.pooled()
        columns = zip(
            *(array[0].sum(axis=1).tolist() for array in (everywhere.counts, everywhere.acquired, everywhere.sums)),
            auc_per_product(everywhere).tolist(),
            auc_error_per_product(everywhere).tolist(),
            calibration_error_per_product(everywhere).tolist(),
            *(array[0].sum(axis=1).tolist() for array in (selected.counts, selected.acquired, selected.sums)),
            calibration_error_per_product(selected).tolist(),
            strict=True,
        )
        return tuple(ProductFigures(*values) for values in columns)

    def periods(self) -> dict[int, tuple[PeriodCounts, ...]]:
        """Each date looked from, each product in order of position."""
        return {
            period: tuple(
                PeriodCounts(int(candidates), int(realised), float(expected), float(np.sqrt(variance)))
                for candidates, realised, expected, variance in counted.T
            )
            for period, counted in sorted(self._periods.items())
        }

    def reliability(self) -> tuple[ProductReliability, ...]:
        """In order of position."""
        everywhere, selected = (reliability(part.pooled()) for part in (self._everywhere, self._selected))
        return tuple(
            ProductReliability(_bins(everywhere, product), _bins(selected, product))
            for product in range(len(everywhere.candidates))
        )


def _bins(found: Reliability, product: int) -> tuple[ReliabilityBin, ...]:
    rows = zip(found.candidates[product], found.expected[product], found.acquired[product], strict=True)
    return tuple(
        ReliabilityBin(int(count), float(expected / count), float(acquired / count))
        for count, expected, acquired in rows
        if count
    )


def _jackknife(histogram: ScoreHistogram, statistic, highest: float = 1.0) -> JackknifeEstimate:  # type: ignore[no-untyped-def]
    replicates = np.array([statistic(part) for part in histogram.without_each()])
    return JackknifeEstimate(statistic(histogram.pooled()), replicates, 0.0, highest)


def _fact(value: float) -> BootstrapEstimate:
    """About these offers, not an estimate: its interval is itself."""
    return BootstrapEstimate(value, np.array([value]))


def _mean_auc(histogram: ScoreHistogram) -> float:
    """Over products with both classes."""
    auc = auc_per_product(histogram)
    auc = auc[~np.isnan(auc)]
    return float(auc.mean()) if len(auc) else float("nan")


def _calibration_error(histogram: ScoreHistogram) -> float:
    return _weighted(calibration_error_per_product(histogram), histogram)


def _weighted(values: NDArray[np.float64], histogram: ScoreHistogram) -> float:
    """Mean over products, by acquisitions."""
    acquired = histogram.acquired[0].sum(axis=1)
    return float(np.nan_to_num(values) @ acquired / acquired.sum()) if acquired.any() else float("nan")


def _expected_over_realised(histogram: ScoreHistogram) -> float:
    realised = histogram.acquired.sum()
    return float(histogram.sums.sum() / realised) if realised else float("nan")
