"""What takes two people: who may ask, who may decide, that it is decided once, and what comes of it."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from serving.access import Role, create_api_key
from serving.desk import approvals
from serving.desk.approval_kinds import KINDS
from serving.records import erase, forget_before, verify
from tests.serving.api.bank import assert_problem, bank_of

ROUTE, EVENTS, SWAP = "/v1/approvals", "/v1/events", "/v1/admin/swap"
APPROVE = {"decision": "approve"}
REFUSE = {"decision": "refuse", "reason": "the form is unsigned"}


@pytest.fixture
def customer(bank, rms):
    """A customer of the first RM's who would be suggested something, had they not refused marketing the day before."""
    before = (bank.engine.day() - timedelta(days=1)).isoformat()
    for customer_id in bank.customers_of_rm(rms[0]):
        if not events_of(bank, customer_id) and suggested(bank, customer_id):
            refused = {"customer_id": customer_id, "kind": "consent", "purpose": "marketing", "granted": False}
            assert bank.post(EVENTS, json=refused | {"day": before}).status_code == 201
            if suggested(bank, customer_id) == []:
                return customer_id
    raise AssertionError("something has happened to every customer")


@pytest.fixture
def officer(bank):
    return bank.token("risk_officer", subject="officer")


@pytest.fixture
def asked(bank, rm, customer):
    """A consent that the RM has asked for, without evidence."""
    answer = bank.post(ROUTE, rm, json=consent(customer))
    assert answer.status_code == 202
    return answer.json()


def consent(customer, **content):
    return {"kind": "consent", "content": {"customer_id": customer, "purpose": "marketing", **content}}


def granted(customer, **content):
    return {"customer_id": customer, "kind": "consent", "purpose": "marketing", "granted": True, **content}


def of(approval):
    return f"{ROUTE}/{approval['approval_id']}"


def events_of(bank, customer_id):
    return bank.run(bank.service.records.events_of([customer_id])).get(customer_id, [])


def suggested(bank, customer_id):
    found = bank.get(f"/v1/customers/{customer_id}/recommendations", params={"limit": 3}).json()
    return [each["product_id"] for each in found["recommendations"]]


def open_for(bank, caller):
    listed = bank.get(ROUTE, caller, params={"size": 100}).json()
    assert listed["total"] == len(listed["approvals"])
    return {each["approval_id"]: each for each in listed["approvals"]}


class TestWhoMay:
    def test_anonymous(self, bank):
        assert_problem(bank.get(ROUTE, ""), 401)
        assert_problem(bank.get(f"{ROUTE}/x", ""), 401)
        assert_problem(bank.post(ROUTE, "", json={}), 401)
        assert_problem(bank.post(f"{ROUTE}/x", "", json=APPROVE), 401)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("role", Role)
    def test_ask(self, bank, mine, rms, role, kind):
        caller = bank.token(role, rm_id=rms[0], branch_id=branch_of(bank, mine))
        wanted = consent(mine) if kind == "consent" else {"kind": kind}
        answer = bank.post(ROUTE, caller, json=wanted)
        may = role in KINDS[kind].requested_by
        assert (answer.status_code == 403) is not may, answer.text

    @pytest.mark.parametrize("role", Role)
    def test_decide(self, bank, mine, rms, rm, role):
        asked = bank.post(ROUTE, rm, json=consent(mine)).json()
        caller = bank.token(role, rm_id=rms[0], branch_id=branch_of(bank, mine), subject="somebody else")
        answer = bank.post(of(asked), caller, json=REFUSE)
        assert answer.status_code == {Role.TEAM_LEAD: 200, Role.RISK_OFFICER: 200, Role.ANALYST: 403}.get(role, 404)

    def test_of_anothers_customer_there_is_none(self, bank, asked, customer, other_rm):
        leads = bank.token("team_lead", branch_id="B-of-nobody")
        for caller in (other_rm, leads):
            assert asked["approval_id"] not in open_for(bank, caller)
            assert_problem(bank.get(of(asked), caller), 404)
            assert_problem(bank.post(of(asked), caller, json=APPROVE), 404)
            assert_problem(bank.post(ROUTE, caller, json=consent(customer)), 404)

    def test_who_asks_cannot_decide(self, bank, customer, officer, rm):
        """A team lead may ask, and may decide what others ask."""
        lead = bank.token("team_lead", branch_id=branch_of(bank, customer), subject="lead")
        asked = bank.post(ROUTE, lead, json=consent(customer)).json()
        assert asked["may_decide"] is False
        assert_problem(bank.post(of(asked), lead, json=APPROVE), 403, "another person")
        assert open_for(bank, lead)[asked["approval_id"]]["may_decide"] is False
        assert open_for(bank, officer)[asked["approval_id"]]["may_decide"] is True
        other = bank.token("team_lead", branch_id=branch_of(bank, customer), subject="another lead")
        assert bank.post(of(asked), other, json=APPROVE).status_code == 200
        assert_problem(bank.post(of(bank.post(ROUTE, rm, json=consent(customer)).json()), rm, json=APPROVE), 403)

    def test_a_machine_cannot_decide(self, bank, asked):
        key = create_api_key(bank.workspace, "robot", Role.RISK_OFFICER)
        headers = {"X-API-Key": key}
        answer = bank.post(of(asked), "", json=APPROVE, headers=headers)
        if answer.status_code == 401:  # the file of keys is looked at once a second
            bank.run(asyncio.sleep(1.1))
            answer = bank.post(of(asked), "", json=APPROVE, headers=headers)
        assert_problem(answer, 403, "person's token")


