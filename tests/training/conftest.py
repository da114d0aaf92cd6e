import pytest

from features.states import CustomerStates, current_states
from tests.training import banks
from tests.training.hand_bank import build_hand_bank, build_undated_bank


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory):
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="session")
def trained(session_folder):
    """A workspace with a champion; read only."""
    return banks.trained_workspace(session_folder)


@pytest.fixture(scope="session")
def states(trained) -> CustomerStates:
    return current_states(trained)


@pytest.fixture
def own(session_folder, tmp_path):
    """A workspace with a champion and the tables behind it, to be changed."""
    return banks.own_workspace(session_folder, tmp_path)


@pytest.fixture(scope="session")
def hand_states(session_folder) -> CustomerStates:
    return current_states(banks.once(session_folder, "hand", build_hand_bank))


@pytest.fixture(scope="session")
def undated_states(session_folder) -> CustomerStates:
    return current_states(banks.once(session_folder, "undated", build_undated_bank))
