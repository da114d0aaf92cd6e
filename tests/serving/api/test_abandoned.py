"""Who goes away is decided for no longer, over real connections."""

import shutil
import socket
import time

import orjson
import pytest

from serving.access import Role, create_demo_key, issue_demo_token
from serving.answering.book import BookRanking
from serving.api.app import create_app
from serving.api.metrics import Metrics
from serving.config import ServingConfig
from serving.desk.desk import BLOCK
from tests.serving.api import exchange, request, served
from tests.serving.later import CLOCK
from tests.serving.running import eventually


@pytest.fixture(scope="module")
def workspace(trained, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("abandoned") / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    return workspace


@pytest.fixture(scope="module")
def app(workspace):
    return create_app(workspace, ServingConfig(), CLOCK, Metrics())


@pytest.fixture(scope="module")
def port(app):
    with served(app, lifespan="on") as port:
        yield port


@pytest.fixture(scope="module")
def token(workspace):
    return issue_demo_token(workspace, Role.ADMINISTRATOR)


def leave(port, said):
    """Ask, and hang up at once."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(said)


def decided(app):
    """How many decisions are on record."""
    return sum(entry.kind == "decision" for entry in app.state.service.records.newest(5000))


def batch(customer_ids, token):
    body = orjson.dumps({"customer_ids": customer_ids})
    return request(
        "POST", "/v1/recommendations:batch", body, authorization=f"Bearer {token}", content_type="application/json"
    )


def test_what_is_still_waiting_of_a_batch_is_dropped(app, port, token, monkeypatch):
    """All of it was decided and put on record, for nobody."""
    service = app.state.service
    states = service.in_use.get()[1].states
    customer_ids = [states.customer_id(position) for position in range(min(states.n_customers, 480))]
    assert len(customer_ids) > 4 * BLOCK
    slow = service.records.append

    async def append(entries):
        time.sleep(0.05)  # everything on this loop waits, as behind a slow disk
        return await slow(entries)

    monkeypatch.setattr(service.records, "append", append)
    before = decided(app)
    leave(port, batch(customer_ids, token))
    eventually(lambda: service.metrics.in_flight == 0)
    time.sleep(0.5)  # for what would still be put on record
    assert decided(app) - before <= 4 * BLOCK  # at most what was under way
    # and the desk goes on
    assert exchange(port, batch(customer_ids[:BLOCK], token)).status == 200


def test_a_book_is_ranked_for_nobody(app, port, token, monkeypatch):
    service = app.state.service
    states = service.in_use.get()[1].states
    rm_id = states.profile.vocabularies["rm_id"][0]
    steps_of = BookRanking.steps
    n_steps = 0

    def steps(ranking):
        nonlocal n_steps
        yield from steps_of(ranking)
        for _ in range(200):
            n_steps += 1
            time.sleep(0.01)
            yield

    monkeypatch.setattr(BookRanking, "steps", steps)
    before = decided(app)
    leave(port, request("GET", f"/v1/book?rm_id={rm_id}", authorization=f"Bearer {token}"))
    eventually(lambda: n_steps > 0)
    eventually(lambda: service.metrics.in_flight == 0)
    assert n_steps < 100
    assert decided(app) == before


def test_who_stays_is_answered_whole(app, port, token):
    states = app.state.service.in_use.get()[1].states
    customer_ids = [states.customer_id(position) for position in range(100)]
    reply = exchange(port, batch(customer_ids, token))
    assert reply.status == 200
    results = orjson.loads(reply.body)["results"]
    assert [each["customer_id"] for each in results if each["recommendations"]] == customer_ids
