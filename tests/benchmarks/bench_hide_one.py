"""How often the holding hidden of a household comes back first, or among three: the Survey of Consumer Finances 2019.

Run by ``python -m tests.benchmarks.bench_hide_one``. The last lines are JSON, one figure each.
Households fall into five parts; each part is asked about by models that learned from the other four. Each holding of a
household is hidden in turn, so that the figures are what hiding one at random gives on average, and every household
counts the same. Where there is a single holding nothing but attributes is left to go by: the figures are given with and
without such households.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates, block_of, build_states
from features.sources.importers import import_scf
from features.sources.importers.scf import ATTRIBUTES
from tests.benchmarks.figures import REAL_DATA, report
from training.evaluation import paired_difference
from training.evaluation.intervals import mean_interval
from training.examples import Examples, HiddenHoldings
from training.models import EASE, Model, Popularity, Propensity
from training.ranking import top_k

PARTS = 5
KS = (1, 3)
AIMS = {1: 0.52, 3: 0.785}
BASELINE = "LightGBM per product, untuned"
COLUMNS = tuple(name.lower() for name in ATTRIBUTES)


class LightGBMPerProduct:
    """The floor: for each product a LightGBM with its own defaults, from the attributes and all other holdings."""

    def fit(self, examples: Examples) -> LightGBMPerProduct:
        states = examples.states
        held = np.asarray(examples.holdings().toarray()).astype(np.bool_)
        learners = np.flatnonzero(held.any(axis=1))
        held = held[learners]
        attributes = self._attributes(block_of(states, learners, states.as_of_period))
        self._boosters = []
        for product in range(examples.n_products):
            others = held.copy()
            others[:, product] = False
            rows = lgb.Dataset(np.hstack([others, attributes]).astype(np.float32), label=held[:, product])
            settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True, "seed": 1}
            self._boosters.append(lgb.train(settings, rows))
        return self

    def score(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Probability of holding each product, float32 (n_customers, n_products)."""
        features = np.hstack([block.held, self._attributes(block)]).astype(np.float32)
        # what is hidden is not held in the block, and what is held is no candidate: the column of the product itself
        # needs no emptying here
        return np.stack([booster.predict(features, num_threads=1) for booster in self._boosters], axis=1).astype(
            np.float32
        )

    def _attributes(self, block: CustomerBlock) -> NDArray[np.float32]:
        names = block.feature_set.names
        return block.features[:, [names.index(name) for name in COLUMNS]]


def main() -> None:
    if not (REAL_DATA / "scf2019").is_dir():
        print(f"skipped the survey: {REAL_DATA / 'scf2019'} is not there")
        return
    with tempfile.TemporaryDirectory() as scratch:
        import_scf(REAL_DATA / "scf2019", Path(scratch) / "tables")
        states = build_states(Path(scratch) / "tables", Path(scratch) / "workspace").states
        measure(states)


def models() -> dict[str, Model | LightGBMPerProduct]:
    """Unfitted, the floors first."""
    return {"popularity": Popularity(), "EASE": EASE(), BASELINE: LightGBMPerProduct(), "propensity": Propensity()}


def measure(states: CustomerStates) -> None:
    """Print hit rates with intervals, paired differences, and a line of JSON for each figure."""
    started = time.perf_counter()
    hits: dict[str, list[NDArray[np.float64]]] = {name: [] for name in models()}
    asked: list[NDArray[np.int64]] = []
    for learners, judged in parts(states):
        examples = HiddenHoldings(states, learners)
        scorers = {name: model.fit(examples) for name, model in models().items()}
        for batch in HiddenHoldings(states, judged).batches():
            asked.append(batch.block.positions)
            for name, model in scorers.items():
                best = top_k(model.score(batch.block), batch.block.candidates, max(KS))
                hidden = batch.acquired.argmax(axis=1)
                hits[name].append(np.stack([(best[:, :k] == hidden[:, None]).any(axis=1) for k in KS], axis=1))
    households, inverse, holdings = np.unique(np.concatenate(asked), return_inverse=True, return_counts=True)
    rates = {
        name: np.stack(
            [np.bincount(inverse, weights=column) / holdings for column in np.concatenate(found).T.astype(np.float64)],
            axis=1,
        )
        for name, found in hits.items()
    }
    print(f"survey: {len(asked)} parts, {len(inverse):,} questions, in {time.perf_counter() - started:.0f} s")
    everyone = np.ones(len(households), dtype=np.bool_)
    for whose, chosen in (("all households", everyone), ("two holdings or more", holdings > 1)):
        print(f"  {whose}: {chosen.sum():,}")
        for name, values in rates.items():
            cells = []
            for column, k in enumerate(KS):
                figure = mean_interval(values[chosen, column], households[chosen], seed=1)
                cells.append(f"HR@{k} {figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]")
            print(f"    {name:30} {'  '.join(cells)}")
        for column, k in enumerate(KS):
            for name in ("EASE", BASELINE):
                ahead = paired_difference(
                    rates["propensity"][chosen, column], rates[name][chosen, column], households[chosen], seed=1
                )
                print(f"    propensity before {name}, HR@{k}: {ahead.value:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}]")
    print(f"  the aim is {' and '.join(f'HR@{k} {AIMS[k]}' for k in KS)}")
    for whose, chosen in ((" of two or more", holdings > 1), ("", everyone)):
        for column, k in enumerate(KS):
            report(
                f"SCF 2019, one of 22 holdings{whose} hidden, HR@{k}",
                mean_interval(rates["propensity"][chosen, column], households[chosen], seed=1),
                BASELINE,
                float(rates[BASELINE][chosen, column].mean()),
            )


def parts(states: CustomerStates) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions to learn from, four fifths of the customers, and to be asked about, each customer once."""
    drawn = np.random.default_rng(1).permutation(states.n_customers) % PARTS
    for part in range(PARTS):
        yield np.flatnonzero(drawn != part), np.flatnonzero(drawn == part)


if __name__ == "__main__":
    main()
