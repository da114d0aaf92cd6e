"""What happened counts from the next decision on."""

from dataclasses import replace
from datetime import date, timedelta

import orjson
import pytest

from serving.decisions import FreshEvent
from serving.deployment import event_entry
from serving.desk import events
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
    assert answer.json()["day"] == bank.engine.day().isoformat()
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


@pytest.mark.parametrize("days", [1, 2, 150, 100_000])
def test_nothing_has_happened_after_the_day_of_decisions(bank, customer, days):
    """Broken before: an event of tomorrow, or of today where decisions are made for the day of the data, moved the day
    of that customer's decisions to its own, and refusals lapsed."""
    day = bank.engine.day()
    told = {"customer_id": customer, "kind": "complaint_opened", "day": (day + timedelta(days)).isoformat()}
    assert_problem(bank.post(ROUTE, json=told), 422, "has not come", f"decisions are made for {day}")
    assert bank.get(f"/v1/customers/{customer}/recommendations").json()["day"] == day.isoformat()


def test_an_event_on_record_of_a_later_day_counts_as_of_the_day_of_decisions(bank, customer):
    """As an older version took it, or one under a policy that decided for today: it has happened."""
    day = bank.engine.day()
    refusal = FreshEvent(customer, "consent", day + timedelta(150), purpose="marketing", granted=False)
    bank.run(bank.service.records.append([event_entry(refusal, entry_id=f"later-{customer}", told={})]))
    answer = bank.get(f"/v1/customers/{customer}/recommendations").json()
    assert (answer["day"], answer["recommendations"]) == (day.isoformat(), [])
    assert bank.post(f"/v1/decisions/{answer['decision_id']}:replay").json() == answer


def held(bank, customer_id):
    return [each["product_id"] for each in bank.get(f"/v1/customers/{customer_id}").json()["holdings"]]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kind": "consent", "purpose": "marketing", "granted": False, "channel": "SMS"}, "perhaps 'sms' was meant"),
        ({"kind": "consent", "purpose": "marketing", "granted": False, "channel": "pigeon"}, "it has: rm, phone"),
        ({"kind": "opened", "product_id": "corporate_deposit"}, "is sold to corporate customers, and"),
        ({"kind": "complaint_resolved"}, "has no open complaint"),
        ({"kind": "balance_jump", "amount": 0}, "and not 0"),
        ({"kind": "balance_jump", "amount": True}, "amount"),
        ({"kind": "balance_jump", "amount": -99_999_999}, "cannot have gone"),
        ({"kind": "consent", "purpose": "marketing", "granted": "no"}, "granted"),
    ],
)
def test_what_cannot_have_happened_is_refused_by_name(bank, customer, told, said):
    """Broken before: all of it was answered 201, and had no effect or one that made no sense."""
    if told.get("product_id") == "corporate_deposit":
        catalogue = bank.engine.states.catalogue
        told = told | {"product_id": next(p.product_id for p in catalogue.products if p.customer_kind == "corporate")}
    assert_problem(bank.post(ROUTE, json={"customer_id": customer} | told), 422, said)
    assert not bank.run(bank.service.records.events_of([customer]))


def test_what_is_not_held_cannot_be_closed(bank, customer):
    product = next(each for each in suggested(bank, customer) if each not in held(bank, customer))
    told = {"customer_id": customer, "kind": "closed", "product_id": product}
    assert_problem(bank.post(ROUTE, json=told), 422, f"does not hold '{product}'")


def test_what_was_opened_cannot_have_been_closed_before(bank, customer):
    product, day = suggested(bank, customer)[0], bank.engine.day()
    told = {"customer_id": customer, "kind": "opened", "product_id": product, "day": day.isoformat()}
    assert bank.post(ROUTE, json=told).status_code == 201
    before = told | {"kind": "closed", "day": (day - timedelta(3)).isoformat()}
    assert_problem(bank.post(ROUTE, json=before), 422, f"the product was opened on {day}")


