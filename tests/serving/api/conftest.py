import pytest

from features.contracts import BRANCH_ID, RM_ID
from tests.serving.api.bank import bank_of


@pytest.fixture(scope="module")
def bank(trained, tmp_path_factory):
    with bank_of(trained, tmp_path_factory.mktemp("bank"), default_limit=4, max_limit=9) as running:
        yield running


@pytest.fixture(scope="module")
def rms(bank):
    """Two RMs, the one of most customers first."""
    vocabulary = bank.engine.states.profile.vocabularies[RM_ID]
    books = sorted(vocabulary, key=lambda rm_id: (-len(bank.customers_of_rm(rm_id)), rm_id))
    assert len(bank.customers_of_rm(books[0])) > 3
    assert bank.customers_of_rm(books[1])
    return books[:2]


@pytest.fixture(scope="module")
def mine(bank, rms):
    """A customer of the first RM, to whom something is suggested."""
    for customer_id in bank.customers_of_rm(rms[0]):
        if bank.engine.recommend(customer_id, 3).suggestions:
            return customer_id
    raise AssertionError("nothing is suggested to any of the RM's customers")


@pytest.fixture(scope="module")
def rm(bank, rms):
    return bank.token("rm", rm_id=rms[0])


@pytest.fixture(scope="module")
def other_rm(bank, rms):
    return bank.token("rm", rm_id=rms[1])


@pytest.fixture(scope="module")
def lead(bank, mine):
    """The lead of the branch of `mine`."""
    states = bank.engine.states
    version = states.profile.indptr[states.position_of(mine) + 1] - 1
    return bank.token("team_lead", branch_id=states.profile.text(BRANCH_ID, version))