class TestConsent:
    def test_without_evidence_it_counts_when_another_has_approved_it(self, bank, customer, rm, officer):
        """Broken before: whoever reached a customer set a consent to granted, with nothing to show for it."""
        answer = bank.post(EVENTS, rm, json=granted(customer))
        assert answer.status_code == 202
        asked = answer.json()
        assert (asked["kind"], asked["status"]) == ("consent", "open")
        assert suggested(bank, customer) == []
        assert bank.post(of(asked), officer, json=APPROVE).json()["status"] == "approved"
        assert suggested(bank, customer) != []
        event = orjson.loads(events_of(bank, customer)[-1].payload)
        assert event["event"] | {"day": None} == granted(customer) | {"day": None}
        assert (event["approval"], event["caller"]["subject"]) == (asked["approval_id"], "officer")

    def test_with_evidence_an_rms_word_is_enough(self, bank, customer, rm):
        answer = bank.post(EVENTS, rm, json=granted(customer, evidence="form 2026-00731 同意书"))
        assert answer.status_code == 201
        assert suggested(bank, customer) != []
        assert orjson.loads(events_of(bank, customer)[-1].payload)["evidence"] == "form 2026-00731 同意书"

    @pytest.mark.parametrize("evidence", [{}, {"evidence": "recording 17"}])
    def test_a_campaign_managers_never_is(self, bank, customer, evidence):
        manager = bank.token("campaign_manager")
        answer = bank.post(EVENTS, manager, json=granted(customer, **evidence))
        assert answer.status_code == 202
        assert answer.json()["content"]["evidence"] == evidence.get("evidence")
        assert suggested(bank, customer) == []

    @pytest.mark.parametrize("role", ["rm", "team_lead", "campaign_manager", "administrator"])
    def test_a_withdrawal_counts_at_once(self, bank, mine, rms, role):
        caller = bank.token(role, rm_id=rms[0], branch_id=branch_of(bank, mine))
        answer = bank.post(EVENTS, caller, json=granted(mine) | {"granted": False, "channel": "sms"})
        assert answer.status_code == 201

    def test_a_refusal_after_it_was_asked_for_stands(self, bank, asked, customer, officer):
        """The newest answer of the customer's counts, not the newest click of somebody else's."""
        refused = granted(customer) | {"granted": False}
        assert bank.post(EVENTS, json=refused | {"purpose": "personalisation"}).status_code == 201
        assert bank.post(EVENTS, json=refused).status_code == 201
        assert_problem(bank.post(of(asked), officer, json=APPROVE), 409, "has refused marketing since")
        assert bank.get(of(asked), officer).json()["status"] == "open"
        assert suggested(bank, customer) == []
        assert bank.post(of(asked), officer, json=REFUSE).json()["status"] == "refused"

    @pytest.mark.parametrize(
        ("refused", "stands"), [("sms", False), ("phone", True), (None, False)],
    )  # fmt: skip
    def test_of_one_channel_only_that_channel_matters(self, bank, customer, rm, officer, refused, stands):
        asked = bank.post(ROUTE, rm, json=consent(customer, channel="sms")).json()
        assert bank.post(EVENTS, json=granted(customer, channel=refused) | {"granted": False}).status_code == 201
        assert (bank.post(of(asked), officer, json=APPROVE).status_code == 200) is stands

    @pytest.mark.parametrize("evidence", ["", "x" * 201, "two\nlines", 7])
    def test_evidence_is_printable(self, bank, customer, evidence):
        assert_problem(bank.post(EVENTS, json=granted(customer, evidence=evidence)), 422, "evidence")
        assert_problem(bank.post(ROUTE, json=consent(customer, evidence=evidence)), 422, "evidence")

    def test_only_consents_have_evidence(self, bank, customer):
        told = {"customer_id": customer, "kind": "complaint_opened", "evidence": "a letter"}
        assert_problem(bank.post(EVENTS, json=told), 422, "evidence")

    def test_no_consent_was_granted_tomorrow(self, bank, customer, rm):
        assert_problem(bank.post(ROUTE, rm, json=consent(customer, day="2199-01-01")), 422, "has not come")

    def test_the_same_key_asks_once(self, bank, customer, rm, officer):
        key = {"Idempotency-Key": f"consent-{customer}"}
        first, again = (bank.post(EVENTS, rm, json=granted(customer), headers=key) for _ in range(2))
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.json() == first.json() | {"repeated": True}
        for other in (granted(customer, evidence="form 1"), granted(customer, channel="sms")):
            assert_problem(bank.post(EVENTS, rm, json=other, headers=key), 409, "idempotency key")
        bank.post(of(first.json()), officer, json=APPROVE)
        assert bank.post(EVENTS, rm, json=granted(customer), headers=key).json()["status"] == "approved"

    def test_evidence_is_part_of_what_a_key_stands_for(self, bank, customer, rm):
        key = {"Idempotency-Key": f"evidence-{customer}"}
        assert bank.post(EVENTS, rm, json=granted(customer, evidence="form 1"), headers=key).status_code == 201
        assert_problem(bank.post(EVENTS, rm, json=granted(customer, evidence="form 2"), headers=key), 409)
        assert_problem(bank.post(EVENTS, rm, json=granted(customer), headers=key), 409)


