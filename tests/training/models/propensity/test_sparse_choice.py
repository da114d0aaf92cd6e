"""The sparse choice against slow arithmetic, and against choices whose law is known."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from training.models.propensity.encoding import Encoding
from training.models.propensity.sparse_choice import SparseChoice, _Problem

DTYPES = ("number", "flag", "code", "periods")


def facts(n: int, seed: int = 0) -> np.ndarray:
    """A number that matters to nobody, a flag, a code of three, and an age that is often missing."""
    rng = np.random.default_rng(seed)
    age = np.where(rng.random(n) < 0.5, np.nan, rng.integers(0, 12, n))
    return np.column_stack([rng.normal(size=n), rng.random(n) < 0.4, rng.integers(0, 3, n), age]).astype(np.float32)


def softmax(utilities: np.ndarray) -> np.ndarray:
    raised = np.exp(utilities - utilities.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def choices(features: np.ndarray, candidates: np.ndarray, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Choices of three products by a law: the flag wants product 1, category 2 wants product 2."""
    utilities = np.zeros((len(features), 3))
    utilities[:, 1] += 1.5 * features[:, 1]
    utilities[:, 2] += 2.0 * (features[:, 2] == 2)
    probabilities = softmax(np.where(candidates, utilities, -np.inf))
    drawn = (np.random.default_rng(seed).random((len(features), 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    chosen = np.zeros_like(candidates)
    chosen[np.arange(len(features)), np.minimum(drawn, 2)] = True
    return chosen & candidates, probabilities


@pytest.fixture(scope="module")
def known():
    features = facts(20_000)
    candidates = np.random.default_rng(2).random((20_000, 3)) < 0.85
    candidates[:, 0] = True
    chosen, probabilities = choices(features, candidates)
    asked = chosen.any(axis=1)
    features, candidates, chosen = features[asked], candidates[asked], chosen[asked]
    start = np.log(chosen.mean(axis=0))
    fitted = SparseChoice.fit(
        Encoding.of(features, DTYPES), features, chosen, candidates, start, l1=0.08, iterations=200
    )
    return fitted, features, candidates, start, probabilities[asked]


def test_the_law_is_recovered(known) -> None:
    fitted, features, candidates, start, truth = known
    found = softmax(np.where(candidates, start + fitted.utilities(features), -np.inf))
    # some weights of about 1.5 each off by the lasso's pull and a standard error of a few hundredths
    assert np.abs(found - truth).max() < 0.06
    assert np.abs(found - truth).mean() < 0.015


def test_what_does_not_matter_has_next_to_no_weight(known) -> None:
    fitted = known[0]
    by_feature = np.zeros(4)
    for column in range(len(fitted.encoding.features)):
        weights = fitted.weights[fitted.offsets[column] : fitted.offsets[column + 1]]
        by_feature[fitted.encoding.features[column]] += np.abs(weights).sum()
    assert by_feature[[0, 3]].max() < 0.15 * by_feature[[1, 2]].min()


def test_utilities_are_the_sum_of_encoded_features_times_weights(known) -> None:
    fitted, features, *_ = known
    dense = np.zeros((len(fitted.encoding.features), 3))
    for column in range(len(dense)):
        for place in range(fitted.offsets[column], fitted.offsets[column + 1]):
            dense[column, fitted.products[place]] += fitted.weights[place]
    expected = fitted.intercepts + fitted.encoding.encode(features[:50]).astype(np.float64) @ dense
    np.testing.assert_allclose(fitted.utilities(features[:50]), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 6, 7, 127, 128, 129, 255, 256, 5000])
def test_alone_or_in_a_block_of_any_size_the_bits_are_the_same(known, rows) -> None:
    fitted, features, *_ = known
    whole = fitted.utilities(features)
    assert fitted.utilities(features[:rows]).tobytes() == whole[:rows].tobytes()
    asked = np.random.default_rng(0).integers(-1, 3, (5000, 2))
    out = np.zeros((5000, 2, 4))
    fitted.add_contributions(features[:5000], asked, 0.7, out)
    part = np.zeros((rows, 2, 4))
    fitted.add_contributions(features[:rows], asked[:rows], 0.7, part)
    assert part.tobytes() == out[:rows].tobytes()


def test_who_asks_for_the_same_is_told_the_same_bits(known) -> None:
    fitted, features, *_ = known
    asked = np.tile([[2, 0]], (100, 1))
    out = np.zeros((100, 2, 4))
    fitted.add_contributions(features[:100], asked, 0.7, out)
    for row in range(100):
        alone = np.zeros((1, 2, 4))
        fitted.add_contributions(features[[row]], asked[[row]], 0.7, alone)
        assert alone.tobytes() == out[[row]].tobytes()


def test_contributions_are_what_sets_a_row_apart_and_add_up(known) -> None:
    fitted, features, *_ = known
    dense = np.zeros((len(fitted.encoding.features), 3))
    for column in range(len(dense)):
        for place in range(fitted.offsets[column], fitted.offsets[column + 1]):
            dense[column, fitted.products[place]] += fitted.weights[place]
    encoded = fitted.encoding.encode(features).astype(np.float64)
    np.testing.assert_allclose(fitted.middle, encoded.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(fitted.base, fitted.utilities(features).mean(axis=0), atol=1e-5)

    asked = np.tile([2, -1, 1], (50, 1))
    out = np.full((50, 3, 4), 0.25)
    fitted.add_contributions(features[:50], asked, 2.0, out)
    assert (out[:, 1] == 0.25).all()
    for place, product in ((0, 2), (2, 1)):
        expected = np.zeros((50, 4))
        for column, feature in enumerate(fitted.encoding.features):
            expected[:, feature] += dense[column, product] * (encoded[:50, column] - fitted.middle[column])
        np.testing.assert_allclose(out[:, place] - 0.25, 2 * expected, atol=1e-12)
        summed = fitted.base[product] + expected.sum(axis=1)
        np.testing.assert_allclose(summed, fitted.utilities(features[:50])[:, product], atol=1e-12)


def test_the_gradient_is_that_of_the_value() -> None:
    features = facts(60, seed=3)
    rng = np.random.default_rng(4)
    candidates = rng.random((60, 3)) < 0.8
    candidates[:, 0] = True
    chosen, _ = choices(features, candidates)
    asked = chosen.any(axis=1)
    z = Encoding.of(features, DTYPES).encode(features)[asked]
    problem = _Problem(z, chosen[asked], candidates[asked], np.zeros(3, np.float32), 0.3)
    at = rng.random(2 * z.shape[1] * 3 + 3) / 3

    def value(parameters):
        return problem.value_and_gradient(parameters)[0]

    def gradient(parameters):
        return problem.value_and_gradient(parameters)[1]

    # the likelihood is summed in single precision
    assert check_grad(value, gradient, at, epsilon=1e-2) < 0.02 * np.linalg.norm(gradient(at))


def test_a_stronger_penalty_leaves_fewer_weights() -> None:
    features = facts(3000, seed=5)
    candidates = np.ones((3000, 3), bool)
    chosen, _ = choices(features, candidates)
    encoding = Encoding.of(features, DTYPES)
    sizes = [
        len(SparseChoice.fit(encoding, features, chosen, candidates, np.zeros(3), l1=l1, iterations=100).weights)
        for l1 in (0.001, 0.05, 0.5, 50.0)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] == 0


def test_two_fits_agree_bit_for_bit_and_a_loaded_one_with_both(known, tmp_path) -> None:
    features = facts(2000, seed=6)
    candidates = np.ones((2000, 3), bool)
    chosen, _ = choices(features, candidates)
    first, second = (
        SparseChoice.fit(
            Encoding.of(features, DTYPES), features, chosen, candidates, np.zeros(3), l1=0.05, iterations=50
        )
        for _ in range(2)
    )
    first.save(tmp_path / "choice.npz")
    loaded = SparseChoice.load(tmp_path / "choice.npz")
    assert loaded.middle.tobytes() == first.middle.tobytes()
    expected = first.utilities(features).tobytes()
    assert second.utilities(features).tobytes() == expected
    assert loaded.utilities(features).tobytes() == expected


def test_features_can_be_read_from_other_columns(known) -> None:
    fitted, features, *_ = known
    moved = np.column_stack([np.full(len(features), np.nan, np.float32), features[:, ::-1]])
    found = fitted.of_columns(np.array([4, 3, 2, 1])).utilities(moved)
    assert found.tobytes() == fitted.utilities(features).tobytes()
