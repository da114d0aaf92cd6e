"""The OpenAPI document and the service keep each other's word: fuzzed requests, every route, every kind of caller."""

import re
import shutil

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.access import create_demo_key
from tests.serving.api.bank import Bank, assert_problem

PUBLIC = {"/healthz", "/readyz"}
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]
EXAMPLE_OF = {"customer_id": "R0000003", "product_id": "credit_card", "decision_id": "x", "approval_id": "x"}


@pytest.fixture(scope="module")
def document(bank):
    return bank.get("/openapi.json", "").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def filled(path):
    return re.sub(r"\{(\w+)\}", lambda match: EXAMPLE_OF[match[1]], path)


def test_every_route_is_described_with_its_errors(document):
    found = list(operations(document))
    assert len(found) == 20
    for method, path, operation in found:
        assert operation["summary"], path
        assert operation["description"], path
        if path in PUBLIC:
            continue
        assert {"401", "403", "429"} <= set(operation["responses"]), (method, path)
        assert operation["security"], (method, path)
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert set(response["content"]) == {"application/problem+json"}


def test_every_answer_and_request_has_an_example_or_a_schema(document):
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name


def test_anonymous_callers_are_refused_on_every_route(bank, document):
    for method, path, _ in operations(document):
        if path not in PUBLIC:
            assert_problem(bank.ask(method, filled(path), "", json={}), 401)
            assert_problem(bank.ask(method, filled(path), "not.a.token", json={}), 401)


def test_every_route_takes_the_permission_that_its_role_has(bank, document):
    """Who has no permission is refused before anything is looked at: the same for customers of theirs and of others."""
    allowed = {
        "rm": {"customers", "book", "feedback", "events", "approvals", "decisions", "versions", "operations"},
        "campaign_manager": {"customers", "feedback", "events", "approvals", "decisions", "versions", "operations"},
        "analyst": {"customers", "decisions", "versions", "operations"},
        "risk_officer": {"customers", "approvals", "decisions", "versions", "operations"},
        "administrator": {
            "customers", "book", "feedback", "events", "approvals", "decisions", "versions", "operations",
            "administration",
        },
    }  # fmt: skip
    hidden = {
        (role, path)
        for role in ("campaign_manager", "analyst")
        for path in ("/v1/customers/{customer_id}", "/v1/customers/{customer_id}/products/{product_id}/why-not")
    }
    for role, tags in allowed.items():
        token = bank.token(role, rm_id="RM-of-nobody")
        for method, path, operation in operations(document):
            if path in PUBLIC or tags & {"administration"} == set(operation["tags"]):
                continue
            refused = bank.ask(method, filled(path), token, json={}).status_code == 403
            expected = operation["tags"][0] not in tags or (role, path) in hidden
            assert refused == expected, (role, method, path)


@pytest.fixture(scope="module")
def fuzzed(trained, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("fuzzed") / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    with Bank(workspace, default_limit=4, max_limit=9) as running:
        yield running


@pytest.fixture(scope="module")
def schema(fuzzed):
    return schemathesis.openapi.from_dict(fuzzed.get("/openapi.json", "").json())


ROUTES = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/v1/customers/{customer_id}"),
    ("GET", "/v1/customers/{customer_id}/recommendations"),
    ("GET", "/v1/customers/{customer_id}/products/{product_id}/why-not"),
    ("POST", "/v1/recommendations:batch"),
    ("GET", "/v1/book"),
    ("POST", "/v1/feedback"),
    ("POST", "/v1/events"),
    ("POST", "/v1/approvals"),
    ("GET", "/v1/approvals"),
    ("GET", "/v1/approvals/{approval_id}"),
    ("POST", "/v1/approvals/{approval_id}"),
    ("GET", "/v1/decisions/{decision_id}"),
    ("POST", "/v1/decisions/{decision_id}:replay"),
    ("GET", "/v1/model"),
    ("GET", "/v1/policy"),
    ("POST", "/v1/admin/swap"),
    ("POST", "/v1/admin/rollback"),
    ("GET", "/metrics"),
]


def test_no_route_escapes_the_fuzzing(document):
    assert sorted((method, path) for method, path, _ in operations(document)) == sorted(ROUTES)


def answered(fuzzed, case):
    """What the service answers to a generated request of an administrator."""
    options = case.as_transport_kwargs(base_url="http://bank")
    headers = {name: value for name, value in options["headers"].items() if name.lower() not in ("user-agent",)}
    content = options.get("data")
    return fuzzed.ask(
        options["method"], options["url"], headers=headers, params=options.get("params"),
        **({"json": options["json"]} if "json" in options else {"content": content}),
    )  # fmt: skip


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_fuzzed_requests_get_answers_as_described(fuzzed, schema, method, path, mode):
    """Ids of customers, products, decisions and approvals that there are, half of the time."""
    operation = schema[path][method]
    decision = fuzzed.get("/v1/customers/R0000003/recommendations").json()["decision_id"]
    asked = {"kind": "consent", "content": {"customer_id": "R0000003", "purpose": "marketing"}}
    approval = fuzzed.post("/v1/approvals", json=asked).json()["approval_id"]
    real = {"customer_id": "R0000003", "product_id": "credit_card", "decision_id": decision, "approval_id": approval}
    modes = st.sampled_from([None, real])

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), known=modes)
    def check(case, known):
        if known:
            case.path_parameters.update({n: v for n, v in known.items() if n in case.path_parameters})
            if isinstance(case.body, dict):
                case.body.update({n: v for n, v in known.items() if n in case.body})
        answer = answered(fuzzed, case)
        assert answer.status_code < 500, (answer.request.url, case.body, answer.text)
        case.validate_response(answer, checks=CHECKS)

    try:
        check()
    except Unsatisfiable:  # a route that takes nothing cannot be asked wrongly
        assert mode is GenerationMode.NEGATIVE
