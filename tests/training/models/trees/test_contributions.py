"""Contributions of laid out trees: against LightGBM's own, against every order of features, and by hand."""

import logging
from fractions import Fraction
from itertools import permutations
from math import factorial

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import BadInput
from tests.training.models.trees.test_ensemble import HAND_MADE, ODD, asked, columns_of, train
from training.models.trees.contributions import TreeContributions, TreeExplainer
from training.models.trees.ensemble import MAX_LEAVES, NotRepresentable, ScoringEngine


def lightgbm_says(booster: lgb.Booster, values: np.ndarray) -> np.ndarray:
    """Shape (n, n_classes, n_features + 1); the base comes last."""
    found = booster.predict(values, pred_contrib=True, num_threads=1)
    return found.reshape(len(values), -1, booster.num_feature() + 1)


def contributions(trees, values: np.ndarray, classes: np.ndarray, factor: float = 1.0) -> np.ndarray:
    out = np.zeros((*classes.shape, values.shape[1]))
    trees.add(values, classes, factor, out)
    return out


def every_class(trees, n: int) -> np.ndarray:
    return np.tile(np.arange(len(trees.base)), (n, 1))


def assert_equals_lightgbm(booster: lgb.Booster, values: np.ndarray) -> None:
    trees = TreeContributions.of(booster)
    expected = lightgbm_says(booster, values)
    classes = every_class(trees, len(values))
    found = contributions(trees, values, classes)
    size = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected[..., :-1], rtol=1e-9, atol=1e-12 * size)
    np.testing.assert_allclose(np.tile(trees.base, (len(values), 1)), expected[..., -1], rtol=1e-9, atol=1e-12 * size)
    raw = booster.predict(values, raw_score=True, num_threads=1).reshape(len(values), -1)
    np.testing.assert_allclose(trees.base + found.sum(axis=-1), raw, rtol=1e-9, atol=1e-11 * size)


def splits_on_ways(trees: TreeContributions) -> list[list[tuple[int, int]]]:
    """Of a single tree, laid out leaf by leaf: the splits on the way to each leaf, each with the side it leads to."""
    ways = []

    def walk(node: int, way: list[tuple[int, int]]) -> None:
        if node >= MAX_LEAVES:
            assert node == MAX_LEAVES + len(ways), "from the left"
            ways.append(way)
            return
        for side in (0, 1):
            walk(int(trees.split_children[node, side]), [*way, (node, side)])

    walk(0, [])
    return ways


def exact_contributions(trees: TreeContributions, customer: np.ndarray) -> list[float]:
    """Of a tree that asks for each feature once on a way: the sum over sets known before, by their size, in fractions.

    Sets of followed features reach the leaf: ``sum_S |S|! (d - 1 - |S|)! / d! prod_{j not in S} z_j``.
    """
    found = [Fraction(0)] * len(customer)
    for leaf, way in enumerate(splits_on_ways(trees)):
        value, steps = trees.leaves[leaf], range(trees.step_starts[leaf], trees.step_starts[leaf + 1])
        followed = {
            step: (customer[trees.step_features[step]] > trees.split_cuts[split]) == bool(side)
            for step, (split, side) in zip(steps, way, strict=True)
        }
        for one in steps:
            by_size = [Fraction(1)]  # of the sets of that size, the product of the z of what is not in it
            for other in steps:
                if other == one:
                    continue
                z = Fraction(float(trees.step_covers[other]))
                joined = [Fraction(0), *by_size] if followed[other] else [Fraction(0)] * (len(by_size) + 1)
                by_size = [z * out + known for out, known in zip([*by_size, Fraction(0)], joined, strict=True)]
            d = len(steps)
            weight = sum(
                Fraction(factorial(size) * factorial(d - 1 - size), factorial(d)) * total
                for size, total in enumerate(by_size)
            )
            gain = int(followed[one]) - Fraction(float(trees.step_covers[one]))
            found[trees.step_features[one]] += Fraction(float(value)) * gain * weight
    return [float(total) for total in found]


@pytest.fixture(scope="module")
def bank():
    rng = np.random.default_rng(3)
    values = columns_of(rng, 600, 6)
    return values, rng.integers(0, 3, 600), asked(rng, values, 300)


@pytest.fixture(scope="module")
def booster(bank):
    values, label, _ = bank
    return train(values, label, rounds=4, objective="multiclass", num_class=3, num_leaves=12)


