import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.optimize import minimize

from tests.oracles.collaborative import ranking_objective
from training.models import BPR
from training.models.bpr import BPRConfig, fold_in

from .fixtures import block_of, examples_of_holdings, random_bank

MANY = 2_000
"""Steps after which the climb stands still."""


@st.composite
def fold_ins(draw):
    """A portfolio with pairs, vectors with biases, shares."""
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    n_products, n_factors = draw(st.integers(2, 7)), draw(st.integers(1, 4))
    held = rng.random(n_products) < 0.4
    held[:2] = True, False
    return held, rng.normal(size=(n_products, n_factors + 1)), rng.random(n_products) + 0.05


@settings(deadline=None, max_examples=15)  # the first call compiles
@given(case=fold_ins(), penalty=st.floats(0.05, 5))
def test_fold_in_maximises_the_objective(case, penalty):
    held, item_factors, shares = case
    found = fold_in(held[None], item_factors, shares, penalty, MANY)[0]
    assert found[-1] == 1
    best = minimize(
        lambda x: -ranking_objective(x, held, item_factors, shares, penalty), np.zeros(len(found) - 1), tol=1e-10
    )
    np.testing.assert_allclose(found[:-1], best.x, atol=1e-3)
    assert ranking_objective(found[:-1], held, item_factors, shares, penalty) >= -best.fun - 1e-9


@settings(deadline=None, max_examples=40)
@given(case=fold_ins(), penalty=st.floats(0.05, 5), steps=st.integers(0, 5))
def test_every_step_of_the_fold_in_climbs(case, penalty, steps):
    held, item_factors, shares = case
    before, after = (
        ranking_objective(fold_in(held[None], item_factors, shares, penalty, n)[0, :-1], *case, penalty)
        for n in (steps, steps + 1)
    )
    assert after >= before - 1e-12


def test_fold_in_of_one_pair_by_hand():
    # one factor, the held product at 3 and the other at 1: d = 2, and the penalised optimum has d sigmoid(-d x) = x
    found = fold_in(np.array([[True, False]]), np.array([[3.0, 0.0], [1.0, 0.0]]), np.ones(2), 1.0, MANY)[0, 0]
    assert 2 / (1 + np.exp(2 * found)) == pytest.approx(found, rel=1e-9)


def test_without_pairs_the_fold_in_stays_at_zero():
    found = fold_in(np.array([[False, False], [True, True]]), np.ones((2, 4)), np.ones(2), 1.0, MANY)
    np.testing.assert_array_equal(found, np.zeros((2, 4)))


def test_scores_are_implicits_vectors_folded_in_plus_the_log_share_of_holders():
    held = np.random.default_rng(0).random((80, 6)) < np.linspace(0.6, 0.1, 6)
    holders = held[held.any(axis=1)].astype(np.float32)
    settings = {"factors": 3, "iterations": 20, "learning_rate": 0.1, "regularization": 0.02}
    peer = BayesianPersonalizedRanking(**settings, random_state=5, num_threads=1)
    peer.fit(sp.csr_matrix(holders), show_progress=False)
    item_factors = peer.item_factors.astype(np.float64)
    shares = (held.sum(axis=0) + 1) / (held.sum() + 6)
    model = BPR(BPRConfig(**settings, seed=5)).fit(examples_of_holdings(held))
    customers = fold_in(held, item_factors, shares, 0.02, 30)
    np.testing.assert_allclose(model.score(block_of(held)), customers @ item_factors.T + np.log(shares), atol=1e-5)


def tastes(seed: int, n_customers: int = 1_500, n_products: int = 12) -> np.ndarray:
    """Three tastes of four products each, and in each taste a product that most hold and one that few do."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, 3, n_customers)[:, None]
    appeal = np.tile([0.7, 0.5, 0.3, 0.15], 3)
    return rng.random((n_customers, n_products)) < np.where(np.arange(n_products) // 4 == taste, appeal, 0.05 * appeal)


def test_ranks_far_better_than_chance_and_better_than_popularity_of_holdings():
    fitted, asked = tastes(1), tastes(2)
    asked = asked[asked.sum(axis=1) >= 2]
    rng = np.random.default_rng(3)
    hidden = np.array([rng.choice(np.flatnonzero(row)) for row in asked])
    visible = asked.copy()
    visible[np.arange(len(asked)), hidden] = False
    model = BPR().fit(examples_of_holdings(fitted))

    def hit_rate(scores):
        scores = np.where(visible, -np.inf, scores)
        return (scores.argmax(axis=1) == hidden).mean()

    chance = (1 / (~visible).sum(axis=1)).mean()
    popularity = hit_rate(np.tile(fitted.sum(axis=0, dtype=float), (len(asked), 1)))
    found = hit_rate(model.score(block_of(visible)))
    error = np.sqrt(0.25 / len(asked))
    assert found > chance + 10 * error
    assert found > popularity + 5 * error


def test_the_seed_decides():
    examples = random_bank()
    block = examples.kept[-1].block
    one, again, other = (BPR(BPRConfig(seed=seed)).fit(examples).score(block) for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


def test_a_product_that_nobody_holds_keeps_nothing_of_its_random_start():
    held = np.random.default_rng(0).random((60, 5)) < 0.5
    held[:, 2] = False
    scores = BPR().fit(examples_of_holdings(held)).score(block_of(held))
    np.testing.assert_allclose(scores[:, 2], np.log(1 / (held.sum() + 5)), rtol=1e-6)


def test_scoring_does_not_import_implicit(tmp_path):
    model = BPR().fit(examples_of_holdings(tastes(1)))
    model.save(tmp_path)
    script = (
        "import sys, pathlib, numpy as np\n"
        "from training.models import BPR\n"
        f"model = BPR.load(pathlib.Path({str(tmp_path)!r}))\n"
        "model._score_portfolios(np.eye(12, dtype=bool))\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'implicit']\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
