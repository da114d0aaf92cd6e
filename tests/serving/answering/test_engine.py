import shutil
from dataclasses import replace

import numba
import numpy as np
import pytest

from features import block_of, blocks_of, current_states, feature_set_of
from features.errors import BadInput, NotFound, NotReady
from serving.answering.engine import DecisionEngine
from serving.decisions import Reason, decide
from serving.decisions.reason_codes import mask_of
from serving.deployment import open_in_use
from tests.oracles.ranking import top_k_by_sorting
from tests.serving.later import CLOCK
from training import CHAMPION, Bundle, Tracking
from training.models import MODELS

LIMIT = 7
CUSTOMER = "R0000003"
"""One to whom much may be offered."""


@pytest.fixture(scope="module")
def bundle(trained):
    """The champion's bundle with every model of it."""
    return Bundle.open(Tracking(trained).version(CHAMPION).folder)


def serving(bundle, engine, model):
    """An engine for which `model` was selected."""
    selected = Bundle(
        replace(bundle.manifest, selected=model),
        bundle.catalogue,
        bundle.layout,
        bundle.models,
        bundle.calibrations,
        bundle.fallback,
    )
    return DecisionEngine(engine.states, selected, "1", engine.policy, CLOCK)


@pytest.fixture
def one_thread():
    """As the service runs."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


class TestParity:
    """Online is batch: what one customer is answered is, bit for bit, the customer's row of the stream."""

    @pytest.mark.parametrize("model", MODELS)
    def test_every_customer_alone_gets_the_row_of_the_stream(self, bundle, engine, model, one_thread):
        mine = serving(bundle, engine, model)
        ids = mine.states.catalogue.product_ids
        answered = 0
        for decisions in mine.stream(limit=LIMIT):
            for position, products, propensities in zip(
                decisions.positions, decisions.products, decisions.propensities, strict=True
            ):
                alone = mine.recommend(mine.states.customer_id(position), LIMIT)
                assert [s.product_id for s in alone.suggestions] == [
                    ids[product] for product in products if product >= 0
                ]
                if alone.personalised:
                    given = np.array([s.propensity for s in alone.suggestions], dtype=np.float32)
                    assert given.tobytes() == propensities[products >= 0].tobytes()
                answered += 1
        assert answered == len(mine.states.known_at(mine.states.as_of_period)) > 600

    def test_the_size_of_blocks_changes_nothing(self, engine):
        (whole,) = engine.stream(limit=LIMIT)
        parts = [
            engine.decide(block, engine.context(), limit=LIMIT)
            for block in blocks_of(engine.states, engine.states.as_of_period, size=97)
        ]
        assert len(parts) > 5
        for name in ("positions", "products", "propensities", "priorities", "steps", "excluded", "triggers"):
            assert np.concatenate([getattr(part, name) for part in parts]).tobytes() == getattr(whole, name).tobytes()


class TestDecide:
    def test_what_is_left_is_ranked_by_priority_and_ties_by_product(self, engine):
        (decisions,) = engine.stream(limit=LIMIT)
        left = (decisions.excluded & ~mask_of(Reason.OUTRANKED, Reason.PERSONALISATION_REFUSED)) == 0
        assert np.array_equal(decisions.products, top_k_by_sorting(decisions.factors.priorities, left, LIMIT))
        offered = decisions.products >= 0
        expected = np.take_along_axis(decisions.factors.priorities, np.maximum(decisions.products, 0), axis=1)
        assert np.array_equal(decisions.priorities[offered], expected[offered])
        assert (decisions.priorities[~offered] == 0).all()

    def test_propensities_are_the_bundle_s_from_what_the_policy_lets_it_see(self, engine):
        (decisions,) = engine.stream(limit=LIMIT)
        block = block_of(engine.states, decisions.positions, engine.states.as_of_period)
        unseen = [n for n, name in enumerate(feature_set_of(engine.states).names) if name == "region"]
        assert engine.policy.policy.attributes.not_used == ("region",)
        block.features[:, unseen] = np.nan
        rows, places = np.nonzero((decisions.products >= 0) & decisions.personalised[:, None])
        expected = engine.bundle.propensities(block)[rows, decisions.products[rows, places]]
        assert np.array_equal(decisions.propensities[rows, places], expected)

    def test_nothing_held_is_offered(self, engine):
        (decisions,) = engine.stream(limit=LIMIT)
        block = block_of(engine.states, decisions.positions, engine.states.as_of_period)
        rows, places = np.nonzero(decisions.products >= 0)
        products = decisions.products[rows, places]
        assert block.candidates[rows, products].all()
        assert not block.held[rows, products].any()

    def test_only_the_products_in_question_are_offered(self, engine):
        wanted = np.zeros(len(engine.states.catalogue), dtype=np.bool_)
        wanted[[3, 30]] = True
        (decisions,) = engine.stream(limit=LIMIT, products=wanted)
        assert set(np.unique(decisions.products)) == {-1, 3, 30}
        assert (decisions.products[:, 2:] == -1).all()

    def test_a_block_of_other_states_or_another_period_is_refused(self, engine, trained):
        context, period = engine.context(), engine.states.as_of_period
        others = current_states(trained)
        for block in (block_of(others, np.arange(3), period), block_of(engine.states, np.arange(3), period - 1)):
            with pytest.raises(BadInput, match="made ready for other states or another period"):
                engine.decide(block, context, limit=3)

    def test_a_propensity_that_is_nan_is_refused(self, engine):
        states = engine.states
        block = block_of(states, np.arange(3), states.as_of_period)
        scores = np.full((3, len(states.catalogue)), np.nan, dtype=np.float32)
        compiled = engine.compiled_for(engine.policy.policy)
        with pytest.raises(BadInput, match="propensities are NaN"):
            decide(scores, block, compiled, engine.context(), limit=3)


