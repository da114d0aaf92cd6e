"""A swap is answered when it is in force: in every worker, for everybody, on record too."""

import threading
import time
from datetime import datetime

import httpx
import orjson
import pytest

from serving.access import Role, create_api_key
from serving.records import Records, RecordsConfig
from tests.serving.running import copied, eventually, free_port, serving

ROUTE = "/v1/customers/{}/recommendations"
CALLERS = 8


@pytest.fixture
def workspace(trained, tmp_path):
    workspace = copied(trained, tmp_path / "workspace")
    (workspace / "nextproduct.toml").write_text("[serving.access]\nsingle_person = true\n", "utf-8")
    return workspace


class Callers:
    """Several who ask all the while and note when they began and which policy answered."""

    def __init__(self, running, headers, customers):
        self.answers = []
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(running.address, headers, customers[n::CALLERS]))
            for n in range(CALLERS)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, address, headers, customers):
        with httpx.Client(headers=headers, timeout=60) as client:
            while not self._done.is_set():
                for customer in customers:
                    began = time.time()
                    answer = client.get(f"{address}{ROUTE.format(customer)}")
                    assert answer.status_code == 200, answer.text
                    self.answers.append((began, answer.json()["versions"]["policy"]))

    def stop(self):
        self._done.set()
        for thread in self._threads:
            thread.join()


def test_nothing_is_decided_by_what_was_in_use_after_the_answer(workspace, engine):
    """Broken before: for 0.2 to 0.45 s other workers went on with the policy that had been taken back."""
    states = engine.states
    customers = [states.customer_id(position) for position in range(0, states.n_customers, 11)]
    headers = {"X-API-Key": create_api_key(workspace, "CRM", Role.ADMINISTRATOR)}
    with serving(workspace, free_port(), "--workers", 2) as running:
        eventually(lambda: b"Serving on " in running.said)
        policy = workspace / "policy.yaml"
        policy.write_text(policy.read_text("utf-8") + "# edited\n", "utf-8")
        callers = Callers(running, headers, customers)

        def in_between():
            """Be asked for a while; from when to when."""
            start, count = time.time(), len(callers.answers)
            eventually(lambda: len(callers.answers) > count + 60)
            return start, time.time()

        in_force = []
        try:
            for route in ("swap", "rollback") * 3:
                made = httpx.post(f"{running.address}/v1/admin/{route}", headers=headers, json={}, timeout=60)
                assert made.status_code == 200, made.text
                in_force.append((*in_between(), made.json()["number"], made.json()["policy"]))
        finally:
            callers.stop()
    assert [number for _, _, number, _ in in_force] == [2, 3, 4, 5, 6, 7]
    assert len({policy for *_, policy in in_force}) == 2
    recorded = decisions_on_record(workspace)
    for start, end, number, policy in in_force:
        answered = {policy for began, policy in callers.answers if start <= began < end}
        assert answered == {policy}
        assert {number for at, number in recorded if start <= at < end} == {number}


def decisions_on_record(workspace):
    """When each was put on record, and by which deployment it was decided."""
    records = Records.open(workspace, RecordsConfig())
    try:
        found = records.newest(1_000_000, kind="decision")
    finally:
        records.close()
    return [
        (datetime.fromisoformat(entry.at).timestamp(), orjson.loads(entry.payload)["deployment"]) for entry in found
    ]
