"""The blend: against slow arithmetic, and on models of known worth."""

import numpy as np
import pytest

from features.errors import BadInput, NotReady
from tests.training.models.fixtures import block_of
from training.probabilities.blend import Blend, CalibratedBlend, Choices, given_buyable, pooled
from training.probabilities.calibration import ProductCalibration, Scale


def log_odds(p):
    return np.log(p / (1 - p))


def choices_of(models: dict[str, np.ndarray], truth: np.ndarray, seed: int = 0) -> tuple[Choices, np.ndarray]:
    """Each customer takes each product with its true probability."""
    acquired = np.random.default_rng(seed).random(truth.shape) < truth
    choices = Choices(tuple(models))
    half = len(truth) // 2
    for rows in (slice(None, half), slice(half, None)):
        parts = {name: p[rows].astype(np.float32) for name, p in models.items()}
        choices.add(parts, acquired[rows], np.ones_like(acquired[rows]))
    return choices, acquired


@pytest.fixture(scope="module")
def bank() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A truth of two independent tastes; each of two models knows one of them, a third knows nothing."""
    rng = np.random.default_rng(1)
    shape = (60_000, 5)
    first, second = rng.normal(size=shape), rng.normal(size=shape)

    def probability(utilities):
        return 1 / (1 + np.exp(5.5 - utilities))

    models = {"first": probability(first), "second": probability(second), "noise": probability(rng.normal(size=shape))}
    return probability(first + second), models


def test_the_pool_is_the_weighted_sum_of_log_odds() -> None:
    rng = np.random.default_rng(2)
    parts = {name: rng.uniform(0.001, 0.6, (7, 4)).astype(np.float32) for name in "ab"}
    found = pooled(parts, {"a": 0.7, "b": 0.5})
    together = 0.7 * log_odds(parts["a"].astype(float)) + 0.5 * log_odds(parts["b"].astype(float))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-together)), rtol=1e-6)
    for row in range(7):
        alone = pooled({name: part[[row]] for name, part in parts.items()}, {"a": 0.7, "b": 0.5})
        assert alone.tobytes() == found[[row]].tobytes()


def test_certain_and_impossible_are_finite() -> None:
    parts = {"a": np.array([[0, 1, 0.5]], np.float32)}
    found = pooled(parts, {"a": 3.0})
    assert np.isfinite(found).all()
    assert found[0, 0] < found[0, 2] < found[0, 1]


def test_what_each_model_knows_is_put_together(bank) -> None:
    truth, models = bank
    choices, _ = choices_of(models, truth)
    weights = choices.fit()
    # the truth is the sum of both log-odds: weights of 1; some 3,000 choices give a standard error of about .03
    assert weights["first"] == pytest.approx(1, abs=0.12)
    assert weights["second"] == pytest.approx(1, abs=0.12)
    assert weights.get("noise", 0) < 0.1


def test_a_model_that_knows_all_is_left_alone(bank) -> None:
    truth, models = bank
    choices, _ = choices_of({"all": truth, "noise": models["noise"]}, truth)
    weights = choices.fit()
    assert weights["all"] == pytest.approx(1, abs=0.1)
    assert weights.get("noise", 0) < 0.1


def test_the_weights_are_where_the_likelihood_is_highest(bank) -> None:
    truth, models = bank
    choices, acquired = choices_of({name: models[name] for name in ("first", "second")}, truth)
    found = choices.fit()
    chose = acquired.any(axis=1)

    def penalised(first, second):
        utilities = first * log_odds(models["first"][chose]) + second * log_odds(models["second"][chose])
        shares = np.exp(utilities) / np.exp(utilities).sum(axis=1, keepdims=True)
        return np.log(shares[acquired[chose]]).sum() - 0.5 * (first**2 + second**2)

    best = penalised(found["first"], found["second"])
    for step in (-0.02, 0.02):
        assert penalised(found["first"] + step, found["second"]) < best
        assert penalised(found["first"], found["second"] + step) < best


def test_without_any_choice_there_is_nothing_to_learn() -> None:
    choices = Choices(("a",))
    nothing = np.zeros((3, 2), bool)
    choices.add({"a": np.full((3, 2), 0.1, np.float32)}, nothing, ~nothing)
    with pytest.raises(NotReady, match="no acquisition on the validation dates"):
        choices.fit()


def test_a_loaded_blend_says_what_the_saved_one_did(bank, tmp_path) -> None:
    truth, models = bank
    parts = {name: p.astype(np.float32) for name, p in models.items()}
    weights = {"first": 0.8, "second": 1.1}
    calibration = ProductCalibration.accumulator(5)
    acquired = np.random.default_rng(0).random(truth.shape) < truth
    calibration.add(pooled(parts, weights), acquired, np.ones_like(acquired))
    blend = Blend(weights, calibration.fit())
    blend.save(tmp_path)
    loaded, said = Blend.load(tmp_path), pooled(parts, weights)
    assert loaded.weights == weights
    assert loaded.calibration.apply(said).tobytes() == blend.calibration.apply(said).tobytes()
    expected = blend.calibration.apply(said).sum()
    assert expected == pytest.approx(acquired.sum(), rel=1e-3)


@pytest.mark.parametrize("n", [1, 63, 64, 700])
@pytest.mark.parametrize("last", Scale)
def test_in_one_pass_it_says_what_it_says_step_by_step(n, last) -> None:
    rng = np.random.default_rng(n)

    def calibration(scale: Scale) -> ProductCalibration:
        return ProductCalibration(scale, 0.3, 2.0, rng.normal(-3, 1, 9), rng.uniform(0.5, 1.5, 9))

    calibrations = {"a": calibration(Scale.LOG_ODDS), "b": calibration(Scale.STANDARD)}
    blend = Blend({"b": 0.8, "a": 0.4}, calibration(last))
    scores = {"a": rng.random((n, 9)).astype(np.float32), "b": rng.normal(0, 9, (n, 9)).astype(np.float32)}
    scores["a"][0, :3] = 0, 1, np.nan
    candidates = rng.random((n, 9)) < 0.8
    parts = {name: calibrations[name].apply(said) for name, said in scores.items()}
    expected = np.where(candidates, blend.calibration.apply(pooled(parts, blend.weights)), np.float32(0))
    at_once = CalibratedBlend.of(blend, calibrations)
    found = at_once.propensities(np.stack([scores["b"], scores["a"]]), candidates)
    assert found.tobytes() == expected.tobytes()
    alone = at_once.propensities(np.stack([scores["b"][-1:], scores["a"][-1:]]), candidates[-1:])
    assert alone.tobytes() == found[-1:].tobytes()
    with pytest.raises(BadInput, match="cannot be blended for 9 products"):
        at_once.propensities(np.zeros((2, n, 8), np.float32), candidates[:, :8])


def test_what_can_rarely_be_bought_is_the_likelier_where_it_can_be() -> None:
    """Of 1,000 customers 100 can buy the product and 20 of them do: .02 of all, .2 of those who can."""
    block = block_of(np.zeros((1, 2)))
    known = block.offered(np.ones((1, 2), bool), np.array([[0.1, 1.0]], np.float32))
    propensities = np.array([[0.02, 0.05]], np.float32)
    np.testing.assert_allclose(given_buyable(propensities, known), [[0.2, 0.05]], rtol=1e-6)
    assert given_buyable(propensities, block) is propensities
    certain = given_buyable(np.array([[0.5, 0.5]], np.float32), known)
    assert (certain < 1).all()
