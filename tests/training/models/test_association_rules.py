import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Catalogue
from features.catalogue import Product
from tests.oracles.collaborative import popularity_rates, standardised_counts
from training.examples import Batch
from training.models import AssociationRules, Popularity
from training.models.association_rules import AssociationRulesConfig, Rule

from .fixtures import block_of, examples_of, random_bank

A, B, C = 0, 1, 2


def bank(*groups, segments=None):
    """One batch; each group is (how many customers, what they hold, how many acquire which product)."""
    held, acquired = [], []
    for size, holdings, acquisitions in groups:
        rows = np.zeros((2, size, 3), dtype=bool)
        rows[0][:, list(holdings)] = True
        for product, number in acquisitions.items():
            rows[1][:number, product] = True
        held.append(rows[0])
        acquired.append(rows[1])
    n_segments = 1 if segments is None else max(segments) + 1
    return examples_of(
        Batch(block_of(np.concatenate(held), segments=segments, n_segments=n_segments), np.concatenate(acquired))
    )


def fitted(examples, **settings):
    return AssociationRules(AssociationRulesConfig(**settings)).fit(examples)


def rule(model, held, product):
    (found,) = [rule for rule in model.rules() if rule.held == held and rule.product == product]
    return found


def strongest(model, held, product):
    """The strongest rule of one customer's to one product, or None."""
    antecedents, lifts = model.strongest(held[None], np.array([[product]]))
    found = None if antecedents.item() < 0 else model.rule(antecedents.item(), product)
    assert lifts.item() == (1 if found is None else found.lift)
    return found


def everybody(acquired: int, candidates: int, of_all: float) -> float:
    """A product's rate in the one segment there is, as popularity shrinks it twice."""
    rate = (acquired + 100 * of_all) / (candidates + 100)
    return (acquired + 100 * rate) / (candidates + 100)


