import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.errors import BadInput, NotReady
from tests.oracles.collaborative import best_candidates
from training.models import MODELS
from training.models.portfolios import PortfolioModel, distinct_portfolios, top_k_by_portfolio

from .fixtures import block_of, checkerboard, examples_of_holdings, random_bank

COLLABORATIVE = {name: model for name, model in MODELS.items() if issubclass(model, PortfolioModel)}

holdings = st.tuples(st.integers(0, 30), st.sampled_from([1, 5, 63, 64, 65, 130])).flatmap(
    lambda shape: arrays(np.bool_, shape)
)


@pytest.fixture(params=COLLABORATIVE.values(), ids=COLLABORATIVE.keys())
def model_type(request):
    return request.param


class TestDistinctPortfolios:
    def test_each_portfolio_once_in_order_of_appearance(self):
        held = np.array([[0, 1], [1, 1], [0, 1], [0, 0]], dtype=bool)
        portfolios, inverse = distinct_portfolios(held)
        np.testing.assert_array_equal(portfolios, [[0, 1], [1, 1], [0, 0]])
        np.testing.assert_array_equal(inverse, [0, 1, 0, 2])

    @settings(deadline=None)  # the first call compiles
    @given(held=holdings)
    def test_gathering_gives_back_what_was_held(self, held):
        portfolios, inverse = distinct_portfolios(held)
        assert portfolios.dtype == np.bool_
        assert len(portfolios) == len({row.tobytes() for row in held})
        np.testing.assert_array_equal(portfolios[inverse], held)

    def test_more_customers_than_one_word_of_portfolios(self):
        held = (np.arange(70_000)[:, None] >> np.arange(17)) & 1 == 1
        portfolios, inverse = distinct_portfolios(held)
        assert len(portfolios) == 70_000
        np.testing.assert_array_equal(inverse, np.arange(70_000))

    def test_of_history_words_only_the_present_counts(self):
        words = np.array([[0b11, 0b10], [0b01, 0b00]], dtype=np.uint64)
        portfolios, inverse = distinct_portfolios(words)
        np.testing.assert_array_equal(portfolios, [[True, False]])
        np.testing.assert_array_equal(inverse, [0, 0])


@settings(deadline=None)  # the first call compiles
@given(data=st.data(), held=holdings, k=st.integers(1, 8))
def test_top_k_by_portfolio_is_each_customers_own_ranking(data, held, k):
    candidates = data.draw(arrays(np.bool_, held.shape)) & ~held
    weights = np.random.default_rng(0).integers(-2, 3, (held.shape[1], held.shape[1])).astype(np.float32)
    found = top_k_by_portfolio(lambda portfolios: portfolios.astype(np.float32) @ weights, held, candidates, k)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, best_candidates(held.astype(np.float32) @ weights, candidates, k))


class TestEveryCollaborativeModel:
    @pytest.mark.parametrize("size", [10, 40])
    def test_the_product_withheld_comes_back_first(self, model_type, size):
        held = checkerboard(size)
        model = model_type().fit(examples_of_holdings(held))
        np.testing.assert_array_equal(model.recommend(block_of(held), 1)[:, 0], np.arange(size))

    def test_who_holds_nothing_is_offered_what_most_hold(self, model_type):
        held = np.zeros((20, 4), dtype=bool)
        held[:5, 0] = held[:12, 1] = held[3:11, 2] = True
        model = model_type().fit(examples_of_holdings(held))
        np.testing.assert_array_equal(model.recommend(block_of([[0, 0, 0, 0]]), 4), [[1, 2, 0, 3]])

    def test_popularity_orders_what_the_model_leaves_equal(self, model_type):
        # nobody holds product 0 together with another, so holding it says nothing of the others
        held = np.zeros((20, 4), dtype=bool)
        held[:5, 0] = held[5:8, 1] = held[8:15, 2] = held[15:, 3] = True
        model = model_type().fit(examples_of_holdings(held))
        scores = model.score(block_of([[0, 0, 0, 0]]))
        assert scores[0, 2] > scores[0, 3] > scores[0, 1]

    def test_recommends_the_best_of_its_scores(self, model_type):
        bank = random_bank()
        model = model_type().fit(bank)
        block = bank.kept[-1].block
        expected = best_candidates(model.score(block), block.candidates, 4)
        np.testing.assert_array_equal(model.recommend(block, 4), expected)

    def test_no_customers_no_scores(self, model_type):
        model = model_type().fit(random_bank())
        nobody = block_of(np.zeros((0, 7)))
        assert model.score(nobody).shape == (0, 7)
        assert model.recommend(nobody, 3).shape == (0, 3)

    def test_a_bank_where_nothing_is_held_yet(self, model_type):
        model = model_type().fit(examples_of_holdings(np.zeros((3, 4))))
        np.testing.assert_array_equal(model.recommend(block_of([[0, 1, 0, 0]]), 3), [[0, 2, 3]])

    def test_a_catalogue_of_one(self, model_type):
        model = model_type().fit(examples_of_holdings([[1], [0]]))
        np.testing.assert_array_equal(model.recommend(block_of([[0], [1]]), 2), [[0, -1], [-1, -1]])

    def test_recommending_before_fitting_is_refused(self, model_type):
        with pytest.raises(NotReady, match=model_type.name):
            model_type().recommend(block_of([[0, 1]]), 1)

    def test_recommending_from_another_catalogue_is_refused(self, model_type):
        model = model_type().fit(examples_of_holdings([[0, 1], [1, 1]]))
        with pytest.raises(BadInput, match="2 products but the block has 3"):
            model.recommend(block_of([[0, 1, 0]]), 1)
