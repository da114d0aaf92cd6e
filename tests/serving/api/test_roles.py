"""Every role on every route, for customers of theirs and of others, and every field of every answer."""

import re
from pathlib import Path

import orjson
import pytest

from serving.deployment import history
from serving.deployment.changes import before_of
from serving.desk.approval_kinds import KINDS
from tests.serving.api.bank import bank_of
from tests.serving.api.roles import (
    ABOUT_THE_SERVICE,
    FIELDS,
    PUBLIC,
    ROLES,
    SEES_CUSTOMERS,
    SOMETIMES,
    STATE_FIELDS,
    TABLE,
    as_markdown,
    route_of,
    routes_of,
)
from tests.serving.deployment.changing import deploy, edit_policy

REFUSAL = {"decision": "refuse", "reason": "because"}


@pytest.fixture(scope="module")
def bank(trained, tmp_path_factory):
    """A service of its own: what is asked of it changes what is in use."""
    with bank_of(trained, tmp_path_factory.mktemp("roles"), default_limit=4, max_limit=9) as running:
        yield running


@pytest.fixture(scope="module")
def people(bank, mine, rms):
    """Whose the customers are: `mine` of the first RM's, another of the same branch, and one of another branch."""
    states = bank.engine.states

    def whose(customer_id):
        found = bank.get(f"/v1/customers/{customer_id}").json()
        return found["rm_id"], found["branch_id"]

    everybody = [states.customer_id(position) for position in range(states.n_customers)]
    own, branch = whose(mine)
    colleagues = next(each for each in everybody if (w := whose(each))[1] == branch and w[0] not in (None, own))
    others = next(each for each in everybody if (w := whose(each))[1] not in (None, branch))
    return {"own": mine, "branch": colleagues, "all": others}


@pytest.fixture(scope="module")
def caller(bank, people):
    """A caller of each role, who would be responsible for `mine`."""
    whose = bank.get(f"/v1/customers/{people['own']}").json()
    return {
        role: bank.token(role, rm_id=whose["rm_id"], branch_id=whose["branch_id"], subject=f"a {role}")
        for role in ROLES
    }


class Asked:
    """Asks each route about a customer, or about none, the way it is asked."""

    def __init__(self, bank):
        self._bank = bank
        self._edits = 0

    def __call__(self, row, caller, customer_id):
        method, path = route_of(row).split()
        kind = row.partition(" (")[2].rstrip(")")
        options = getattr(self, f"_{method.lower()}_{_name(path)}", lambda *_: {})(customer_id, kind)
        path = path.format(customer_id=customer_id, product_id="credit_card", **options.pop("ids", {}))
        return self._bank.ask(method, path, caller, **options)

    def _decision(self, customer_id):
        return self._bank.get(f"/v1/customers/{customer_id}/recommendations").json()

    def _approval(self, customer_id, kind):
        """One that a stranger has asked for."""
        if kind == "policy":
            self._edits += 1
            edit_policy(self._bank.workspace, f"edit {self._edits}")
            wanted = {"kind": "policy"}
        else:
            wanted = {"kind": "consent", "content": {"customer_id": customer_id, "purpose": "marketing"}}
        stranger = self._bank.token("administrator", subject="a stranger")
        return self._bank.post("/v1/approvals", stranger, json=wanted).json()

    def _post_recommendations_batch(self, customer_id, _):
        return {"json": {"customer_ids": [customer_id]}}

    def _get_book(self, customer_id, _):
        return {"params": {"rm_id": self._bank.get(f"/v1/customers/{customer_id}").json()["rm_id"]}}

    def _post_feedback(self, customer_id, _):
        decision = self._decision(customer_id)
        suggested = [each["product_id"] for each in decision["recommendations"]] or ["nothing was suggested"]
        return {"json": {"decision_id": decision["decision_id"], "product_id": suggested[0], "outcome": "shown"}}

    def _post_events(self, customer_id, _):
        return {"json": {"customer_id": customer_id, "kind": "balance_jump", "amount": 1.0}}

    def _get_decisions_decision_id(self, customer_id, _):
        return {"ids": {"decision_id": self._decision(customer_id)["decision_id"]}}

    _post_decisions_decision_id_replay = _get_decisions_decision_id

    def _post_approvals(self, customer_id, kind):
        if kind == "policy":
            self._edits += 1
            edit_policy(self._bank.workspace, f"edit {self._edits}")
            return {"json": {"kind": "policy"}}
        return {"json": {"kind": "consent", "content": {"customer_id": customer_id, "purpose": "marketing"}}}

    def _get_approvals_approval_id(self, customer_id, kind):
        return {"ids": {"approval_id": self._approval(customer_id, kind)["approval_id"]}}

    def _post_approvals_approval_id(self, customer_id, kind):
        return self._get_approvals_approval_id(customer_id, kind) | {"json": REFUSAL}

    def _post_admin_swap(self, *_):
        return {"json": {"model": "champion"}}

    def _post_admin_rollback(self, *_):
        workspace = self._bank.workspace
        if before_of(history(workspace)) is None:
            edit_policy(workspace, "to be gone back from")
            deploy(workspace, policy="current", by="test")
        return {}


def _name(path):
    return path.removeprefix("/v1").strip("/").translate(str.maketrans("/:-", "___", "{}"))


@pytest.fixture(scope="module")
def asked(bank):
    return Asked(bank)


def outcome(answer):
    """What became of a request: it was refused, there is no such thing, or it was looked at."""
    if answer.status_code == 200 and answer.headers["content-type"] == "application/json":
        said = answer.json()
        of_batch = [result["problem"] is not None for result in said.get("results", ())]
        if any(of_batch) or said.get("customers") == 0:  # a batch with a problem, a book without customers
            return "not found"
    return {403: "refused", 404: "not found"}.get(answer.status_code, "answered")


