"""Contributions must add up to what is served: for every model, over other states, for products hardly known."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from features import block_of, current_states, feature_set_of
from features.build import build_states
from features.errors import BadInput, NotFound
from tests.training.banks import rewrite, synthetic_tables
from training import CHAMPION, Bundle, Tracking
from training.explanations.contributions import Contributions, Terms
from training.models import MODELS
from training.models.trees.contributions import TreeExplainer
from training.probabilities.blend import BLEND, Blend
from training.probabilities.calibration import EDGE, ProductCalibration, Scale
from training.probabilities.fallback import ENOUGH, Fallback


@pytest.fixture(scope="module")
def bundle(trained):
    return Bundle.open(Tracking(trained).version(CHAMPION).folder)


@pytest.fixture(scope="module")
def later(session_folder, tmp_path_factory):
    """States with a new product before all others, a new column, and two columns gone."""
    folder = tmp_path_factory.mktemp("later")
    shutil.copytree(synthetic_tables(session_folder), folder / "tables")
    rewrite(
        folder / "tables",
        "products",
        "SELECT * FROM t UNION ALL BY NAME SELECT 'aaa' AS product_id, 'New' AS name, '新' AS name_zh, "
        "'novelty' AS family, 'both' AS customer_kind",
    )
    rewrite(
        folder / "tables",
        "customers",
        "SELECT * EXCLUDE (income, region), hash(customer_id) % 9 AS shoe_size FROM t",
    )
    build_states(folder / "tables", folder)
    return current_states(folder)


def everyone(states):
    return block_of(states, np.arange(states.n_customers), states.as_of_period)


def drawn(block, k: int = 4, seed: int = 0) -> np.ndarray:
    """Candidates of each customer, in a random order, -1 where there are no more."""
    order = np.argsort(np.where(block.candidates, np.random.default_rng(seed).random(block.candidates.shape), 2.0))
    chosen = order[:, :k]
    return np.where(np.take_along_axis(block.candidates, chosen, axis=1), chosen, -1)


def log_odds(p):
    return np.log(p) - np.log1p(-p)


def total(found: Contributions) -> np.ndarray:
    return found.base + found.features.sum(axis=-1) + sum(found.models.values()) + found.alternatives + found.fallback


def assert_adds_up(bundle, block, products, model=None) -> Contributions:
    found = bundle.contributions(block, products, model)
    for term in (found.log_odds, found.base, found.alternatives, found.fallback, *found.models.values()):
        assert term.dtype == np.float64
        assert term.shape == products.shape
    assert found.features.shape == (*products.shape, len(block.feature_set.names))
    np.testing.assert_allclose(total(found), found.log_odds, atol=1e-9)
    asked = products >= 0
    served = bundle.propensities(block, model)[np.arange(len(products))[:, None], products][asked].astype(np.float64)
    assert asked.any()
    # float32 knows a probability near 1 to a fraction of what is missing to 1
    assert (np.abs(found.log_odds[asked] - log_odds(served)) < 1e-5 + 1.2e-7 / (1 - served)).all()
    assert (found.log_odds[~asked] == 0).all()
    assert (found.features[~asked] == 0).all()
    return found


class TestAddsUp:
    @pytest.mark.parametrize("model", [*MODELS, BLEND])
    def test_to_what_every_model_serves(self, bundle, states, model):
        block = everyone(states)
        found = assert_adds_up(bundle, block, drawn(block), model)
        explains = model == "propensity" or (model == BLEND and "propensity" in bundle.blend.weights)
        assert found.features.any() == explains
        assert (found.alternatives != 0).any() == explains

    def test_to_what_serves_by_default(self, bundle, states):
        block = everyone(states)
        assert_adds_up(bundle, block, drawn(block))

    def test_for_a_blend_of_propensity_and_others(self, bundle, states):
        weights = {"ease": 0.3, "propensity": 0.8, "popularity": 0.2}
        mixed = Bundle(
            replace(bundle.manifest, selected=BLEND), bundle.catalogue, bundle.layout, bundle.models,
            bundle.calibrations, bundle.fallback, Blend(weights, bundle.blend.calibration),
        )  # fmt: skip
        block = everyone(states)
        found = assert_adds_up(mixed, block, drawn(block))
        assert set(found.models) == {"ease", "popularity"}
        assert found.features.any()
        alone = bundle.contributions(block, drawn(block), "propensity")
        slope = bundle.blend.calibration.slopes[drawn(block)] * 0.8
        np.testing.assert_allclose(found.features, slope[..., None] * alone.features, atol=1e-12)

    def test_over_later_states_with_another_layout(self, bundle, later):
        block = everyone(later)
        names = feature_set_of(later).names
        assert set(bundle.layout.features) - set(names) >= {"income", "region"}
        assert "shoe_size" in set(names) - set(bundle.layout.features)
        for model in ("propensity", BLEND, "ease"):
            found = assert_adds_up(bundle, block, drawn(block), model)
            assert (found.features[..., names.index("shoe_size")] == 0).all()
        new = np.full((block.n_customers, 1), later.catalogue.position_of("aaa"))
        found = assert_adds_up(bundle, block, new, "propensity")
        assert (found.fallback == found.log_odds).all()
        assert not found.base.any()

    def test_whether_the_columns_stand_here_or_there(self, bundle, states, later):
        """What both states know of a customer contributes the same, where no column of the fit is gone."""
        names, theirs = feature_set_of(states).names, feature_set_of(later).names
        shared = [name for name in names if name in theirs]
        both = everyone(states), everyone(later)
        found, there = (
            bundle.contributions(block, drawn(both[0]) + shift * (drawn(both[0]) >= 0), "propensity")
            for block, shift in zip(both, (0, 1), strict=True)
        )
        # of a linear part, columns contribute by themselves; those of trees feel what else is missing
        here = found.features[..., [names.index(name) for name in shared]]
        over = there.features[..., [theirs.index(name) for name in shared]]
        assert np.corrcoef(here.ravel(), over.ravel())[0, 1] > 0.97

    @pytest.mark.parametrize("model", ["propensity", BLEND, "als"])
    @pytest.mark.parametrize("acquired", [0, 2])
    def test_for_a_product_that_does_not_stand_on_its_own(self, bundle, states, model, acquired):
        """Its counts are rewritten; the models say what they said."""
        product = int(np.argmax(bundle.evidence(states.catalogue)))
        counts = bundle.fallback._counts.copy()
        counts[1, :, product] = 0
        counts[1, np.argmax(counts[0, :, product]), product] = acquired
        hardly = Bundle(
            bundle.manifest, bundle.catalogue, bundle.layout, bundle.models, bundle.calibrations,
            Fallback(bundle.catalogue, counts), bundle.blend,
        )  # fmt: skip
        assert hardly.evidence(states.catalogue)[product] == acquired < ENOUGH
        block = everyone(states)
        rows = np.flatnonzero(block.candidates[:, product])
        block = block.take(rows)
        found = assert_adds_up(hardly, block, np.full((len(rows), 1), product), model)
        assert (found.fallback != 0).all()
        if not acquired:
            assert np.array_equal(found.fallback, found.log_odds)
            assert not found.features.any()
            return
        without = bundle.contributions(block, np.full((len(rows), 1), product), model)
        assert np.array_equal(found.features, without.features)
        np.testing.assert_allclose(found.log_odds - found.fallback, without.log_odds, atol=1e-9)

    def test_for_a_blend_that_is_calibrated_by_another_scale(self, bundle, states):
        n = len(bundle.layout.products)
        standard = ProductCalibration(Scale.STANDARD, 0.1, 0.5, np.linspace(-3, -2, n), np.linspace(0.5, 1.5, n))
        serving = Bundle(
            bundle.manifest, bundle.catalogue, bundle.layout, bundle.models, bundle.calibrations, bundle.fallback,
            Blend({"propensity": 1.0, "ease": 0.4}, standard),
        )  # fmt: skip
        block = everyone(states)
        found = assert_adds_up(serving, block, drawn(block), BLEND)
        assert set(found.models) == {BLEND}

    @pytest.mark.parametrize("weights", [None, {"propensity": 1.0, "ease": 0.4}])
    def test_when_it_is_known_what_can_be_bought(self, bundle, states, weights):
        blend = bundle.blend if weights is None else Blend(weights, bundle.blend.calibration)
        serving = Bundle(
            bundle.manifest, bundle.catalogue, bundle.layout, bundle.models, bundle.calibrations, bundle.fallback, blend
        )
        block = everyone(states)
        availability = np.random.default_rng(0).uniform(0.2, 1.0, block.candidates.shape).astype(np.float32)
        asked = block.offered(block.candidates, availability)
        found = assert_adds_up(serving, asked, drawn(block), BLEND)
        plain = serving.contributions(block, drawn(block), BLEND)
        assert np.array_equal(found.features, plain.features)
        there = drawn(block) >= 0
        assert (found.alternatives > plain.alternatives)[there].all()


def test_what_is_not_a_candidate_is_not_explained(bundle, states):
    block = everyone(states)
    held = np.where(block.held.any(axis=1), block.held.argmax(axis=1), -1)[:, None]
    assert (held >= 0).any()
    found = bundle.contributions(block, held)
    for term in (found.log_odds, found.base, found.alternatives, found.fallback, found.features):
        assert not term.any()


@pytest.mark.parametrize("model", ["propensity", BLEND, "transition"])
def test_of_one_customer_are_as_in_a_block_bit_for_bit(bundle, states, later, model):
    for which in (states, later):
        block = everyone(which)
        products = drawn(block)
        whole = bundle.contributions(block, products, model)
        for row in range(0, block.n_customers, 67):
            one = block_of(which, block.positions[[row]], block.period)
            alone = bundle.contributions(one, products[[row]], model)
            for name in ("log_odds", "base", "features", "alternatives", "fallback"):
                assert getattr(alone, name).tobytes() == getattr(whole, name)[[row]].tobytes(), name
            assert {n: v.tobytes() for n, v in alone.models.items()} == {
                n: v[[row]].tobytes() for n, v in whole.models.items()
            }


@pytest.mark.parametrize("model", ["propensity", BLEND, "ease"])
def test_after_scoring_are_the_same_bit_for_bit(states, trained, model):
    """What was scored last is remembered, of this block and not of another."""
    folder = Tracking(trained).version(CHAMPION).folder
    block, other = (everyone(states).take(np.arange(start, 300, 11)) for start in (0, 5))
    products, theirs = drawn(block), drawn(other)
    products[::3] = -1
    fresh, after = Bundle.open(folder).contributions(block, products, model), Bundle.open(folder)
    for scored in (block, other):
        after.propensities(scored, model)
        found, there = after.contributions(block, products, model), after.contributions(other, theirs, model)
        for name in ("log_odds", "base", "features", "alternatives", "fallback"):
            assert getattr(found, name).tobytes() == getattr(fresh, name).tobytes(), name
        assert {n: v.tobytes() for n, v in found.models.items()} == {n: v.tobytes() for n, v in fresh.models.items()}
        np.testing.assert_allclose(total(there), there.log_odds, atol=1e-9)


@pytest.mark.parametrize("model", ["propensity", BLEND])
def test_who_is_not_asked_about_changes_nothing_for_others(bundle, states, model):
    block = everyone(states).take(np.arange(0, 300, 7))
    products = drawn(block)
    some = products.copy()
    some[::2] = -1
    found, all_of_them = (bundle.contributions(block, asked, model) for asked in (some, products))
    assert found.features[1::2].tobytes() == all_of_them.features[1::2].tobytes()
    assert found.log_odds[1::2].tobytes() == all_of_them.log_odds[1::2].tobytes()
    for term in (found.log_odds, found.base, found.alternatives, found.fallback, found.features):
        assert not term[::2].any()


def test_are_prepared_beforehand(states, trained, monkeypatch):
    bundle = Bundle.open(Tracking(trained).version(CHAMPION).folder)
    block = everyone(states)
    assert len(np.unique(block.kinds)) == 2
    bundle.prepare_explanations()
    monkeypatch.setattr(TreeExplainer, "of", None)  # who lays trees out now, fails
    assert bundle.contributions(block, drawn(block), "propensity").features.any()


def test_the_same_product_twice_is_explained_twice(bundle, states):
    block = everyone(states)
    products = drawn(block, k=1)
    once, twice = (bundle.contributions(block, np.tile(products, n), "propensity") for n in (1, 2))
    assert np.array_equal(twice.features, np.repeat(once.features, 2, axis=1))


def test_groups_left_out_of_the_model_contribute_nothing(bundle, states):
    block = everyone(states)
    found = bundle.contributions(block, drawn(block), "propensity")
    for column, feature in enumerate(feature_set_of(states).features):
        if feature.group in bundle.models["propensity"].config.leave_out:
            assert not found.features[..., column].any()


def test_features_explain_what_tells_customers_apart(bundle, states):
    """What is the same for all is in the base: over customers, features average out next to it."""
    block = everyone(states)
    found = bundle.contributions(block, drawn(block), "propensity")
    summed = found.features.sum(axis=-1)
    assert summed.std() > 0.3
    assert abs(summed.mean()) < summed.std()


def test_what_cannot_be_explained_is_refused(bundle, states):
    block = everyone(states)
    for products in (np.zeros(block.n_customers, np.int64), np.zeros((3, 1), np.int64)):
        with pytest.raises(BadInput, match="are not a row for each"):
            bundle.contributions(block, products)
    for beyond in (block.n_products, -2):
        with pytest.raises(BadInput, match="positions from 0 to"):
            bundle.contributions(block, np.full((block.n_customers, 1), beyond))
    with pytest.raises(NotFound, match="no model 'oracle'"):
        bundle.contributions(block, drawn(block), "oracle")


def test_of_nobody_are_none(bundle, states):
    nobody = everyone(states).take(np.zeros(0, np.int64))
    for model in ("propensity", BLEND, "ease"):
        found = bundle.contributions(nobody, np.zeros((0, 3), np.int64), model)
        assert found.log_odds.shape == (0, 3)
        assert found.features.shape == (0, 3, len(feature_set_of(states).names))


def test_the_strongest_rule_is_told_by_the_positions_of_the_block(bundle, states, later):
    """Each product stands one further in the later states, whose first is new."""
    block, now = everyone(states), everyone(later)
    assert later.catalogue.product_ids[1:] == states.catalogue.product_ids
    products = np.tile(np.arange(block.n_products), (block.n_customers, 1))
    further = np.hstack([np.full((len(products), 1), -1), np.zeros((len(products), 1), np.int64), products + 1])
    rules, moved = bundle.strongest_rules(block, products), bundle.strongest_rules(now, further)
    assert moved.lifts[:, 2:].tolist() == rules.lifts.tolist()
    assert (moved.lifts[:, :2] == 1).all()
    found = 0
    for row, place in np.ndindex(*products.shape):
        rule, other = rules.rule(row, place), moved.rule(row, place + 2)
        assert other is moved.rule(row, place + 2), "a rule is made once"
        if rule is None:
            assert other is None
            continue
        assert other == replace(rule, held=tuple(p + 1 for p in rule.held), product=rule.product + 1)
        found += 1
    assert found > 100


class TestArithmetic:
    """A sum of known terms: log-odds 3 = base 1 + features (0.5, 0.25) + a model's 0.75 + alternatives 0.5."""

    @property
    def known(self) -> Terms:
        values = np.array([3, 1, 0.5, 0.75]).reshape(4, 1, 1)
        return Terms(values, ("m",), np.array([[[0.5, 0.25]]]), np.ones((1, 1)))

    @staticmethod
    def summed(terms: Terms) -> Contributions:
        found = terms.summed_up(2)
        assert total(found) == pytest.approx(found.log_odds)
        return found

    def test_a_calibration_scales_every_term_and_shifts_the_base(self):
        calibration = ProductCalibration(Scale.LOG_ODDS, 0.0, 1.0, np.array([9.0, -0.2]), np.array([9.0, 2.0]))
        found = self.summed(self.known.calibrated(calibration, np.array([[1]])))
        assert found.log_odds == pytest.approx(-0.2 + 2 * 3)
        assert found.base == pytest.approx(-0.2 + 2 * 1)
        assert found.features.ravel() == pytest.approx([1.0, 0.5])
        assert found.models["m"] == pytest.approx(1.5)

    def test_the_edges_are_taken_from_the_alternatives(self):
        steep, double = (
            ProductCalibration(Scale.LOG_ODDS, 0.0, 1.0, np.zeros(1), np.array([slope])) for slope in (10.0, 2.0)
        )
        first = np.zeros((1, 1), np.int64)
        found = self.summed(self.known.calibrated(steep, first).calibrated(double, first))
        furthest = np.log((1 - EDGE) / EDGE)
        assert found.log_odds == pytest.approx(2 * furthest)
        assert found.alternatives == pytest.approx(2 * (5 - (30 - furthest)))
        assert found.features.ravel() == pytest.approx([10, 5])

    def test_a_blend_adds_up_weighted_terms(self):
        line = ProductCalibration(Scale.STANDARD, 1.0, 2.0, np.array([9.0, 0.5]), np.array([9.0, 3.0]))
        other = Terms.of_model(
            "n", np.array([[9, 2]], np.float32), line, np.array([9.0, 0.5]), np.ones((1, 1), np.int64)
        )
        assert other.log_odds == pytest.approx(0.5 + 3 * (2 - 1) / 2)
        for parts in ({"a": self.known, "n": other}, {"n": other, "a": self.known}):
            found = self.summed(Terms.pooled(parts, {"a": 0.5, "n": 2.0}))
            assert found.log_odds == pytest.approx(0.5 * 3 + 2 * 2)
            assert found.base == pytest.approx(0.5 * 1 + 2 * 0.5)
            assert found.models["n"] == pytest.approx(2 * 1.5)
            assert found.models["m"] == pytest.approx(0.5 * 0.75)
            assert found.features.ravel() == pytest.approx([0.25, 0.125])

    def test_what_has_no_column_goes_to_the_base(self):
        found = self.known.summed_up(2).laid_out(("x", "y"), ("new", "y"))
        assert found.features.ravel().tolist() == [0, 0.25]
        assert found.base == pytest.approx(1 + 0.5)
        assert total(found) == pytest.approx(found.log_odds)
