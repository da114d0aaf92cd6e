from datetime import timedelta

import orjson
import pytest

from tests.serving.api.bank import assert_problem

ROUTE = "/v1/feedback"


@pytest.fixture
def decision(bank, rms, rm):
    """A decision for a customer of the first RM's to whom nothing has happened."""
    for customer_id in bank.customers_of_rm(rms[0]):
        if not bank.run(bank.service.records.events_of([customer_id])):
            found = bank.get(f"/v1/customers/{customer_id}/recommendations", rm, params={"limit": 9}).json()
            if len(found["recommendations"]) > 1:
                return found
    raise AssertionError("something has happened to every customer")


def told(decision, outcome, place=0, **further):
    product = decision["recommendations"][place]["product_id"]
    return {"decision_id": decision["decision_id"], "product_id": product, "outcome": outcome, **further}


def suggested(bank, decision):
    found = bank.get(f"/v1/customers/{decision['customer_id']}/recommendations", params={"limit": 9}).json()
    return [each["product_id"] for each in found["recommendations"]]


def test_anonymous(bank, decision):
    assert_problem(bank.post(ROUTE, "", json=told(decision, "shown")), 401)


def test_of_anothers_customer_there_is_no_decision(bank, decision, other_rm):
    refused = assert_problem(bank.post(ROUTE, other_rm, json=told(decision, "shown")), 404, decision["decision_id"])
    unknown = assert_problem(
        bank.post(ROUTE, other_rm, json=told(decision, "shown") | {"decision_id": "nothing"}), 404, "nothing"
    )
    assert refused["detail"].replace(decision["decision_id"], "nothing") == unknown["detail"]


def test_what_was_declined_is_not_suggested_again(bank, decision, rm):
    said = told(decision, "declined", reason="prefers time deposits 更喜欢定期")
    answer = bank.post(ROUTE, rm, json=said)
    assert answer.status_code == 201
    assert answer.json()["deciding"] is True
    assert said["product_id"] not in suggested(bank, decision)
    why = bank.get(f"/v1/customers/{decision['customer_id']}/products/{said['product_id']}/why-not").json()
    assert "RECENTLY_DECLINED" in why["reasons"]
    entry = bank.run(bank.service.records.find(answer.json()["feedback_id"]))
    assert orjson.loads(entry.payload)["feedback"]["reason"] == said["reason"]


def test_who_says_later_is_left_in_peace_until_then(bank, decision, rm):
    until = (bank.engine.day() + timedelta(days=40)).isoformat()
    said = told(decision, "later", until=until)
    assert bank.post(ROUTE, rm, json=said).status_code == 201
    assert said["product_id"] not in suggested(bank, decision)


def test_being_shown_changes_nothing(bank, decision, rm):
    answer = bank.post(ROUTE, rm, json=told(decision, "shown"))
    assert answer.json()["deciding"] is False
    assert suggested(bank, decision) == [each["product_id"] for each in decision["recommendations"]]


