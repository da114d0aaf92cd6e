"""Trials in memory whose effects are known."""

from functools import cache

import numpy as np

from features import CustomerBlock
from training.uplift import Design, Trials, UpliftConfig

FEATURES = 4
PRODUCTS = 3
LIGHT = UpliftConfig(outcome_rounds=10, effect_rounds=20, min_rows=20, folds=2)


def trials_of_rows(rows, treated, acquired, *, p_treated=0.5, customers=None, design=None, products=None) -> Trials:
    """Trials of one campaign about one product, unless said otherwise."""
    n = len(treated)
    return Trials(
        design=design or Design.plain(rows.shape[1]),
        rows=np.asarray(rows, dtype=np.float32),
        products=np.zeros(n, dtype=np.int64) if products is None else products,
        treated=np.asarray(treated, dtype=np.bool_),
        p_treated=np.broadcast_to(np.asarray(p_treated, dtype=np.float64), n),
        acquired=np.asarray(acquired, dtype=np.bool_),
        customers=np.arange(n) if customers is None else np.asarray(customers, dtype=np.int64),
        periods=np.zeros(n, dtype=np.int64),
        campaigns=np.zeros(n, dtype=np.int64),
    )


def scored_trials(treated, acquired, p_treated=0.5, customers=None) -> Trials:
    """Trials whose rows do not matter."""
    return trials_of_rows(np.zeros((len(treated), 1)), treated, acquired, p_treated=p_treated, customers=customers)


def products_design(*, with_propensity: bool = False) -> Design:
    """Features 0 and 1 speak of the customer, 2 and 3 of the first two products; each product has one attribute."""
    return Design(
        customer_columns=np.array([0, 1]),
        product_columns=np.array([[2, 3, -1]]),
        products=np.array([[0.0], [1.0], [np.nan]], dtype=np.float32),
        with_propensity=with_propensity,
    )


def features_of(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, FEATURES)).astype(np.float32)


@cache
def product_trials(*, with_propensity: bool = False, n: int = 1500) -> Trials:
    """Contacts about three products; the third gains nothing, the others most where feature 0 is high."""
    rng = np.random.default_rng(5)
    design, features, products = (
        products_design(with_propensity=with_propensity),
        features_of(n, 6),
        rng.integers(0, 3, n),
    )
    likely = (0.1 + 0.1 * (features[:, 1] > 0)).astype(np.float32)
    treated = rng.random(n) < 0.6
    effect = 0.3 * (features[:, 0] > 0) * (products < 2)
    acquired = rng.random(n) < likely + effect * treated
    return trials_of_rows(
        design.rows(features, products, likely if with_propensity else None),
        treated,
        acquired,
        p_treated=0.6,
        customers=rng.integers(0, n // 2, n),
        design=design,
        products=products,
    )


class StubFeatureSet:
    names = tuple("abcd")

    def compute(self, block: CustomerBlock) -> np.ndarray:
        return features_of(400, 7)[block.positions]


class StubStates:
    feature_set = StubFeatureSet()

    def derived(self, make):
        return self.feature_set


def block_of(n: int = 300, n_products: int = PRODUCTS) -> CustomerBlock:
    """Customers of whom every fifth pair is no candidate."""
    pairs = np.arange(n * n_products).reshape(n, n_products)
    return CustomerBlock(
        states=StubStates(),
        feature_set=StubStates.feature_set,
        positions=np.arange(n, dtype=np.int64),
        period=24_240,
        words=np.zeros((n, n_products), dtype=np.uint64),
        versions=np.zeros(n, dtype=np.int64),
        candidates=pairs % 5 != 0,
        segments=np.zeros(n, dtype=np.int32),
    )


def propensities_of(block: CustomerBlock) -> np.ndarray:
    return np.linspace(0.01, 0.3, block.n_customers * block.n_products, dtype=np.float32).reshape(
        block.n_customers, block.n_products
    )
