"""The laid out trees must say what LightGBM says, to the last bit; LightGBM itself is the oracle."""

import dataclasses
import logging

import lightgbm as lgb
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import BadInput
from tests.command import python
from training.models.trees.ensemble import MAX_LEAVES, NotRepresentable, ScoringEngine, TreeEnsemble

ODD = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-35, -1e-35, 1e-36, -1e-36, 1e30, -1e30], dtype=np.float32)

# x0 <= 1.5 asks x1 <= -0.5, the rest x1 <= 2; leaves are numbered as LightGBM does, not from the left
HAND_MADE = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=x0 x1
feature_infos=none none
tree_sizes=400

Tree=0
num_leaves=4
num_cat=0
split_feature=0 1 1
split_gain=1 1 1
threshold=1.5 -0.5 2
decision_type={decisions}
left_child=1 -1 -2
right_child=2 -3 -4
leaf_value=10 20 30 40
leaf_weight=1 1 1 1
leaf_count=1 1 1 1
internal_value=0 0 0
internal_weight=1 1 1
internal_count=4 2 2
is_linear=0
shrinkage=1


end of trees
"""
NO_MISSING, ZERO_IS_MISSING, NAN_IS_MISSING = 0 << 2, 1 << 2, 2 << 2
GOES_LEFT = 1 << 1


def hand_made(decision: int) -> TreeEnsemble:
    decisions = " ".join([str(decision)] * 3)
    return TreeEnsemble.of(lgb.Booster(model_str=HAND_MADE.format(decisions=decisions)))


def columns_of(rng, n: int, n_features: int) -> np.ndarray:
    """Counts, flags, amounts and skewed numbers, some of each missing or 0."""
    columns = [
        rng.integers(0, 5, (n, n_features)),
        rng.random((n, n_features)) < 0.3,
        rng.normal(0, 1000, (n, n_features)).round(2),
        rng.lognormal(0, 3, (n, n_features)) * rng.choice([-1, 1], (n, n_features)),
    ]
    values = np.choose(rng.integers(0, 4, n_features), columns).astype(np.float32)
    values[rng.random(values.shape) < rng.choice([0, 0.2], n_features)] = np.nan
    values[rng.random(values.shape) < rng.choice([0, 0.3], n_features)] = 0
    return values


def train(values, label, rounds=3, init_model=None, categories="auto", **params) -> lgb.Booster:
    params = {
        "objective": "binary",
        "min_data_in_leaf": 2,
        "min_sum_hessian_in_leaf": 0,
        "learning_rate": 0.3,
        "num_threads": 1,
        "verbosity": -1,
        **params,
    }
    data = lgb.Dataset(values, label=label, categorical_feature=categories)
    return lgb.train(params, data, num_boost_round=rounds, init_model=init_model)


def asked(rng, values: np.ndarray, n: int) -> np.ndarray:
    """Rows of `values` shuffled column by column, with odd values among them."""
    rows = np.stack([rng.choice(column, n) for column in values.T], axis=1)
    return np.where(rng.random(rows.shape) < 0.2, rng.choice(ODD, rows.shape), rows).astype(np.float32)


def assert_equals_lightgbm(booster: lgb.Booster, values: np.ndarray) -> None:
    expected = booster.predict(values, raw_score=True, num_threads=1).reshape(len(values), -1)
    scores = TreeEnsemble.of(booster).raw_scores(values)
    assert scores.dtype == np.float64
    assert scores.shape == expected.shape
    assert scores.tobytes() == expected.tobytes()


@pytest.fixture(scope="module")
def bank():
    rng = np.random.default_rng(3)
    values = columns_of(rng, 600, 6)
    return values, rng.integers(0, 3, 600), asked(rng, values, 300)


@pytest.fixture(scope="module")
def booster(bank):
    values, label, _ = bank
    return train(values, label, rounds=4, objective="multiclass", num_class=3, num_leaves=6)


class TestHandMade:
    @pytest.mark.parametrize(
        ("customer", "leaf"),
        [((1, -1), 10), ((1, 0), 30), ((2, 2), 20), ((2, 3), 40), ((1.5, -0.5), 10), ((1.5, -0.25), 30), ((7, 2), 20)],
    )
    def test_what_does_not_exceed_the_threshold_goes_left(self, customer, leaf):
        assert hand_made(NO_MISSING).raw_scores(np.array([customer], np.float32)).tolist() == [[leaf]]

    @pytest.mark.parametrize(
        ("decision", "customer", "leaf"),
        [
            # without a missing type, NaN is 0: left of 1.5, right of -0.5
            (NO_MISSING, (np.nan, np.nan), 30),
            (NO_MISSING | GOES_LEFT, (np.nan, np.nan), 30),
            (NAN_IS_MISSING, (np.nan, np.nan), 40),
            (NAN_IS_MISSING | GOES_LEFT, (np.nan, np.nan), 10),
            (NAN_IS_MISSING, (0, 0), 30),
            # where 0 is missing, NaN is as well
            (ZERO_IS_MISSING, (0, 0), 40),
            (ZERO_IS_MISSING, (np.nan, 0), 40),
            (ZERO_IS_MISSING | GOES_LEFT, (0, np.nan), 10),
            (ZERO_IS_MISSING, (1, -1), 10),
        ],
    )
    def test_what_is_missing_goes_where_the_split_says(self, decision, customer, leaf):
        assert hand_made(decision).raw_scores(np.array([customer], np.float32)).tolist() == [[leaf]]

    @pytest.mark.parametrize("decision", [missing | side for missing in (0, 4, 8) for side in (0, 2)])
    def test_lightgbm_agrees(self, decision):
        booster = lgb.Booster(model_str=HAND_MADE.format(decisions=" ".join([str(decision)] * 3)))
        values = np.array([*ODD, 1.5, -0.5, 2, 3], np.float32)
        everything = np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2)
        assert_equals_lightgbm(booster, everything)


class TestEqualsLightGBM:
    @settings(max_examples=40, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n_classes=st.sampled_from([1, 2, 3, 5]),
        n_features=st.integers(1, 8),
        leaves=st.sampled_from([2, 3, 4, 8, 9, 31, MAX_LEAVES]),
        depth=st.sampled_from([-1, 1, 3]),
        rounds=st.integers(1, 6),
        max_bin=st.sampled_from([3, 63, 255]),
        use_missing=st.booleans(),
        zero_as_missing=st.booleans(),
        rows=st.sampled_from([1, 63, 64, 129]),
    )
    def test_whatever_was_learnt(self, seed, n_classes, n_features, leaves, depth, rounds, max_bin, rows, **missing):
        rng = np.random.default_rng(seed)
        values = columns_of(rng, 400, n_features)
        kind = {"objective": "multiclass", "num_class": n_classes} if n_classes > 2 else {}
        if n_classes == 1:
            kind = {"objective": "regression"}
        label = rng.integers(0, max(n_classes, 2), 400)
        booster = train(
            values,
            label,
            rounds,
            num_leaves=leaves,
            max_depth=depth,
            max_bin=max_bin,
            seed=seed % 1000,
            **missing,
            **kind,
        )
        assert_equals_lightgbm(booster, asked(rng, values, rows))

    def test_at_a_threshold_and_next_to_it(self, bank):
        values, label, _ = bank
        booster = train(values, label > 0, num_leaves=31)
        table = booster.trees_to_dataframe().dropna(subset="threshold")
        for name, mine in table.groupby("split_feature"):
            exact = mine["threshold"].to_numpy().astype(np.float32)
            near = np.concatenate(
                [exact, np.nextafter(exact, np.float32(np.inf)), np.nextafter(exact, np.float32(-np.inf))]
            )
            customers = np.tile(values[:1], (len(near), 1))
            customers[:, booster.feature_name().index(name)] = near
            assert_equals_lightgbm(booster, customers)

    def test_more_thresholds_than_a_byte_counts_to(self):
        rng = np.random.default_rng(5)
        values = rng.random((4000, 1)).astype(np.float32)
        booster = train(values, rng.random(4000), 40, objective="regression", max_bin=2000, num_leaves=MAX_LEAVES)
        assert len(TreeEnsemble.of(booster).features) > 1
        assert_equals_lightgbm(booster, np.concatenate([values[:500], ODD[:, None]]))

    def test_a_feature_whose_missing_values_changed_their_meaning(self, bank):
        values, label, rows = bank
        whole = np.nan_to_num(values)
        first = train(whole, label > 0, num_leaves=8)
        second = train(values, label > 0, num_leaves=8, init_model=first)
        third = train(values, label > 0, num_leaves=8, init_model=second, zero_as_missing=True)
        assert third.num_trees() == 9
        assert_equals_lightgbm(third, rows)

    def test_trees_without_a_split(self, bank):
        values, label, rows = bank
        booster = train(values, label > 0, min_data_in_leaf=len(values))
        assert_equals_lightgbm(booster, rows)

    def test_only_the_trees_up_to_the_best_iteration(self, bank):
        values, label, rows = bank
        booster = train(values, label > 0, rounds=5)
        booster.best_iteration = 2
        assert_equals_lightgbm(booster, rows)
        assert len(TreeEnsemble.of(booster).leaf_starts) == 1 + 2

    def test_dropped_trees(self, bank):
        values, label, rows = bank
        assert_equals_lightgbm(train(values, label > 0, rounds=8, boosting="dart"), rows)


class TestRows:
    def test_alone_or_in_a_block_of_any_size_the_bits_are_the_same(self, bank, booster):
        rows = bank[2]
        ensemble = TreeEnsemble.of(booster)
        whole = ensemble.raw_scores(rows)
        for size in (1, 2, 5, 6, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257):
            assert ensemble.raw_scores(rows[:size]).tobytes() == whole[:size].tobytes()
        for row in range(20):
            assert ensemble.raw_scores(rows[[row]]).tobytes() == whole[[row]].tobytes()

    def test_nobody_is_scored(self, bank, booster):
        assert TreeEnsemble.of(booster).raw_scores(bank[2][:0]).shape == (0, 3)

    def test_threads_change_nothing(self, bank, booster):
        ensemble = TreeEnsemble.of(booster)
        before = ensemble.raw_scores(bank[2])
        threads = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            assert ensemble.raw_scores(bank[2]).tobytes() == before.tobytes()
        finally:
            numba.set_num_threads(threads)

    def test_features_are_read_where_they_stand(self, bank, booster):
        rows = bank[2]
        places = np.array([7, 0, 3, 2, 9, 4])
        wide = np.full((len(rows), 11), 5, np.float32)
        wide[:, places] = rows
        scores = TreeEnsemble.of(booster, places).raw_scores(wide)
        assert scores.tobytes() == TreeEnsemble.of(booster).raw_scores(rows).tobytes()

    def test_too_few_features_are_refused(self, bank, booster):
        with pytest.raises(BadInput, match="columns 0 to 5"):
            TreeEnsemble.of(booster).raw_scores(bank[2][:, :5])


class TestEngine:
    everything = np.arange(6)

    def test_lays_out_what_it_can_and_says_nothing(self, bank, booster, caplog):
        engine = ScoringEngine.of(booster, self.everything)
        assert engine.ensemble is not None
        assert not caplog.records

    @pytest.mark.parametrize(
        ("params", "said"),
        [
            ({"categories": [0]}, "splits on categories"),
            ({"linear_tree": True}, "linear models"),
            ({"num_leaves": MAX_LEAVES + 1, "min_data_in_leaf": 1}, "65 leaves"),
            ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averaged"),
        ],
        ids=["categorical", "linear", "many leaves", "forest"],
    )
    def test_what_cannot_be_laid_out_is_scored_by_lightgbm_and_said(self, params, said, caplog):
        rng = np.random.default_rng(8)
        values = np.column_stack([rng.integers(0, 6, 900), rng.random((900, 5))]).astype(np.float32)
        booster = train(values, (values[:, 0] % 2 == 0) ^ (rng.random(900) < 0.1), **params)
        with pytest.raises(NotRepresentable, match=said):
            TreeEnsemble.of(booster)
        with caplog.at_level(logging.WARNING):
            engine = ScoringEngine.of(booster, self.everything)
        assert engine.ensemble is None
        assert said in caplog.text
        scores = engine.raw_scores(values)
        assert scores.tobytes() == booster.predict(values, raw_score=True, num_threads=1).tobytes()

    def test_an_unknown_text_is_scored_by_lightgbm_and_said(self, booster, caplog, monkeypatch):
        text = booster.model_to_string().replace("left_child", "links")
        monkeypatch.setattr(booster, "model_to_string", lambda: text)
        assert ScoringEngine.of(booster, self.everything).ensemble is None
        assert "left_child" in caplog.text

    def test_trees_that_score_differently_are_not_used(self, bank, booster, caplog, monkeypatch):
        right = TreeEnsemble.of(booster)
        leaves = right.leaves.copy()
        leaves[0] = np.nextafter(leaves[0], np.inf)
        wrong = dataclasses.replace(right, leaves=leaves)
        monkeypatch.setattr(TreeEnsemble, "of", lambda *_: wrong)
        engine = ScoringEngine.of(booster, self.everything)
        assert engine.ensemble is None
        assert "drawn customers differently" in caplog.text
        rows = bank[2]
        expected = booster.predict(rows, raw_score=True, num_threads=1)
        assert engine.raw_scores(rows).tobytes() == expected.tobytes()

    def test_a_wrong_bin_is_noticed(self, booster):
        """One threshold next to the right one: only customers at thresholds tell."""
        right = TreeEnsemble.of(booster)
        cuts = right.cuts.copy()
        cuts[0] = np.nextafter(cuts[0], np.float32(-np.inf))
        wrong = dataclasses.replace(right, cuts=cuts)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(TreeEnsemble, "of", lambda *_: wrong)
            assert ScoringEngine.of(booster, self.everything).ensemble is None

    def test_is_saved_and_loaded(self, bank, booster, tmp_path):
        engine = ScoringEngine.of(booster, self.everything)
        engine.save(tmp_path / "booster.txt")
        loaded = ScoringEngine.load(tmp_path / "booster.txt", self.everything)
        assert loaded.ensemble is not None
        assert loaded.raw_scores(bank[2]).tobytes() == engine.raw_scores(bank[2]).tobytes()

    def test_loading_asks_lightgbm_nothing_that_it_has_answered(self, bank, booster, tmp_path):
        """Importing it took more than a third of the time until a service answered."""
        engine = ScoringEngine.of(booster, self.everything)
        engine.save(tmp_path / "booster.txt")
        np.save(tmp_path / "rows.npy", bank[2])
        np.save(tmp_path / "scores.npy", engine.raw_scores(bank[2]))
        done = python(
            "import sys; from pathlib import Path; import numpy as np\n"
            "from training.models.trees.contributions import TreeExplainer\n"
            "from training.models.trees.ensemble import ScoringEngine\n"
            f"folder = Path({str(tmp_path)!r})\n"
            "engine = ScoringEngine.load(folder / 'booster.txt', np.arange(6))\n"
            "scores = engine.raw_scores(np.load(folder / 'rows.npy'))\n"
            "assert scores.tobytes() == np.load(folder / 'scores.npy').tobytes()\n"
            "assert TreeExplainer.of(engine).trees is not None\n"
            "assert 'lightgbm' not in sys.modules and 'sklearn' not in sys.modules\n"
        )
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize("kept", ["nothing", "of other customers", "of fewer customers"])
    def test_lightgbm_is_asked_where_its_answers_are_not_kept_or_differ(self, bank, booster, tmp_path, kept, caplog):
        path = tmp_path / "booster.txt"
        engine = ScoringEngine.of(booster, self.everything)
        engine.save(path)
        answers = tmp_path / "booster.expected.npy"
        assert np.load(answers).tobytes() == engine.expected.tobytes()
        if kept == "nothing":
            answers.unlink()
        else:
            np.save(answers, engine.expected[::-1] if kept == "of other customers" else engine.expected[:7])
        loaded = ScoringEngine.load(path, self.everything)
        assert not caplog.records
        assert loaded.ensemble is not None
        assert loaded.expected.tobytes() == engine.expected.tobytes()
        assert loaded.raw_scores(bank[2]).tobytes() == engine.raw_scores(bank[2]).tobytes()

    def test_trees_that_score_differently_when_loaded_are_not_used(self, bank, booster, tmp_path, caplog, monkeypatch):
        path = tmp_path / "booster.txt"
        engine = ScoringEngine.of(booster, self.everything)
        engine.save(path)
        leaves = engine.ensemble.leaves.copy()
        leaves[0] = np.nextafter(leaves[0], np.inf)
        wrong = dataclasses.replace(engine.ensemble, leaves=leaves)
        monkeypatch.setattr(TreeEnsemble, "of", lambda *_: wrong)
        loaded = ScoringEngine.load(path, self.everything)
        assert loaded.ensemble is None
        assert "drawn customers differently" in caplog.text
        expected = booster.predict(bank[2], raw_score=True, num_threads=1)
        assert loaded.raw_scores(bank[2]).tobytes() == expected.tobytes()

    def test_what_was_loaded_can_be_saved_again(self, booster, tmp_path):
        ScoringEngine.of(booster, self.everything).save(tmp_path / "first.txt")
        ScoringEngine.load(tmp_path / "first.txt").save(tmp_path / "second.txt")
        assert (tmp_path / "second.expected.npy").read_bytes() == (tmp_path / "first.expected.npy").read_bytes()
        again = ScoringEngine.load(tmp_path / "second.txt")
        assert again.ensemble is not None
        assert again.columns.tolist() == self.everything.tolist()
