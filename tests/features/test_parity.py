"""One customer's block is that customer's row of everybody's, bit for bit: an RM sees what a campaign does."""

from dataclasses import fields

import numpy as np
import pytest

from features import block_of, blocks_of, feature_set_of
from features.blocks import CustomerBlock
from features.chunks import CHUNK, FEW
from features.states import CustomerStates

NO_ARRAYS = ("states", "feature_set", "period", "partly_hidden", "availability")  # the last: only at occasions
ARRAYS = (
    *(field.name for field in fields(CustomerBlock) if field.name not in NO_ARRAYS),
    "held",
    "kinds",
    "features",
)


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint8)


@pytest.mark.parametrize("age", [0, 5])
def test_a_block_of_one_is_a_row_of_a_block_of_all(synthetic_states: CustomerStates, age: int) -> None:
    states, period = synthetic_states, synthetic_states.as_of_period - age
    everyone = block_of(states, states.known_at(period), period)
    assert everyone.n_customers > 400
    for row in range(0, everyone.n_customers, 3):
        alone = block_of(states, everyone.positions[row : row + 1], period)
        for name in ARRAYS:
            one, of_all = getattr(alone, name), getattr(everyone, name)
            assert one.dtype == of_all.dtype
            assert one[0].tobytes() == of_all[row].tobytes(), f"{name} of {states.customer_id(everyone.positions[row])}"


@pytest.mark.parametrize("age", [0, 5])
def test_the_order_and_size_of_blocks_change_nothing(synthetic_states: CustomerStates, age: int) -> None:
    states, period = synthetic_states, synthetic_states.as_of_period - age
    everyone = block_of(states, states.known_at(period), period)
    shuffled = np.random.default_rng(0).permutation(everyone.n_customers)
    other = block_of(states, everyone.positions[shuffled], period)
    for name in ARRAYS:
        np.testing.assert_array_equal(bits(getattr(other, name)), bits(getattr(everyone, name)[shuffled]), err_msg=name)
    for size in (1, FEW - 1, FEW, CHUNK + 1):
        in_blocks = list(blocks_of(states, period, size))
        for name in ARRAYS:
            joined = np.concatenate([getattr(block, name) for block in in_blocks])
            np.testing.assert_array_equal(bits(joined), bits(getattr(everyone, name)), err_msg=f"{name} by {size}")


def test_the_bank_tries_every_family(synthetic_states: CustomerStates) -> None:
    features = block_of(
        synthetic_states, synthetic_states.known_at(synthetic_states.as_of_period), synthetic_states.as_of_period
    ).features
    families = {row["family"] for row in feature_set_of(synthetic_states).dictionary()}
    assert families == {"holdings", "profile", "balances", "activity", "contacts", "adoption"}
    assert np.all(np.isnan(features) | np.isfinite(features))
    assert np.isfinite(features).mean() > 0.5