class TestRules:
    def test_a_lift_is_observed_over_expected_shrunk(self):
        # 100 hold A of whom 30 take C; 300 hold nothing of whom 10 do
        model = fitted(bank((100, [A], {C: 30}), (300, [], {C: 10})), min_support=5, shrinkage=10)
        of_all = (40 + 0.5) / (100 * 2 + 300 * 3 + 1)
        expected = 100 * everybody(40, 400, of_all)
        found = rule(model, (A,), C)
        assert found.support == 30
        assert found.confidence == pytest.approx(30 / 100)
        assert found.lift == pytest.approx((30 + 10) / (expected + 10), rel=1e-6)

    def test_who_could_not_acquire_is_not_counted(self):
        # those who hold A and C already cannot take C
        alone = fitted(bank((100, [A], {C: 30}), (300, [], {C: 10})), min_support=5)
        beside = fitted(bank((100, [A], {C: 30}), (300, [], {C: 10}), (500, [A, C], {})), min_support=5)
        assert rule(beside, (A,), C).support == rule(alone, (A,), C).support == 30
        assert rule(beside, (A,), C).confidence == rule(alone, (A,), C).confidence

    def test_a_few_acquisitions_of_rare_holders_do_not_win(self):
        # 3 of 3 who hold B take C, 60 of 200 who hold A
        examples = bank((200, [A], {C: 60}), (3, [B], {C: 3}), (800, [], {C: 20}))
        shrunk, raw = fitted(examples, min_support=1), fitted(examples, min_support=1, shrinkage=0.01)
        assert rule(raw, (B,), C).lift > rule(raw, (A,), C).lift
        assert rule(shrunk, (B,), C).lift < rule(shrunk, (A,), C).lift

    def test_what_the_segment_explains_is_no_lift(self):
        # half of segment 1 take C whatever they hold, nobody in segment 0; A is held in segment 1 mostly
        groups = (900, [], {}), (100, [A], {}), (100, [], {C: 50}), (900, [A], {C: 450})
        segments = np.repeat([0, 1], 1000)
        plain = rule(fitted(bank(*groups), min_support=5), (A,), C).lift
        standardised = rule(fitted(bank(*groups, segments=segments), min_support=5), (A,), C).lift
        assert plain > 1.5
        assert standardised == pytest.approx(1, abs=0.1)

    def test_two_products_held_say_more_than_each(self):
        model = fitted(
            bank((200, [A], {C: 10}), (200, [B], {C: 10}), (200, [A, B], {C: 100}), (900, [], {C: 30})), min_support=5
        )
        both = rule(model, (A, B), C)
        assert both.support == 100
        assert both.lift > max(rule(model, (A,), C).lift, rule(model, (B,), C).lift)
        assert model.rules()[0] == both

    def test_too_few_are_no_rule(self):
        examples = bank((20, [A], {C: 9}), (500, [], {C: 5}))
        assert [r for r in fitted(examples, min_support=9).rules() if r.held == (A,)]
        assert not [r for r in fitted(examples, min_support=10).rules() if r.held == (A,)]

    def test_rarely_is_a_rule_too(self):
        # where 20 acquisitions were to be expected there are none
        found = rule(fitted(bank((200, [A], {}), (800, [], {C: 100}))), (A,), C)
        assert (found.support, found.confidence) == (0, 0)
        assert found.lift < 0.7

    def test_the_largest_lift_comes_first(self):
        lifts = [rule.lift for rule in fitted(random_bank(), min_support=1).rules()]
        assert len(lifts) > 20
        assert lifts == sorted(lifts, reverse=True)

    def test_are_the_same_after_loading(self, tmp_path):
        model = fitted(random_bank(), min_support=2)
        model.save(tmp_path)
        assert AssociationRules.load(tmp_path).rules() == model.rules()

    @settings(deadline=None, max_examples=25)  # the first call compiles
    @given(seed=st.integers(0, 1_000), shrinkage=st.floats(0.5, 50))
    def test_equal_those_counted_one_by_one(self, seed, shrinkage):
        examples = random_bank(seed, n_customers=60, n_products=4, n_periods=2)
        rates = popularity_rates(examples.kept, 3, 4, None, 100.0)
        found = fitted(examples, min_support=2, shrinkage=shrinkage).rules()
        lifts = {(rule.held, rule.product): rule.lift for rule in found}
        for rule in found:
            candidates, acquired, expected = standardised_counts(
                examples.kept, rates, lambda portfolio, rule=rule: portfolio.issuperset(rule.held)
            )
            assert rule.support == acquired[rule.product]
            assert rule.confidence == acquired[rule.product] / candidates[rule.product]
            alone = np.prod([lifts.get(((one,), rule.product), 1.0) for one in rule.held]) if len(rule.held) > 1 else 1
            expected = expected[rule.product] * alone
            assert rule.lift == pytest.approx(
                alone * (acquired[rule.product] + shrinkage) / (expected + shrinkage), rel=1e-5
            )


class TestStrongest:
    @settings(deadline=None, max_examples=30)
    @given(seed=st.integers(0, 1_000), held=st.sets(st.integers(0, 4)), product=st.integers(0, 4))
    def test_is_the_first_rule_above_1_whose_products_are_held(self, seed, held, product):
        model = fitted(random_bank(seed, n_customers=60, n_products=5, n_periods=2), min_support=2)
        fits = [
            rule
            for rule in model.rules()
            if rule.product == product and held.issuperset(rule.held) and product not in rule.held and rule.lift > 1
        ]
        assert strongest(model, np.isin(np.arange(5), list(held)), product) == (fits[0] if fits else None)

    def test_of_many_is_that_of_each(self):
        model, rng = fitted(random_bank(), min_support=1), np.random.default_rng(1)
        portfolios, products = rng.random((40, 7)) < 0.5, rng.integers(-1, 7, (40, 3))
        found, lifts = model.strongest(portfolios, products)
        words = portfolios.astype(np.uint64) | (rng.integers(0, 99, portfolios.shape, np.uint64) << np.uint64(1))
        assert [each.tolist() for each in model.strongest(words, products)] == [found.tolist(), lifts.tolist()]
        assert (found[products < 0] == -1).all()
        for row, place in np.argwhere(products >= 0):
            rule, product = strongest(model, portfolios[row], products[row, place]), products[row, place]
            assert rule == (None if found[row, place] < 0 else model.rule(found[row, place], product))

    def test_of_two_alike_is_that_of_the_lower_product(self):
        """A and B are held by as many customers, of whom as many take C."""
        model = fitted(bank((100, [A], {C: 30}), (100, [B], {C: 30}), (300, [], {C: 10})), min_support=5)
        assert rule(model, (A,), C).lift == rule(model, (B,), C).lift > 1
        assert strongest(model, np.array([True, True, False]), C) == rule(model, (A,), C)
        assert strongest(model, np.array([False, True, False]), C) == rule(model, (B,), C)

    def test_is_none_where_holders_take_it_less_often(self):
        model = fitted(bank((200, [A], {}), (800, [], {C: 100})))
        assert rule(model, (A,), C).lift < 1
        assert strongest(model, np.array([True, False, False]), C) is None

    def test_does_not_start_from_the_product_itself(self):
        model = fitted(bank((100, [A], {C: 30}), (300, [], {C: 10})), min_support=5)
        model._are_rules[C, C], model._lifts[C, C] = True, 9.0
        assert strongest(model, np.array([False, False, True]), C) is None


