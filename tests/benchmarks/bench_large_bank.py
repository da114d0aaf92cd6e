"""A bank of 950,000 customers from tables to everybody's suggestions: build, features, train, score.

Run by ``python -m tests.benchmarks.bench_large_bank [CUSTOMERS]``. The last lines are JSON, one figure each.
The bank looks like Kaggle's Santander panel (17 months, 24 products) and is written and imported first, timed apart.
The rest runs in a process of its own with the default settings, so its peak memory is that of all its steps.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from features import blocks_of, build_states, current_states
from features.sources.importers import import_santander
from tests.features.sources.santander_lookalike import write_lookalike
from training import CHAMPION, Bundle, Tracking, train
from training.ranking import NOTHING, top_k

N_CUSTOMERS = 950_000
N_MONTHS = 17
K = 7
GOAL_SECONDS, GOAL_GIGABYTES = 600.0, 6.0


def main(n_customers: int) -> None:
    """Write and import the bank, measure the rest in a process of its own, end with the figures as JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        seconds: dict[str, float] = {}
        with timed("write", seconds):
            write_lookalike(scratch / "train_ver2.csv", n_customers, N_MONTHS)
        size = (scratch / "train_ver2.csv").stat().st_size
        with timed("import", seconds):
            import_santander(scratch / "train_ver2.csv", scratch / "tables")
        print(
            f"{n_customers:,} customers, {N_MONTHS} months, not counted: {size / 1e9:.2f} GB of CSV written in "
            f"{seconds['write']:.0f} s and imported in {seconds['import']:.0f} s with {gigabytes():.2f} GB of memory",
            flush=True,
        )
        command = [sys.executable, "-m", "tests.benchmarks.bench_large_bank", temporary]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    *lines, last = done.stdout.splitlines()
    print("\n".join(lines))
    measured = json.loads(last)
    total, peak = sum(measured["seconds"].values()), measured["gigabytes"]
    print(
        f"in all {total:.0f} s and {peak:.2f} GB | goal {GOAL_SECONDS:.0f} s and {GOAL_GIGABYTES:.0f} GB: "
        f"{'reached' if total < GOAL_SECONDS and peak < GOAL_GIGABYTES else 'MISSED'}"
    )
    name = f"{n_customers:,} customers, {N_MONTHS} months, from tables to everybody's top {K}"
    for unit, value, goal in (("seconds", total, GOAL_SECONDS), ("peak gigabytes", peak, GOAL_GIGABYTES)):
        figure = {"figure": f"{name}, {unit}", "value": value, "low": value, "high": value}  # one run
        print(json.dumps(figure | {"baseline": "goal", "baseline_value": goal}))


def measure(scratch: Path) -> None:
    """From tables to suggestions; the last line printed is JSON."""
    workspace, seconds = scratch / "workspace", {}
    with timed("build", seconds):
        build_states(scratch / "tables", workspace)
    with timed("features", seconds):
        states = current_states(workspace)
        n_features = sum(block.features.size for block in blocks_of(states, states.as_of_period))
    with timed("train", seconds):
        outcome = train(workspace)
    with timed("score", seconds):
        bundle = Bundle.open(Tracking(workspace).version(CHAMPION).folder, only_selected=True)
        suggestions = np.concatenate(
            [top_k(bundle.propensities(block), block.candidates, K) for block in blocks_of(states, states.as_of_period)]
        )
    print(
        f"{n_features:,} features of everybody at the newest date; selected {outcome.selected}, by MAP@{K}: "
        + ", ".join(f"{name} {value:.4f}" for name, value in outcome.validation.items())
    )
    print(f"{(suggestions != NOTHING).sum():,} suggestions for {len(suggestions):,} customers")
    for step, taken in seconds.items():
        print(f"  {step:8} {taken:6.1f} s")
    print(f"{processor_seconds():.0f} s of the processors: the rest is waiting for disks and for other processes")
    print(json.dumps({"seconds": seconds, "gigabytes": gigabytes()}))


@contextmanager
def timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    """Write down how long a step takes."""
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


def processor_seconds() -> float:
    """What this process and those it started have computed so far, summed over threads."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def gigabytes() -> float:
    """The most memory this process, or one it started, has had."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else str(N_CUSTOMERS)
    if given.isdecimal():
        main(int(given))
    else:
        measure(Path(given))
