import shutil
from pathlib import Path

import numpy as np
import pytest

from features import CustomerStates, block_of, current_states, feature_set_of
from features.build import BuildConfig, build_states
from features.errors import BadInput
from features.sources.synthetic import SyntheticBank, generate
from tests.training.banks import light, once, rewrite
from training import Bundle
from training.bundle import Layout
from training.jobs.train import fit_bundle
from training.models import MODELS

KNOWN_TIERS = "SELECT * REPLACE (coalesce(tier, 'ordinary') AS tier, coalesce(region, 'Beijing') AS region) FROM t"
GONE = "fund_money"
SOME = "hash(customer_id) % 7 = 0"


@pytest.fixture(scope="module")
def tables(session_folder) -> Path:
    """A bank of 260 customers in which every tier and region is known."""

    def make(folder):
        generate(SyntheticBank(retail=220, corporate=40, periods=13, truth_periods=1), folder)
        rewrite(folder / "tables", "customers", KNOWN_TIERS)

    return once(session_folder, "small bank", make) / "tables"


@pytest.fixture(scope="module")
def build(tables, tmp_path_factory):
    """Builds states of the bank after some tables were rewritten."""

    def of(config=None, **rewritten) -> CustomerStates:
        folder = tmp_path_factory.mktemp("changed")
        shutil.copytree(tables, folder / "tables")
        for name, statements in rewritten.items():
            rewrite(folder / "tables", name, statements)
        build_states(folder / "tables", folder, config)
        return current_states(folder)

    return of


@pytest.fixture(scope="module")
def then(build) -> CustomerStates:
    return build()


@pytest.fixture(scope="module")
def bundle(then) -> Bundle:
    return fit_bundle(then, light(train_periods=3))[0]


def everyone(states):
    return block_of(states, np.arange(states.n_customers), states.as_of_period)


def columns(states, ids):
    return [states.catalogue.position_of(product_id) for product_id in ids]


def same_bits(left, right):
    return left.tobytes() == right.tobytes()


def test_the_states_of_the_fit_need_no_alignment(bundle, then):
    block = everyone(then)
    assert bundle.layout.align(block) is block
    scores = np.zeros(block.words.shape, dtype=np.float32)
    assert bundle.layout.restore(scores, block) is scores


def test_a_layout_survives_its_file(bundle, tmp_path):
    bundle.layout.save(tmp_path / "layout.json")
    assert Layout.load(tmp_path / "layout.json") == bundle.layout


class TestNewProduct:
    """It sorts first, so that every other product's position moves."""

    @pytest.fixture(scope="class")
    @classmethod
    def now(cls, build):
        return build(
            products="SELECT * FROM t UNION ALL BY NAME SELECT 'aaa' AS product_id, 'New' AS name, '新' AS name_zh, "
            "'novelty' AS family, 'both' AS customer_kind"
        )

    @pytest.mark.parametrize("model", MODELS)
    def test_leaves_every_other_propensity_as_it_was(self, bundle, then, now, model):
        """Broken before: a block of both kinds of customers lost its layout on the way to the model."""
        block = everyone(now)
        found = bundle.propensities(block, model)
        assert block.candidates[:, now.catalogue.position_of("aaa")].all()
        assert (found[:, now.catalogue.position_of("aaa")] > 0).all()
        ids = then.catalogue.product_ids
        expected = bundle.propensities(everyone(then), model)
        assert same_bits(found[:, columns(now, ids)], expected)
        assert (expected > 0).any()

    def test_holds_for_any_rows_of_a_block(self, bundle, now):
        block = everyone(now)
        rows = np.arange(0, block.n_customers, 3)
        whole = bundle.propensities(block)
        assert same_bits(bundle.propensities(block.take(rows)), whole[rows])
        alone = block_of(now, block.positions[5:6], block.period)
        assert same_bits(bundle.propensities(alone), whole[5:6])


