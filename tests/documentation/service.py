"""What the pages on the service list: routes, roles, problems and metrics, as the service itself knows them."""

from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from serving.api.app import create_app
from serving.api.metrics import Metrics
from serving.api.problems import MEANINGS
from serving.config import ServingConfig
from serving.decisions.reason_codes import Reason
from tests.documentation.markdown import code, sentence, table
from tests.serving.api.roles import as_markdown
from tests.serving.later import CLOCK


def routes() -> str:
    """A row for each route: what it is for, what it takes, the problems it may answer with."""
    rows = []
    for method, path, operation in operations():
        problems_ = ", ".join(status for status in operation["responses"] if int(status) >= 400)
        rows.append((code(f"{method} {path}"), sentence(operation["summary"]), _takes(operation), problems_))
    return table(("route", "for", "takes", "problems"), rows)


def roles() -> str:
    """Who may ask for what."""
    return as_markdown()


def problems() -> str:
    """A row for each status that a problem may have."""
    rows = [(str(status), sentence(means), detail) for status, (means, detail) in MEANINGS.items()]
    return table(("status", "meaning", "a `detail`, for example"), rows)


def metrics() -> str:
    """A row for each metric, with its labels."""
    rows = [
        (code(name), family.type, ", ".join(map(code, labels)), sentence(family.documentation))
        for name, labels, family in families()
    ]
    return table(("metric", "type", "labels", "what it counts"), rows)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every route."""
    return [
        (method.upper(), path, operation)
        for path, methods in _document()["paths"].items()
        for method, operation in methods.items()
    ]


def families() -> list[tuple[str, list[str], Any]]:
    """Name as Prometheus has it, labels and description of each metric."""
    counted = Metrics()
    counted.observe_request("/healthz", "GET", 200, 0.001)
    counted.observe_stage("decide", 0.001)
    counted.count_decision("branch", personalised=True)
    counted.count_offered("card")
    counted.count_excluded(Reason.HELD.name)
    counted.count_fallback("popularity")
    counted.count_refused("not_allowed")
    counted.set_deployment(1, "1", "states", "policy")
    found = []
    for family in text_string_to_metric_families(counted.render().decode()):
        assert family.samples, f"{family.name}: count one, so that its labels are known"
        labels = [label for label in family.samples[0].labels if label != "le"]
        found.append((family.name + ("_total" if family.type == "counter" else ""), labels, family))
    return found


def _takes(operation: dict[str, Any]) -> str:
    parameters = [code(each["name"]) for each in operation.get("parameters", ()) if each["in"] == "query"]
    headers = [code(each["name"].title()) for each in operation.get("parameters", ()) if each["in"] == "header"]
    body = [code(name) for name in _fields(operation)]
    said = [", ".join(parameters)] if parameters else []
    said += [f"body: {', '.join(body)}"] if body else []
    said += [f"header: {', '.join(headers)}"] if headers else []
    return "; ".join(said)


def _fields(operation: dict[str, Any]) -> list[str]:
    """The fields that its body may have."""
    found: list[str] = []
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        for each in schema.get("oneOf", [schema]):
            found += _document()["components"]["schemas"][each["$ref"].rpartition("/")[2]]["properties"]
    return list(dict.fromkeys(found))


@cache
def _document() -> dict[str, Any]:
    return create_app(Path("nowhere"), ServingConfig(), CLOCK, Metrics()).openapi()
