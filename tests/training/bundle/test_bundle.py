import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from features import Catalogue, block_of
from features.errors import BadInput, NotFound
from training import CHAMPION, Bundle, Tracking
from training.bundle import MANIFEST
from training.models import MODELS
from training.probabilities.blend import BLEND, given_buyable, pooled


@pytest.fixture(scope="module")
def champion(trained):
    """The folder of the champion's bundle."""
    return Tracking(trained).version(CHAMPION).folder


@pytest.fixture(scope="module")
def bundle(champion):
    return Bundle.open(champion)


@pytest.fixture
def copy(champion, tmp_path):
    return shutil.copytree(champion, tmp_path / "bundle")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def everyone(states):
    return block_of(states, np.arange(states.n_customers), states.as_of_period)


def select(bundle, name):
    """The same bundle, serving another of its models."""
    return Bundle(
        replace(bundle.manifest, selected=name),
        bundle.catalogue,
        bundle.layout,
        bundle.models,
        bundle.calibrations,
        bundle.fallback,
        bundle.blend,
    )


class TestPropensities:
    @pytest.mark.parametrize("model", [*MODELS, BLEND])
    def test_are_probabilities_of_candidates_and_0_elsewhere(self, bundle, states, model):
        block = everyone(states)
        found = bundle.propensities(block, model)
        assert found.dtype == np.float32
        assert found.shape == block.candidates.shape
        assert (found[~block.candidates] == 0).all()
        assert ((found >= 0) & (found <= 1)).all()
        assert len(np.unique(found[block.candidates])) > 10

    def test_are_the_selected_model_s_by_default(self, bundle, states):
        block = everyone(states)
        assert np.array_equal(bundle.propensities(block), bundle.propensities(block, bundle.manifest.selected))
        other = next(name for name in bundle.models if name != bundle.manifest.selected)
        assert not np.array_equal(bundle.propensities(block), bundle.propensities(block, other))

    def test_of_the_blend_are_what_it_makes_of_its_parts(self, bundle, states):
        block = everyone(states)
        parts = {
            name: bundle.calibrations[name].apply(bundle.models[name].score(block)) for name in bundle.blend.weights
        }
        blended = bundle.blend.calibration.apply(pooled(parts, bundle.blend.weights))
        expected = bundle.fallback.mix(blended, states.catalogue, block.segments)
        found = bundle.propensities(block, BLEND)
        assert np.array_equal(found, np.where(block.candidates, expected, 0))
        alone = bundle.propensities(block.take(np.array([5])), BLEND)
        assert alone.tobytes() == found[[5]].tobytes()

    def test_only_the_blend_asks_how_often_a_product_could_be_bought(self, bundle, states):
        block = everyone(states)
        availability = np.random.default_rng(0).uniform(0.2, 1.0, block.candidates.shape).astype(np.float32)
        asked = block.offered(block.candidates, availability)
        plain = bundle.propensities(block, BLEND)
        assert np.array_equal(bundle.propensities(asked, BLEND), given_buyable(plain, asked))
        assert np.array_equal(bundle.propensities(asked, "popularity"), bundle.propensities(block, "popularity"))

    def test_of_a_model_that_is_not_there_are_refused(self, bundle, states):
        with pytest.raises(NotFound, match="no model 'oracle'; it has: als, association_rules, blend"):
            bundle.propensities(everyone(states), "oracle")


class TestFiles:
    def test_a_round_trip_gives_the_same_bits(self, bundle, states, tmp_path):
        bundle.save(tmp_path)
        again = Bundle.open(tmp_path)
        assert again.manifest == bundle.manifest
        assert again.catalogue == bundle.catalogue
        assert again.layout == bundle.layout
        block = everyone(states)
        assert again.names == bundle.names
        for name in bundle.names:
            assert again.propensities(block, name).tobytes() == bundle.propensities(block, name).tobytes()

    def test_another_selection_is_another_bundle(self, bundle, tmp_path):
        select(bundle, "ease").save(tmp_path)
        assert Bundle.open(tmp_path, only_selected=True).manifest.selected == "ease"

    def test_the_models_are_all_of_them(self, bundle):
        assert set(bundle.models) == set(bundle.calibrations) == set(bundle.manifest.models) == set(MODELS)

    @pytest.mark.parametrize("selected", ["ease", BLEND])
    def test_only_what_serves_is_loaded_for_serving(self, bundle, states, tmp_path, monkeypatch, selected):
        select(bundle, selected).save(tmp_path)
        loaded = []
        for model in MODELS.values():
            monkeypatch.setattr(model, "load", classmethod(_noting(loaded, model.load.__func__)))
        serving = Bundle.open(tmp_path, only_selected=True)
        assert list(serving.models) == list(serving.calibrations)
        assert set(serving.models) == (set(bundle.blend.weights) if selected == BLEND else {selected})
        # and once what explains in words
        assert sorted(loaded) == sorted({*serving.models, "association_rules"})
        assert serving.rules.rules() == bundle.models["association_rules"].rules()
        block = everyone(states)
        assert serving.propensities(block).tobytes() == bundle.propensities(block, selected).tobytes()

    def test_no_file_is_a_pickle(self, champion):
        found = files(champion)
        assert len(found) > 3 * len(MODELS)
        for name in found:
            path = champion / name
            assert path.suffix in {".json", ".txt", ".npy", ".npz"}, name
            if path.suffix in {".json", ".txt"}:
                path.read_text(encoding="utf-8")
                continue
            content = np.load(path, allow_pickle=False)
            for array in [content] if path.suffix == ".npy" else [content[key] for key in content.files]:
                assert array.dtype.kind in "biufU", name

    def test_nothing_is_unpickled(self, champion, monkeypatch):
        def refuse(*_args, **_options):
            raise AssertionError("unpickled")

        for name in ("load", "loads", "Unpickler"):
            monkeypatch.setattr(pickle, name, refuse)
        assert set(Bundle.open(champion).models) == set(MODELS)


