import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize

from features.errors import BadInput, NotReady
from training.probabilities.calibration import ProductCalibration, Scale

SPREAD = Scale.LOG_ODDS.shift_spread


def probability(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def log_odds(share):
    return np.log(share / (1 - share))


def fitted(scores, acquired, candidates=None, n_blocks=1):
    scores, acquired = np.asarray(scores, dtype=np.float32), np.asarray(acquired, dtype=bool)
    candidates = np.ones(scores.shape, dtype=bool) if candidates is None else candidates
    counts = ProductCalibration.accumulator(scores.shape[1])
    for block in np.array_split(np.arange(len(scores)), n_blocks):
        counts.add(scores[block], acquired[block], candidates[block])
    return counts.fit()


def distorted_bank(n_customers=30_000, n_products=5, seed=0):
    """True log-odds are a line in what a model says, another line for each product."""
    rng = np.random.default_rng(seed)
    intercepts, slopes = np.linspace(-1.0, 0.5, n_products), np.linspace(0.7, 1.3, n_products)
    said = rng.normal(np.linspace(-2, -4, n_products), 1.0, (n_customers, n_products))
    truth = probability(intercepts + slopes * said)
    return probability(said).astype(np.float32), rng.random(said.shape) < truth, truth


def test_recovers_a_known_distortion():
    scores, acquired, truth = distorted_bank(n_customers=200_000)
    found = fitted(scores, acquired)
    assert found.scale is Scale.LOG_ODDS
    calibrated = found.apply(scores)
    # a line of two parameters from n acquisitions: about sqrt(2 / n) off in log-odds, at most 1 of it in probability,
    # and drawn to the pooled line, 0.75 away at most, which counts for 1 / spread**2 acquisitions
    for product in range(scores.shape[1]):
        n_acquired = acquired[:, product].sum()
        off = np.abs(calibrated[:, product] / truth[:, product] - 1).mean()
        assert off < 3 * np.sqrt(2 / n_acquired) + 0.75 / (1 + n_acquired * found.scale.shift_spread**2)
        assert off < np.abs(scores[:, product] / truth[:, product] - 1).mean()


def test_expected_counts_match_realised_ones():
    scores, acquired, _ = distorted_bank(n_customers=4000)
    calibrated = fitted(scores, acquired).apply(scores)
    assert calibrated.sum(dtype=float) == pytest.approx(acquired.sum(), rel=0.001)
    # a product's own count is off by its shift over the prior variance: the pull to the pooled line
    np.testing.assert_allclose(calibrated.sum(axis=0), acquired.sum(axis=0), atol=2 / Scale.LOG_ODDS.shift_spread**2)


def test_is_the_mode_of_its_posterior():
    scores, acquired, _ = distorted_bank(n_customers=600, n_products=3, seed=4)
    found = fitted(scores, acquired)
    scale = Scale.LOG_ODDS
    x = log_odds(scores.astype(float))
    weights = probability(log_odds(acquired.mean()) + x - x.mean())
    weights *= 1 - weights
    middle = (weights * x).sum(axis=0) / weights.sum(axis=0)

    def loss(parameters):
        a, log_b, shifts, logs = parameters[0], parameters[1], parameters[2:5], parameters[5:]
        line = a + np.exp(log_b) * middle + shifts + np.exp(log_b + logs) * (x - middle)
        prior = (a / 10) ** 2 + log_b**2
        prior += (shifts**2).sum() / scale.shift_spread**2 + (logs**2).sum() / scale.log_slope_spread**2
        return (np.logaddexp(0, line) - acquired * line).sum() + prior / 2

    best = minimize(loss, np.zeros(8), method="BFGS", options={"gtol": 1e-3}).x
    slopes = np.exp(best[1] + best[5:])
    np.testing.assert_allclose(found.slopes, slopes, rtol=0.01)
    np.testing.assert_allclose(
        found.intercepts, best[0] + np.exp(best[1]) * middle + best[2:5] - slopes * middle, rtol=0.02, atol=0.01
    )


def test_product_without_acquisitions_stays_near_the_pooled_line():
    scores, acquired, _ = distorted_bank(n_customers=3000)
    scores = np.hstack([scores, np.full((3000, 1), 0.0005, dtype=np.float32)])
    acquired = np.hstack([acquired, np.zeros((3000, 1), dtype=bool)])
    calibrated = fitted(scores, acquired).apply(scores)[:, -1]
    # 1.5 acquisitions were expected and none came: pulled below, never to 0
    assert (calibrated > 0.0005 / 10).all()
    assert (calibrated < 0.001).all()


def test_product_without_candidates_takes_the_pooled_line():
    scores, acquired, _ = distorted_bank(n_customers=3000)
    candidates = np.ones(scores.shape, dtype=bool)
    candidates[:, 2] = False
    found = fitted(scores, acquired & candidates, candidates)
    others = [0, 1, 3, 4]
    assert found.slopes[others].min() < found.slopes[2] < found.slopes[others].max()
    assert np.isfinite(found.apply(scores)).all()


def test_few_acquisitions_move_little():
    # four products whose scores are right, and one whose log-odds are 1.5 too low
    rng = np.random.default_rng(8)
    said = rng.normal(-3, 1, (20_000, 5))
    shifts = np.array([0, 0, 0, 0, 1.5])
    acquired = rng.random(said.shape) < probability(said + shifts)
    scores = probability(said).astype(np.float32)
    shift = {}
    for n_seen in (20, 20_000):
        candidates = np.ones(said.shape, dtype=bool)
        candidates[n_seen:, 4] = False
        calibrated = fitted(scores, acquired & candidates, candidates).apply(np.full((1, 5), 0.1, np.float32))
        shift[n_seen] = log_odds(calibrated[0, 4]) - log_odds(0.1)
    n_acquired = acquired[:, 4].sum()
    assert shift[20_000] == pytest.approx(1.5, abs=3 * np.sqrt(2 / n_acquired) + 1.5 / (1 + n_acquired * SPREAD**2))
    assert abs(shift[20]) < 1.5 * 20 * SPREAD**2


def test_nobody_acquires_anything():
    scores = np.full((500, 2), 0.01, dtype=np.float32)
    calibrated = fitted(scores, np.zeros((500, 2))).apply(scores)
    assert (calibrated > 0).all()
    assert (calibrated < 0.01).all()


def test_everybody_acquires_everything():
    scores = np.random.default_rng(1).random((300, 2)).astype(np.float32)
    calibrated = fitted(scores, np.ones((300, 2))).apply(scores)
    assert (calibrated > 0.9).all()


def test_scores_that_oppose_the_truth_are_not_turned_round():
    rng = np.random.default_rng(2)
    scores = rng.random((4000, 2)).astype(np.float32)
    acquired = rng.random(scores.shape) < probability(-3 * log_odds(0.02 + 0.96 * scores) - 2)
    found = fitted(scores, acquired)
    assert (found.slopes > 0).all()
    assert found.apply(scores).sum(dtype=float) == pytest.approx(acquired.sum(), rel=0.01)


@pytest.mark.parametrize("scale", [1.0, 1e-4, 300.0])
def test_any_score_can_be_calibrated(scale):
    # what collaborative filters give: no probabilities, some below 0
    rng = np.random.default_rng(3)
    scores = (scale * rng.normal(0.1, 0.3, (20_000, 3))).astype(np.float32)
    truth = probability(np.array([-2.0, -3.0, -4.0]) + 2 * scores / scale)
    acquired = rng.random(scores.shape) < truth
    found = fitted(scores, acquired)
    assert found.scale is Scale.STANDARD
    calibrated = found.apply(scores)
    assert calibrated.sum(dtype=float) == pytest.approx(acquired.sum(), rel=0.01)
    for product in range(3):
        off = np.abs(calibrated[:, product] / truth[:, product] - 1).mean()
        assert off < 3 * np.sqrt(2 / acquired[:, product].sum())


def test_equal_scores_of_everybody():
    scores = np.full((200, 2), -3.0, dtype=np.float32)
    acquired = np.zeros((200, 2), dtype=bool)
    acquired[:50, 0] = True
    acquired[:10, 1] = True
    calibrated = fitted(scores, acquired).apply(scores)
    assert calibrated.sum(dtype=float) == pytest.approx(60, rel=0.01)
    assert calibrated[0, 0] > calibrated[0, 1]


lines = st.tuples(st.floats(-15, 5), st.floats(0.01, 20))


@settings(deadline=None)  # the first example compiles
@given(
    hnp.arrays(np.float32, (12, 1), elements=st.floats(-(2.0**99), 2.0**99, width=32)),
    lines,
    st.sampled_from(Scale),
)
def test_order_within_a_product_is_never_turned(scores, line, scale):
    found = ProductCalibration(scale, 0.0, 1.0, np.array([line[0]]), np.array([line[1]]))
    order = np.argsort(scores[:, 0], kind="stable")
    calibrated = found.apply(scores)[order, 0]
    assert (np.diff(calibrated) >= 0).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_neighbouring_probabilities_keep_their_order():
    scores = np.float32(0.001) + np.arange(2000, dtype=np.float32)[:, np.newaxis] * np.float32(2**-32)
    found = ProductCalibration(Scale.LOG_ODDS, 0.0, 1.0, np.array([0.3]), np.array([1.1]))
    assert (np.diff(found.apply(scores)[:, 0]) >= 0).all()


def test_one_customer_and_many_get_the_same_bits():
    scores = np.random.default_rng(6).random((3000, 7)).astype(np.float32)
    found = fitted(scores, np.random.default_rng(7).random(scores.shape) < 0.1 * scores)
    together = found.apply(scores)
    for row in (0, 1, 1499, 2999):
        np.testing.assert_array_equal(found.apply(scores[row : row + 1])[0], together[row])


def test_blocks_do_not_matter():
    scores, acquired, _ = distorted_bank(n_customers=999)
    whole, parts = fitted(scores, acquired), fitted(scores, acquired, n_blocks=7)
    np.testing.assert_allclose(parts.intercepts, whole.intercepts, rtol=1e-6)
    np.testing.assert_allclose(parts.slopes, whole.slopes, rtol=1e-6)


@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_comes_back_from_its_file(tmp_path, shift):
    scores, acquired, _ = distorted_bank(n_customers=400)
    found = fitted(scores + np.float32(shift), acquired)
    found.save(tmp_path / "calibration.npz")
    loaded = ProductCalibration.load(tmp_path / "calibration.npz")
    assert loaded.scale is found.scale
    np.testing.assert_array_equal(loaded.apply(scores), found.apply(scores))


def test_same_counts_give_the_same_file(tmp_path):
    scores, acquired, _ = distorted_bank(n_customers=400)
    for name in ("a.npz", "b.npz"):
        fitted(scores, acquired).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_nothing_counted_is_not_ready():
    with pytest.raises(NotReady, match="no candidate to calibrate on"):
        ProductCalibration.accumulator(3).fit()


def test_scores_of_other_products_are_refused():
    found = fitted(np.full((4, 2), 0.5), [[1, 0], [0, 0], [0, 1], [0, 0]])
    with pytest.raises(BadInput, match="2 products"):
        found.apply(np.zeros((1, 3), dtype=np.float32))
