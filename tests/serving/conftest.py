import pytest

from serving.deployment import open_in_use
from serving.recommender import Recommender
from tests.serving.later import CLOCK
from tests.serving.postgres import postgres

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def recommender(trained) -> Recommender:
    return open_in_use(trained, None, CLOCK).recommender
