"""What tests of several rooms share: a trained workspace, made once a run."""

import pytest
from hypothesis import settings

from tests.training import banks

# a first call compiles, and how long anything takes is for benchmarks to say
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

_MADE_ONCE = {"session_folder", "tmp_path_factory"}
"""What lasts longer than a test: banks, workspaces and servers are made with it."""


def pytest_collection_modifyitems(items):
    """Whatever needs a bank that others need too is slow; what else is, says so itself."""
    for item in items:
        if _MADE_ONCE.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


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
