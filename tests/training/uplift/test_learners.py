"""What every uplift learner must do, and what each of them finds."""

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import training.uplift
from features.errors import BadInput, NotReady
from training import TrainingConfig
from training.uplift import LEARNERS, OddsLearner, RLearner, Stacked, UpliftConfig, UpliftLearner
from training.uplift.outcomes import Outcomes
from training.uplift.stacked import stacking_weights

from .fixtures import LIGHT, block_of, product_trials, propensities_of, scored_trials, trials_of_rows


@cache
def fitted(learner: type[UpliftLearner], *, with_propensity: bool = False) -> UpliftLearner:
    return learner(LIGHT).fit(product_trials(with_propensity=with_propensity))


def effects(learner: UpliftLearner, block) -> np.ndarray:
    return learner.effects(block, propensities_of(block) if learner.design.with_propensity else None)


def assert_same_bits(left: np.ndarray, right: np.ndarray) -> None:
    assert (left.dtype, left.shape) == (right.dtype, right.shape)
    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("with_propensity", [False, True], ids=["alone", "beside propensities"])
@pytest.mark.parametrize("learner_type", LEARNERS.values(), ids=LEARNERS)
class TestEveryLearner:
    def test_effects_are_differences_of_probabilities(self, learner_type, with_propensity):
        block = block_of()
        found = effects(fitted(learner_type, with_propensity=with_propensity), block)
        assert found.dtype == np.float32
        assert found.shape == (block.n_customers, block.n_products)
        assert (np.abs(found) <= 1).all()
        assert (found[~block.candidates] == 0).all()
        assert len(np.unique(found[block.candidates])) > 1

    def test_two_fits_agree_bit_for_bit(self, learner_type, with_propensity):
        again = learner_type(LIGHT).fit(product_trials(with_propensity=with_propensity))
        assert_same_bits(
            effects(again, block_of()), effects(fitted(learner_type, with_propensity=with_propensity), block_of())
        )

    def test_a_loaded_learner_finds_the_same_bit_for_bit(self, learner_type, with_propensity, tmp_path: Path):
        learner = fitted(learner_type, with_propensity=with_propensity)
        learner.save(tmp_path)
        loaded = learner_type.load(tmp_path)
        assert loaded.config == learner.config
        assert_same_bits(effects(loaded, block_of()), effects(learner, block_of()))
        for path in (path for path in tmp_path.rglob("*") if path.is_file()):
            assert path.suffix in {".json", ".npy", ".npz", ".txt"}
            if path.suffix in {".npy", ".npz"}:
                np.load(path, allow_pickle=False)

    def test_a_customer_alone_gets_what_a_block_gets_bit_for_bit(self, learner_type, with_propensity):
        learner, block = fitted(learner_type, with_propensity=with_propensity), block_of()
        likely = propensities_of(block) if with_propensity else None
        together = learner.effects(block, likely)
        for row in range(0, block.n_customers, 29):
            alone = np.array([row])
            found = learner.effects(block.take(alone), None if likely is None else likely[alone])
            assert_same_bits(found, together[alone])

    def test_a_product_of_later_gets_what_is_usual(self, learner_type, with_propensity):
        learner, block = fitted(learner_type, with_propensity=with_propensity), block_of()
        likely = propensities_of(block) if with_propensity else None
        found = learner.effects_of(block.features, block.candidates, np.array([-1, 0, 1]), likely)
        assert np.isfinite(found).all()
        assert (found[:, 0][block.candidates[:, 0]] != 0).all()


@pytest.mark.parametrize("learner_type", LEARNERS.values(), ids=LEARNERS)
class TestRefusals:
    def test_before_fitting(self, learner_type):
        with pytest.raises(NotReady, match=learner_type.name):
            learner_type().effects(block_of())

    def test_another_number_of_products(self, learner_type):
        with pytest.raises(BadInput, match="train again"):
            fitted(learner_type).effects(block_of(n_products=4))

    def test_missing_propensities(self, learner_type):
        with pytest.raises(BadInput, match="beside propensities"):
            fitted(learner_type, with_propensity=True).effects(block_of())

    @pytest.mark.parametrize("arm", [True, False])
    def test_one_arm(self, learner_type, arm):
        with pytest.raises(BadInput, match="both arms"):
            learner_type().fit(scored_trials([arm] * 40, [True, False] * 20))

    @pytest.mark.parametrize("outcome", [True, False])
    def test_one_outcome(self, learner_type, outcome):
        with pytest.raises(BadInput, match="no effect to see"):
            learner_type().fit(scored_trials([True, False] * 20, [outcome] * 40))


