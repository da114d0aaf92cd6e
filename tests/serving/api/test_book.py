import pytest

from serving.records import Entry, new_entry_id
from tests.serving.api.bank import assert_problem, bank_of

ROUTE = "/v1/book"


def test_anonymous(bank):
    assert_problem(bank.get(ROUTE, ""), 401)


def test_an_rm_has_their_own_book_only(bank, rms, rm):
    assert bank.get(ROUTE, rm).json()["rm_id"] == rms[0]
    assert bank.get(ROUTE, rm, params={"rm_id": rms[0]}).status_code == 200
    assert_problem(bank.get(ROUTE, rm, params={"rm_id": rms[1]}), 404, rms[1])


def test_others_say_whose_is_meant(bank, rms):
    assert_problem(bank.get(ROUTE), 422, "rm_id")
    assert bank.get(ROUTE, params={"rm_id": rms[1]}).json()["rm_id"] == rms[1]
    assert_problem(bank.get(ROUTE, bank.token("analyst"), params={"rm_id": rms[1]}), 403)


def test_the_best_conversations_come_first_page_by_page(bank, rms, rm):
    customers = bank.customers_of_rm(rms[0])
    pages, page = [], 1
    while True:
        found = bank.get(ROUTE, rm, params={"page": page, "size": 2, "limit": 2}).json()
        assert (found["page"], found["size"], found["customers"]) == (page, 2, len(customers))
        if not found["conversations"]:
            break
        pages += found["conversations"]
        page += 1
    assert len(pages) == found["total"]
    assert [each["rank"] for each in pages] == list(range(1, len(pages) + 1))
    assert {each["customer_id"] for each in pages} <= set(customers)
    best = [
        each["recommendations"]["recommendations"][0]["priority"]
        for each in pages
        if each["recommendations"]["personalised"] and each["recommendations"]["recommendations"]
    ]
    assert best == sorted(best, reverse=True)
    assert len(best) > 1
    for each in pages:
        shown = each["recommendations"]
        assert shown["recommendations"] or shown["service_actions"]
        alone = bank.get(f"/v1/customers/{each['customer_id']}/recommendations", rm, params={"limit": 2}).json()
        assert alone | {"decision_id": ""} == shown | {"decision_id": ""}
        assert bank.get(f"/v1/decisions/{shown['decision_id']}", rm).status_code == 200


def test_who_complained_today_leaves_the_book(bank, rms, rm):
    before = bank.get(ROUTE, rm, params={"size": 100}).json()
    first = next(each for each in before["conversations"] if not each["recommendations"]["service_actions"])
    told = {"customer_id": first["customer_id"], "kind": "consent", "purpose": "marketing", "granted": False}
    assert bank.post("/v1/events", rm, json=told).status_code == 201
    after = bank.get(ROUTE, rm, params={"size": 100}).json()
    assert [each["customer_id"] for each in after["conversations"]] == [
        each["customer_id"] for each in before["conversations"] if each is not first
    ]


def test_a_team_lead_has_the_branch(bank, lead, mine):
    whole = bank.get(ROUTE, lead, params={"size": 100}).json()
    assert whole["rm_id"] is None
    assert whole["customers"] > 1
    for each in whole["conversations"]:
        assert bank.get(f"/v1/customers/{each['customer_id']}", lead).json()["branch_id"] == whole["branch_id"]


@pytest.mark.parametrize(("params", "said"), [({"page": 0}, "page"), ({"size": 101}, "size"), ({"limit": 99}, "limit")])
def test_pages_are_bounded(bank, rm, params, said):
    assert_problem(bank.get(ROUTE, rm, params=params), 422, said)


def test_beyond_the_last_page_there_is_nothing(bank, rm):
    assert bank.get(ROUTE, rm, params={"page": 99_999}).json()["conversations"] == []


def test_unknown_channels_are_not_found(bank, rm):
    assert_problem(bank.get(ROUTE, rm, params={"channel": "pigeon"}), 404, "pigeon")


@pytest.fixture
def own_bank(trained, tmp_path):
    with bank_of(trained, tmp_path) as running:
        yield running


def test_a_customer_whose_record_is_broken_has_a_problem_in_place_of_the_answer(own_bank, rms):
    """Broken before: one event on record that could not be read failed the RM's whole book, and every batch."""
    token = own_bank.token("rm", rm_id=rms[0])
    before = own_bank.get(ROUTE, token, params={"size": 100}).json()
    broken = before["conversations"][0]["customer_id"]
    entry = Entry("event", new_entry_id(), broken, b'{"event": {"kind": 3}}')
    assert own_bank.run(own_bank.service.records.append([entry]))
    after = own_bank.get(ROUTE, token, params={"size": 100})
    assert after.status_code == 200, after.text
    *others, last = after.json()["conversations"]
    asked = [each["customer_id"] for each in before["conversations"]]
    assert [each["customer_id"] for each in others] == asked[1:]
    assert (last["customer_id"], last["rank"], last["recommendations"]) == (broken, len(asked), None)
    assert last["problem"]["status"] == 500
    assert after.headers["x-request-id"] in last["problem"]["detail"]
    batch = own_bank.post("/v1/recommendations:batch", token, json={"customer_ids": asked})
    found = {each["customer_id"]: each for each in batch.json()["results"]}
    assert found[broken]["problem"]["status"] == 500
    assert all(found[customer_id]["recommendations"] for customer_id in asked[1:])
    assert_problem(own_bank.get(f"/v1/customers/{broken}/recommendations", token), 500)


def test_a_customer_for_whom_ranking_fails_fails_no_others(own_bank, rms, monkeypatch):
    token = own_bank.token("rm", rm_id=rms[0])
    before = own_bank.get(ROUTE, token, params={"size": 100}).json()
    engine = own_bank.engine
    broken = engine.states.position_of(before["conversations"][0]["customer_id"])
    decide = engine.decide

    def decide_for_others(block, *told, **named):
        if broken in block.positions:
            raise ValueError("a corrupt row")
        return decide(block, *told, **named)

    monkeypatch.setattr(engine, "decide", decide_for_others)
    after = own_bank.get(ROUTE, token, params={"size": 100}).json()
    assert after["total"] == before["total"]
    assert [each["customer_id"] for each in after["conversations"]] == [
        *(each["customer_id"] for each in before["conversations"][1:]), before["conversations"][0]["customer_id"],
    ]  # fmt: skip
