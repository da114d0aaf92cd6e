"""Known truth: customers of a synthetic bank, contacted again and again, with the outcomes that its truth gives."""

import numpy as np
import pytest

from features import block_of
from features.build import build_states
from features.sources.synthetic import SyntheticBank, Truth, generate
from training.uplift import Design, Stacked, Trials, TwoModels
from training.uplift.metrics import Ranked

from .fixtures import scored_trials

N = 30_000
SHARE = 0.7


class Case:
    """Trials of two thirds of the customers, drawn from the truth; the other customers, and what the truth is of them.

    Attributes
    ----------
    rows, baseline, effect : of every candidate that a customer not learned from may acquire
    average : true effect, mean of the trials
    error : standard error of that, measured by so many trials
    """

    def __init__(self, states, truth):
        period = states.as_of_period
        block = block_of(states, np.arange(states.n_customers), period)
        probability, effects = truth.probability(period), truth.effect(period)
        design = Design.of(states)
        customers, products = np.nonzero(block.candidates & (probability > 0.002))
        apart = customers % 3 == 0
        self.rows = design.rows(block.features[customers[apart]], products[apart])
        self.baseline = probability[customers[apart], products[apart]]
        self.effect = effects[customers[apart], products[apart]]
        rng = np.random.default_rng(8)
        drawn = rng.choice(np.flatnonzero(~apart), N)
        customers, products = customers[drawn], products[drawn]
        baseline, effect = probability[customers, products], effects[customers, products]
        treated = rng.random(N) < SHARE
        self.average, self.error = effect.mean(), standard_error(baseline, effect, N)
        self.trials = Trials(
            design=design,
            rows=design.rows(block.features[customers], products),
            products=products,
            treated=treated,
            p_treated=np.full(N, SHARE),
            acquired=rng.random(N) < baseline + effect * treated,
            customers=customers,
            periods=np.full(N, period),
            campaigns=np.zeros(N, dtype=np.int64),
        )
        self.learners = {learner.name: learner().fit(self.trials) for learner in (Stacked, TwoModels)}
        self.found = {name: learner.effects_at(self.rows) for name, learner in self.learners.items()}


def standard_error(baseline, effect, n):
    """Of an effect measured by `n` trials such as those given."""
    treated = np.clip(baseline + effect, 0, 1)
    variance = (treated * (1 - treated)).mean() / SHARE + (baseline * (1 - baseline)).mean() / (1 - SHARE)
    return np.sqrt(variance / n)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    generate(SyntheticBank(retail=3000, corporate=200, periods=4, truth_periods=1), folder / "bank")
    states = build_states(folder / "bank" / "tables", folder / "workspace").states
    return Case(states, Truth.open(folder / "bank" / "truth"))


def test_the_average_effect_is_recovered(case):
    found = case.learners["stacked"].effects_at(case.trials.rows).mean()
    assert abs(found - case.average) < 4 * case.error


def test_effects_are_recovered(case):
    """In each fifth by predicted effect, the truth lies where so many trials let one see it."""
    found = case.found["stacked"]
    for part in np.array_split(np.argsort(-found, kind="stable"), 5):
        error = standard_error(case.baseline[part], case.effect[part], N / 5)
        assert abs(found[part].mean() - case.effect[part].mean()) < 4 * error


def test_learners_tell_more_than_the_average_and_more_than_two_models(case):
    errors = {name: ((found - case.effect) ** 2).mean() for name, found in case.found.items()}
    assert errors["stacked"] < ((case.average - case.effect) ** 2).mean() < errors["two_models"]
    correlation = {name: np.corrcoef(found, case.effect)[0, 1] for name, found in case.found.items()}
    # unrelated to the truth, effects of so many customers would correlate by less than this
    by_chance = 4 / np.sqrt(len(np.unique(case.trials.customers)) / 2)
    assert correlation["stacked"] > max(correlation["two_models"], by_chance)


def test_the_qini_coefficient_knows_the_better_learner(case):
    """Of many contacts drawn anew about the customers apart."""
    rng = np.random.default_rng(9)
    drawn = rng.integers(0, len(case.rows), 60_000)
    treated = rng.random(len(drawn)) < 0.5
    outcomes = rng.random(len(drawn)) < case.baseline[drawn] + case.effect[drawn] * treated
    trials = scored_trials(treated, outcomes)
    scores = case.found | {"truth": case.effect}
    worth = {name: Ranked(found[drawn], trials).ranking().qini() for name, found in scores.items()}
    assert worth["truth"] > worth["stacked"] > worth["two_models"]
