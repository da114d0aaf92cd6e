"""How every benchmark reports a figure, and the truth of the synthetic bank as a model to be ranked beside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates
from features.sources.synthetic import Truth
from training.evaluation import BootstrapInterval, Evaluation
from training.evaluation.intervals import BootstrapEstimate

REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"


def report(figure: str, value: BootstrapInterval, baseline: str, baseline_value: float) -> None:
    """Print one figure as a line of JSON."""
    line = {
        "figure": figure,
        "value": value.value,
        "low": value.low,
        "high": value.high,
        "baseline": baseline,
        "baseline_value": baseline_value,
    }
    print(json.dumps(line))


class TrueProbabilities:
    """Scores a block by the probabilities that its customers were simulated with."""

    def __init__(self, folder: Path, states: CustomerStates) -> None:
        self._truth = Truth.open(folder)
        ids = np.array([states.customer_id(position) for position in range(states.n_customers)])
        self._rows = np.searchsorted(np.asarray(self._truth.customer_ids), ids)  # its ids ascend as well

    def __call__(self, block: CustomerBlock) -> NDArray[np.float32]:
        return np.asarray(self._truth.probability(block.period))[self._rows[block.positions]]


def share_of(evaluation: Evaluation, model: str, of: str, metric: str) -> BootstrapInterval:
    """The metric of `model` as a share of that of another.

    On the same customers in every resample: what both find hard does not widen the interval.
    """
    part, whole = evaluation.estimates[model][metric], evaluation.estimates[of][metric]
    assert isinstance(part, BootstrapEstimate)
    assert isinstance(whole, BootstrapEstimate)
    return BootstrapEstimate(part.value / whole.value, part.replicates / whole.replicates).interval()
