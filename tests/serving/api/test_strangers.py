"""To a stranger, what is another's is the same as what does not exist: no order of checks, and no fault in what they
send, tells the two apart."""

import re

import pytest
from fastapi.routing import APIRoute

from serving.records import erase
from tests.serving.api.bank import bank_of

MADE_UP = {
    "customer": "R9999999",
    "decision": "01976f0a-0000-7000-8000-000000000000",
    "referral": "01976f0a-0000-7000-8000-000000000001",
    "approval": "01976f0a-0000-7000-8000-000000000002",
}  # fmt: skip
WHY_NOT = "/v1/customers/{customer}/products/{product}/why-not"
FAR = "2199-01-01"


def asking(**query):
    return {"params": query}


def telling(**content):
    return {"json": content}


FEEDBACK = [
    telling(**{"decision_id": "{decision}", "product_id": product, "outcome": "shown", **further})
    for product in ("{product}", "toy")
    for further in (
        {}, {"outcome": "later"}, {"outcome": "later", "until": "2001-01-01"}, {"outcome": "later", "until": FAR},
        {"outcome": "referred"}, {"outcome": "accepted", "reason": "because"}, {"outcome": "accepted", "day": FAR},
        {"outcome": "accepted", "referral_id": "{referral}"}, {"outcome": "shown", "referral_id": "{referral}"},
        {"outcome": "accepted", "referral_id": "nothing"}, {"outcome": "accepted", "referral_id": "{decision}"},
    )
]  # fmt: skip
EVENTS = [
    telling(customer_id="{customer}", **content)
    for content in (
        {"kind": "complaint_opened"}, {"kind": "complaint_opened", "day": FAR},
        {"kind": "opened", "product_id": "{product}"}, {"kind": "opened", "product_id": "toy"},
        {"kind": "closed", "product_id": "{product}"}, {"kind": "balance_jump", "amount": 1.0},
        {"kind": "balance_jump", "amount": "much"}, {"kind": "consent", "purpose": "marketing", "granted": False},
        {"kind": "consent", "purpose": "marketing", "granted": True},
        {"kind": "consent", "purpose": "marketing", "granted": False, "channel": "telepathy"},
    )
]  # fmt: skip
ASKED = [
    asking(), asking(limit=3), asking(limit=10_000), asking(limit=0), asking(channel="telepathy"),
    asking(client_asked="toy"), asking(client_asked="{product}"), asking(families="toys"), asking(language="fr"),
]  # fmt: skip

CASES = {
    ("GET", "/v1/customers/{customer}"): [asking(), asking(language="zh"), asking(language="fr")],
    ("GET", "/v1/customers/{customer}/recommendations"): ASKED,
    ("GET", WHY_NOT): ASKED,
    ("GET", WHY_NOT.replace("{product}", "toy")): ASKED,
    ("POST", "/v1/recommendations:batch"): [
        telling(customer_ids=["{customer}"], **further)
        for further in ({}, {"limit": 3}, {"channel": "telepathy"}, {"client_asked": ["toy"]}, {"families": ["toys"]})
    ],
    ("POST", "/v1/feedback"): FEEDBACK,
    ("POST", "/v1/events"): EVENTS,
    ("POST", "/v1/approvals"): [
        telling(kind="consent", content={"customer_id": "{customer}", "purpose": "marketing", **further})
        for further in ({}, {"day": FAR}, {"evidence": ""}, {"channel": "telepathy"}, {"purpose": "spying"})
    ],
    ("GET", "/v1/approvals/{approval}"): [asking(), asking(language="zh"), asking(language="fr")],
    ("POST", "/v1/approvals/{approval}"): [
        telling(decision="approve"),
        telling(decision="refuse"),
        telling(decision="refuse", reason="because"),
    ],
    ("GET", "/v1/decisions/{decision}"): [asking()],
    ("POST", "/v1/decisions/{decision}:replay"): [telling()],
}
NAMES_NOBODY = {
    "/healthz", "/readyz", "/metrics", "/v1/model", "/v1/policy", "/v1/admin/swap", "/v1/admin/rollback",
    "/v1/book", "/v1/approvals",  # of the caller's own: below
}  # fmt: skip


@pytest.fixture(scope="module")
def real(bank, mine, rm, rms):
    """Ids of the first RM's that there are."""
    found = bank.get(f"/v1/customers/{mine}/recommendations", rm).json()
    product = found["recommendations"][0]["product_id"]
    told = {"decision_id": found["decision_id"], "product_id": product, "outcome": "referred"}
    referral = bank.post("/v1/feedback", rm, json=told | {"referred_to": "RM-somebody-else"}).json()
    consent = {"kind": "consent", "content": {"customer_id": mine, "purpose": "personalisation"}}
    return {
        "customer": mine, "decision": found["decision_id"], "referral": referral["feedback_id"], "product": product,
        "approval": bank.post("/v1/approvals", rm, json=consent).json()["approval_id"],
    }  # fmt: skip