class TestRecommend:
    def test_says_what_each_product_is(self, engine):
        found = engine.recommend(CUSTOMER, 3)
        assert [s.rank for s in found.suggestions] == [1, 2, 3]
        catalogue = {product.product_id: product for product in engine.states.catalogue.products}
        for suggestion in found.suggestions:
            product = catalogue[suggestion.product_id]
            assert (suggestion.name, suggestion.name_zh, suggestion.family) == (
                product.name, product.name_zh, product.family,
            )  # fmt: skip
            assert 0 < suggestion.propensity < 1
            factors = suggestion.propensity * suggestion.value * suggestion.context * suggestion.lever
            assert suggestion.priority == pytest.approx(factors, rel=1e-5)
            assert suggestion.reasons
        priorities = [s.priority for s in found.suggestions]
        assert priorities == sorted(priorities, reverse=True)

    def test_carries_the_versions(self, engine, trained):
        found = engine.recommend("C000001", 1)
        assert found.to_dict()["versions"] == {
            "model": Tracking(trained).version(CHAMPION).number,
            "states": engine.states.manifest.build_id,
            "as_of": "2026-06-30",
            "policy": engine.policy.name,
            "catalogue": engine.versions.catalogue,
        }

    def test_each_kind_of_customer_is_offered_its_own_products(self, engine):
        kinds = {product.product_id: product.customer_kind for product in engine.states.catalogue.products}
        for customer_id, kind in (("R0000001", "retail"), ("C000001", "corporate")):
            suggestions = engine.recommend(customer_id, 50).suggestions
            assert suggestions, customer_id
            assert {kinds[s.product_id] for s in suggestions} <= {kind, "both"}

    def test_more_than_there_are_gives_what_there_are(self, engine):
        found = engine.recommend(CUSTOMER, 10_000).suggestions
        allowed = [
            product_id
            for product_id in engine.states.catalogue.product_ids
            if engine.why_not(CUSTOMER, product_id, 10_000).layer is None
        ]
        assert sorted(suggestion.product_id for suggestion in found) == allowed

    @pytest.mark.parametrize("customer_id", ["nobody", "", "R", "R00000011", "客户", "R0000001\0", "\0", "R0000001 "])
    def test_an_unknown_customer_is_not_found(self, engine, customer_id):
        with pytest.raises(NotFound, match=r"is not in the states of 2026-06-30"):
            engine.recommend(customer_id, 3)


class TestWhatExplains:
    def test_is_what_was_scored(self, engine, monkeypatch):
        """Broken before: reasons came from the whole block, attributes not to be used included."""
        explained = []

        def contributions(block, products, **_):
            found = Bundle.contributions(engine.bundle, block, products)
            explained.append((block, found))
            return found

        monkeypatch.setattr(engine.bundle, "contributions", contributions)
        states = engine.states
        hidden = feature_set_of(states).names.index("region")
        compared = 0
        for position in range(0, states.n_customers, 40):
            served = engine.recommend(states.customer_id(position), 3)
            if not explained or not served.suggestions:
                continue
            block, found = explained.pop()
            assert np.isnan(block.features[:, hidden]).all()
            given = np.array([s.propensity for s in served.suggestions])
            expected = np.log(given / (1 - given))
            np.testing.assert_allclose(found.log_odds[0, : len(given)], expected, rtol=1e-4)
            added_up = found.base + found.features.sum(axis=-1) + found.alternatives + found.fallback
            added_up += sum(found.models.values())
            np.testing.assert_allclose(added_up[0, : len(given)], expected, rtol=1e-4)
            compared += len(given)
        assert compared > 10


class TestOpen:
    def test_without_states_says_what_to_run(self, tmp_path):
        with pytest.raises(NotReady, match=r"no customer states in .*run `nextproduct build TABLES"):
            open_in_use(tmp_path, None, CLOCK)

    def test_without_a_champion_says_what_to_run(self, trained, tmp_path):
        shutil.copytree(trained / "states", tmp_path / "states")
        with pytest.raises(NotReady, match=r"no champion in the registry.*run `nextproduct train`"):
            open_in_use(tmp_path, None, CLOCK)
        assert not (tmp_path / "mlflow.db").exists()

    def test_a_damaged_champion_is_refused(self, own):
        workspace, _ = own
        folder = Tracking(workspace).version(CHAMPION).folder
        (folder / "layout.json").unlink()
        with pytest.raises(BadInput, match=r"layout\.json"):
            open_in_use(workspace, None, CLOCK)
