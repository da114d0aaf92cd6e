"""Which share of the mobile home owners is found among the best fifth of an insurer's customers: CoIL Challenge 2000.

Run by ``python -m tests.benchmarks.bench_coil``. The last lines are JSON.
Ten stratified folds, three times: each fold is ranked by a model that learned from the other nine, and the figure is
the share of the owners who are in the upper fifth of their fold. Propensity is there as it is configured for any
bank, and with a size of its trees that is chosen within the nine, by the likelihood on folds of theirs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product as pairs
from pathlib import Path

import lightgbm as lgb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from features import CustomerBlock, CustomerStates, block_of, build_states
from features.sources.importers import import_coil
from features.sources.importers.coil import TARGET
from tests.benchmarks.figures import REAL_DATA, report
from training.evaluation import paired_difference
from training.evaluation.intervals import mean_interval
from training.examples import Batch, Examples
from training.models import EASE, Propensity
from training.models.propensity import PropensityConfig

SEEDS = (1, 2, 3)
FOLDS = 10
INNER_FOLDS = 3
SHARE = 0.2
AIM = 0.54
BASELINE = "LightGBM, untuned"
CONFIGURED, TUNED = "propensity", "propensity, trees chosen"
LEAVES = (2, PropensityConfig().any_leaves)
"""Sizes of tree to choose from."""

Ranker = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""From the rows to learn from and the rows to rank to the scores of the latter."""


@dataclass(frozen=True)
class WhoHolds(Examples):
    """Asks of customers whether they hold one product, seeing all else that is known of them.

    Attributes
    ----------
    block : the customers as if nobody held the product
    product : its position
    owns : bool, shape (n_customers,)
    rows : int64; those of `block` to learn from
    """

    states: CustomerStates
    block: CustomerBlock
    product: int
    owns: NDArray[np.bool_]
    rows: NDArray[np.int64]

    @property
    def latest_period(self) -> int:
        """The only period there is."""
        return self.states.as_of_period

    def batches(self) -> Iterator[Batch]:
        """One batch: who holds the product is said to acquire it."""
        acquired = np.zeros((len(self.rows), self.n_products), dtype=np.bool_)
        acquired[:, self.product] = self.owns[self.rows]
        yield Batch(self.block.take(self.rows), acquired)

    def holdings(self) -> sp.csr_array:
        """What the customers hold, the product included."""
        held = self.block.held.astype(np.float32)
        held[:, self.product] = self.owns
        everyone: NDArray[np.float32] = np.zeros((self.states.n_customers, self.n_products), dtype=np.float32)
        everyone[self.block.positions[self.rows]] = held[self.rows]
        return sp.csr_array(everyone)


def main() -> None:
    if not (REAL_DATA / "coil2000").is_dir():
        print(f"skipped the insurer's policies: {REAL_DATA / 'coil2000'} is not there")
        return
    with tempfile.TemporaryDirectory() as scratch:
        import_coil(REAL_DATA / "coil2000", Path(scratch) / "tables")
        measure(build_states(Path(scratch) / "tables", Path(scratch) / "workspace").states)


def question(states: CustomerStates) -> WhoHolds:
    """Who holds the target: of every customer, with features."""
    product = states.catalogue.position_of(TARGET)
    block = block_of(states, np.arange(states.n_customers), states.as_of_period)
    hidden = np.zeros(block.held.shape, dtype=np.bool_)
    hidden[:, product] = True
    # blocks with something hidden leave balances out, for a product's own would give it away; the target has none
    without = replace(block.without(hidden), partly_hidden=False)
    assert not (states.balances.keys == product).any()
    without.features  # noqa: B018 computed once, kept for every fold
    return WhoHolds(states, without, product, block.held[:, product], np.arange(states.n_customers))


def rankers(everyone: WhoHolds) -> dict[str, Ranker]:
    """What is compared, the floors first."""
    block, owns, product = everyone.block, everyone.owns, everyone.product

    def ease(learn: NDArray[np.int64], judged: NDArray[np.int64]) -> NDArray[np.float32]:
        return EASE().fit(replace(everyone, rows=learn)).score(block.take(judged))[:, product]

    def untuned(learn: NDArray[np.int64], judged: NDArray[np.int64]) -> NDArray[np.float32]:
        settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True, "seed": 1}
        booster = lgb.train(settings, lgb.Dataset(block.features[learn], label=owns[learn]))
        return np.asarray(booster.predict(block.features[judged], num_threads=1), dtype=np.float32)

    def with_leaves(leaves: int) -> Ranker:
        model = PropensityConfig(any_leaves=leaves)

        def propensity(learn: NDArray[np.int64], judged: NDArray[np.int64]) -> NDArray[np.float32]:
            return Propensity(model).fit(replace(everyone, rows=learn)).score(block.take(judged))[:, product]

        return propensity

    def chosen(learn: NDArray[np.int64], judged: NDArray[np.int64]) -> NDArray[np.float32]:
        losses = {leaves: _inner_loss(with_leaves(leaves), learn, owns) for leaves in LEAVES}
        return with_leaves(min(losses, key=lambda leaves: losses[leaves]))(learn, judged)

    return {
        "EASE": ease,
        BASELINE: untuned,
        CONFIGURED: with_leaves(PropensityConfig().any_leaves),
        TUNED: chosen,
    }


def measure(states: CustomerStates) -> None:
    """Print the share of owners found by each ranker, paired differences, and a line of JSON."""
    started = time.perf_counter()
    everyone = question(states)
    owns = everyone.owns
    found = {name: np.zeros(len(owns)) for name in rankers(everyone)}
    by_seed: dict[str, list[float]] = {name: [] for name in found}
    for seed in SEEDS:
        once = {name: np.zeros(len(owns)) for name in found}
        for learn, judged in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(owns, owns):
            for name, ranker in rankers(everyone).items():
                best = np.argsort(-ranker(learn, judged), kind="stable")[: round(SHARE * len(judged))]
                once[name][judged[best]] = 1.0
        for name, marked in once.items():
            found[name] += marked / len(SEEDS)
            by_seed[name].append(marked[owns].mean())
    owners = np.flatnonzero(owns)
    print(f"insurer's policies: {len(owners)} owners in {len(owns):,}, in {time.perf_counter() - started:.0f} s")
    for name, marked in found.items():
        figure = mean_interval(marked[owners], owners, seed=1)
        seeds = ", ".join(f"{share:.3f}" for share in by_seed[name])
        print(f"  {name:28} {figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]; by seed {seeds}")
    for name, floor in pairs((CONFIGURED, TUNED), ("EASE", BASELINE)):
        ahead = paired_difference(found[name][owners], found[floor][owners], owners, seed=1)
        print(f"  {name} before {floor}: {ahead.value:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}]")
    print(f"  the aim is {AIM}")
    for name in (CONFIGURED, TUNED):
        report(
            f"CoIL 2000, mobile home owners among the best fifth, {name}",
            mean_interval(found[name][owners], owners, seed=1),
            BASELINE,
            float(found[BASELINE][owners].mean()),
        )


def _inner_loss(ranker: Ranker, learn: NDArray[np.int64], owns: NDArray[np.bool_]) -> float:
    """Mean negative log-likelihood on folds of the rows to learn from."""
    scores = np.zeros(len(learn))
    for inner, held_out in StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=1).split(learn, owns[learn]):
        scores[held_out] = ranker(learn[inner], learn[held_out])
    return float(log_loss(owns[learn], scores))


if __name__ == "__main__":
    main()
