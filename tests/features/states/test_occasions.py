import numpy as np
import pytest

from features.states.occasions import FULLY_AVAILABLE, Occasions


def occasions(days: list[int], buyable: list[list[int]]) -> Occasions:
    flags = np.array(buyable, dtype=bool)
    return Occasions(np.arange(len(days)), np.array(days, np.int32), flags, flags)


def test_availability_counts_the_occasions_of_earlier_days() -> None:
    seen = occasions([10, 10, 11, 15], [[1, 0], [1, 1], [0, 0], [1, 1]])
    shares = seen.availability(np.array([10, 11, 12, 15, 16], np.int32))
    k = FULLY_AVAILABLE
    expected = [[1, 1], [1, (1 + k) / (2 + k)], [(2 + k) / (3 + k), (1 + k) / (3 + k)]]
    np.testing.assert_allclose(shares[:3], expected, rtol=1e-6)
    np.testing.assert_array_equal(shares[3], shares[2])
    np.testing.assert_allclose(shares[4], [(3 + k) / (4 + k), (2 + k) / (4 + k)], rtol=1e-6)
    assert shares.dtype == np.float32


def test_availability_does_not_see_what_comes_later_or_what_was_bought() -> None:
    rng = np.random.default_rng(3)
    days = np.sort(rng.integers(0, 40, 200)).astype(np.int32)
    buyable = rng.random((200, 4)) < [0.9, 0.5, 0.1, 0.0]
    asked = np.array([0, 7, 20], np.int32)
    before = Occasions(np.arange(200), days, buyable, buyable).availability(asked)
    rewritten = np.where((days >= 20)[:, None], ~buyable, buyable)
    after = Occasions(np.arange(200), days, rewritten, np.zeros_like(buyable)).availability(asked)
    np.testing.assert_array_equal(before, after)
    assert (before > 0).all()


@pytest.mark.parametrize("n_products", [1, 3])
def test_before_any_occasion_everything_is_available(n_products: int) -> None:
    nothing = Occasions(
        np.zeros(0, np.int64), np.zeros(0, np.int32), *(np.zeros((0, n_products), bool) for _ in range(2))
    )
    np.testing.assert_array_equal(nothing.availability(np.array([5], np.int32)), np.ones((1, n_products)))
