import numpy as np

from training.evaluation.learning_curve import thinned
from training.examples import DatedExamples, HiddenHoldings


def rows_of(examples):
    return {
        (int(position), batch.block.period): (acquired.tolist(), words.tolist())
        for batch in examples.batches()
        for position, acquired, words in zip(batch.block.positions, batch.acquired, batch.block.words, strict=True)
    }


def test_shares_are_nested_and_say_the_same_of_whom_they_keep(states):
    newest = states.as_of_period
    whole = DatedExamples(states, (newest - 3, newest - 2), 1)
    some, more = thinned(whole, 0.2, seed=3), thinned(whole, 0.6, seed=3)
    everything = rows_of(whole)
    few, many = rows_of(some), rows_of(more)
    assert few.keys() < many.keys() < everything.keys()
    assert all(everything[key] == row for key, row in many.items())
    customers = {position for position, _ in many}
    # a share of n customers, each kept with that chance: three deviations
    n = states.n_customers
    assert abs(len(customers) / n - 0.6) < 3 * np.sqrt(0.6 * 0.4 / n) + 0.02
    assert (some.latest_period, some.horizon) == (whole.latest_period, whole.horizon)


def test_nothing_is_held_by_those_left_out(states):
    whole = DatedExamples(states, (states.as_of_period - 2,), 1)
    part = thinned(whole, 0.5, seed=1)
    kept = part.kept
    np.testing.assert_array_equal(part.holdings().toarray()[kept], whole.holdings().toarray()[kept])
    assert part.holdings().toarray()[~kept].sum() == 0
    assert part.holdings().nnz == part.holdings().toarray().sum()


def test_undated_holdings_are_thinned_by_customer(undated_states):
    everybody = np.arange(undated_states.n_customers)
    part = thinned(HiddenHoldings(undated_states, everybody), 0.5, seed=1)
    assert isinstance(part, HiddenHoldings)
    assert 0 < len(part.positions) < len(everybody)
    assert set(part.positions) <= set(everybody)