def test_no_learner_escapes_the_suite():
    for module in pkgutil.walk_packages(training.uplift.__path__, "training.uplift."):
        import_module(module.name)

    def concrete(cls):
        for subclass in cls.__subclasses__():
            if not inspect.isabstract(subclass):
                yield subclass
            yield from concrete(subclass)

    assert set(concrete(UpliftLearner)) == set(LEARNERS.values())
    assert [learner.name for learner in LEARNERS.values()] == list(LEARNERS)


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError, match="colour"):
        UpliftConfig.model_validate({"colour": "red"})
    with pytest.raises(ValidationError, match="unknown learner 'crystal_ball'"):
        TrainingConfig.model_validate({"uplift": {"learner": "crystal_ball"}})


def drawn(effect, *, baseline=0.2, n=6000, seed=3):
    """Trials of customers with two features, uniform on [0, 1); `effect` in points of probability, given features."""
    rng = np.random.default_rng(seed)
    features = rng.random((n, 2)).astype(np.float32)
    treated = rng.random(n) < 0.5
    likely = baseline(features) if callable(baseline) else np.full(n, baseline)
    return features, trials_of_rows(features, treated, rng.random(n) < likely + effect(features) * treated)


@pytest.mark.parametrize("learner_type", [RLearner, OddsLearner, Stacked])
class TestWhatIsFound:
    def test_without_differences_the_effect_is_the_same_for_all(self, learner_type):
        features, trials = drawn(lambda f: np.full(len(f), 0.1))
        found = learner_type(LIGHT).fit(trials).effects_at(features)
        error = np.sqrt(2 * (0.2 * 0.8 + 0.3 * 0.7) / len(features))
        assert abs(found.mean() - 0.1) < 4 * error
        # what differs comes from the likely outcome alone, which differs by its own noise only
        assert found.std() < 0.02

    def test_a_difference_is_found_where_it_is(self, learner_type):
        features, trials = drawn(lambda f: 0.3 * (f[:, 0] > 0.5))
        found = learner_type(LIGHT).fit(trials).effects_at(features)
        high = features[:, 0] > 0.5
        error = np.sqrt(4 * (0.2 * 0.8 + 0.5 * 0.5) / len(features))
        # the trees stop short of the last bit that is not worth a parameter: three standard errors at most
        assert abs(found[high].mean() - 0.3) < 7 * error
        assert abs(found[~high].mean()) < 7 * error


class TestStacking:
    """Two learners, one of customers of high `x` and one of the others, who gain 0.3 each from an outcome of 0.2."""

    @pytest.fixture
    def case(self):
        rng = np.random.default_rng(4)
        x, treated = rng.random(6000) < 0.5, rng.random(6000) < 0.5
        acquired = rng.random(6000) < 0.2 + 0.3 * treated
        outcomes = Outcomes(np.full(6000, np.log(0.2 / 0.8)), np.full(6000, np.log(0.5 / 0.5) - np.log(0.2 / 0.8)))
        return x, scored_trials(treated, acquired), outcomes

    # four standard errors of the weight of a learner that is right about half of the trials: 1,500 in each arm
    error = 4 * np.sqrt((0.5 * 0.5 + 0.2 * 0.8) / 1500) / 0.3

    def test_the_first_serves_where_both_are_as_good(self, case):
        x, trials, outcomes = case
        right = np.full(len(x), 0.3)
        assert stacking_weights(trials, outcomes, np.stack([right, right], axis=1), 10.0) == pytest.approx(
            [1, 0], abs=self.error
        )

    def test_the_second_serves_where_it_is_clearly_better(self, case):
        x, trials, outcomes = case
        effects = np.stack([0.6 * x, np.full(len(x), 0.3)], axis=1)
        assert stacking_weights(trials, outcomes, effects, 10.0) == pytest.approx([0, 1], abs=self.error)
        assert stacking_weights(trials, outcomes, effects, 1e6)[1] == 0

    def test_both_serve_where_each_knows_half(self, case):
        x, trials, outcomes = case
        effects = np.stack([0.3 * x, 0.3 * ~x], axis=1)
        assert stacking_weights(trials, outcomes, effects, 10.0) == pytest.approx([1, 1], abs=self.error)

    def test_what_points_the_wrong_way_is_not_used(self, case):
        x, trials, outcomes = case
        effects = np.full((len(x), 2), -0.3)
        assert stacking_weights(trials, outcomes, effects, 10.0).tolist() == [0, 0]

    def test_a_fit_says_what_it_uses(self):
        weights = fitted(Stacked).weights
        assert list(weights) == ["odds_learner", "r_learner"]
        assert max(weights.values()) > 0