class TestHandMade:
    """x0 <= 1.5 asks x1 <= -0.5 (leaves 10 and 30), the rest x1 <= 2 (leaves 20 and 40); 1, 1, 1 and 5 rows in each."""

    @pytest.fixture(scope="class")
    @classmethod
    def trees(cls):
        text = HAND_MADE.format(decisions="0 0 0")
        text = text.replace("leaf_count=1 1 1 1", "leaf_count=1 1 1 5").replace("count=4 2 2", "count=8 2 6")
        return TreeContributions.of(lgb.Booster(model_str=text))

    def test_the_base_is_the_mean_of_the_training_rows(self, trees):
        assert trees.base.tolist() == pytest.approx([(10 + 30 + 20 + 5 * 40) / 8])

    @pytest.mark.parametrize(
        ("customer", "reached", "first_alone", "second_alone"),
        [
            # what is known of x0 leads to the mean of its side; what is known of x1 to a leaf of each side
            ((0, -1), 10, (10 + 30) / 2, (2 * 10 + 6 * 20) / 8),
            ((0, 3), 30, (10 + 30) / 2, (2 * 30 + 6 * 40) / 8),
            ((2, 1), 20, (20 + 5 * 40) / 6, (2 * 30 + 6 * 20) / 8),
            ((2, 3), 40, (20 + 5 * 40) / 6, (2 * 30 + 6 * 40) / 8),
        ],
    )
    def test_a_feature_is_worth_what_it_adds_before_and_after_the_other(
        self, trees, customer, reached, first_alone, second_alone
    ):
        base = (10 + 30 + 20 + 5 * 40) / 8
        found = contributions(trees, np.array([customer], np.float32), np.zeros((1, 1), np.int64))[0, 0]
        first = ((first_alone - base) + (reached - second_alone)) / 2
        second = ((second_alone - base) + (reached - first_alone)) / 2
        assert found == pytest.approx([first, second])

    @pytest.mark.parametrize("decision", [missing | side for missing in (0, 4, 8) for side in (0, 2)])
    def test_what_is_missing_goes_where_the_split_says(self, decision):
        booster = lgb.Booster(model_str=HAND_MADE.format(decisions=" ".join([str(decision)] * 3)))
        values = np.array([*ODD, 1.5, -0.5, 2, 3], np.float32)
        assert_equals_lightgbm(booster, np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2))

    def test_counts_that_are_not_told_cannot_be_guessed(self):
        booster = lgb.Booster(model_str=HAND_MADE.format(decisions="0 0 0"))
        text = booster.model_to_string().replace("leaf_count=1 1 1 1\n", "leaf_count=\n")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(booster, "model_to_string", lambda: text)
            with pytest.raises(NotRepresentable, match="how many training rows"):
                TreeContributions.of(booster)