def odds(probabilities):
    return probabilities / (1 - probabilities)


class TestScores:
    def lifts(self, model):
        return {(rule.held, rule.product): rule.lift for rule in model.rules()}

    def test_of_one_product_held_are_the_segments_odds_times_its_lift(self):
        examples = random_bank()
        model = fitted(examples, min_support=1)
        segments = Popularity().fit(examples)
        for segment in (0, 1):
            block = block_of(np.eye(7)[[2]], segments=[segment], n_segments=3)
            expected = odds(segments.score(block)[0]) * [self.lifts(model).get(((2,), p), 1.0) for p in range(7)]
            np.testing.assert_allclose(odds(model.score(block)[0]), expected, rtol=1e-5)

    def test_of_two_take_the_rule_of_both(self):
        examples = random_bank()
        model = fitted(examples, min_support=1)
        block = block_of([[1, 1, 0, 0, 0, 0, 0]], segments=[0], n_segments=3)
        base = odds(Popularity().fit(examples).score(block)[0])
        pair = [self.lifts(model)[((0, 1), p)] for p in range(2, 6)]
        np.testing.assert_allclose(odds(model.score(block)[0])[2:6], base[2:6] * pair, rtol=1e-5)

    def test_of_three_average_what_the_pairs_add(self):
        examples = random_bank(n_customers=2_000)
        model = fitted(examples, min_support=1)
        lifts = self.lifts(model)
        block = block_of([[1, 1, 1, 0, 0, 0, 0]], segments=[1], n_segments=3)
        base = odds(Popularity().fit(examples).score(block)[0])
        for product in (3, 4):
            alone = [lifts[((held,), product)] for held in range(3)]
            pairs = [lifts[((a, b), product)] / (alone[a] * alone[b]) for a, b in [(0, 1), (0, 2), (1, 2)]]
            expected = base[product] * np.prod(alone) * np.prod(pairs) ** (1 / 3)
            assert odds(model.score(block)[0])[product] == pytest.approx(expected, rel=1e-5)

    def test_stay_finite_however_much_is_held(self):
        held = np.ones((1, 400), dtype=bool)
        held[0, -1] = False
        batch = Batch(block_of(np.repeat(held, 300, axis=0)), np.repeat(~held, 300, axis=0))
        nobody = Batch(block_of(np.zeros((3000, 400))), np.zeros((3000, 400), dtype=bool))
        scores = fitted(examples_of(batch, nobody), min_support=1).score(block_of(held))
        assert np.isfinite(scores).all()
        assert 0.99 < scores[0, -1] <= 1


def product_named(name, name_zh=None):
    fields = dict.fromkeys(Product.__dataclass_fields__)
    return Product(**fields | {"product_id": name, "name": name, "name_zh": name_zh, "family": "f"})


class TestSentence:
    catalogue = Catalogue((product_named("Card", "信用卡"), product_named("Fund", "基金"), product_named("Trust")))

    def test_in_english(self):
        one, two = Rule((0,), 2, 40, 0.2, 3.14), Rule((0, 1), 2, 40, 0.2, 0.42)
        assert (
            one.sentence(self.catalogue) == "customers who hold Card take Trust 3.1 times as often as similar customers"
        )
        assert two.sentence(self.catalogue).startswith("customers who hold Card and Fund take Trust 0.4 times as often")

    def test_in_chinese_with_names_where_there_are_some(self):
        assert Rule((0, 1), 2, 40, 0.2, 3.14).sentence(self.catalogue, "zh") == (
            "持有信用卡和基金的客户新增Trust的频率是同类客户的 3.1 倍"
        )
