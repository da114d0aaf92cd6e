import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.nearest_neighbours import BM25Recommender, TFIDFRecommender
from implicit.utils import ParameterWarning
from pydantic import ValidationError

from tests.oracles.collaborative import cosine_similarity, ease_weights
from training.models import EASE, ItemItem
from training.models.ease import EASEConfig
from training.models.item_item import ItemItemConfig

from .fixtures import block_of, examples_of_holdings

ONE_EACH = np.eye(6)
"""Portfolios of one product: their scores are the rows of the weights."""


def random_holdings(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((25, 6)) < np.linspace(0.6, 0.1, 6)


@settings(deadline=None)  # the first call compiles
@given(seed=st.integers(0, 1_000))
def test_cosine_counts_shared_customers(seed):
    held = random_holdings(seed)
    model = ItemItem().fit(examples_of_holdings(held))
    np.testing.assert_allclose(model.score(block_of(ONE_EACH)), cosine_similarity(held), atol=2e-6)


def test_item_item_sums_over_what_is_held():
    held = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]])
    model = ItemItem().fit(examples_of_holdings(held))
    third = 1 / np.sqrt(3 * 2) + 2 / np.sqrt(3 * 2)
    assert model.score(block_of([[1, 1, 0]]))[0, 2] == pytest.approx(third, abs=2e-6)


def test_only_the_nearest_neighbours_are_kept():
    held = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]])
    model = ItemItem(ItemItemConfig(neighbours=1)).fit(examples_of_holdings(held))
    scores = model.score(block_of([[1, 0, 0]]))
    assert scores[0, 1] == pytest.approx(3 / np.sqrt(4 * 3), abs=2e-6)
    assert scores[0, 2] == pytest.approx(0, abs=2e-6)


@pytest.mark.parametrize("weighting", ["cosine", "tfidf", "bm25"])
@pytest.mark.parametrize(
    "held",
    [
        pytest.param([[1, 0], [0, 1], [1, 0]], id="every holder holds all products but one"),
        pytest.param([[1, 1, 1], [1, 1, 1]], id="everybody holds everything"),
        pytest.param([[1, 0, 0], [0, 0, 0], [1, 1, 0]], id="a product nobody holds"),
    ],
)
def test_every_weighting_stays_finite(weighting, held):
    model = ItemItem(ItemItemConfig(weighting=weighting)).fit(examples_of_holdings(held))
    assert np.isfinite(model.score(block_of(held))).all()


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weighted_neighbours_are_those_of_implicit(weighting):
    held = random_holdings(3)
    peer = {"tfidf": TFIDFRecommender, "bm25": BM25Recommender}[weighting](K=6, num_threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)  # implicit's own, of its own making
        peer.fit(sp.csr_matrix(held.astype(np.float32)), show_progress=False)
    expected = peer.similarity.toarray()
    np.fill_diagonal(expected, 0)
    model = ItemItem(ItemItemConfig(weighting=weighting)).fit(examples_of_holdings(held))
    np.testing.assert_allclose(model.score(block_of(ONE_EACH)), expected, rtol=1e-5, atol=2e-6)


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ValidationError, match="weighting"):
        ItemItemConfig.model_validate({"weighting": "jaccard"})


@settings(deadline=None)  # the first call compiles
@given(seed=st.integers(0, 1_000), l2=st.floats(0.1, 500))
def test_ease_is_a_ridge_regression_of_each_product_on_the_others(seed, l2):
    held = random_holdings(seed)
    model = EASE(EASEConfig(l2=l2)).fit(examples_of_holdings(held))
    np.testing.assert_allclose(model.score(block_of(ONE_EACH)), ease_weights(held, l2), atol=3e-6)


def test_ease_of_two_products_by_hand():
    # two products, one shared holder: the slope of one on the other is shared / (holders + l2)
    held = np.array([[1, 1], [1, 0], [1, 0]])
    model = EASE(EASEConfig(l2=2.0)).fit(examples_of_holdings(held))
    scores = model.score(block_of([[1, 0], [0, 1]]))
    assert scores[0, 1] == pytest.approx(1 / (3 + 2), abs=2e-6)
    assert scores[1, 0] == pytest.approx(1 / (1 + 2), abs=2e-6)
