"""Ids of whatever a bank makes them of are addressed, over the routes as they are."""

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import NotFound
from tests.serving.api.bank import assert_problem

# what addresses are made of, as ids may be too
PIECES = [
    "/", "?", "#", "%", "%2F", "%252F", ":batch", ":replay", " ", "..", ".", "客户", "é", "+", "&", "=", ";", "\\",
    "recommendations", "A1", "😀", '"',
]  # fmt: skip
ids = (
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
    | st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)
).filter(lambda each: each not in (".", ".."))


@pytest.fixture
def asked_about(bank, monkeypatch):
    """Ids that reached a route as customer or product."""
    states = type(bank.engine.states)
    catalogue = type(bank.engine.states.catalogue)
    seen = []

    def nobody(self, one_or_many):
        seen.extend([one_or_many] if isinstance(one_or_many, str) else one_or_many)
        raise NotFound("nobody")

    monkeypatch.setattr(states, "positions_of", nobody)
    monkeypatch.setattr(states, "position_of", nobody)
    monkeypatch.setattr(catalogue, "position_of", nobody)
    return seen


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(customer_id=ids)
def test_every_customer_can_be_addressed(bank, asked_about, customer_id):
    """Of `R%2F1` the framework made two parts of the path, and a 404."""
    for rest in ("", "/recommendations", "/products/credit_card/why-not"):
        asked_about.clear()
        answer = bank.get(f"/v1/customers/{quote(customer_id, safe='')}{rest}")
        assert_problem(answer, 404, "nobody")
        assert set(asked_about) == {customer_id}, rest


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(product_id=ids)
def test_every_product_can_be_addressed(bank, monkeypatch, asked_about, product_id):
    monkeypatch.undo()
    catalogue = type(bank.engine.states.catalogue)
    seen = []

    def no_such(self, one):
        seen.append(one)
        raise NotFound("nothing")

    monkeypatch.setattr(catalogue, "position_of", no_such)
    customer_id = bank.engine.states.customer_id(0)
    answer = bank.get(f"/v1/customers/{customer_id}/products/{quote(product_id, safe='')}/why-not")
    assert_problem(answer, 404, "nothing")
    assert seen[0] == product_id


def test_an_encoded_address_is_the_same_address(bank, mine):
    """Some clients encode more than they need to."""
    body = {"customer_ids": [mine]}
    assert bank.post("/v1/recommendations%3Abatch", json=body).status_code == 200
    everything = "".join(f"%{byte:02x}" for byte in mine.encode())
    assert bank.get(f"/v1/customers/{everything}").json()["customer_id"] == mine


def test_a_slash_that_is_not_encoded_divides(bank, mine):
    assert_problem(bank.get(f"/v1/customers/{mine}/1/recommendations"), 404, "nothing has this address")
    assert_problem(bank.get(f"/v1/customers%2F{mine}/recommendations"), 404, "nothing has this address")
