"""Decisions for a million customers, 24 products and forty rules: alone, and on the way from states.

Run by ``python -m tests.benchmarks.bench_decisions``. The last lines are JSON, one figure each.
`decide` alone is given its scores; the way from states computes features, scores and decisions, turn by turn with
LightGBM's own predict of the same boosters over the same customers, on as many threads. Intervals are bootstraps over
blocks and turns.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from features import BLOCK_SIZE, CustomerStates, block_of, blocks_of
from serving.decisions import CompiledPolicy, Context, decide
from tests.benchmarks.bench_features import AS_OF, N_CUSTOMERS, N_PRODUCTS, NEWEST
from tests.benchmarks.decision_bank import forty_rules, write_bank
from training.examples import DatedExamples
from training.models import Propensity

TRAINED_ON = tuple(range(NEWEST - 4, NEWEST))
THREADS = 2
SINGLES = 1000
TURNS = 16
"""Stretches of blocks after which the other one's turn comes: each has its threads and caches for itself."""

LIMIT = 3
RESAMPLES = 1000
GOAL_A_SECOND, GOAL_ONE, GOAL_RATIO = 400_000, 500.0, 4.0
CONTEXT = Context("rm", AS_OF)


def main() -> None:
    """Measure, print, and end with the figures as JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_bank(folder)
        alone = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.bench_decisions", str(folder)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        print("\n".join(alone.stdout.splitlines()[:-1]))
        figures = json.loads(alone.stdout.splitlines()[-1])
        states = CustomerStates.open(folder)
        policy = CompiledPolicy.of(forty_rules(), states, NEWEST, np.full(N_PRODUCTS, 10_000))
        figures += from_states(states, policy)
    for figure in figures:
        print(json.dumps(figure))


def decisions_alone(folder: Path) -> None:
    """`decide` with scores given, in a process of its own, so that its peak memory is that of this step."""
    states = CustomerStates.open(folder)
    policy = CompiledPolicy.of(forty_rules(), states, NEWEST, np.full(N_PRODUCTS, 10_000))
    scores = np.random.default_rng(1).random((BLOCK_SIZE, N_PRODUCTS), dtype=np.float32) * np.float32(0.02)
    first = block_of(states, np.arange(1000), NEWEST)
    decide(scores[:1000], first, policy, CONTEXT, limit=LIMIT)  # compiles
    before = peak()
    taken, sizes, offered = [], [], 0
    for block in blocks_of(states, NEWEST):
        given = scores[: block.n_customers]
        start = time.perf_counter()
        decisions = decide(given, block, policy, CONTEXT, limit=LIMIT)
        taken.append(time.perf_counter() - start)
        sizes.append(block.n_customers)
        offered += int((decisions.products >= 0).sum())
    a_second = spread_of_rate(np.array(sizes, dtype=np.float64), np.array(taken))
    extra = peak() - before
    print(
        f"decide: {sum(sizes):,} customers, {N_PRODUCTS} products, 40 rules, {offered:,} offers: {sum(taken):.2f} s, "
        f"{a_second[0]:,.0f} [{a_second[1]:,.0f}, {a_second[2]:,.0f}] customers a second, {extra:.2f} GB more | goal "
        f"{GOAL_A_SECOND:,}: {'reached' if a_second[1] > GOAL_A_SECOND else 'MISSED'}"
    )
    numba.set_num_threads(1)
    blocks = [block_of(states, np.array([position]), NEWEST) for position in range(SINGLES)]
    one = microseconds(lambda n: decide(scores[n : n + 1], blocks[n], policy, CONTEXT, limit=LIMIT))
    print(
        f"decide, one customer: {one[0]:.0f} [{one[1]:.0f}, {one[2]:.0f}] µs | goal {GOAL_ONE:.0f}: "
        f"{'reached' if one[0] < GOAL_ONE else 'MISSED'}"
    )
    figures = [
        figure(
            "decide, 1 million customers, 24 products, 40 rules, customers a second", a_second, "goal", GOAL_A_SECOND
        ),
        figure("decide, one customer, microseconds", one, "goal", GOAL_ONE),
        figure("decide, 1 million customers, gigabytes beyond the states", (extra,) * 3, "none", 0.0),
    ]
    print(json.dumps(figures))


def from_states(states: CustomerStates, policy: CompiledPolicy) -> list[dict]:
    """Seconds of features, scores and decisions, and of LightGBM's predict, in turn."""
    model = Propensity().fit(DatedExamples(states, TRAINED_ON, 1))
    whole_way(model, policy, states, np.arange(BLOCK_SIZE))  # compiles
    steps, lightgbm = [], []
    for number, turn in enumerate(np.array_split(np.arange(N_CUSTOMERS), TURNS)):
        blocks = np.array_split(turn, len(turn) // BLOCK_SIZE)
        for contestant in (0, 1) if number % 2 else (1, 0):
            if contestant:
                steps.append(np.sum([whole_way(model, policy, states, block) for block in blocks], axis=0))
            else:
                lightgbm.append(sum(predict(model, states, block) for block in blocks))
    taken, theirs = np.array(steps), np.array(lightgbm)
    ours = taken.sum(axis=1)
    drawn = np.random.default_rng(1).integers(0, len(ours), (RESAMPLES, len(ours)))
    ratio = float(theirs.sum() / ours.sum())
    low, high = np.quantile(theirs[drawn].sum(axis=1) / ours[drawn].sum(axis=1), [0.025, 0.975])
    shares = taken.sum(axis=0) / ours.sum()
    print(
        f"from states: {N_CUSTOMERS:,} customers in {ours.sum():.1f} s: view {shares[0]:.0%}, features "
        f"{shares[1]:.0%}, scores {shares[2]:.0%}, decisions {shares[3]:.0%}; LightGBM's predict alone "
        f"{theirs.sum():.1f} s, {ratio:.1f} [{low:.1f}, {high:.1f}] times as long | goal {GOAL_RATIO:.0f}: "
        f"{'reached' if low > GOAL_RATIO else 'MISSED'}"
    )
    name = (
        "from states to decisions, 1 million customers, LightGBM's predict alone over all of it, seconds over seconds"
    )
    return [figure(name, (ratio, float(low), float(high)), "LightGBM's predict of the same boosters", 1.0)]


def whole_way(model: Propensity, policy: CompiledPolicy, states: CustomerStates, positions: np.ndarray) -> list[float]:
    """Seconds of the view of the states, features, scores and decisions."""
    marks = [time.perf_counter()]
    block = block_of(states, positions, NEWEST)
    marks.append(time.perf_counter())
    _ = block.features
    marks.append(time.perf_counter())
    scores = model.score(block)
    marks.append(time.perf_counter())
    decide(scores, block, policy, CONTEXT, limit=LIMIT)
    marks.append(time.perf_counter())
    return list(np.diff(marks))


def predict(model: Propensity, states: CustomerStates, positions: np.ndarray) -> float:
    """Seconds of LightGBM's predict, features given, of the boosters of each kind for that kind's customers."""
    block = block_of(states, positions, NEWEST)
    seconds = 0.0
    for kind, learners in model._learners.items():
        mine = block.features[block.kinds == kind]
        for engine in (learners.any, learners.choice):
            narrow = np.ascontiguousarray(mine[:, engine.columns])
            start = time.perf_counter()
            engine.booster.predict(narrow, raw_score=True, num_threads=THREADS)
            seconds += time.perf_counter() - start
    return seconds


def spread_of_rate(sizes: np.ndarray, taken: np.ndarray) -> tuple[float, float, float]:
    """Customers a second, with the interval over blocks."""
    drawn = np.random.default_rng(1).integers(0, len(taken), (RESAMPLES, len(taken)))
    low, high = np.quantile(sizes[drawn].sum(axis=1) / taken[drawn].sum(axis=1), [0.025, 0.975])
    return float(sizes.sum() / taken.sum()), float(low), float(high)


def microseconds(work: Callable[[int], object]) -> tuple[float, float, float]:
    """Median, 5% and 95% over customers, in a second round."""
    taken = np.empty(SINGLES)
    for _ in range(2):
        for number in range(SINGLES):
            start = time.perf_counter()
            work(number)
            taken[number] = 1e6 * (time.perf_counter() - start)
    low, middle, high = np.quantile(taken, [0.05, 0.5, 0.95])
    return float(middle), float(low), float(high)


def figure(name: str, value: tuple[float, ...], baseline: str, baseline_value: float) -> dict:
    """One line of the report."""
    keys = ("value", "low", "high")
    return {
        "figure": name,
        **dict(zip(keys, value, strict=True)),
        "baseline": baseline,
        "baseline_value": baseline_value,
    }


def peak() -> float:
    """Gigabytes that this process used at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    if len(sys.argv) > 1:
        decisions_alone(Path(sys.argv[1]))
    else:
        main()
