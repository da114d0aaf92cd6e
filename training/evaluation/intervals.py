"""Intervals: how far a metric might be off because these customers were met and not others.

The unit is the customer. One who is asked about at several dates is drawn, or left out, as a whole.

Means and ratios of means use a Poisson bootstrap: in each resample a customer counts w times, w ~ Poisson(1), which is
what drawing with replacement tends to. Its weights come from a hash of seed, resample and customer, so they do not
depend on the order of rows, and two models, evaluated together or apart, are compared on the same resamples.
Customers whose values are all 0 (most: they acquire nothing in a month) are drawn together by their number.

Statistics that are not ratios of sums (AUC, calibration error) use a delete-a-group jackknife: customers fall into
groups by hash, and the statistic is taken again without each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator
from scipy.special import stdtrit
from threadpoolctl import ThreadpoolController

from features.errors import BadInput
from features.kernels import kernel

CONFIDENCE = 0.95
"""Of every interval."""

JACKKNIFE_GROUPS = 20
"""Groups of customers of the delete-a-group jackknife."""

_CHUNK_CELLS = 1_000_000  # weights in memory at a time
_POISSON_CDF = np.cumsum([math.exp(-1) / math.factorial(w) for w in range(16)])


Figure = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A number that may be undefined: NaN here, null in JSON, which has no NaN."""


@dataclass(frozen=True)
class BootstrapInterval:
    """A value and the ends of its 95% interval; NaN ends where there was too little to tell."""

    value: Figure
    low: Figure
    high: Figure


@dataclass(frozen=True)
class BootstrapEstimate:
    """A statistic and what it is in each resample.

    Attributes
    ----------
    value : on the customers as they are
    replicates : float64, shape (resamples,); NaN where the statistic is undefined
    """

    value: float
    replicates: NDArray[np.float64]

    def interval(self) -> BootstrapInterval:
        """The percentile interval."""
        defined = self.replicates[~np.isnan(self.replicates)]
        if math.isnan(self.value) or not len(defined):
            return BootstrapInterval(self.value, math.nan, math.nan)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        return BootstrapInterval(self.value, float(low), float(high))

    def minus(self, other: BootstrapEstimate) -> BootstrapEstimate:
        """The difference from a statistic of the same resamples."""
        return BootstrapEstimate(self.value - other.value, self.replicates - other.replicates)

    def over(self, other: BootstrapEstimate) -> BootstrapEstimate:
        """The ratio to a statistic of the same resamples; undefined where that is 0."""
        by = other.replicates
        replicates = np.divide(self.replicates, by, out=np.full(len(by), np.nan), where=by > 0)
        return BootstrapEstimate(self.value / other.value if other.value > 0 else math.nan, replicates)


@dataclass(frozen=True)
class JackknifeEstimate:
    """A statistic and what it is without each group of customers.

    Attributes
    ----------
    value : on all customers
    replicates : float64, shape (n_groups,)
    lowest, highest : the values it can take
    """

    value: float
    replicates: NDArray[np.float64]
    lowest: float = -1.0
    highest: float = 1.0

    def interval(self) -> BootstrapInterval:
        """``value +- t * sqrt((G - 1) / G * sum of squared deviations)`` (Kott 2001), within the possible values."""
        defined = self.replicates[~np.isnan(self.replicates)]
        if math.isnan(self.value) or len(defined) < 2:
            return BootstrapInterval(self.value, math.nan, math.nan)
        freedom = len(defined) - 1
        error = math.sqrt(freedom / len(defined) * float(((defined - defined.mean()) ** 2).sum()))
        reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
        return BootstrapInterval(
            self.value, max(self.value - reach, self.lowest), min(self.value + reach, self.highest)
        )

    def minus(self, other: JackknifeEstimate) -> JackknifeEstimate:
        """The difference from a statistic of the same groups."""
        return JackknifeEstimate(self.value - other.value, self.replicates - other.replicates)


Estimate = BootstrapEstimate | JackknifeEstimate


@dataclass(frozen=True)
class Resamples:
    """Column sums over rows, as they are and in each resample of the customers.

    Attributes
    ----------
    totals : float64, shape (n_columns,)
    resampled : float64, shape (resamples, n_columns)
    n_rows, resampled_rows : the number of rows; float64, shape (resamples,), in each resample
    """

    totals: NDArray[np.float64]
    resampled: NDArray[np.float64]
    n_rows: int
    resampled_rows: NDArray[np.float64]

    def mean(self, column: int) -> BootstrapEstimate:
        """Mean of a column over all rows."""
        return _ratio(self.totals[column], self.n_rows, self.resampled[:, column], self.resampled_rows)

    def ratio(self, column: int, by: int) -> BootstrapEstimate:
        """Sum of a column over the sum of another."""
        return _ratio(self.totals[column], self.totals[by], self.resampled[:, column], self.resampled[:, by])