def expected(cell, whose):
    """What becomes of a request about a customer who is the caller's own, of the caller's branch, or of another."""
    if cell in ("no", "yes", "asked"):
        return {"no": "refused", "yes": "answered", "asked": "not found"}[cell]
    reach = ("own", "branch", "all")
    return "answered" if reach.index(whose) <= reach.index(cell) else "not found"


@pytest.mark.parametrize("row", TABLE)
def test_who_may_do_what_of_whom(bank, caller, people, asked, row):
    for role, cell in TABLE[row].items():
        for whose, customer_id in people.items():
            answer = asked(row, caller[role], customer_id)
            assert outcome(answer) == expected(cell, whose), (role, whose, answer.status_code, answer.text)
            assert answer.status_code < 500


@pytest.mark.parametrize("row", [row for row in TABLE if "asked" in TABLE[row].values() and row.startswith("GET")])
def test_who_asked_sees_what_they_asked_for(bank, caller, people, asked, row):
    kind = row.partition(" (")[2].rstrip(")")
    for role, cell in TABLE[f"POST /v1/approvals ({kind})"].items():
        if cell != "no":
            mine = asked(f"POST /v1/approvals ({kind})", caller[role], people["own"]).json()
            seen = bank.get(f"/v1/approvals/{mine['approval_id']}", caller[role])
            assert seen.status_code == 200, (role, seen.text)


def test_no_route_escapes(bank):
    assert {route_of(row) for row in TABLE} | PUBLIC | ABOUT_THE_SERVICE == routes_of(bank.app)


def test_nobody_gets_anything_but_health_and_documentation(bank, people, asked):
    for row in TABLE:
        assert asked(row, "", people["own"]).status_code == 401, row
    for route in PUBLIC | ABOUT_THE_SERVICE:
        assert bank.get(route.split()[1], "").status_code == 200, route


@pytest.mark.parametrize("route", FIELDS)
def test_every_field_of_every_answer_is_in_the_table(bank, route):
    """A field that comes to be answered has to be given to somebody, here, before it is."""
    method, path = route.split()
    document = bank.get("/openapi.json", "").json()
    responses = document["paths"][path][method.lower()]["responses"]
    success = next(responses[status] for status in ("200", "201", "202") if _schema_of(responses, status))
    schema = document["components"]["schemas"][_schema_of({"x": success}, "x")]
    assert sorted(schema["properties"]) == sorted(" ".join(FIELDS[route]).split())


def _schema_of(responses, status):
    content = responses.get(status, {}).get("content", {}).get("application/json", {})
    return content.get("schema", {}).get("$ref", "").rpartition("/")[2]


def test_no_answer_escapes():
    """But for the figures, which have no fields; test_metrics sees to it that they name no customer."""
    assert set(FIELDS) | {"GET /metrics"} == {route_of(row) for row in TABLE} | PUBLIC


@pytest.mark.parametrize("role", ROLES)
def test_who_sees_which_field(bank, caller, people, asked, role):
    for row, cells in TABLE.items():
        if cells[role] in ("no", "asked") or row == "GET /metrics":
            continue
        answer = asked(row, caller[role], people["own"])
        assert answer.status_code < 300, (row, answer.text)
        everyones, customers = (set(fields.split()) for fields in FIELDS[route_of(row)])
        shown = {name for name, value in answer.json().items() if value is not None or name not in customers}
        assert shown >= everyones - SOMETIMES
        seen = everyones | (customers if role in SEES_CUSTOMERS else set())
        assert shown - seen == set(), (row, role)


@pytest.mark.parametrize("role", ROLES)
def test_who_may_say_what_a_client_asked_for(bank, caller, people, role):
    """The answer about such a product is why-not's, with the figures."""
    route = f"/v1/customers/{people['own']}/recommendations"
    whole = bank.get(route, caller[role], params={"client_asked": "credit_card"})
    batch = {"customer_ids": [people["own"]], "client_asked": ["credit_card"]}
    together = bank.post("/v1/recommendations:batch", caller[role], json=batch)
    expected = 200 if role in SEES_CUSTOMERS else 403
    assert (whole.status_code, together.status_code) == (expected, expected)
    assert bank.get(route, caller[role], params={"limit": 1}).status_code == 200


@pytest.mark.parametrize("role", ROLES)
def test_who_sees_what_of_a_decision_s_state(bank, caller, people, asked, role):
    everyones, customers = (set(fields.split()) for fields in STATE_FIELDS)
    record = asked("GET /v1/decisions/{decision_id}", caller[role], people["own"]).json()
    assert set(record["state"]) == everyones | (customers if role in SEES_CUSTOMERS else set())
    withheld = set() if role in SEES_CUSTOMERS else {f"state.{name}" for name in customers} | {"excluded", "factors"}
    assert set(record["withheld"]) == withheld
    whole = bank.run(bank.service.records.find(record["decision_id"]))
    assert set(orjson.loads(whole.payload)["state"]) == everyones | customers


PAGE = (Path(__file__).parents[3] / "docs" / "service.md").read_text(encoding="utf-8")


def test_the_documentation_shows_this_table():
    assert as_markdown() in PAGE, "docs/service.md is not what the code says: run `make docs`"


@pytest.mark.parametrize("kind", KINDS)
def test_the_documentation_says_who_asks_and_who_approves(kind):
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {kind} |"))
    *_, asking, giving, _, _ = (set(re.findall(r"[a-z_]+", cell)) & set(ROLES) for cell in row.split("|"))
    assert (asking, giving) == (KINDS[kind].requested_by, KINDS[kind].approved_by)
