import pytest

from serving.recommender import Recommender
from tests.serving.postgres import postgres

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def recommender(trained) -> Recommender:
    return Recommender.open(trained)