def _noting(loaded, load):
    def noting(cls, folder):
        loaded.append(cls.name)
        return load(cls, folder)

    return noting


class TestEvidence:
    def test_is_how_often_each_product_was_acquired(self, bundle, states):
        counted = bundle.evidence(states.catalogue)
        assert counted.dtype == np.int64
        assert counted.tolist() == [bundle.fallback.acquisitions(p) for p in states.catalogue.product_ids]
        assert counted.sum() > 100

    def test_of_an_unknown_product_is_none(self, bundle, states):
        stranger = replace(states.catalogue.products[0], product_id="stranger")
        wider = Catalogue((stranger, *states.catalogue.products))
        assert bundle.evidence(wider).tolist() == [0, *bundle.evidence(states.catalogue)]
        assert bundle.evidence(states.catalogue).tolist() == bundle.evidence(wider)[1:].tolist()


class TestStrongestRule:
    def test_is_that_of_what_the_customer_holds(self, bundle, states):
        block, found = everyone(states), 0
        products = np.tile(np.arange(-1, block.n_products), (block.n_customers, 1))
        antecedents, _ = bundle.rules.strongest(block.held, products)
        strongest = bundle.strongest_rules(block, products)
        for row, place in np.ndindex(*products.shape):
            antecedent, product, rule = antecedents[row, place], products[row, place], strongest.rule(row, place)
            assert rule == (None if antecedent < 0 else bundle.rules.rule(antecedent, product))
            assert strongest.lifts[row, place] == (1 if rule is None else rule.lift)
            if rule is not None:
                assert block.held[row, list(rule.held)].all()
                assert rule.product == product
                found += 1
        assert found > 20

    def test_is_none_where_the_run_fitted_no_rules(self, bundle, states):
        models = {name: model for name, model in bundle.models.items() if name != "association_rules"}
        without = Bundle(
            bundle.manifest, bundle.catalogue, bundle.layout, models, bundle.calibrations, bundle.fallback, bundle.blend
        )
        assert without.rules is None
        block = everyone(states).take(np.arange(2))
        assert without.strongest_rules(block, np.zeros((2, 3), np.int64)) is None


class TestWhatIsNotAsWritten:
    def refused(self, folder, name):
        with pytest.raises(BadInput) as refusal:
            Bundle.open(folder, only_selected=True)
        assert name in str(refusal.value)
        assert str(folder) in str(refusal.value)
        assert "train again" in str(refusal.value)

    def test_a_changed_file_is_refused_by_name(self, copy):
        for name in files(copy):
            whole = (copy / name).read_bytes()
            (copy / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            self.refused(copy, name)
            (copy / name).write_bytes(whole)
        assert Bundle.open(copy).models

    def test_a_missing_file_is_refused_by_name(self, copy):
        for name in files(copy):
            (copy / name).rename(copy.parent / "away")
            self.refused(copy, name)
            (copy.parent / "away").rename(copy / name)
        assert Bundle.open(copy).models

    def test_an_added_file_is_refused_by_name(self, copy):
        (copy / "models" / "als" / "extra.npy").write_bytes(b"")
        self.refused(copy, "models/als/extra.npy")

    @pytest.mark.parametrize("change", [{"selected": "ease"}, {"trained_to": 0}, {"horizon": 9}, {"format": 1}])
    def test_an_edited_manifest_is_refused(self, copy, change):
        """Broken before: only the other files were checked."""
        content = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
        assert content | change != content
        (copy / MANIFEST).write_text(json.dumps(content | change), encoding="utf-8")
        self.refused(copy, MANIFEST)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"hashes": 3}', '{"hashes": {}, "format": 1}'])
    def test_a_manifest_that_is_none_is_refused(self, copy, text):
        (copy / MANIFEST).write_text(text, encoding="utf-8")
        self.refused(copy, MANIFEST)

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path):
        self.refused(tmp_path / "gone", MANIFEST)
