import pytest

from serving.recommender import Recommender


@pytest.fixture(scope="session")
def recommender(trained) -> Recommender:
    return Recommender.open(trained)