def filled(value, ids):
    """`value` with ids in their places."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], value)
    if isinstance(value, dict):
        return {name: filled(each, ids) for name, each in value.items()}
    return [filled(each, ids) for each in value] if isinstance(value, list) else value


def told_to(bank, caller, method, path, options, ids):
    """Status, headers and bytes of an answer, with the ids taken out."""
    answer = bank.ask(
        method, filled(path, ids), caller, headers={"X-Request-ID": "the-same"}, **filled(options, ids)
    )  # fmt: skip
    text = answer.text
    for name, value in ids.items():
        if name != "product":
            text = text.replace(value, f"<{name}>")
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return answer.status_code, headers, text


@pytest.mark.parametrize(("method", "path"), CASES, ids=" ".join)
@pytest.mark.parametrize("stranger", ["another RM", "another branch's lead"])
def test_what_is_anothers_is_as_if_it_were_not(bank, other_rm, real, method, path, stranger):
    """Broken before: a real decision of another's with a product it had not suggested was 422, a made-up one 404."""
    caller = other_rm if stranger == "another RM" else bank.token("team_lead", branch_id="B-of-nobody")
    for options in CASES[method, path]:
        theirs = told_to(bank, caller, method, path, options, real)
        nobodys = told_to(bank, caller, method, path, options, MADE_UP | {"product": real["product"]})
        assert theirs == nobodys, options
        assert theirs[0] in (404, 422) or path.endswith(":batch"), (options, theirs)


def test_no_route_escapes(bank):
    def shape(path):
        return re.sub(r"\{\w+\}", "{}", path)

    asked = {shape(path) for _, path in CASES} | NAMES_NOBODY
    there = {shape(route.path) for route in bank.app.routes if isinstance(route, APIRoute)}
    assert there <= asked


def test_anothers_book_is_as_if_it_were_not(bank, rms, other_rm):
    def book(rm_id):
        answer = bank.get("/v1/book", other_rm, params={"rm_id": rm_id}, headers={"X-Request-ID": "the-same"})
        return answer.status_code, answer.text.replace(rm_id, "RM")

    assert book(rms[0]) == book("RM-of-nobody")
    assert book(rms[0])[0] == 404


def test_what_others_ask_for_is_not_listed(bank, real, rm, other_rm):
    listed = [bank.get("/v1/approvals", caller).json() for caller in (rm, other_rm)]
    assert real["approval"] in [each["approval_id"] for each in listed[0]["approvals"]]
    assert (listed[1]["total"], listed[1]["approvals"]) == (0, [])


def test_what_was_erased_was_nobodys(trained, tmp_path):
    """Broken before: 410 told a stranger that there had been such a decision."""
    with bank_of(trained, tmp_path) as bank:
        states = bank.engine.states
        customer = states.customer_id(0)
        decision = bank.get(f"/v1/customers/{customer}/recommendations").json()["decision_id"]
        erase(bank.service.records, customer, reason="asked for it", by="li")
        stranger = bank.token("rm", rm_id="RM-of-nobody")
        for method, path in (("GET", "/v1/decisions/{decision}"), ("POST", "/v1/decisions/{decision}:replay")):
            theirs = told_to(bank, stranger, method, path, {}, {"decision": decision})
            assert theirs == told_to(bank, stranger, method, path, {}, {"decision": MADE_UP["decision"]})
            assert theirs[0] == 404
            assert bank.ask(method, path.format(decision=decision)).status_code == 410


def test_a_colleague_learns_only_of_what_was_referred_to_them(bank, rms, mine, rm, other_rm):
    """Broken before: one referral opened every decision about its customer."""
    first, second = (bank.get(f"/v1/customers/{mine}/recommendations", rm, params={"limit": n}).json() for n in (1, 2))
    product = first["recommendations"][0]["product_id"]
    told = {"decision_id": first["decision_id"], "product_id": product}
    referral = bank.post("/v1/feedback", rm, json=told | {"outcome": "referred", "referred_to": rms[1]}).json()
    result = told | {"outcome": "later", "until": FAR, "referral_id": referral["feedback_id"]}
    refused = bank.post("/v1/feedback", other_rm, json=result | {"decision_id": second["decision_id"]})
    assert refused.status_code == 404
    assert bank.post("/v1/feedback", other_rm, json=result | {"product_id": "toy"}).status_code == 422
    assert bank.post("/v1/feedback", other_rm, json=result).status_code == 201