def test_a_consent_that_counts_for_nothing_is_said_to(bank, customer):
    """Of two answers of one day the refusal counts."""
    told = {"customer_id": customer, "kind": "consent", "purpose": "marketing"}
    refused = bank.post(ROUTE, json=told | {"granted": False}).json()
    assert refused["counts_from"] == bank.engine.day().isoformat()
    granted = bank.post(ROUTE, json=told | {"granted": True, "evidence": "form 1"}).json()
    assert granted["counts_from"] is None
    assert granted["because"].startswith(f"a refusal of {bank.engine.day()} stands")
    assert "拒绝" in granted["because_zh"]
    assert suggested(bank, customer) == []


def test_asked_again_after_midnight_without_a_day_it_is_the_same(bank, customer, monkeypatch):
    """Broken before: the default day was part of what was compared, and the retry a 409."""
    key = {"Idempotency-Key": f"midnight-{customer}"}
    told = {"customer_id": customer, "kind": "balance_jump", "amount": 7.0}
    first = bank.post(ROUTE, json=told, headers=key)
    tomorrow = bank.engine.day() + timedelta(1)
    monkeypatch.setattr(type(bank.engine), "day", lambda _: tomorrow)
    again = bank.post(ROUTE, json=told, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["day"] == first.json()["day"] != tomorrow.isoformat()
    # a day that is said is compared
    assert_problem(bank.post(ROUTE, json=told | {"day": tomorrow.isoformat()}, headers=key), 409, "idempotency key")


def test_a_customer_has_room_for_so_many_events(bank, customer, monkeypatch):
    monkeypatch.setattr(events, "MOST_EVENTS", 3)
    told = {"customer_id": customer, "kind": "balance_jump", "amount": 1.0}
    assert [bank.post(ROUTE, json=told).status_code for _ in range(4)] == [201, 201, 201, 422]
    # answers that newer ones take the place of take no room
    consent = {"customer_id": customer, "kind": "consent", "purpose": "marketing", "granted": False}
    assert_problem(bank.post(ROUTE, json=consent), 422, "has 3 events that decisions hear of already")


def test_unknown_products_are_not_found(bank, mine):
    assert_problem(bank.post(ROUTE, json={"customer_id": mine, "kind": "opened", "product_id": "toy"}), 404, "toy")


@pytest.mark.parametrize("days", [0, 1, 40])
def test_what_is_booked_late_counts(bank, customer, days):
    """Broken before: an event of a day that the states know was taken, and had no effect."""
    before = suggested(bank, customer)
    day = (date.fromisoformat(bank.engine.states.manifest.known_to) - timedelta(days)).isoformat()
    told = {"customer_id": customer, "kind": "opened", "product_id": before[0], "day": day}
    answer = bank.post(ROUTE, json=told)
    assert answer.status_code == 201
    assert answer.json()["counts_from"] == bank.engine.day().isoformat()
    assert before[0] not in suggested(bank, customer)


def test_what_the_tables_told_the_states_is_not_counted_twice(bank, customer):
    """An event of before the newest fact of the tables that was on record by then is in the states, if it is true."""
    known_to = date.fromisoformat(bank.engine.states.manifest.known_to)
    before = suggested(bank, customer)
    event = FreshEvent(customer, "opened", known_to - timedelta(1), product_id=before[0])
    entry = event_entry(event, entry_id=f"early-{customer}", told={})
    at = f"{known_to - timedelta(1)}T09:00:00.000000Z"
    bank.run(bank.service.records.append([replace(entry, at=at)]))
    assert suggested(bank, customer) == before


def test_a_refusal_counts_whenever_it_was_given(bank, customer):
    day = (date.fromisoformat(bank.engine.states.manifest.known_to) - timedelta(days=1)).isoformat()
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
        "customer_id": customer, "kind": "complaint_opened", "day": bank.engine.day().isoformat(),
    }  # fmt: skip
    assert content["caller"]["role"] == "rm"
    assert content["request_id"] == "told-1"
