"""Nothing in a query is passed over, whichever route is asked."""

import re

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from tests.serving.api.bank import assert_problem

FILLED = {"customer_id": "R0000003", "product_id": "credit_card", "decision_id": "x"}


@pytest.fixture(scope="module")
def addresses(bank):
    """Method and filled path of everything the service answers, the pages of the documentation too."""
    found = []
    for route in bank.app.routes:
        assert isinstance(route, Route), route  # whatever else there may be needs a check of its own
        path = re.sub(r"\{(\w+)(:\w+)?\}", lambda match: FILLED.get(match[1], "x"), route.path)
        found += [(method, path) for method in sorted(route.methods)]
    return found


def test_no_route_takes_what_it_does_not_know(bank, addresses):
    """`chanel=sms` decided for `rm`."""
    assert len(addresses) > 18
    for method, path in addresses:
        problem_in_head = method == "HEAD"
        answer = bank.ask(method, path, params={"no-such-thing": "x"}, json={} if method == "POST" else None)
        assert answer.status_code == 422, (method, path)
        if not problem_in_head:
            faults = assert_problem(answer, 422)["errors"]
            assert [fault["where"] for fault in faults] == ["query.no-such-thing"], (method, path)


def test_no_value_of_two_is_dropped(bank):
    """The last of them decided."""
    n_tried = 0
    for path, methods in bank.get("/openapi.json", "").json()["paths"].items():
        for method, operation in methods.items():
            filled = re.sub(r"\{(\w+)\}", lambda match: FILLED.get(match[1], "x"), path)
            for parameter in operation.get("parameters", ()):
                if parameter["in"] != "query" or "array" in str(parameter["schema"]):
                    continue
                n_tried += 1
                answer = bank.ask(method.upper(), filled, params=[(parameter["name"], "1"), (parameter["name"], "2")])
                problem = assert_problem(answer, 422, f"query.{parameter['name']}: given several times")
                assert len(problem["errors"]) == 1
    assert n_tried >= 10


@pytest.mark.parametrize("path", ["/v1/customers/R0000003/recommendations", "/v1/book"])
def test_the_nearest_one_is_named(bank, path):
    assert_problem(bank.get(f"{path}?chanel=sms"), 422, "query.chanel", "the nearest is `channel`")


def test_lists_may_have_several_values(bank):
    for path in ("/v1/customers/R0000003/recommendations", "/v1/customers/R0000003/products/credit_card/why-not"):
        answer = bank.get(path, params=[("client_asked", "credit_card"), ("client_asked", "payroll")])
        assert answer.status_code in (200, 404), answer.text
        assert "query" not in answer.text


def test_who_may_not_ask_is_told_that_first(bank):
    analyst = bank.token("analyst")
    for path in ("/v1/customers/R0000003/recommendations", "/v1/book", "/metrics"):
        assert_problem(bank.get(f"{path}?chanel=sms", ""), 401)
    assert_problem(bank.get("/v1/book?chanel=sms", analyst), 403)


def test_every_parameter_that_is_described_is_known(bank):
    """The check must know what the documentation names, also what routes read by themselves."""
    for route in bank.app.routes:
        if isinstance(route, APIRoute):
            for parameter in (route.openapi_extra or {}).get("parameters", ()):
                if parameter["in"] == "query":
                    path = re.sub(r"\{(\w+)\}", lambda match: FILLED.get(match[1], "x"), route.path)
                    assert "there is no such" not in bank.get(f"{path}?{parameter['name']}=1").text
