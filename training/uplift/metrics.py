"""Metrics of uplift: do those with the highest scores gain most from a contact?

All look at trials ranked by score, best first, and count what happened among the share ``phi`` of them on top: treated
``N_t(phi)``, acquisitions of the treated ``Y_t(phi)``, and ``N_c``, ``Y_c`` of the control. A trial counts by one over
the probability of its arm, so that campaigns with different control groups can be ranked together. Trials of equal
score are entered together, in proportion, so their order changes nothing.

- ``uplift(phi) = Y_t / N_t - Y_c / N_c``: acquisitions that a contact adds among the top share.
- uplift curve ``g(phi) = phi uplift(phi)``: acquisitions added, a trial, when only the top share is contacted
  (Gutierrez and Gerardy 2017, section 4, divided by the number of trials; 0 while an arm is empty). AUUC is the area
  below it for ``phi`` from 0 to 1.
- Qini curve ``Q(phi) = (Y_t - Y_c N_t / N_c) / N_t(1)``: acquisitions added, a treated customer of the whole
  (Radcliffe 2007). The Qini coefficient is the area between it and the straight line to ``Q(1)``, which a random order
  has; it is not divided by that of a perfect order, which nobody can know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluation.intervals import BootstrapEstimate
from .trials import Trials

BINS = 10
"""Groups of equal size that uplift is shown by."""

SHARES = (0.1, 0.3, 0.5)
"""Shares on top for which uplift is given."""


_NOBODY = 1e-9  # share of the trials below which a difference of two sums is rounding


@dataclass(frozen=True)
class Ranking:
    """What happened down to each distinct score.

    Attributes
    ----------
    share : float64, shape (k + 1,); share of the trials, from 0 to 1
    treated, acquired_treated, control, acquired_control : float64, shape (k + 1,); weighted counts among them
    """

    share: NDArray[np.float64]
    treated: NDArray[np.float64]
    acquired_treated: NDArray[np.float64]
    control: NDArray[np.float64]
    acquired_control: NDArray[np.float64]

    def uplift_at(self, share: float) -> float:
        """Uplift among the top `share`; NaN where an arm is empty."""
        return float(self._uplift_between(np.array([0.0, share]))[0])

    def uplift_by_bin(self, bins: int = BINS) -> NDArray[np.float64]:
        """Shape (bins,): uplift in each of `bins` groups of equal size, best first; NaN where an arm is empty."""
        return self._uplift_between(np.linspace(0, 1, bins + 1))

    def average_effect(self) -> float:
        """Uplift among all."""
        return self.uplift_at(1.0)

    def uplift_curve(self) -> NDArray[np.float64]:
        """Shape (k + 1,): g at each `share`."""
        both = (self.treated > 0) & (self.control > 0)
        uplift = _ratio(self.acquired_treated, self.treated) - _ratio(self.acquired_control, self.control)
        return np.where(both, self.share * uplift, 0.0)

    def auuc(self) -> float:
        """Area under the uplift curve."""
        return float(np.trapezoid(self.uplift_curve(), self.share))

    def qini_curve(self) -> NDArray[np.float64]:
        """Shape (k + 1,): Q at each `share`."""
        expected = self.acquired_control * _ratio(self.treated, self.control)
        return (self.acquired_treated - expected) / self.treated[-1] if self.treated[-1] else np.zeros(len(self.share))

    def qini(self) -> float:
        """The Qini coefficient."""
        curve = self.qini_curve()
        return float(np.trapezoid(curve, self.share) - curve[-1] / 2)

    def _uplift_between(self, shares: NDArray[np.floating]) -> NDArray[np.float64]:
        treated, acquired_treated, control, acquired_control = (
            np.diff(np.interp(shares, self.share, counts))
            for counts in (self.treated, self.acquired_treated, self.control, self.acquired_control)
        )
        both = np.minimum(treated, control) > _NOBODY * (self.treated[-1] + self.control[-1])
        return np.where(both, _ratio(acquired_treated, treated) - _ratio(acquired_control, control), np.nan)


class Ranked:
    """Trials in the order of their scores, to be counted as they are or resampled."""

    def __init__(self, scores: NDArray[np.floating], trials: Trials) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        treated, acquired = trials.treated[self._order], trials.acquired[self._order]
        weights = trials.weights[self._order]
        self._columns = np.stack(
            [
                np.ones(len(weights)),
                weights * treated,
                weights * (treated & acquired),
                weights * ~treated,
                weights * (~treated & acquired),
            ]
        )
        self._customers, self._customer = np.unique(trials.customers[self._order], return_inverse=True)

    def ranking(self, times: NDArray[np.int64] | None = None) -> Ranking:
        """The counts when customer i, in ascending order of position, is there ``times[i]`` times; by default once."""
        columns = self._columns if times is None else self._columns * times[self._customer]
        sums = np.cumsum(columns, axis=1)[:, self._ends]
        sums = np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)
        return Ranking(sums[0] / max(sums[0, -1], 1.0), *sums[1:])

    def figures(self, *, seed: int, resamples: int) -> dict[str, BootstrapEstimate]:
        """Every metric by name, with its value in each resample of the customers (Poisson bootstrap).

        The resamples depend on the trials and the seed only: figures of two scores for the same trials are paired.
        """
        generator = np.random.default_rng(seed)
        names, values = _names(), _values(self.ranking())
        drawn = np.array(
            [_values(self.ranking(generator.poisson(1.0, len(self._customers)))) for _ in range(resamples)]
        )
        return {
            name: BootstrapEstimate(float(value), replicates)
            for name, value, replicates in zip(names, values, drawn.T, strict=True)
        }


def bin_name(number: int) -> str:
    """The name of the figure of the `number`-th group, from 1."""
    return f"uplift_{number}_of_{BINS}"


def share_name(share: float) -> str:
    """The name of the figure of the top `share`."""
    return f"uplift@{round(100 * share)}"


def _names() -> list[str]:
    shares = [share_name(share) for share in SHARES]
    return ["qini", "auuc", "average_effect", *shares, *(bin_name(number) for number in range(1, BINS + 1))]


def _values(ranking: Ranking) -> NDArray[np.float64]:
    shares = [ranking.uplift_at(share) for share in SHARES]
    return np.array([ranking.qini(), ranking.auuc(), ranking.average_effect(), *shares, *ranking.uplift_by_bin()])


def _ratio(counts: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(counts, by, out=np.zeros(len(counts)), where=by > 0)
