"""What the propensity model alone must do; what every model must is in ``models/conformance.py``."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from features import CustomerBlock
from features.contracts import KIND, KINDS
from tests.training.models.fixtures import FIRST_PERIOD, InMemoryExamples, made_up, random_bank
from training.examples import Batch
from training.models import Propensity
from training.models.propensity import PropensityConfig
from training.probabilities.calibration import EDGE

RETAIL, CORPORATE = 0, 1


TASTE, ACTIVITY = made_up("taste", "number"), made_up("activity", "count", "mobile")
SEASON = made_up("season", "code")


class Features:
    """Two facts of a customer, given to the states beforehand."""

    def __init__(self, values, features=(TASTE, ACTIVITY)):
        self.values = values
        self.features = features
        self.names = tuple(feature.name for feature in features)

    def compute(self, block):
        return self.values[block.positions].astype(np.float32)


@dataclass(frozen=True)
class States:
    n_customers: int
    feature_set: Features
    kinds: np.ndarray

    def derived(self, make):
        return self.feature_set

    @property
    def profile(self):
        return SimpleNamespace(codes={KIND: self.kinds})


def examples_of(values, acquired, *, candidates=None, kinds=None, features=(TASTE, ACTIVITY)) -> InMemoryExamples:
    """One batch of customers with `values` (n, 2) of the two features."""
    n, n_products = acquired.shape
    states = States(
        n_customers=n,
        feature_set=Features(np.asarray(values), features),
        kinds=np.zeros(n, np.int32) if kinds is None else kinds.astype(np.int32),
    )
    block = CustomerBlock(
        states=states,
        feature_set=states.feature_set,
        positions=np.arange(n),
        period=FIRST_PERIOD,
        words=np.zeros((n, n_products), np.uint64),
        versions=np.arange(n),
        candidates=np.ones((n, n_products), bool) if candidates is None else candidates,
        segments=np.zeros(n, np.int32),
    )
    return InMemoryExamples((Batch(block, acquired),), n_products, 1, states)


def block_of(examples):
    return examples.kept[0].block


def fitted(examples, **settings):
    return Propensity(PropensityConfig(**settings)).fit(examples)


@pytest.fixture(scope="module")
def tasteful():
    """Taste says which of two products a customer chooses, activity whether any: 40% of the active, 5% of the rest."""
    rng = np.random.default_rng(1)
    n = 8000
    taste, active = rng.integers(0, 2, n), rng.integers(0, 2, n)
    buys = rng.random(n) < np.where(active == 1, 0.4, 0.05)
    follows = rng.random(n) < 0.9
    acquired = np.zeros((n, 3), bool)
    acquired[np.arange(n), np.where(follows, taste, 1 - taste)] = buys
    return examples_of(np.stack([taste, active], axis=1), acquired), taste, active


class TestWhatIsLearnt:
    def test_recovers_known_probabilities(self, tasteful):
        examples, taste, active = tasteful
        scores = fitted(examples, column_share=1.0).score(block_of(examples))
        for likes in (0, 1):
            for is_active in (0, 1):
                mine = scores[(taste == likes) & (active == is_active)]
                anything = 0.4 if is_active else 0.05
                # 2,000 customers a cell: five standard errors of its share, and the shrinkage of few rounds
                tolerance = 5 * (anything * (1 - anything) / 2000) ** 0.5 + 0.02
                assert abs(mine[:, likes].mean() - anything * 0.9) < tolerance
                assert abs(mine[:, 1 - likes].mean() - anything * 0.1) < tolerance

    def test_a_product_nobody_acquired_scores_0(self, tasteful):
        examples, *_ = tasteful
        scores = fitted(examples, any_rounds=3, choice_rounds=2).score(block_of(examples))
        assert (scores[:, 2] == 0).all()
        assert (scores[:, :2] > 0).all()

    def test_the_expected_number_of_acquisitions_survives_the_draw_of_rows(self, tasteful):
        examples, *_ = tasteful
        realised = examples.kept[0].acquired.any(axis=1).mean()
        for max_rows in (1000, 100_000):
            model = fitted(examples, max_rows=max_rows, any_rounds=60, choice_rounds=2)
            expected = model.score(block_of(examples)).sum(axis=1).mean()
            # of 1,000 rows drawn; five standard errors
            assert abs(expected - realised) < 5 * (realised * (1 - realised) / 1000) ** 0.5

    def test_the_choice_starts_from_how_often_each_is_acquired(self):
        """When nothing else is learned, the odds between candidates are those of their acquisitions."""
        rng = np.random.default_rng(2)
        n = 4000
        acquired = np.zeros((n, 2), bool)
        acquired[np.arange(n), rng.choice(2, n, p=[0.75, 0.25])] = rng.random(n) < 0.2
        examples = examples_of(rng.random((n, 2)).round(1), acquired)
        nothing = {"choice_l1": 100.0, "any_rounds": 1, "choice_rounds": 1, "learning_rate": 1e-6}
        scores = fitted(examples, **nothing).score(block_of(examples))
        first, second = acquired.sum(axis=0)
        np.testing.assert_allclose(scores[:, 0] / scores[:, 1], first / second, rtol=1e-3)

    def test_what_is_no_candidate_takes_nothing_from_the_others(self, tasteful):
        examples, *_ = tasteful
        model = fitted(examples, any_rounds=20, choice_rounds=5)
        block = block_of(examples)
        only_first = np.zeros_like(block.candidates)
        only_first[:, 0] = True
        alone = examples_of(block.feature_set.values, examples.kept[0].acquired, candidates=only_first)
        both = model.score(block)
        first = model.score(block_of(alone))[:, 0]
        np.testing.assert_allclose(first, both[:, 0] + both[:, 1], rtol=1e-4)


class TestSeasons:
    def test_a_product_of_june_is_learned_from_june(self):
        """Two years; the second product is chosen by 3 in 5 in June and by 1 in 20 in any other month."""
        rng = np.random.default_rng(7)
        n = 24_000
        month, taste = np.repeat(np.arange(24) % 12, n // 24), rng.random(n)
        second = rng.random(n) < np.where(month == 5, 0.6, 0.05)
        acquired = np.zeros((n, 2), bool)
        acquired[np.arange(n), second.astype(int)] = rng.random(n) < 0.2
        examples = examples_of(np.stack([month, taste], axis=1), acquired, features=(SEASON, TASTE))
        scores = fitted(examples, max_rows=5000).score(block_of(examples))
        share = scores[:, 1] / scores.sum(axis=1)
        # 400 choices in June and 4,400 in other months: five standard errors, and the lasso's pull on 400
        assert share[month == 5].mean() == pytest.approx(0.6, abs=5 * (0.24 / 400) ** 0.5 + 0.05)
        assert share[month != 5].mean() == pytest.approx(0.05, abs=5 * (0.05 / 4400) ** 0.5 + 0.01)


class TestKinds:
    @pytest.fixture(scope="class")
    @classmethod
    def mixed(cls):
        """Retail customers choose by taste, corporate ones against it, and each kind has its own product."""
        rng = np.random.default_rng(4)
        n = 6000
        kinds, taste = rng.integers(0, 2, n), rng.integers(0, 2, n)
        acquired = np.zeros((n, 4), bool)
        buys = rng.random(n) < 0.3
        acquired[np.arange(n), np.where(kinds == RETAIL, taste, 2 + (1 - taste))] = buys
        candidates = np.zeros((n, 4), bool)
        candidates[kinds == RETAIL, :2] = True
        candidates[kinds == CORPORATE, 2:] = True
        values = np.stack([taste, rng.integers(0, 2, n)], axis=1)
        return examples_of(values, acquired, kinds=kinds, candidates=candidates), kinds, taste

    def test_learn_apart(self, mixed):
        examples, kinds, taste = mixed
        scores = fitted(examples, column_share=1.0).score(block_of(examples))
        assert (scores[kinds == RETAIL].argmax(axis=1) == taste[kinds == RETAIL]).all()
        assert (scores[kinds == CORPORATE].argmax(axis=1) == 2 + (1 - taste[kinds == CORPORATE])).all()

    def test_are_saved_apart(self, mixed, tmp_path):
        fitted(mixed[0], any_rounds=2, choice_rounds=2).save(tmp_path)
        for kind in KINDS:
            names = {path.name for path in tmp_path.glob(f"{kind}*")}
            trees = ("any.txt", "any.expected.npy", "choice.txt", "choice.expected.npy")
            parts = ("any_linear.npz", "linear.npz", *trees)
            assert names == {f"{kind}.npz", *(f"{kind}-{part}" for part in parts)}

    def test_one_without_examples_scores_0(self, mixed):
        examples, kinds, _ = mixed
        batch = examples.kept[0]
        rows = np.flatnonzero(kinds == RETAIL)
        retail_only = InMemoryExamples(
            (Batch(batch.block.take(rows), batch.acquired[rows]),), examples.n_products, 1, examples.states
        )
        scores = fitted(retail_only, any_rounds=2, choice_rounds=2).score(batch.block)
        assert (scores[kinds == CORPORATE] == 0).all()
        assert (scores[kinds == RETAIL][:, :2] > 0).all()


class TestLittleToLearnFrom:
    values = np.random.default_rng(5).random((400, 2))

    def acquired(self, *products):
        acquired = np.zeros((400, 2), bool)
        for number, product in enumerate(products):
            acquired[number::20, product] = True
        return acquired

    @pytest.mark.parametrize(
        ("products", "positive"), [((), [False, False]), ((1,), [False, True]), ((0, 1), [True, True])]
    )
    def test_is_learnt_as_far_as_it_goes(self, products, positive, tmp_path):
        examples = examples_of(self.values, self.acquired(*products))
        model = fitted(examples)
        scores = model.score(block_of(examples))
        assert np.isfinite(scores).all()
        assert ((scores > 0).all(axis=0) == positive).all()
        model.save(tmp_path)
        assert Propensity.load(tmp_path).score(block_of(examples)).tobytes() == scores.tobytes()

    @pytest.mark.parametrize("constant", [0.0, np.nan])
    def test_features_that_never_vary_are_not_used(self, constant):
        values = self.values.copy()
        values[:, 0] = constant
        examples = examples_of(values, self.acquired(0, 1))
        assert all(learners.columns.tolist() == [1] for learners in fitted(examples)._learners.values())

    def test_no_feature_at_all_leaves_how_often_each_is_acquired(self):
        acquired = self.acquired(0, 1)
        acquired[::40, 0] = False
        examples = examples_of(np.zeros((400, 2)), acquired)
        scores = fitted(examples).score(block_of(examples))
        np.testing.assert_allclose(scores[:, 0] / scores[:, 1], 10 / 20, rtol=1e-3)

    def test_everybody_acquiring_is_not_a_question(self):
        acquired = np.zeros((400, 2), bool)
        acquired[np.arange(400), np.arange(400) % 2] = True
        scores = fitted(examples_of(self.values, acquired)).score(block_of(examples_of(self.values, acquired)))
        np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)


def log_odds(p):
    return np.log(p) - np.log1p(-p)


def assert_adds_up(model, block, products):
    found = model.contributions(block, products)
    summed = found.base + found.features.sum(axis=-1) + found.alternatives
    np.testing.assert_allclose(summed, found.log_odds, atol=1e-10)
    scores = np.take_along_axis(model.score(block), np.maximum(products, 0), axis=1).astype(np.float64)
    known = (products >= 0) & (scores > 0)
    assert (np.abs(found.log_odds[known] - log_odds(scores[known])) < 1e-6 + 1.2e-7 / (1 - scores[known])).all()
    assert np.allclose(found.log_odds[(products >= 0) & (scores == 0)], log_odds(EDGE))
    assert not found.features[~known].any()
    assert not found.alternatives[~known].any()
    assert not found.log_odds[products < 0].any()
    for row in range(0, block.n_customers, 1 + block.n_customers // 5):
        alone = model.contributions(block.take(np.array([row])), products[[row]])
        for name in ("log_odds", "base", "features", "alternatives"):
            assert getattr(alone, name).tobytes() == getattr(found, name)[[row]].tobytes()
    return found


def every_product(block):
    return np.tile(np.arange(-1, block.n_products), (block.n_customers, 1))


class TestContributions:
    def test_say_what_the_choice_rests_on(self, tasteful):
        examples, taste, active = tasteful
        block = block_of(examples)
        model = fitted(examples, column_share=1.0)
        found = assert_adds_up(model, block, every_product(block))
        by_taste, by_activity = found.features[:, 1:3, 0], found.features[:, 1:3, 1]
        likes = np.eye(2, dtype=bool)[taste]
        assert (by_taste[likes] > 0.5).all()
        assert (by_taste[~likes] < -0.5).all()
        assert (by_activity[active == 1] > 0.3).all()
        assert (by_activity[active == 0] < -0.3).all()
        assert len(np.unique(found.base[:, 1])) == 1

    def test_of_both_kinds_are_of_their_own_learners(self):
        bank = random_bank(n_customers=300)
        block = bank.kept[-1].block
        model = fitted(bank, min_rows=5)
        assert len(model._learners) == 2
        found = assert_adds_up(model, block, every_product(block))
        assert found.features[block.kinds == RETAIL].any()
        assert found.features[block.kinds == CORPORATE].any()

    def test_are_the_same_after_loading(self, tasteful, tmp_path):
        block = block_of(tasteful[0])
        model = fitted(tasteful[0], any_rounds=10, choice_rounds=5)
        model.save(tmp_path)
        found, again = (m.contributions(block, every_product(block)) for m in (model, Propensity.load(tmp_path)))
        assert again.features.tobytes() == found.features.tobytes()
        assert again.log_odds.tobytes() == found.log_odds.tobytes()

    def test_follow_another_fit(self, tasteful):
        """What explains the first fit must not be kept for the second."""
        block = block_of(tasteful[0])
        model = fitted(tasteful[0], any_rounds=3, choice_rounds=2)
        model.contributions(block, every_product(block))
        model.fit(examples_of(block.features[::-1].copy(), tasteful[0].kept[0].acquired))
        assert_adds_up(model, block, every_product(block))

    @pytest.mark.parametrize("products", [(), (1,), (0, 1)])
    def test_of_little_to_learn_from(self, products):
        acquired = np.zeros((400, 2), bool)
        for number, product in enumerate(products):
            acquired[number::20, product] = True
        examples = examples_of(np.random.default_rng(5).random((400, 2)), acquired)
        assert_adds_up(fitted(examples), block_of(examples), every_product(block_of(examples)))

    def test_of_what_is_certain_stop_at_the_edge(self):
        """Everybody acquires something and there is but one candidate: a probability of 1, which has no log-odds."""
        acquired = np.zeros((400, 2), bool)
        acquired[np.arange(400), np.arange(400) % 2] = True
        examples = examples_of(np.random.default_rng(5).random((400, 2)), acquired)
        block = replace(block_of(examples), candidates=np.tile([True, False], (400, 1)))
        model = fitted(examples)
        assert (model.score(block)[:, 0] > 1 - 2e-6).all()
        found = assert_adds_up(model, block, np.zeros((400, 1), np.int64))
        np.testing.assert_allclose(found.log_odds, log_odds(1 - 1e-6), atol=0.07)

    def test_without_features_are_the_base_alone(self):
        acquired = np.zeros((400, 2), bool)
        acquired[::20, 1] = acquired[::40, 0] = True
        examples = examples_of(np.zeros((400, 2)), acquired)
        found = assert_adds_up(fitted(examples), block_of(examples), every_product(block_of(examples)))
        assert not found.features.any()


class TestSettings:
    def test_a_group_left_out_is_not_looked_at(self, tasteful):
        examples, *_ = tasteful
        model = fitted(examples, leave_out=("activity",), any_rounds=2, choice_rounds=2)
        assert model._learners[RETAIL].columns.tolist() == [0]

    def test_two_threads_give_the_same_bits_every_time(self):
        bank = random_bank(n_customers=1100)
        block = bank.kept[-1].block
        scores = [fitted(bank, threads=2, any_rounds=5, choice_rounds=3).score(block).tobytes() for _ in range(2)]
        assert scores[0] == scores[1]

    def test_the_seed_draws_columns_and_rows(self):
        bank = random_bank(n_customers=300)
        block = bank.kept[-1].block
        scores = [fitted(bank, seed=seed, min_rows=5).score(block).tobytes() for seed in (1, 1, 2)]
        assert scores[0] == scores[1] != scores[2]
