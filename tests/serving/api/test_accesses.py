"""Every look at a customer leaves an entry of the records, and so does every refused try."""

import orjson
import pytest

from serving.records import RecordsUnavailable
from tests.serving.api.bank import assert_problem, bank_of

RECOMMENDATIONS = "/v1/customers/{}/recommendations"


@pytest.fixture
def own_bank(trained, tmp_path):
    with bank_of(trained, tmp_path) as running:
        yield running


@pytest.fixture
def accesses(own_bank):
    """The looks that are on record once all is written: what, whom, by whom, by which route."""

    def found():
        own_bank.run(_settled(own_bank.service.looks))
        entries = own_bank.service.records.newest(1000, kind="access")
        told = [(entry.customer_id, orjson.loads(entry.payload)) for entry in entries]
        return [(said["what"], customer, said["caller"]["subject"], said["route"]) for customer, said in told]

    return found


async def _settled(looks):
    for writing in list(looks._writing):
        await writing


@pytest.fixture
def here(own_bank, rms):
    """A customer of the first RM, and a token of either."""
    customer = own_bank.customers_of_rm(rms[0])[0]
    return customer, *(own_bank.token("rm", rm_id=rm_id, subject=rm_id) for rm_id in rms)


def test_looks(own_bank, here, rms, accesses):
    customer, rm, _ = here
    product = own_bank.engine.states.catalogue.product_ids[0]
    decision = own_bank.get(RECOMMENDATIONS.format(customer), rm).json()["decision_id"]
    assert accesses() == []  # a decision is a record of its own
    assert own_bank.get(f"/v1/customers/{customer}", rm).status_code == 200
    assert own_bank.get(f"/v1/customers/{customer}/products/{product}/why-not", rm).status_code == 200
    assert own_bank.get(f"/v1/decisions/{decision}", rm).status_code == 200
    assert own_bank.post(f"/v1/decisions/{decision}:replay", rm).status_code == 200
    assert accesses() == [
        ("overview", customer, rms[0], "/v1/customers/{customer_id}"),
        ("why_not", customer, rms[0], "/v1/customers/{customer_id}/products/{product_id}/why-not"),
        ("decision", customer, rms[0], "/v1/decisions/{decision_id}"),
        ("replay", customer, rms[0], "/v1/decisions/{decision_id}:replay"),
    ]


def test_refused_tries(own_bank, here, rms, accesses):
    customer, rm, stranger = here
    decision = own_bank.get(RECOMMENDATIONS.format(customer), rm).json()["decision_id"]
    analyst = own_bank.token("analyst", subject="an analyst")
    told = {"customer_id": customer, "kind": "consent", "purpose": "marketing", "granted": False}
    said = {"decision_id": decision, "outcome": "shown", "product_id": "fund_money"}
    assert own_bank.get(f"/v1/customers/{customer}", stranger).status_code == 404
    assert own_bank.get(RECOMMENDATIONS.format(customer), stranger).status_code == 404
    assert own_bank.get(f"/v1/decisions/{decision}", stranger).status_code == 404
    assert own_bank.post(f"/v1/decisions/{decision}:replay", stranger).status_code == 404
    assert own_bank.post("/v1/events", stranger, json=told).status_code == 404
    assert own_bank.post("/v1/feedback", stranger, json=said).status_code == 404
    batch = own_bank.post("/v1/recommendations:batch", stranger, json={"customer_ids": [customer]})
    assert batch.json()["results"][0]["problem"]["status"] == 404
    assert own_bank.get(f"/v1/customers/{customer}", analyst).status_code == 403
    found = accesses()
    assert {(what, whom) for what, whom, *_ in found} == {("refused", customer)}
    assert sorted((who, route) for _, _, who, route in found) == sorted([
        *((rms[1], route) for route in (
            "/v1/customers/{customer_id}", RECOMMENDATIONS.format("{customer_id}"), "/v1/decisions/{decision_id}",
            "/v1/decisions/{decision_id}:replay", "/v1/events", "/v1/feedback", "/v1/recommendations:batch",
        )),
        ("an analyst", "/v1/customers/{customer_id}"),
    ])  # fmt: skip


def test_who_asks_for_nobody_is_no_look_at_anybody(own_bank, here, accesses):
    _, rm, _ = here
    assert own_bank.get("/v1/customers/nobody", rm).status_code == 404
    assert own_bank.get("/v1/decisions/nothing", rm).status_code == 404
    assert own_bank.get("/v1/customers/nobody", "").status_code == 401
    assert accesses() == []


def test_a_page_that_is_loaded_again_and_again_leaves_one_entry(own_bank, here, accesses):
    customer, rm, stranger = here
    for _ in range(20):
        assert own_bank.get(f"/v1/customers/{customer}", rm).status_code == 200
        assert own_bank.get(f"/v1/customers/{customer}", stranger).status_code == 404
    assert sorted(what for what, *_ in accesses()) == ["overview", "refused"]
    own_bank.run(own_bank.service.looks.close())
    entries = own_bank.service.records.newest(100, kind="access", customer_id=customer)
    assert sorted(orjson.loads(entry.payload)["times"] for entry in entries) == [1, 1, 19, 19]


def test_what_cannot_be_put_on_record_is_not_shown(own_bank, here, monkeypatch):
    customer, rm, stranger = here
    decision = own_bank.get(RECOMMENDATIONS.format(customer), rm).json()["decision_id"]

    async def append(entries):
        raise RecordsUnavailable("the disk is full")

    monkeypatch.setattr(own_bank.service.records, "append", append)
    assert_problem(own_bank.get(f"/v1/customers/{customer}", rm), 503)
    assert_problem(own_bank.get(f"/v1/decisions/{decision}", rm), 503)
    assert_problem(own_bank.post(f"/v1/decisions/{decision}:replay", rm), 503)
    assert_problem(own_bank.get(f"/v1/customers/{customer}", stranger), 404)  # refused all the same