def resample(
    values: NDArray[np.floating],
    clusters: NDArray[np.int64],
    all_clusters: NDArray[np.int64],
    *,
    seed: int,
    resamples: int,
) -> Resamples:
    """Sum `values` over customers drawn with replacement.

    Parameters
    ----------
    values : shape (n_active_rows, n_columns); rows left out are all 0
    clusters : int64, shape (n_active_rows,); the customer of each
    all_clusters : int64, shape (n_rows,); the customer of every row, active ones included
    resamples : how often to draw

    Raises
    ------
    BadInput : when there is no row, or nothing is to be drawn
    """
    if not len(all_clusters) or resamples < 2:
        raise BadInput(f"an interval needs at least one row and 2 resamples, not {len(all_clusters)} and {resamples}")
    customers, sizes = np.unique(all_clusters, return_counts=True)
    active, rows = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(active), values.shape[1] + 1))
    for column in range(values.shape[1]):
        sums[:, column] = np.bincount(rows, weights=values[:, column], minlength=len(active))
    places = np.searchsorted(customers, active)
    sums[:, -1] = sizes[places]
    drawn = np.zeros((resamples, sums.shape[1]))
    keys = _hashed(active, seed)
    width = max(1, _CHUNK_CELLS // resamples)
    weights = np.empty((resamples, min(width, len(active))))
    # one thread: the pieces are small, the sums then do not depend on the machine's cores, and two pools of threads
    # taking turns cost more than they bring
    with _libraries().limit(limits=1, user_api="blas"):
        for start in range(0, len(active), width):
            chunk = weights[:, : len(active) - start]
            _poisson_weights(keys[start : start + width], _POISSON_CDF, chunk)
            drawn += chunk @ sums[start : start + width]
    silent = np.bincount(np.delete(sizes, places))
    # a sum of Poisson(1) variables is Poisson of their number
    together = np.random.default_rng(seed).poisson(silent, (resamples, len(silent))) @ np.arange(len(silent))
    return Resamples(sums[:, :-1].sum(axis=0), drawn[:, :-1], len(all_clusters), drawn[:, -1] + together)


@cache
def _libraries() -> ThreadpoolController:
    """Found once: looking for them takes longer than a small draw."""
    return ThreadpoolController()


def mean_interval(
    values: NDArray[np.floating], clusters: NDArray[np.int64], *, seed: int, resamples: int = 1000
) -> BootstrapInterval:
    """The mean of `values`, shape (n_rows,), of customers `clusters`, same shape."""
    active = np.flatnonzero(values)
    drawn = resample(values[active, np.newaxis], clusters[active], clusters, seed=seed, resamples=resamples)
    return drawn.mean(0).interval()


def ratio_interval(
    values: NDArray[np.floating],
    by: NDArray[np.floating],
    clusters: NDArray[np.int64],
    *,
    seed: int,
    resamples: int = 1000,
) -> BootstrapInterval:
    """The sum of `values` over the sum of `by`, each of shape (n_rows,); a share of a ceiling, for example."""
    columns = np.stack([values, by], axis=1)
    active = np.flatnonzero(columns.any(axis=1))
    drawn = resample(columns[active], clusters[active], clusters, seed=seed, resamples=resamples)
    return drawn.ratio(0, 1).interval()


def paired_difference(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    clusters: NDArray[np.int64],
    *,
    seed: int,
    resamples: int = 1000,
) -> BootstrapInterval:
    """The mean of `a` minus the mean of `b` on the same rows, each of shape (n_rows,)."""
    return mean_interval(np.asarray(a, np.float64) - b, clusters, seed=seed, resamples=resamples)


def jackknife_groups(clusters: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The group of each customer, 0 to `JACKKNIFE_GROUPS` - 1, same shape."""
    return ((_hashed(clusters, seed) >> np.uint64(33)) % np.uint64(JACKKNIFE_GROUPS)).astype(np.int64)


def _ratio(value: float, by: float, values: NDArray[np.float64], bys: NDArray[np.float64]) -> BootstrapEstimate:
    replicates = np.divide(values, bys, out=np.full(len(values), np.nan), where=bys > 0)
    return BootstrapEstimate(float(value / by) if by > 0 else math.nan, replicates)


def _hashed(clusters: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    seeded = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    mixed: NDArray[np.uint64] = _mix(_mix(clusters.astype(np.uint64)) ^ seeded)
    return mixed


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


@kernel
def _poisson_weights(keys, cdf, weights):  # type: ignore[no-untyped-def]
    """Fill `weights`, one row a resample, from a SplitMix64 stream for each customer, by inversion."""
    for row in range(weights.shape[0]):
        offset = np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15)
        for column in range(len(keys)):
            word = keys[column] + offset
            word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            uniform = np.float64((word ^ (word >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
            # no branches up to 3: a wrong guess costs more than the comparisons
            weight = (uniform >= cdf[0]) + (uniform >= cdf[1]) + (uniform >= cdf[2])
            if uniform >= cdf[3]:
                weight = 4
                while weight < len(cdf) - 1 and uniform >= cdf[weight]:
                    weight += 1
            weights[row, column] = weight
