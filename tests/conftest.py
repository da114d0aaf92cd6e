"""What tests of several rooms share: a trained workspace, made once a run."""

import pytest

from tests.training import banks


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory):
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="session")
def trained(session_folder):
    """A workspace with a champion; read only."""
    return banks.trained_workspace(session_folder)


@pytest.fixture
def own(session_folder, tmp_path):
    """A workspace with a champion and the tables behind it, to be changed."""
    return banks.own_workspace(session_folder, tmp_path)
