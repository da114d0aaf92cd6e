"""Reasons for customers decided together, beside LightGBM's contributions of the same boosters for the same customers.

Run by ``python -m tests.benchmarks.bench_reasons [WORKSPACE]``; without a workspace, one is made of the synthetic bank.
The last lines are JSON, one figure each. Times are the process's own, on one thread, of customers with three offers,
each asked about once. Ours cover all that is added up, chosen and said of the offers, in English and Chinese;
LightGBM's ``pred_contrib`` adds up its trees, for all products. Intervals are the middle nine tenths of the blocks.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from features import CustomerBlock, block_of, build_states
from features.sources.synthetic import SyntheticBank, generate
from features.states import current_states
from serving.decisions import CompiledPolicy, Context, Decisions, decide
from serving.decisions.policy.loading import demonstration_policy_path, load_policy
from serving.decisions.reasons.spoken import reasons_for_block
from tests.benchmarks.bench_decisions import figure
from training import CHAMPION, Bundle, Tracking, TrainingConfig, train
from training.models import Propensity

LIMIT = 3
BLOCKS = {1: 320, 16: 64}
"""Customers decided together, and how many such blocks."""

STRETCH = 16
"""Blocks after which the other one's turn comes: each has its caches for itself."""

GOALS = {1: 500.0, 16: 250.0}
"""Microseconds of each customer, by customers decided together."""

MODELS = ("popularity", "ease", "association_rules", "propensity")


def main() -> None:
    """Measure, print, and end with the figures as JSON."""
    numba.set_num_threads(1)
    if len(sys.argv) > 1:
        figures = Desk(Path(sys.argv[1])).figures()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            generate(SyntheticBank(), Path(scratch) / "bank")
            build_states(Path(scratch) / "bank" / "tables", Path(scratch) / "workspace")
            train(Path(scratch) / "workspace", TrainingConfig(models=MODELS))
            figures = Desk(Path(scratch) / "workspace").figures()
    for each in figures:
        print(json.dumps(each))


class Desk:
    """The champion of a workspace, deciding by the demonstration's policy about customers who get three offers."""

    def __init__(self, workspace: Path) -> None:
        self.states = current_states(workspace)
        self.bundle = Bundle.open(Tracking(workspace).version(CHAMPION).folder, only_selected=True)
        self.model = self.bundle.models[Propensity.name]
        rules, period = load_policy(demonstration_policy_path()).policy, self.states.as_of_period
        self.policy = CompiledPolicy.of(rules, self.states, period, self.bundle.evidence(self.states.catalogue))
        self.context = Context(rules.default_channel, self.states.calendar.end_of(period))
        _, decisions = self.decided(np.arange(self.states.n_customers))
        self.customers = np.flatnonzero(decisions.personalised & (decisions.products[:, LIMIT - 1] >= 0))

    def decided(self, positions: np.ndarray) -> tuple[CustomerBlock, Decisions]:
        """A block, scored and decided."""
        block = block_of(self.states, positions, self.states.as_of_period)
        return block, decide(self.bundle.propensities(block), block, self.policy, self.context, limit=LIMIT)

    def figures(self) -> list[dict]:
        """Seconds of laying out trees, and microseconds of reasons for one and for sixteen at a time."""
        start = time.process_time()
        self.bundle.prepare_explanations()
        laid_out = time.process_time() - start
        print(f"laid out for explaining in {laid_out:.2f} s")
        rng, found = np.random.default_rng(0), []
        for size, n_blocks in BLOCKS.items():
            drawn = [rng.choice(self.customers, size, replace=False) for _ in range(n_blocks)]
            for _ in range(2):  # the first round compiles
                ours, theirs = self.taken(drawn)
            middle, low, high = (float(np.quantile(ours, q)) / size for q in (0.5, 0.05, 0.95))
            beside = float(np.median(theirs)) / size
            print(
                f"reasons, {size} at a time: {middle:.0f} [{low:.0f}, {high:.0f}] µs a customer; LightGBM's "
                f"contributions alone {beside:.0f} | goal {GOALS[size]:.0f}: "
                f"{'reached' if middle < GOALS[size] else 'MISSED'}"
            )
            name = f"reasons in two languages for {LIMIT} offers, {size} at a time, CPU microseconds a customer"
            found.append(
                figure(name, (middle, low, high), "LightGBM's pred_contrib of the same boosters and customers", beside)
            )
        return [*found, figure("laying trees out for explaining, seconds", (laid_out,) * 3, "none", 0.0)]

    def taken(self, drawn: list[np.ndarray]) -> tuple[list[float], list[float]]:
        """Microseconds of each block's reasons, and of LightGBM's contributions, stretch by stretch in turn."""
        ours: list[float] = []
        theirs: list[float] = []
        for start in range(0, len(drawn), STRETCH):
            stretch = drawn[start : start + STRETCH]
            ours += [microseconds(self.explain, *self.decided(positions)) for positions in stretch]
            theirs += [microseconds(self.contributed_by_lightgbm, self.decided(positions)[0]) for positions in stretch]
        return ours, theirs

    def explain(self, block: CustomerBlock, decisions: Decisions) -> None:
        """Reasons for all that was decided."""
        reasons_for_block(self.bundle, block, decisions, self.policy, context=self.context)

    def contributed_by_lightgbm(self, block: CustomerBlock) -> None:
        """What LightGBM says each feature adds, of the boosters of each kind for that kind's customers."""
        for kind, learners in self.model._learners.items():
            mine = block.features[block.kinds == kind]
            for engine in (learners.any, learners.choice):
                if len(mine):
                    engine.booster.predict(mine[:, engine.columns], pred_contrib=True, num_threads=1)


def microseconds(work: Callable[..., None], *given: object) -> float:
    """Of the process's own time."""
    start = time.process_time()
    work(*given)
    return 1e6 * (time.process_time() - start)


if __name__ == "__main__":
    main()
