import implicit.utils
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from tests.oracles.collaborative import folded_in
from training.models import ALS
from training.models.als import ALSConfig, fold_in

from .fixtures import block_of, examples_of_holdings, random_bank


def random_holdings(seed: int, n_customers: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).random((n_customers, 8)) < np.linspace(0.6, 0.1, 8)


@settings(deadline=None)  # the first call compiles
@given(
    seed=st.integers(0, 1_000),
    n_factors=st.integers(1, 9),
    regularization=st.floats(0.01, 10),
    alpha=st.floats(0.5, 40),
)
def test_fold_in_minimises_the_weighted_squares(seed, n_factors, regularization, alpha):
    rng = np.random.default_rng(seed)
    item_factors = rng.normal(size=(8, n_factors))
    held = rng.random((5, 8)) < 0.3
    base = item_factors.T @ item_factors + regularization * np.eye(n_factors)
    found = fold_in(held, item_factors, base, alpha)
    expected = [folded_in(portfolio, item_factors, regularization, alpha) for portfolio in held]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("alpha", [1.0, 10.0])
def test_scores_are_those_of_implicits_recalculated_users(alpha):
    held = random_holdings(0)
    holders = held[held.any(axis=1)].astype(np.float32)
    model = ALS(ALSConfig(factors=4, regularization=0.1, alpha=alpha)).fit(examples_of_holdings(held))

    with threadpool_limits(1, "blas"):
        peer = AlternatingLeastSquares(
            factors=4, regularization=0.1 * len(holders) ** 0.5, alpha=alpha, random_state=0, num_threads=1
        )
        peer.fit(sp.csr_matrix(holders), show_progress=False)
        customers = peer.recalculate_user(np.arange(len(held)), sp.csr_matrix(held.astype(np.float32)))
    np.testing.assert_allclose(model.score(block_of(held)), customers @ peer.item_factors.T, atol=1e-4)


def test_nine_times_the_customers_learn_the_same():
    # the penalty grows with the square root of the customers; a fixed one suits banks of one size only
    held = random_holdings(3, n_customers=300)
    config = ALSConfig(iterations=100, threads=1)
    once = ALS(config).fit(examples_of_holdings(held)).score(block_of(held))
    often = ALS(config).fit(examples_of_holdings(np.tile(held, (9, 1)))).score(block_of(held))
    np.testing.assert_allclose(often, once, atol=2e-3)
    assert np.ptp(once) > 0.5


def test_the_seed_decides():
    examples = random_bank()
    block = examples.kept[-1].block
    scores = {seed: ALS(ALSConfig(seed=seed, factors=2)).fit(examples).score(block) for seed in (1, 2)}
    assert scores[1].tobytes() == ALS(ALSConfig(seed=1, factors=2)).fit(examples).score(block).tobytes()
    assert scores[1].tobytes() != scores[2].tobytes()


def test_the_number_of_threads_does_not():
    examples = examples_of_holdings(random_holdings(1, n_customers=5_000))
    block = examples.kept[-1].block
    one, two = (ALS(ALSConfig(threads=threads)).fit(examples).score(block) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


def test_implicit_does_not_warn_of_blas_threads(monkeypatch):
    # it looks once in a process, so another test would hide the warning
    monkeypatch.setattr(implicit.utils, "_checked_blas_config", False)
    with threadpool_limits(2, "blas"):
        ALS().fit(random_bank())
    assert implicit.utils._checked_blas_config


def test_more_factors_than_products():
    held = random_holdings(2)
    scores = ALS(ALSConfig(factors=20)).fit(examples_of_holdings(held)).score(block_of(held))
    assert np.isfinite(scores).all()
