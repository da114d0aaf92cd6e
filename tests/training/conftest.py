import pytest

from features.states import CustomerStates, current_states
from tests.training import banks
from tests.training.hand_bank import build_hand_bank, build_undated_bank


@pytest.fixture(scope="session")
def states(trained) -> CustomerStates:
    return current_states(trained)


@pytest.fixture(scope="session")
def hand_states(session_folder) -> CustomerStates:
    return current_states(banks.once(session_folder, "hand", build_hand_bank))


@pytest.fixture(scope="session")
def undated_states(session_folder) -> CustomerStates:
    return current_states(banks.once(session_folder, "undated", build_undated_bank))
