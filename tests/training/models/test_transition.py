import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.oracles.collaborative import popularity_rates, standardised_counts
from training.examples import Batch
from training.models import Popularity, Transition
from training.models.portfolios import packed
from training.models.transition import TransitionConfig, find, unpacked

from .fixtures import block_of, examples_of, random_bank


def fitted(examples, **settings):
    return Transition(TransitionConfig(**settings)).fit(examples)


def odds(probabilities):
    return probabilities / (1 - probabilities)


@settings(deadline=None, max_examples=25)  # the first call compiles
@given(seed=st.integers(0, 1_000), shrinkage=st.floats(0.5, 50), min_rows=st.integers(1, 30))
def test_scores_are_those_counted_one_by_one(seed, shrinkage, min_rows):
    examples = random_bank(seed, n_customers=60, n_products=4, n_periods=3)
    rates = popularity_rates(examples.kept, 3, 4, None, 100.0)

    def counted(are_held):
        return standardised_counts(examples.kept, rates, are_held)[1:]

    lifts = []
    for product in range(4):
        acquired, expected = counted(lambda portfolio, product=product: product in portfolio)
        lifts.append((acquired + shrinkage) / (expected + shrinkage))

    model, block = fitted(examples, shrinkage=shrinkage, min_rows=min_rows), examples.kept[-1].block
    base, found = odds(Popularity().fit(examples).score(block)), odds(model.score(block))
    seen = [frozenset(np.flatnonzero(row)) for batch in examples.kept for row in batch.block.held]
    for row in range(0, block.n_customers, 5):
        state = frozenset(np.flatnonzero(block.held[row]))
        lift = np.prod([lifts[product] for product in state], axis=0)
        if seen.count(state) >= min_rows:
            acquired, expected = counted(lambda portfolio, state=state: portfolio == state)
            lift = lift * (acquired + shrinkage) / (expected * lift + shrinkage)
        np.testing.assert_allclose(found[row], base[row] * lift, rtol=2e-5)


def ladder(n_customers: int = 400) -> list[Batch]:
    """Everybody climbs a ladder of four products, one a period."""
    batches = []
    for step in range(4):
        held = np.tile(np.arange(4) < step, (n_customers, 1))
        batches.append(Batch(block_of(held), np.tile(np.arange(4) == step, (n_customers, 1))))
    return batches


def test_the_next_step_of_a_ladder_comes_first():
    model = fitted(examples_of(*ladder()))
    for step in range(4):
        block = block_of(np.arange(4) < step)
        scores = np.where(block.candidates, model.score(block), -1)
        assert scores.argmax() == step


def test_the_state_is_the_whole_portfolio():
    # B follows A alone; after A and C it is D: what single products say is the same of B and of D
    after_a = Batch(block_of(np.tile([1, 0, 0, 0], (200, 1))), np.tile([False, True, False, False], (200, 1)))
    after_both = Batch(block_of(np.tile([1, 0, 1, 0], (200, 1))), np.tile([False, False, False, True], (200, 1)))
    model = fitted(examples_of(after_a, after_both))
    alone, both = model.score(block_of([[1, 0, 0, 0], [1, 0, 1, 0]]))
    assert alone[1] > 3 * alone[3]
    assert both[3] > 3 * both[1]


def test_a_portfolio_never_seen_is_read_product_by_product():
    examples = random_bank(n_products=8)
    every = (np.arange(2**8)[:, None] >> np.arange(8)) & 1 == 1
    seen = np.unique(packed(np.concatenate([batch.block.held for batch in examples.kept])))
    never = every[~np.isin(packed(every)[:, 0], seen)][-1]
    model, backed_off = fitted(examples), fitted(examples, min_rows=10**9)
    block = block_of([never])
    assert model.score(block).tobytes() == backed_off.score(block).tobytes()
    common = block_of(np.eye(8)[[0]])
    assert model.score(common).tobytes() != backed_off.score(common).tobytes()


def test_a_rare_portfolio_is_no_state():
    batches = ladder(19)
    above, below = (fitted(examples_of(*batches), min_rows=n) for n in (19, 20))
    block = block_of([[1, 1, 0, 0]])
    assert above.score(block)[0, 2] > below.score(block)[0, 2]


class TestFind:
    keys = arrays(np.bool_, st.tuples(st.integers(0, 40), st.sampled_from([3, 64, 70])))

    @settings(deadline=None)  # the first call compiles
    @given(held=keys, data=st.data())
    def test_finds_each_where_it_is_and_nothing_else(self, held, data):
        wanted = data.draw(arrays(np.bool_, (5, held.shape[1])))
        keys = np.unique(packed(held), axis=0)
        found = find(keys, np.vstack([packed(wanted), keys]))
        places = {row.tobytes(): place for place, row in enumerate(keys)}
        assert found.tolist() == [places.get(row.tobytes(), -1) for row in packed(wanted)] + list(range(len(keys)))

    @given(held=keys)
    def test_packed_portfolios_are_unpacked(self, held):
        np.testing.assert_array_equal(unpacked(packed(held), held.shape[1]), held)


@pytest.mark.parametrize("n_products", [1, 64, 65])
def test_any_number_of_products(n_products):
    examples = random_bank(n_customers=40, n_products=max(n_products, 2))
    assert np.isfinite(fitted(examples, min_rows=1).score(examples.kept[-1].block)).all()
