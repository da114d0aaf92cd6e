import numpy as np
import pytest

from training.examples import DatedExamples, HiddenHoldings, RememberedExamples, remembered


def assert_same(batches, expected):
    batches, expected = list(batches), list(expected)
    assert len(batches) == len(expected) > 1
    for one, other in zip(batches, expected, strict=True):
        assert one.block.period == other.block.period
        assert np.array_equal(one.block.positions, other.block.positions)
        assert np.array_equal(one.acquired, other.acquired)
        assert np.array_equal(one.block.candidates, other.block.candidates)
        assert np.array_equal(one.block.features, other.block.features, equal_nan=True)


class TestExamples:
    @pytest.fixture
    def dated(self, states):
        newest = states.as_of_period
        return DatedExamples(states, (newest - 2, newest - 4, newest - 3), 1)

    @pytest.mark.parametrize("memory", [0, 3_000_000, 10**9])
    def test_are_the_same_in_each_pass(self, dated, memory):
        kept = RememberedExamples(dated, memory)
        for _ in range(3):
            assert_same(kept.batches(), dated.batches())
        assert kept.latest_period == dated.latest_period
        assert (kept.holdings() != dated.holdings()).nnz == 0

    def test_of_hidden_holdings_too(self, undated_states, monkeypatch):
        monkeypatch.setattr("training.examples.remembering.BLOCK_SIZE", 2)
        monkeypatch.setattr("training.examples.examples.BLOCK_SIZE", 2)
        hidden = HiddenHoldings(undated_states, np.arange(undated_states.n_customers))
        kept = RememberedExamples(hidden)
        for _ in range(2):
            assert_same(kept.batches(), hidden.batches())

    @pytest.mark.parametrize(("memory", "n_kept"), [(0, 0), (3_000_000, 1), (10**9, 3)])
    def test_what_fits_is_computed_once(self, dated, memory, n_kept):
        kept = RememberedExamples(dated, memory)
        blocks = [[batch.block for batch in kept.batches() if batch.block.features.size] for _ in range(3)]
        n_bytes = blocks[-1][0].n_bytes if n_kept else 0
        assert n_bytes < 3_000_000
        same = [one is other for one, other in zip(blocks[1], blocks[2], strict=True)]
        assert same == [True] * n_kept + [False] * (3 - n_kept)


class TestBlock:
    def test_the_same_rows_give_the_same_block(self, states):
        (batch, *_) = DatedExamples(states, (states.as_of_period - 1,), 1).batches()
        block = remembered(batch).block
        rows = np.array([5, 3, 8])
        taken = block.take(rows)
        assert block.take(rows.copy()) is taken
        assert block.take(rows[::-1]) is not taken
        assert np.array_equal(taken.features, batch.block.features[rows], equal_nan=True)
        assert taken.n_bytes > taken.features.nbytes
        assert block.n_bytes > taken.n_bytes

    def test_only_the_last_few_are_kept(self, states):
        (batch, *_) = DatedExamples(states, (states.as_of_period - 1,), 1).batches()
        block = remembered(batch).block
        first = block.take(np.arange(2))
        for n in range(3, 7):
            block.take(np.arange(n))
        assert block.take(np.arange(2)) is not first
