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


@pytest.fixture(scope="module", autouse=True)
def shared_folders_stay_as_they_are():
    """Tests that run after this module, in an order nobody chose, read what `banks.once` made."""
    yield
    changed = banks.changed_since_made()
    assert not changed, "a test of this module changed what others read"


@pytest.fixture
def own(session_folder, tmp_path):
    """A workspace with a champion and the tables behind it, to be changed."""
    return banks.own_workspace(session_folder, tmp_path)
