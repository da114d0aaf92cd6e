"""Scoring alone: the propensity's boosters for 950,000 customers and for one, beside LightGBM's own predict.

Run by ``python -m tests.benchmarks.bench_scoring``. The last lines are JSON, one figure each.
Both score the same boosters over the same features on as many threads, turn by turn, a block of customers at a time; a
block whose scores differ in one bit ends the benchmark. The interval is a bootstrap over blocks.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from features import CustomerStates, block_of, feature_set_of
from tests.benchmarks.bench_features import NEWEST, simulated_words, write_states
from training.examples import DatedExamples
from training.models import Propensity
from training.models.trees.ensemble import ScoringEngine

N_CUSTOMERS = 950_000
TRAINED_ON = tuple(range(NEWEST - 4, NEWEST))
THREADS = 2
SINGLES = 500
"""Customers scored one by one."""

RESAMPLES = 1000
GOAL_RATIO, GOAL_MICROSECONDS = 10.0, 150.0


def main() -> None:
    """Measure, print, and end with the figures as JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        rng = np.random.default_rng(0)
        write_states(Path(temporary), simulated_words(rng), rng)
        states = CustomerStates.open(Path(temporary))
        started = time.perf_counter()
        model = Propensity().fit(DatedExamples(states, TRAINED_ON, 1))
        learners = model._learners[0]  # of retail customers
        engines = [learners.any, learners.choice]
        n_trees = [engine.booster.num_trees() for engine in engines]
        print(f"boosters of {n_trees} trees on {len(learners.columns)} features, {time.perf_counter() - started:.0f} s")
        figures = [*everyone(states, engines), *one_customer(states, model, engines)]
    for figure in figures:
        print(json.dumps(figure))


def everyone(states: CustomerStates, engines: list[ScoringEngine]) -> list[dict]:
    """Seconds of engine and LightGBM over all customers, block by block in turn."""
    ours, lightgbm = [], []
    customers = np.arange(N_CUSTOMERS)
    for number, positions in enumerate(np.array_split(customers, 1 + N_CUSTOMERS // 65_536)):
        features = block_of(states, positions, NEWEST).features
        narrow = np.ascontiguousarray(features[:, engines[0].columns])
        if number == 0:
            scores_of(engines, features[:1000])  # compiles
        for contestant in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            if contestant:
                mine = scores_of(engines, features)
                ours.append(time.perf_counter() - start)
            else:
                theirs = [
                    engine.booster.predict(narrow, raw_score=True, num_threads=THREADS).reshape(len(narrow), -1)
                    for engine in engines
                ]
                lightgbm.append(time.perf_counter() - start)
        for left, right in zip(mine, theirs, strict=True):
            assert left.tobytes() == right.tobytes()
    taken = np.array([ours, lightgbm])
    total, ratio = taken.sum(axis=1), taken[1].sum() / taken[0].sum()
    drawn = np.random.default_rng(1).integers(0, len(ours), (RESAMPLES, len(ours)))
    low, high = np.quantile(taken[1][drawn].sum(axis=1) / taken[0][drawn].sum(axis=1), [0.025, 0.975])
    print(
        f"{N_CUSTOMERS:,} customers on {THREADS} threads, equal bit for bit: "
        f"engine {total[0]:.2f} s, {N_CUSTOMERS / total[0]:,.0f} rows a second; "
        f"LightGBM {total[1]:.1f} s, {N_CUSTOMERS / total[1]:,.0f} rows a second; "
        f"{ratio:.1f} [{low:.1f}, {high:.1f}] times as long, median block {np.median(taken[1] / taken[0]):.1f} | "
        f"goal {GOAL_RATIO:.0f}: {'reached' if low > GOAL_RATIO else 'MISSED'}"
    )
    return [
        {
            "figure": f"scoring {N_CUSTOMERS:,} customers, LightGBM's predict over the engine, seconds over seconds",
            "value": ratio,
            "low": low,
            "high": high,
            "baseline": "LightGBM's predict of the same boosters",
            "baseline_value": 1.0,
        }
    ]


def one_customer(states: CustomerStates, model: Propensity, engines: list[ScoringEngine]) -> list[dict]:
    """Microseconds of one customer's scores for all products, as the service computes them: on one thread."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    blocks = [block_of(states, np.array([position]), NEWEST) for position in range(SINGLES)]
    features = microseconds(lambda number: feature_set_of(states).compute(blocks[number]))
    rows = [block.features for block in blocks]
    narrow = [row[:, engines[0].columns] for row in rows]
    engine = microseconds(lambda number: scores_of(engines, rows[number]))
    whole = microseconds(lambda number: model.score(blocks[number]))
    lightgbm = microseconds(
        lambda number: [one.booster.predict(narrow[number], raw_score=True, num_threads=1) for one in engines]
    )
    numba.set_num_threads(threads)
    value, low, high = spread(engine)
    print(
        f"one customer, all products, median [5%, 95%] of {SINGLES}: engine {value:.0f} [{low:.0f}, {high:.0f}] µs, "
        f"LightGBM {spread(lightgbm)[0]:.0f} µs; with softmax and all, features given: {spread(whole)[0]:.0f} µs; "
        f"features: {spread(features)[0]:.0f} µs | goal {GOAL_MICROSECONDS:.0f} µs: "
        f"{'reached' if value < GOAL_MICROSECONDS else 'MISSED'}"
    )
    baseline = {"baseline": "LightGBM's predict of the same boosters", "baseline_value": spread(lightgbm)[0]}
    return [
        {"figure": name, **dict(zip(("value", "low", "high"), spread(taken), strict=True)), **baseline}
        for name, taken in (
            ("scoring one customer for all products, boosters alone, microseconds", engine),
            ("scoring one customer for all products, features given, microseconds", whole),
        )
    ]


def scores_of(engines: list[ScoringEngine], features: np.ndarray) -> list[np.ndarray]:
    """What the laid out trees say; LightGBM must not step in unnoticed."""
    assert all(engine.ensemble is not None for engine in engines)
    return [engine.raw_scores(features) for engine in engines]


def microseconds(work: Callable[[int], object]) -> np.ndarray:
    """Of each customer, in a second round."""
    taken = np.empty(SINGLES)
    for _ in range(2):
        for number in range(SINGLES):
            start = time.perf_counter()
            work(number)
            taken[number] = 1e6 * (time.perf_counter() - start)
    return taken


def spread(taken: np.ndarray) -> tuple[float, float, float]:
    """Median, 5% and 95%."""
    return float(np.median(taken)), float(np.quantile(taken, 0.05)), float(np.quantile(taken, 0.95))


if __name__ == "__main__":
    main()
