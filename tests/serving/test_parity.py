"""Online is batch is simulation, bit for bit, on ten thousand customers."""

from dataclasses import fields

import numba
import numpy as np
import pytest

from features import block_of, blocks_of
from features.build import build_states
from features.sources.synthetic import SyntheticBank, generate
from serving.decisions import Decisions
from serving.decisions.policy.loading import demonstration_policy_path
from serving.decisions.policy.use import use_policy
from serving.deployment import open_in_use
from tests.serving.later import CLOCK
from tests.serving.simulation.scenarios import simulate
from tests.training.banks import light, once
from training import train

LIMIT = 5
CUSTOMERS = 10_000
ARRAYS = (
    "positions", "products", "propensities", "values", "contexts", "levers", "priorities", "steps", "excluded",
    "personalised", "service_actions", "triggers",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(session_folder):
    """Over a bank of 12,500 customers, not all of them known yet."""

    def make(folder):
        generate(SyntheticBank(retail=11_500, corporate=1000, periods=14, truth_periods=1, seed=7), folder / "bank")
        build_states(folder / "bank" / "tables", folder)
        train(folder, light(models=("popularity", "association_rules", "propensity")))
        use_policy(demonstration_policy_path(), folder, CLOCK.today())

    return open_in_use(once(session_folder, "ten-thousand", make), None, CLOCK).engine


@pytest.fixture(scope="module")
def batch(engine):
    """All decisions of the stream, one array each."""
    parts = list(engine.stream(limit=LIMIT))
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}


def test_everything_that_decides_is_compared():
    kept_apart = {"found_triggers", "facts", "silences", "factors", "in_question"}  # from which the others are made
    assert {field.name for field in fields(Decisions)} - kept_apart | {"triggers"} == set(ARRAYS)


def test_online_is_batch(engine, batch):
    threads = numba.get_num_threads()
    numba.set_num_threads(1)  # as the service runs
    states, context = engine.states, engine.context()
    drawn = np.sort(np.random.default_rng(0).choice(len(batch["positions"]), CUSTOMERS, replace=False))
    try:
        for row in drawn:
            position = batch["positions"][row : row + 1]
            alone = engine.decide(block_of(states, position, states.as_of_period), context, limit=LIMIT)
            for name in ARRAYS:
                assert getattr(alone, name).tobytes() == batch[name][row].tobytes(), (name, position)
    finally:
        numba.set_num_threads(threads)


def test_the_size_of_blocks_changes_nothing(engine, batch):
    context, period = engine.context(), engine.states.as_of_period
    parts = [engine.decide(block, context, limit=LIMIT) for block in blocks_of(engine.states, period, size=777)]
    for name in ARRAYS:
        assert np.concatenate([getattr(part, name) for part in parts]).tobytes() == batch[name].tobytes(), name


def test_simulation_is_batch(engine, batch):
    policy = engine.policy.policy
    (simulated,) = simulate(engine.score_for(policy), [engine.compiled_for(policy)], limit=LIMIT)
    offers = np.bincount(batch["products"][batch["products"] >= 0], minlength=len(engine.states.catalogue))
    assert simulated.offers.tolist() == offers.tolist()
    assert simulated.customers == len(batch["positions"])
    personal = batch["personalised"][:, None] & (batch["products"] >= 0)
    worth = (batch["propensities"].astype(np.float64) * batch["values"])[personal].sum()
    assert simulated.expected_value == pytest.approx(worth, rel=1e-9)
