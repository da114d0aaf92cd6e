"""What is wrong with the service is told without what is its own: addresses, passwords, paths, rules."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url
from starlette.requests import HTTPConnection

from features.errors import BadConfiguration, BadInput, NextProductError, NotReady
from serving.api import problems
from serving.api.problems import problem_response
from serving.records import RecordsUnavailable
from tests.serving.api.bank import bank_of

PASSWORD = "sw0rdf1sh"
SECRETS = [
    f"postgresql+psycopg://nextproduct:{PASSWORD}@db7.bank.example:5432/records",
    f"password={PASSWORD}",
    "/srv/nextproduct/workspace/policy.yaml",
    "C:\\nextproduct\\records.db",
    "db7.bank.example",
    "offers of family 'loans' need a tier of gold",
    "customer 'R0000042'",
]
texts = st.lists(st.sampled_from(SECRETS) | st.text(max_size=10), min_size=1, max_size=5).map(" ".join)


def kinds_of(kind):
    yield kind
    for each in kind.__subclasses__():
        yield from kinds_of(each)


def made(kind, text):
    error = kind.__new__(kind)
    Exception.__init__(error, text)
    return error


OURS = sorted(set(kinds_of(NextProductError)), key=lambda kind: kind.__qualname__)
UNAVAILABLE = [kind for kind in OURS if problems._status_of(made(kind, "")) == 503]


def assert_nothing_told(answer, secret_words):
    for word in secret_words:
        assert word not in answer


@given(text=texts, kind=st.sampled_from(UNAVAILABLE))
def test_no_kind_of_error_tells_a_secret(text, kind):
    """`str(error)` went to any caller, with the database's address in it."""
    scope = {"type": "http", "headers": []}
    answer = problem_response(made(kind, text), HTTPConnection(scope))
    assert answer.status_code == 503
    said = json.loads(answer.body)["detail"]
    assert said == json.loads(problem_response(made(kind, ""), HTTPConnection(scope)).body)["detail"]


@pytest.mark.parametrize("kind", UNAVAILABLE)
def test_the_log_has_what_callers_are_not_told(kind, capfd):
    scope = {"type": "http", "headers": []}
    problem_response(made(kind, "the disk of db7 is full"), HTTPConnection(scope))
    if issubclass(kind, NotReady | BadConfiguration):
        assert "db7" in scope["problem"]  # in the line of the request
    else:  # its words may name a customer
        assert kind.__name__ in scope["problem"]
        assert kind.__name__ in "".join(capfd.readouterr())


def test_of_commands_only_the_name_is_told():
    answer = problem_response(
        NotReady("no states in /srv/bank: run `nextproduct build /srv/tables /srv/bank`"),
        HTTPConnection({"type": "http", "headers": []}),
    )
    assert b"run `nextproduct build`" in answer.body
    assert b"/srv" not in answer.body


@pytest.fixture(scope="module")
def addresses(trained, tmp_path_factory):
    """Method and path of every route, filled."""
    with bank_of(trained, tmp_path_factory.mktemp("described")) as bank:
        found = []
        for path, methods in bank.get("/openapi.json", "").json()["paths"].items():
            filled = path.replace("{customer_id}", bank.engine.states.customer_id(3))
            filled = filled.replace("{product_id}", "credit_card").replace("{decision_id}", "x")
            found += [(method.upper(), filled) for method in methods]
        return found


BODIES = {
    "/v1/recommendations:batch": lambda customer: {"customer_ids": [customer]},
    "/v1/events": lambda customer: {"customer_id": customer, "kind": "complaint_opened"},
    "/v1/feedback": lambda customer: {"decision_id": "x", "product_id": "credit_card", "outcome": "declined"},
    "/v1/admin/swap": lambda customer: {},
}


def test_a_database_that_is_gone_is_named_to_nobody(trained, tmp_path, addresses, postgres, capfd):
    url = make_url(postgres.empty_database()).set(password=PASSWORD).render_as_string(hide_password=False)
    folder = make_url(url).query["host"]
    with bank_of(trained, tmp_path, records={"database": url, "commit_timeout": 2.0}) as bank:
        customer = bank.engine.states.customer_id(3)
        assert bank.get(f"/v1/customers/{customer}/recommendations").status_code == 200
        postgres.stop()
        try:
            statuses = set()
            for method, path in addresses:
                make = BODIES.get(path)
                query = "?rm_id=x" if path == "/v1/book" else ""
                answer = bank.ask(method, path + query, json=make(customer) if make else None)
                statuses.add(answer.status_code)
                if "/admin/" in path and answer.status_code < 500:  # administrators are told which workspace it is
                    continue
                told = answer.text + str(answer.headers)
                assert_nothing_told(told, [PASSWORD, folder, str(tmp_path), "postgres", "psycopg", "libpq", ".s.PGSQL"])
        finally:
            postgres.start()
        assert 503 in statuses
    assert PASSWORD not in "".join(capfd.readouterr())


FAILING = [("in_use", "get"), ("records", "events_of"), ("records", "append"), ("desk", "answer")]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts, kind=st.sampled_from([RecordsUnavailable, NotReady, BadInput, ValueError, OSError, RuntimeError]))
def test_no_route_tells_a_secret(bank, monkeypatch, text, kind):
    """Whatever the records, or what is in use, fail with: the answer does not depend on the words."""
    for part, name in FAILING:
        owner = type(getattr(bank.service, part))

        def answers(says, owner=owner, name=name):
            def fail(*_, **__):
                raise made(kind, says)

            with monkeypatch.context() as patched:
                patched.setattr(owner, name, fail)
                return [bank.get(path, headers={"X-Request-ID": "same"}) for path in SOME]

        for answer, calm in zip(answers(text), answers(""), strict=True):
            assert answer.text == calm.text or answer.status_code == 200
            assert answer.status_code in (200, 500, 503)


SOME = ["/readyz", "/v1/customers/R0000003/recommendations", "/v1/customers/R0000003", "/v1/model", "/v1/policy"]
