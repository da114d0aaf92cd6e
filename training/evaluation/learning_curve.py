"""The learning curve: what a model makes of fewer training customers, and so what more of them might bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..examples import Batch, DatedExamples, Examples, HiddenHoldings
from .intervals import BootstrapInterval


@dataclass(frozen=True)
class LearningPoint:
    """A model fitted on a share of the training customers.

    Attributes
    ----------
    share : of the training customers; the shares are nested
    values : model -> the metric
    below_whole : model -> the metric when fitted on all minus this one, on the same test customers
    """

    share: float
    values: dict[str, BootstrapInterval]
    below_whole: dict[str, BootstrapInterval]


@dataclass(frozen=True)
class LearningCurve:
    """Points by ascending share, the last of them all customers."""

    metric: str
    points: tuple[LearningPoint, ...]


@dataclass(frozen=True)
class ThinnedExamples(DatedExamples):
    """The examples of some customers.

    Attributes
    ----------
    kept : bool, shape (states.n_customers,)
    """

    kept: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def batches(self) -> Iterator[Batch]:
        """The rows of the customers kept."""
        for batch in super().batches():
            rows = np.flatnonzero(self.kept[batch.block.positions])
            if len(rows):
                yield Batch(batch.block.take(rows), batch.acquired[rows])

    def holdings(self) -> sp.csr_array:
        """Nothing of anybody else."""
        visible = sp.csr_array(sp.diags_array(self.kept.astype(np.float32)) @ super().holdings())
        visible.eliminate_zeros()
        return visible


def thinned(examples: Examples, share: float, seed: int) -> Examples:
    """The examples of `share` of the customers; those of a smaller share, drawn with the same seed, are among them."""
    kept = np.random.default_rng(seed).random(examples.states.n_customers) < share
    if isinstance(examples, HiddenHoldings):
        return replace(examples, positions=examples.positions[kept[examples.positions]])
    if isinstance(examples, DatedExamples):
        return ThinnedExamples(examples.states, examples.periods, examples.horizon, kept)
    raise TypeError(f"{type(examples).__name__} cannot be thinned")