class TestRemovedProduct:
    @pytest.fixture(scope="class")
    @classmethod
    def now(cls, build):
        keep = f"SELECT * FROM t WHERE product_id <> '{GONE}'"
        return build(products=keep, accounts=keep, balances=keep, contacts=keep)

    @pytest.mark.parametrize("model", MODELS)
    def test_leaves_the_others_to_be_scored(self, bundle, then, now, model):
        assert set(then.catalogue.product_ids) - set(now.catalogue.product_ids) == {GONE}
        block, before = everyone(now), everyone(then)
        found = bundle.propensities(block, model)
        assert found.shape == block.candidates.shape
        assert ((found >= 0) & (found <= 1)).all()
        assert (found[block.candidates] > 0).mean() > 0.5
        if model == "propensity":
            return  # what everybody does changed, and with it where its choice starts from
        never = before.words[:, then.catalogue.position_of(GONE)] == 0
        assert 0.5 < never.mean() < 1
        expected = bundle.propensities(before, model)[:, columns(then, now.catalogue.product_ids)]
        assert same_bits(found[never], expected[never])


@pytest.mark.parametrize("column", ["tier", "region"])
def test_a_text_that_the_fit_never_met_counts_as_none(bundle, build, column):
    strange = build(
        customers=f"SELECT * REPLACE (CASE WHEN {SOME} THEN 'Atlantis' ELSE {column} END AS {column}) FROM t"
    )
    none = build(customers=f"SELECT * REPLACE (CASE WHEN {SOME} THEN NULL ELSE {column} END AS {column}) FROM t")
    assert "Atlantis" in strange.profile.vocabularies[column]
    features = [bundle.layout.align(everyone(states)).features for states in (strange, none)]
    np.testing.assert_array_equal(*features)
    assert np.isnan(features[0][:, bundle.layout.features.index(column)]).any()
    for model in MODELS:
        found = bundle.propensities(everyone(strange), model)
        assert same_bits(found, bundle.propensities(everyone(none), model)), model
        assert (found > 0).any()


@pytest.mark.parametrize("column", ["tier", "region"])
def test_texts_in_another_order_mean_the_same(bundle, then, build, column):
    """A customer added with an old date puts a text first that used to come later."""
    last = then.profile.vocabularies[column][-1]
    now = build(
        customers="SELECT * FROM t UNION ALL BY NAME SELECT 'ZZZ' AS customer_id, 'corporate' AS kind, "
        f"DATE '1990-01-01' AS valid_from, DATE '1990-01-01' AS onboarded_on, '{last}' AS {column}"
    )
    assert now.profile.vocabularies[column][0] == last
    assert len(then.profile.vocabularies[column]) > 1
    for model in ("popularity", "item_item", "als", "ease"):
        found = bundle.propensities(everyone(now), model)[:-1]
        assert same_bits(found, bundle.propensities(everyone(then), model)), model


def test_new_features_are_left_out(bundle, then, build):
    now = build(customers="SELECT *, hash(customer_id) % 9 AS shoe_size FROM t")
    assert set(feature_set_of(now).names) - set(feature_set_of(then).names) == {"shoe_size"}
    for model in MODELS:
        found = bundle.propensities(everyone(now), model)
        assert same_bits(found, bundle.propensities(everyone(then), model)), model


def test_features_that_are_gone_are_missing(bundle, then, build):
    now = build(customers="SELECT * EXCLUDE (income, region) FROM t")
    assert set(feature_set_of(then).names) - set(feature_set_of(now).names) == {"income", "region"}
    aligned = bundle.layout.align(everyone(now)).features
    for name, column, as_it_was in zip(bundle.layout.features, aligned.T, everyone(then).features.T, strict=True):
        if name in ("income", "region"):
            assert np.isnan(column).all()
        else:
            assert np.array_equal(column, as_it_was, equal_nan=True), name
    assert np.isfinite(bundle.propensities(everyone(now))).all()


def test_other_periods_are_refused(bundle, build):
    # figures of months cannot be told for quarters: such a bank brings none
    none = "SELECT * FROM t WHERE false"
    quarters = build(BuildConfig(period="quarter"), balances=none, activity=none, payments=none)
    with pytest.raises(BadInput, match=r"trained on periods of a month .* periods of a quarter: train again"):
        bundle.propensities(everyone(quarters))
