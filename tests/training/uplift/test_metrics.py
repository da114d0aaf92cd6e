import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import uplift as oracle
from training.uplift.metrics import BINS, Ranked, bin_name, share_name

from .fixtures import scored_trials

# best first: treated who acquires, control who does not, treated who does not, control who acquires
HAND = scored_trials([True, False, True, False], [True, False, False, True])
HAND_SCORES = np.array([4.0, 3.0, 2.0, 1.0])


def test_by_hand():
    ranking = Ranked(HAND_SCORES, HAND).ranking()
    assert ranking.uplift_at(0.5) == 1 / 1 - 0 / 1
    assert ranking.average_effect() == 1 / 2 - 1 / 2
    # every trial counts twice: each arm had probability 1/2. g: 0 (no control yet), 1/2 (1 - 0), 3/4 (1/2 - 0), 0
    assert ranking.uplift_curve().tolist() == [0, 0, 1 / 2, 3 / 4 * (1 / 2), 0]
    assert ranking.auuc() == pytest.approx((1 / 2 + 3 / 8) / 4)
    # Q, of 2 treated: 1 (no control yet), 1 - 0, 1 - 0, 1 - 1 * 2 / 2
    assert ranking.qini_curve().tolist() == [0, 1 / 2, 1 / 2, 1 / 2, 0]
    assert ranking.qini() == pytest.approx(3 * (1 / 2) / 4)


def test_weights_undo_unequal_arms():
    """Of ten customers alike, one in five held back: weighted, both arms stand for all ten."""
    trials = scored_trials([True] * 8 + [False] * 2, [True] * 4 + [False] * 4 + [True, False], p_treated=0.8)
    ranking = Ranked(np.zeros(10), trials).ranking()
    assert (ranking.treated[-1], ranking.control[-1]) == pytest.approx((10, 10))
    assert ranking.average_effect() == pytest.approx(4 / 8 - 1 / 2)


def test_all_scores_alike_are_worth_nothing():
    ranking = Ranked(np.zeros(4), HAND).ranking()
    assert ranking.qini() == 0
    assert ranking.uplift_by_bin().tolist() == pytest.approx([0.0] * BINS)


def test_the_best_and_the_worst_order_are_opposite():
    assert Ranked(-HAND_SCORES, HAND).ranking().qini() < 0 < Ranked(HAND_SCORES, HAND).ranking().qini()


@st.composite
def judged(draw):
    n = draw(st.integers(2, 24))
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    scores = draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    p = draw(st.lists(st.sampled_from([0.2, 0.5, 0.8]), min_size=n, max_size=n))
    return np.array(scores, dtype=float), scored_trials(draw(flags), draw(flags), p_treated=np.array(p))


@settings(max_examples=60, deadline=None)
@given(judged(), st.sampled_from([0.1, 0.3, 0.5, 1.0]))
def test_like_the_oracle(case, share):
    scores, trials = case
    columns = (scores.tolist(), trials.treated, trials.acquired, trials.weights.tolist())
    ranking = Ranked(scores, trials).ranking()
    assert ranking.auuc() == pytest.approx(oracle.auuc(*columns), abs=1e-9)
    assert ranking.qini() == pytest.approx(oracle.qini(*columns), abs=1e-9)
    assert ranking.uplift_at(share) == pytest.approx(oracle.uplift_between(*columns, 0, share), nan_ok=True, abs=1e-6)
    bins = [oracle.uplift_between(*columns, k / BINS, (k + 1) / BINS) for k in range(BINS)]
    assert ranking.uplift_by_bin() == pytest.approx(bins, nan_ok=True, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(judged(), st.randoms(use_true_random=False))
def test_neither_order_nor_scale_matters(case, random):
    scores, trials = case
    order = list(range(len(scores)))
    random.shuffle(order)
    expected = Ranked(scores, trials).ranking()
    found = Ranked(np.exp(scores[order]) * 3 + 1, trials.take(np.array(order))).ranking()
    for name in ("share", "treated", "acquired_treated", "control", "acquired_control"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))


def randomised(n=4000, seed=0):
    """Half of the customers gain 20 points, which `scores` know, the others nothing."""
    rng = np.random.default_rng(seed)
    gains, treated = rng.random(n) < 0.5, rng.random(n) < 0.5
    acquired = rng.random(n) < 0.1 + 0.2 * (gains & treated)
    return gains.astype(float), scored_trials(treated, acquired), rng


class TestIntervals:
    def test_of_random_scores_hold_zero(self):
        _, trials, rng = randomised()
        found = Ranked(rng.random(len(trials)), trials).figures(seed=1, resamples=100)["qini"].interval()
        assert found.low < 0 < found.high

    def test_of_knowing_scores_hold_the_truth(self):
        gains, trials, _ = randomised()
        figures = Ranked(gains, trials).figures(seed=1, resamples=100)
        top, qini = figures[share_name(0.5)].interval(), figures["qini"].interval()
        assert top.low < 0.2 < top.high
        # a triangle: Q rises to 0.1 at half of the customers and stays, 0.1 / 2 * (1 - 1 / 2)
        assert qini.low < 0.1 / 4 < qini.high
        last = figures[bin_name(BINS)].interval()
        assert last.low < 0 < last.high

    def test_are_paired_and_do_not_depend_on_the_order_of_rows(self):
        gains, trials, rng = randomised(n=300)
        order = rng.permutation(len(trials))
        first = Ranked(gains, trials).figures(seed=1, resamples=20)["auuc"]
        second = Ranked(gains[order], trials.take(order)).figures(seed=1, resamples=20)["auuc"]
        assert first.replicates == pytest.approx(second.replicates)

    def test_draw_customers_as_a_whole(self):
        """A customer met four times is one customer: the interval is wider than of four."""
        gains, trials, _ = randomised(n=1000)
        four = np.tile(np.arange(len(trials)), 4)
        often = trials.take(four)
        once = Ranked(gains, trials).figures(seed=1, resamples=200)["average_effect"].interval()
        again = Ranked(gains[four], often).figures(seed=1, resamples=200)["average_effect"].interval()
        assert again.high - again.low == pytest.approx(once.high - once.low)