class TestEqualsLightGBM:
    @settings(max_examples=40, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n_classes=st.sampled_from([1, 2, 3, 5]),
        n_features=st.integers(1, 12),
        leaves=st.sampled_from([2, 3, 4, 8, 15, 31, MAX_LEAVES]),
        rounds=st.integers(1, 5),
        rows=st.sampled_from([1, 15, 16, 40]),
        use_missing=st.booleans(),
        zero_as_missing=st.booleans(),
    )
    def test_whatever_was_learnt(self, seed, n_classes, n_features, leaves, rounds, rows, **missing):
        """With few features and many leaves, most ways ask for one feature several times."""
        rng = np.random.default_rng(seed)
        values = columns_of(rng, 400, n_features)
        kind = {"objective": "multiclass", "num_class": n_classes} if n_classes > 2 else {}
        if n_classes == 1:
            kind = {"objective": "regression"}
        label = rng.integers(0, max(n_classes, 2), 400)
        booster = train(values, label, rounds, num_leaves=leaves, seed=seed % 1000, **missing, **kind)
        assert_equals_lightgbm(booster, asked(rng, values, rows))

    def test_ways_longer_than_what_is_tabulated(self):
        """A chain: each of 30 features splits off a few rows, and most leaves lie far down.

        LightGBM unwinds ways by dividing, which costs it digits there; fractions lose nothing.
        """
        rng = np.random.default_rng(7)
        values = (rng.random((3000, 30)) < 0.05).astype(np.float32)
        first = np.where(values.any(axis=1), values.argmax(axis=1), 30)
        booster = train(values, 3.0 * first, 1, objective="regression", num_leaves=31)
        trees = TreeContributions.of(booster)
        assert np.diff(trees.step_starts.astype(np.int64)).max() > 20
        rows = values[:40]
        found = contributions(trees, rows, every_class(trees, 40))
        np.testing.assert_allclose(found, lightgbm_says(booster, rows)[..., :-1], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(trees.base + found.sum(axis=-1)[:, 0], booster.predict(rows), rtol=1e-13)
        exact = [exact_contributions(trees, customer) for customer in rows[:3]]
        np.testing.assert_allclose(found[:3, 0], exact, rtol=1e-12, atol=1e-14)

    def test_trees_without_a_split(self, bank):
        values, label, rows = bank
        booster = train(values, label > 0, min_data_in_leaf=len(values))
        assert_equals_lightgbm(booster, rows)
        assert contributions(TreeContributions.of(booster), rows, np.zeros((300, 1), np.int64)).any() == np.False_

    def test_only_the_trees_up_to_the_best_iteration(self, bank):
        values, label, rows = bank
        booster = train(values, label > 0, rounds=5)
        booster.best_iteration = 2
        assert_equals_lightgbm(booster, rows)


def test_every_order_of_features_gives_the_same_mean_gain():
    """Shapley's definition, on a tree that asks for x0 twice on the way to some leaves."""
    rng = np.random.default_rng(11)
    values = rng.random((500, 3)).astype(np.float32)
    booster = train(values, np.sin(9 * values[:, 0]) + values[:, 1] * values[:, 2], 1, objective="regression")
    root = booster.dump_model()["tree_info"][0]["tree_structure"]

    def expected(node, customer, known) -> float:
        if "leaf_value" in node:
            return node["leaf_value"]
        sides = node["left_child"], node["right_child"]
        if node["split_feature"] in known:
            return expected(sides[int(customer[node["split_feature"]] > node["threshold"])], customer, known)
        counts = [side.get("internal_count", side.get("leaf_count")) for side in sides]
        means = [expected(side, customer, known) for side in sides]
        return float(np.average(means, weights=counts))

    trees = TreeContributions.of(booster)
    assert len(trees.step_covers) < sum(len(way) for way in splits_on_ways(trees))
    orders = list(permutations(range(3)))
    for customer in values[:20]:
        gains = np.zeros(3)
        for order in orders:
            for place, feature in enumerate(order):
                gains[feature] += expected(root, customer, order[: place + 1]) - expected(root, customer, order[:place])
        found = contributions(trees, customer[None], np.zeros((1, 1), np.int64))[0, 0]
        np.testing.assert_allclose(found, gains / len(orders), atol=1e-12)


class TestRows:
    def test_alone_or_in_a_block_the_bits_are_the_same(self, bank, booster):
        rows = bank[2]
        trees = TreeContributions.of(booster)
        classes = every_class(trees, len(rows))
        whole = contributions(trees, rows, classes)
        for size in (1, 15, 16, 17, 255):
            assert contributions(trees, rows[:size], classes[:size]).tobytes() == whole[:size].tobytes()
        for row in range(20):
            assert contributions(trees, rows[[row]], classes[[row]]).tobytes() == whole[[row]].tobytes()

    def test_each_row_asks_for_classes_of_its_own(self, bank, booster):
        rows = bank[2]
        trees = TreeContributions.of(booster)
        classes = np.random.default_rng(0).integers(-1, 3, (len(rows), 2))
        whole = contributions(trees, rows, every_class(trees, len(rows)))
        found = contributions(trees, rows, classes)
        for row, place in np.ndindex(*classes.shape):
            expected = whole[row, classes[row, place]] if classes[row, place] >= 0 else np.zeros(6)
            assert found[row, place].tolist() == expected.tolist()

    @pytest.mark.parametrize(("steps", "values"), [(0, 1 << 20), (3, 1 << 20), (10, 0), (10, 300)])
    @pytest.mark.parametrize("rows", [1, 32, 33])
    def test_looked_up_or_worked_out_the_bits_are_the_same(self, bank, booster, monkeypatch, steps, values, rows):
        trees, asked = TreeContributions.of(booster), bank[2][:rows]
        assert (np.diff(trees.table_starts) > 0).all()
        monkeypatch.setattr("training.models.trees.contributions.MOST_TABULATED", steps)
        monkeypatch.setattr("training.models.trees.contributions._TABLE_VALUES", values)
        other = TreeContributions.of(booster)
        assert (np.diff(other.table_starts) == 0).any()
        found, expected = (contributions(each, asked, every_class(each, rows)) for each in (other, trees))
        assert found.tobytes() == expected.tobytes()

    @pytest.mark.parametrize(
        ("leaves", "values", "whole"),
        [(2, 1 << 20, True), (3, 1 << 20, True), (5, 1 << 20, True), (5, 2500, False), (6, 1 << 20, False)],
    )
    def test_whole_or_leaf_by_leaf_the_bits_are_the_same(self, bank, monkeypatch, leaves, values, whole):
        features, label, rows = bank
        booster = train(features, label, rounds=6, objective="multiclass", num_class=3, num_leaves=leaves)
        monkeypatch.setattr("training.models.trees.contributions._MOST_WHOLE", 0)
        by_leaf = TreeContributions.of(booster)
        monkeypatch.undo()
        monkeypatch.setattr("training.models.trees.contributions._TABLE_VALUES", values)
        trees = TreeContributions.of(booster)
        assert (np.diff(trees.leaf_starts.astype(np.int64)).max() == 1) == whole
        found, expected = (contributions(each, rows, every_class(each, len(rows))) for each in (trees, by_leaf))
        assert found.tobytes() == expected.tobytes()

    def test_what_was_there_is_added_to(self, bank, booster):
        rows = bank[2][:3]
        trees = TreeContributions.of(booster)
        classes = np.zeros((3, 1), np.int64)
        out = np.full((3, 1, 6), 2.0)
        trees.add(rows, classes, -0.5, out)
        np.testing.assert_allclose(out, 2 - 0.5 * contributions(trees, rows, classes), rtol=1e-12)

    def test_features_are_read_where_they_stand(self, bank, booster):
        rows = bank[2]
        places = np.array([7, 0, 3, 2, 9, 4])
        wide = np.full((len(rows), 11), 5, np.float32)
        wide[:, places] = rows
        trees = TreeContributions.of(booster, places)
        found = contributions(trees, wide, every_class(trees, len(rows)))
        narrow = contributions(TreeContributions.of(booster), rows, every_class(trees, len(rows)))
        assert np.array_equal(found[..., places], narrow)
        assert (np.delete(found, places, axis=-1) == 0).all()

    def test_too_few_features_are_refused(self, bank, booster):
        with pytest.raises(BadInput, match="columns 0 to 5"):
            contributions(TreeContributions.of(booster), bank[2][:, :5], np.zeros((300, 1), np.int64))


class TestExplainer:
    everything = np.arange(6)

    def test_explains_what_the_engine_scores(self, bank, booster):
        rows = bank[2]
        engine = ScoringEngine.of(booster, self.everything)
        explainer = TreeExplainer.of(engine)
        assert explainer.trees is not None
        found = contributions(explainer, rows, every_class(explainer, len(rows)))
        np.testing.assert_allclose(explainer.base + found.sum(axis=-1), engine.raw_scores(rows), atol=1e-12)

    @pytest.mark.parametrize(
        "params",
        [
            {"categories": [0]},
            {"num_leaves": MAX_LEAVES + 1, "min_data_in_leaf": 1},
            {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        ],
        ids=["categorical", "many leaves", "forest"],
    )
    def test_what_cannot_be_laid_out_is_explained_by_lightgbm(self, params):
        rng = np.random.default_rng(8)
        values = np.column_stack([rng.integers(0, 6, 900), rng.random((900, 5))]).astype(np.float32)
        booster = train(values, (values[:, 0] % 2 == 0) ^ (rng.random(900) < 0.1), **params)
        places = np.array([6, 5, 4, 3, 2, 1])
        engine = ScoringEngine.of(booster, places)
        explainer = TreeExplainer.of(engine)
        assert explainer.trees is None
        wide = np.zeros((50, 8), np.float32)
        wide[:, places] = values[:50]
        classes = np.tile([0, -1], (50, 1))
        found = contributions(explainer, wide, classes, factor=2.0)
        assert (found[:, 1] == 0).all()
        np.testing.assert_allclose(found[:, 0][:, places], 2 * lightgbm_says(booster, values[:50])[:, 0, :-1])
        raw = engine.raw_scores(wide)[:, 0]
        np.testing.assert_allclose(explainer.base[0] + found[:, 0].sum(axis=-1) / 2, raw, atol=1e-12)
        alone = contributions(explainer, wide[[7]], classes[[7]], factor=2.0)
        assert alone.tobytes() == found[[7]].tobytes()

    def test_trees_without_counts_are_explained_by_lightgbm_and_said(self, bank, booster, caplog, monkeypatch):
        engine = ScoringEngine.of(booster, self.everything)
        text = booster.model_to_string().replace("internal_count=", "internal_tally=")
        monkeypatch.setattr(booster, "model_to_string", lambda: text)
        with caplog.at_level(logging.WARNING):
            explainer = TreeExplainer.of(engine)
        assert explainer.trees is None
        assert "how many training rows" in caplog.text
        found = contributions(explainer, bank[2], every_class(explainer, 300))
        np.testing.assert_allclose(found, lightgbm_says(booster, bank[2])[..., :-1])
