import pytest

from serving.answering.engine import DecisionEngine
from serving.deployment import open_in_use
from tests.serving.later import CLOCK
from tests.serving.postgres import postgres
from tests.serving.records.places import Place

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def engine(trained) -> DecisionEngine:
    return open_in_use(trained, None, CLOCK).engine


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Empty, on either database."""
    if request.param == "sqlite":
        return Place(tmp_path, "")
    return Place(tmp_path, request.getfixturevalue("postgres").empty_database())


@pytest.fixture
def sqlite(tmp_path):
    return Place(tmp_path, "")


@pytest.fixture
def postgresql(postgres, tmp_path):
    """Empty; the server may be stopped, and is started again afterwards."""
    yield Place(tmp_path, postgres.empty_database())
    postgres.start()