class TestDeciding:
    def test_it_is_decided_once(self, bank, asked, officer, customer):
        first = bank.post(of(asked), officer, json=APPROVE)
        again = bank.post(of(asked), officer, json=APPROVE)
        assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
        assert again.json() == first.json() | {"repeated": True}
        assert_problem(bank.post(of(asked), officer, json=REFUSE), 409, "decided already: approved by officer")
        other = bank.token("risk_officer", subject="another officer")
        assert_problem(bank.post(of(asked), other, json=APPROVE), 409, "decided already: approved by officer")
        assert [orjson.loads(each.payload).get("approval") for each in events_of(bank, customer)] == [
            None, asked["approval_id"],
        ]  # fmt: skip

    def test_of_many_at_once_one_wins(self, bank, asked, customer):
        """Approvals and refusals by different people, all in flight together."""
        people = [bank.token("risk_officer", subject=f"officer {number}") for number in range(12)]

        async def all_at_once():
            verdicts = (APPROVE if number % 2 else REFUSE for number in range(len(people)))
            return await asyncio.gather(
                *(bank.send("POST", of(asked), who, json=said) for who, said in zip(people, verdicts, strict=True))
            )

        answers = bank.run(all_at_once())
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 11
        (won,) = (answer.json() for answer in answers if answer.status_code == 200)
        after = bank.get(of(asked), people[0]).json()
        assert (after["status"], after["decision"]) == (won["status"], won["decision"])
        effects = [each for each in events_of(bank, customer) if "approval" in orjson.loads(each.payload)]
        assert len(effects) == (won["status"] == "approved")

    def test_what_is_refused_has_no_effect_and_says_why(self, bank, asked, officer, rm, customer):
        assert bank.post(of(asked), officer, json=REFUSE).json()["decision"]["reason"] == REFUSE["reason"]
        assert suggested(bank, customer) == []
        assert asked["approval_id"] not in open_for(bank, officer)
        assert bank.get(of(asked), rm).json()["decision"]["by"]["subject"] == "officer"

    def test_a_refusal_says_why(self, bank, asked, officer):
        assert_problem(bank.post(of(asked), officer, json={"decision": "refuse"}), 422, "say why")
        assert_problem(bank.post(of(asked), officer, json={"decision": "perhaps"}), 422, "decision")

    def test_it_lapses(self, bank, asked, officer, rm, monkeypatch):
        """After fourteen days, unless the settings say otherwise."""
        days = datetime.fromisoformat(asked["lapses_at"]) - datetime.now(UTC)
        assert timedelta(days=13, hours=23) < days <= timedelta(days=14)

        class Later(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(days=14)

        monkeypatch.setattr(approvals, "datetime", Later)
        assert bank.get(of(asked), officer).json()["status"] == "lapsed"
        assert asked["approval_id"] not in open_for(bank, officer) | open_for(bank, rm)
        assert_problem(bank.post(of(asked), officer, json=APPROVE), 409, "lapsed at")

    def test_there_is_none_of_another_entry(self, bank, asked, officer, mine):
        decision = bank.get(f"/v1/customers/{mine}/recommendations").json()["decision_id"]
        bank.post(of(asked), officer, json=APPROVE)
        entries = bank.service.records.newest(5, kind="approval")
        others = {each.entry_id for each in entries if each.entry_id != asked["approval_id"]}
        for entry_id in (decision, "nothing", *others - set(open_for(bank, officer))):
            assert_problem(bank.get(f"{ROUTE}/{entry_id}", bank.token("analyst")), 403)
            if entry_id in (decision, "nothing"):
                assert_problem(bank.get(f"{ROUTE}/{entry_id}", officer), 404, entry_id)


class TestOnRecord:
    def test_both_steps_with_who_took_them(self, bank, asked, officer, customer):
        bank.post(of(asked), officer, json=APPROVE, headers={"X-Request-ID": "decided-1"})
        content, request, decision = bank.service.records.newest(3, kind="approval")
        assert request.entry_id == asked["approval_id"]
        assert [each.customer_id for each in (content, request, decision)] == [customer, None, customer]
        assert customer.encode() not in request.payload
        said = orjson.loads(decision.payload)
        assert said["approval"] == {
            "step": "decision", "of": asked["approval_id"], "decision": "approve", "reason": None,
        }  # fmt: skip
        assert (said["caller"]["subject"], said["request_id"]) == ("officer", "decided-1")
        assert orjson.loads(request.payload)["caller"]["role"] == "rm"

    def test_it_is_erased_with_its_customer_and_forgotten_when_old(self, own_bank):
        bank, customers = own_bank, own_bank.customers
        officer = bank.token("risk_officer")
        first, second = (bank.post(ROUTE, json=consent(each)).json() for each in customers[:2])
        policy = bank.post(ROUTE, json={"kind": "policy"}).json()
        assert bank.post(of(first), officer, json=APPROVE).status_code == 200
        records = bank.service.records
        assert erase(records, customers[0], reason="asked for it", by="li").erased == 3  # content, decision, event
        assert_problem(bank.get(of(first), officer), 404)
        forget_before(records, datetime.now(UTC).date(), by="li")
        assert set(open_for(bank, officer)) == {second["approval_id"], policy["approval_id"]}
        assert verify(records).problems == ()


@pytest.fixture
def own_bank(trained, tmp_path):
    with bank_of(trained, tmp_path) as running:
        states = running.engine.states
        running.customers = [states.customer_id(position) for position in range(3)]
        yield running


def branch_of(bank, customer_id):
    return bank.get(f"/v1/customers/{customer_id}").json()["branch_id"]
