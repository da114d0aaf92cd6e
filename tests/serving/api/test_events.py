"""What happened counts from the next decision on."""

from datetime import date, timedelta

import orjson
import pytest

from tests.serving.api.bank import assert_problem

ROUTE = "/v1/events"


@pytest.fixture
def customer(bank, rms):
    """A customer of the first RM to whom something is suggested and to whom nothing has happened."""
    for customer_id in bank.customers_of_rm(rms[0]):
        if not bank.run(bank.service.records.events_of([customer_id])) and suggested(bank, customer_id):
            return customer_id
    raise AssertionError("something has happened to every customer")


def suggested(bank, customer_id, **params):
    answer = bank.get(f"/v1/customers/{customer_id}/recommendations", params={"limit": 9, **params})
    assert answer.status_code == 200
    return [each["product_id"] for each in answer.json()["recommendations"]]


def test_anonymous(bank, mine):
    assert_problem(bank.post(ROUTE, "", json={"customer_id": mine, "kind": "complaint_opened"}), 401)


def test_of_anothers_customer_nothing_can_be_told(bank, mine, other_rm):
    assert_problem(bank.post(ROUTE, other_rm, json={"customer_id": mine, "kind": "complaint_opened"}), 404, mine)


def test_analysts_tell_nothing(bank, mine):
    answer = bank.post(ROUTE, bank.token("analyst"), json={"customer_id": mine, "kind": "complaint_opened"})
    assert_problem(answer, 403, "analyst", "events")


def test_a_product_just_opened_is_held_and_one_closed_is_not(bank, customer, rm):
    product = suggested(bank, customer)[0]
    told = {"customer_id": customer, "kind": "opened", "product_id": product}
    answer = bank.post(ROUTE, rm, json=told)
    assert answer.status_code == 201
    assert answer.json()["day"] == bank.recommender.day().isoformat()
    assert product not in suggested(bank, customer)
    why = bank.get(f"/v1/customers/{customer}/products/{product}/why-not").json()
    assert why["reason"] == "HELD"
    overview = bank.get(f"/v1/customers/{customer}").json()
    assert [each["product_id"] for each in overview["holdings"] if each["fresh"]] == [product]
    assert bank.post(ROUTE, rm, json=told | {"kind": "closed"}).status_code == 201
    assert product in suggested(bank, customer)


def test_who_withdraws_consent_is_offered_nothing(bank, customer, rm):
    told = {"customer_id": customer, "kind": "consent", "purpose": "marketing", "granted": False}
    assert bank.post(ROUTE, rm, json=told).status_code == 201
    assert suggested(bank, customer) == []


def test_who_refuses_personalisation_is_told_nothing_personal(bank, customer):
    told = {"customer_id": customer, "kind": "consent", "purpose": "personalisation", "granted": False}
    assert bank.post(ROUTE, json=told).status_code == 201
    answer = bank.get(f"/v1/customers/{customer}/recommendations").json()
    assert answer["personalised"] is False
    assert {reason["kind"] for each in answer["recommendations"] for reason in each["reasons"]} <= {"popularity"}


def test_a_complaint_silences_until_it_is_resolved(bank, customer):
    before = suggested(bank, customer)
    assert bank.post(ROUTE, json={"customer_id": customer, "kind": "complaint_opened"}).status_code == 201
    assert suggested(bank, customer) == []
    assert bank.post(ROUTE, json={"customer_id": customer, "kind": "complaint_resolved"}).status_code == 201
    assert suggested(bank, customer) == before


def test_a_balance_jump_is_on_record_with_the_decision(bank, customer):
    told = {"customer_id": customer, "kind": "balance_jump", "amount": 1_000_000.0}
    event_id = bank.post(ROUTE, json=told).json()["event_id"]
    decision_id = bank.get(f"/v1/customers/{customer}/recommendations").json()["decision_id"]
    record = bank.get(f"/v1/decisions/{decision_id}").json()
    assert record["state"]["events"] == [event_id]
    assert record["state"]["assets"] >= 1_000_000


def test_the_same_key_counts_once(bank, customer, rm):
    key = {"Idempotency-Key": f"once-{customer}"}
    told = {"customer_id": customer, "kind": "balance_jump", "amount": 5.0}
    first, again = (bank.post(ROUTE, rm, json=told, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"repeated": True}
    assert len(bank.run(bank.service.records.events_of([customer]))[customer]) == 1
    assert_problem(bank.post(ROUTE, rm, json=told | {"amount": 6.0}, headers=key), 409, "idempotency key")
    # another caller's key is another key
    assert bank.post(ROUTE, json=told, headers=key).status_code == 201


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kind": "opened"}, "product_id"),
        ({"kind": "opened", "product_id": "credit_card", "amount": 3}, "amount"),
        ({"kind": "outcome", "product_id": "credit_card"}, "kind"),
        ({"kind": "consent", "purpose": "spying", "granted": True}, "purpose"),
        ({"kind": "balance_jump", "amount": "much"}, "amount"),
        ({"kind": "balance_jump", "amount": 1e300}, "amount"),
        ({"kind": "complaint_opened", "day": "soon"}, "day"),
    ],
)
def test_what_is_no_event_is_refused_by_name(bank, mine, told, said):
    assert_problem(bank.post(ROUTE, json={"customer_id": mine} | told), 422, said)


def test_nothing_has_happened_tomorrow(bank, mine):
    tomorrow = max(bank.recommender.day(), date.today()) + timedelta(days=2)
    told = {"customer_id": mine, "kind": "complaint_opened", "day": tomorrow.isoformat()}
    assert_problem(bank.post(ROUTE, json=told), 422, "has not come yet")


def test_unknown_products_are_not_found(bank, mine):
    assert_problem(bank.post(ROUTE, json={"customer_id": mine, "kind": "opened", "product_id": "toy"}), 404, "toy")


def test_what_the_tables_told_the_states_is_not_counted_twice(bank, customer):
    """An event from before the newest fact of the tables is in the states, if it is true."""
    known_to = date.fromisoformat(bank.recommender.states.manifest.known_to)
    before = suggested(bank, customer)
    day = (known_to - timedelta(days=1)).isoformat()
    told = {"customer_id": customer, "kind": "opened", "product_id": before[0], "day": day}
    assert bank.post(ROUTE, json=told).status_code == 201
    assert suggested(bank, customer) == before


def test_a_refusal_counts_whenever_it_was_given(bank, customer):
    day = (date.fromisoformat(bank.recommender.states.manifest.known_to) - timedelta(days=1)).isoformat()
    told = {"customer_id": customer, "kind": "consent", "purpose": "marketing", "granted": False, "day": day}
    assert bank.post(ROUTE, json=told).status_code == 201
    newest = bank.get(f"/v1/customers/{customer}").json()["consents"]
    standing = [each for each in newest if each["purpose"] == "marketing" and each["channel"] is None]
    assert standing[0]["since"] >= day


def test_events_are_on_record_with_who_told_them(bank, customer, rm):
    answer = bank.post(
        ROUTE, rm, json={"customer_id": customer, "kind": "complaint_opened"}, headers={"X-Request-ID": "told-1"}
    )
    entry = bank.run(bank.service.records.find(answer.json()["event_id"]))
    content = orjson.loads(entry.payload)
    assert content["event"] == {
        "customer_id": customer, "kind": "complaint_opened", "day": bank.recommender.day().isoformat(),
    }  # fmt: skip
    assert content["caller"]["role"] == "rm"
    assert content["request_id"] == "told-1"