def test_the_same_key_counts_once(bank, decision, rm):
    key = {"Idempotency-Key": f"f-{decision['decision_id']}"}
    said = told(decision, "declined")
    first, again = (bank.post(ROUTE, rm, json=said, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"repeated": True}
    assert len(bank.run(bank.service.records.events_of([decision["customer_id"]]))[decision["customer_id"]]) == 1
    assert_problem(bank.post(ROUTE, rm, json=said | {"outcome": "accepted"}, headers=key), 409, "idempotency key")


def test_one_conversation_is_one_contact(bank, rm, decision):
    """Broken before: a product declined and another accepted in the same conversation, or a double click, counted as
    several contacts, and the limit on contacts silenced everything."""
    rules = [rule for rule in bank.engine.policy.policy.contact_policy.rules if rule.after.outcome == "contacted"]
    limit = min(rule.after.times for rule in rules if rule.scope == "all")
    products = [each["product_id"] for each in decision["recommendations"]]
    assert len(products) >= limit > 1
    for product in products[:limit]:
        for _ in range(2):
            said = told(decision, "accepted") | {"product_id": product}
            assert bank.post(ROUTE, rm, json=said).json()["counts_from"] == bank.engine.day().isoformat()
    answer = bank.get(f"/v1/customers/{decision['customer_id']}/products/fund_equity/why-not").json()
    assert "CONTACT_LIMIT_REACHED" not in answer["reasons"]


def test_the_last_word_about_a_product_counts(bank, rm, decision):
    assert bank.post(ROUTE, rm, json=told(decision, "declined")).status_code == 201
    assert bank.post(ROUTE, rm, json=told(decision, "accepted")).status_code == 201
    product = told(decision, "accepted")["product_id"]
    why = bank.get(f"/v1/customers/{decision['customer_id']}/products/{product}/why-not").json()
    assert "RECENTLY_DECLINED" not in why["reasons"]


class TestReferral:
    def test_who_referred_what_to_whom_and_what_came_of_it(self, bank, decision, rms, rm, other_rm):
        said = told(decision, "referred", referred_to=rms[1])
        referral = bank.post(ROUTE, rm, json=said)
        assert referral.status_code == 201
        referral_id = referral.json()["feedback_id"]
        overview = bank.get(f"/v1/customers/{decision['customer_id']}", rm).json()
        subject = orjson.loads(bank.run(bank.service.records.find(referral_id)).payload)["caller"]["subject"]
        (listed,) = overview["referrals"]
        assert listed == {
            "referral_id": referral_id, "product_id": said["product_id"], "day": bank.engine.day().isoformat(),
            "referred_by": subject, "referred_to": rms[1], "result": None,
            "result_on": None,
        }  # fmt: skip
        # the colleague, whose customer it is not, tells the result
        result = told(decision, "accepted", referral_id=referral_id)
        assert bank.post(ROUTE, other_rm, json=result).status_code == 201
        (listed,) = bank.get(f"/v1/customers/{decision['customer_id']}", rm).json()["referrals"]
        assert (listed["result"], listed["result_on"]) == ("accepted", bank.engine.day().isoformat())

    def test_whom_it_was_not_referred_to_learns_nothing(self, bank, decision, rms, rm, other_rm):
        referral = bank.post(ROUTE, rm, json=told(decision, "referred", referred_to="RM-somebody-else")).json()
        result = told(decision, "accepted", referral_id=referral["feedback_id"])
        assert_problem(bank.post(ROUTE, other_rm, json=result), 404)

    def test_it_has_to_be_a_referral_of_that_product(self, bank, decision, rm, rms):
        shown = bank.post(ROUTE, rm, json=told(decision, "shown")).json()["feedback_id"]
        for referral_id in ("nothing", shown, decision["decision_id"]):
            answer = bank.post(ROUTE, rm, json=told(decision, "accepted", referral_id=referral_id))
            assert_problem(answer, 404, referral_id)
        referral = bank.post(ROUTE, rm, json=told(decision, "referred", referred_to=rms[1])).json()["feedback_id"]
        assert_problem(bank.post(ROUTE, rm, json=told(decision, "accepted", 1, referral_id=referral)), 422, referral)


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({"outcome": "later"}, "until"),
        ({"outcome": "accepted", "until": "2030-01-01"}, "until"),
        ({"outcome": "later", "until": "2001-01-01"}, "until 2001-01-01"),
        ({"outcome": "referred"}, "referred_to"),
        ({"outcome": "accepted", "reason": "why not"}, "reason"),
        ({"outcome": "shown", "referral_id": "x"}, "referral"),
        ({"outcome": "delighted"}, "outcome"),
        ({"product_id": "toy"}, "did not suggest 'toy'"),
        ({"day": "2199-01-01"}, "has not come"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(bank, decision, rm, further, said):
    assert_problem(bank.post(ROUTE, rm, json=told(decision, "shown") | further), 422, said)
