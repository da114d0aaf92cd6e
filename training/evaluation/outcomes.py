"""Outcomes: what each model's ranking was worth to each customer, kept so that figures can be taken of any part of
them, together with those of another day or against each other, on the same resamples of customers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput

from .intervals import BootstrapEstimate, resample
from .metrics import RANKING_METRICS, perfect_ranking

PERFECT = "(perfect)"
"""The ranking that knows what will be acquired."""

TRUTH = "(truth)"
"""The ranking by the true probabilities, which a synthetic bank publishes."""


@dataclass(frozen=True)
class Outcomes:
    """Values of the ranking metrics; rows without an acquisition, whose values are all 0, are only counted.

    Attributes
    ----------
    metrics : the columns: ``hit_rate@1`` and so on
    values : ranking (a model, `PERFECT` or `TRUTH`) -> float32, shape (n_active_rows, n_metrics)
    acquirers : int64, shape (n_active_rows,); the customer of each
    clusters : int64, shape (n_rows,); the customer of every row, active ones included
    """

    metrics: tuple[str, ...]
    values: dict[str, NDArray[np.float32]]
    acquirers: NDArray[np.int64]
    clusters: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """All rows of `parts`, one after the other.

        Raises
        ------
        BadInput : when they are not of the same rankings and metrics
        """
        first = parts[0]
        if any(part.metrics != first.metrics or part.values.keys() != first.values.keys() for part in parts):
            raise BadInput("outcomes of other models or other metrics cannot be put together")
        return cls(
            first.metrics,
            {name: np.concatenate([part.values[name] for part in parts]) for name in first.values},
            np.concatenate([part.acquirers for part in parts]),
            np.concatenate([part.clusters for part in parts]),
        )

    def estimates(self, *, seed: int, resamples: int) -> dict[str, dict[str, BootstrapEstimate]]:
        """Ranking -> metric -> mean over all rows, and over those of each resample of customers."""
        width = len(self.metrics)
        drawn = resample(
            np.hstack(list(self.values.values())), self.acquirers, self.clusters, seed=seed, resamples=resamples
        )
        return {
            ranking: {name: drawn.mean(place * width + column) for column, name in enumerate(self.metrics)}
            for place, ranking in enumerate(self.values)
        }

    def part(self, active: NDArray[np.bool_], rows: NDArray[np.bool_], metrics: Iterable[str]) -> Outcomes:
        """The active rows and all rows where these, shapes (n_active_rows,) and (n_rows,), are true."""
        names = tuple(metrics)
        columns = [self.metrics.index(name) for name in names]
        return Outcomes(
            names,
            {ranking: values[active][:, columns] for ranking, values in self.values.items()},
            self.acquirers[active],
            self.clusters[rows],
        )

    def save(self, path: Path) -> None:
        """Write to `path`, an ``.npz`` file."""
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                metrics=np.array(self.metrics),
                rankings=np.array(list(self.values)),
                values=np.stack(list(self.values.values())),
                acquirers=self.acquirers,
                clusters=self.clusters,
            )

    @classmethod
    def load(cls, path: Path) -> Outcomes:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                tuple(arrays["metrics"].tolist()),
                dict(zip(arrays["rankings"].tolist(), arrays["values"], strict=True)),
                arrays["acquirers"],
                arrays["clusters"],
            )


def metric_names(ks: tuple[int, ...]) -> tuple[str, ...]:
    """Every ranking metric at every length of list."""
    return tuple(f"{name}@{k}" for name in RANKING_METRICS for k in ks)


def metric_values(ranked: NDArray[np.int32], relevant: NDArray[np.bool_], ks: tuple[int, ...]) -> NDArray[np.float32]:
    """Float32, shape (n_rows, n_metrics), columns as `metric_names` has them."""
    columns = [metric(ranked, relevant, k) for metric in RANKING_METRICS.values() for k in ks]
    return np.stack(columns, axis=1).astype(np.float32)


def perfect_values(relevant: NDArray[np.bool_], ks: tuple[int, ...]) -> NDArray[np.float32]:
    """What a perfect ranking reaches on each row."""
    return metric_values(perfect_ranking(relevant, max(ks)), relevant, ks)
