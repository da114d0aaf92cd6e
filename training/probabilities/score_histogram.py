"""How often each score was given and how often it came true, per product: all that calibration, AUC and calibration
error need, in a size that does not grow with the customers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput
from features.kernels import kernel


@dataclass(frozen=True)
class Span:
    """Which scores a histogram may meet.

    A bin holds the scores that share their sign, exponent and first 7 bits of mantissa (their bfloat16): at most
    2**-7 of their own size apart. Bins ascend with the score. Scores nearer to 0 than `lowest_bin` share that bin.
    """

    low: float
    high: float
    first_bin: int
    last_bin: int

    @property
    def n_bins(self) -> int:
        """Bins of the span."""
        return self.last_bin - self.first_bin + 1


def _bin_of(score: float) -> int:
    bits = int(np.float32(score).view(np.uint32)) >> 16
    return 0xFFFF - bits if bits >= 0x8000 else bits + 0x8000


PROBABILITIES = Span(0.0, 1.0, _bin_of(2.0**-32), _bin_of(1.0))
"""Scores from 0 to 1; what is below 2**-32 shares a bin."""

SELECTED = Span(0.0, 1.0, _bin_of(2.0**-14), _bin_of(1.0))
"""Probabilities of the best offers, of which few are small: what is below 2**-14 shares a bin."""

ANY_SCORE = Span(-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max), 0, 0xFFFF)
"""Any finite score."""


class ScoreHistogram:
    """Counts of scores, acquisitions and the sum of scores in each bin.

    Attributes
    ----------
    span : the scores it may meet
    counts : int32, shape (n_groups, n_products, n_bins); candidates whose score fell into the bin
    acquired : int32, same shape; those among them that were acquired; with `is_expected`, float64: the sum of what
        was expected of them
    sums : float64, same shape; sum of their scores
    """

    def __init__(self, n_products: int, span: Span, n_groups: int = 1, *, is_expected: bool = False) -> None:
        shape = (n_groups, n_products, span.n_bins)
        self.span = span
        self.counts: NDArray[np.int32] = np.zeros(shape, np.int32)
        self.acquired: NDArray[np.integer | np.floating] = np.zeros(shape, np.float64 if is_expected else np.int32)
        self.sums: NDArray[np.float64] = np.zeros(shape, np.float64)

    def add(
        self,
        scores: NDArray[np.float32],
        acquired: NDArray[np.bool_] | NDArray[np.float32],
        candidates: NDArray[np.bool_],
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        """Count a block of customers.

        Parameters
        ----------
        scores : float32, shape (n_customers, n_products); read at candidates only
        acquired, candidates : bool, same shape; with `is_expected`, float32: true probabilities, for one
        groups : int64, shape (n_customers,); the group each customer belongs to, by default the first

        Raises
        ------
        BadInput : when shapes differ, or a candidate's score is NaN or outside the span
        """
        shape = (len(scores), self.counts.shape[1])
        if not scores.shape == acquired.shape == candidates.shape == shape:
            raise BadInput(
                f"scores {scores.shape}, acquired {acquired.shape} and candidates {candidates.shape} must be the same "
                f"customers x {self.counts.shape[1]} products"
            )
        if groups is None:
            groups = np.zeros(len(scores), np.int64)
        exact = np.ascontiguousarray(scores, dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
        # in range by comparison, so that NaN is out of it
        outside = candidates & ~((exact >= self.span.low) & (exact <= self.span.high))
        if outside.any():
            row, product = (int(found[0]) for found in np.nonzero(outside))
            raise BadInput(
                f"{int(outside.sum())} scores are not within {self.span.low:g} to {self.span.high:g}, the first is "
                f"{exact[row, product]} in row {row} for the product at position {product}"
            )
        _count(
            exact,
            exact.view(np.uint32),
            acquired,
            candidates,
            groups,
            self.span.first_bin,
            self.counts,
            self.acquired,
            self.sums,
        )

    def pooled(self) -> ScoreHistogram:
        """All groups in one."""
        return self._of(self.counts.sum(axis=0), self.acquired.sum(axis=0), self.sums.sum(axis=0))

    def without_each(self) -> Iterator[ScoreHistogram]:
        """All groups in one but for the first, then but for the second, and so on."""
        whole = self.pooled()
        for counts, acquired, sums in zip(self.counts, self.acquired, self.sums, strict=True):
            yield self._of(whole.counts[0] - counts, whole.acquired[0] - acquired, whole.sums[0] - sums)

    def _of(
        self,
        counts: NDArray[np.integer],
        acquired: NDArray[np.integer | np.floating],
        sums: NDArray[np.float64],
    ) -> ScoreHistogram:
        histogram = ScoreHistogram(len(counts), self.span, n_groups=0)
        histogram.counts = counts[np.newaxis].astype(np.int32, copy=False)
        histogram.acquired = acquired[np.newaxis].astype(self.acquired.dtype, copy=False)
        histogram.sums = sums[np.newaxis]
        return histogram


@kernel
def _count(scores, words, acquired, candidates, groups, first_bin, counts, positives, sums):  # type: ignore[no-untyped-def]
    n_rows, n_products = scores.shape
    last = counts.shape[2] - 1
    for row in range(n_rows):
        group = groups[row]
        for product in range(n_products):
            if not candidates[row, product]:
                continue
            bits = np.int64(words[row, product] >> np.uint32(16))
            ordered = 0xFFFF - bits if bits >= 0x8000 else bits + 0x8000
            place = min(max(ordered - first_bin, 0), last)
            counts[group, product, place] += 1
            positives[group, product, place] += acquired[row, product]
            sums[group, product, place] += scores[row, product]
