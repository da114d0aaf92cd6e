"""What breaks while the service answers, for real: whatever happens, of all that was answered there is a record."""

import os
import resource
import signal
import threading
from datetime import date

import httpx
import pytest

from serving.access import create_api_key, create_demo_key, issue_demo_token
from serving.access.roles import Role
from serving.decisions.policy.loading import POLICY_FILE
from serving.records import Records, RecordsConfig, verify
from tests.serving.running import Running, copied, eventually, free_port, serving

ROUTE = "/v1/customers/{}/recommendations"


@pytest.fixture
def workspace(trained, tmp_path):
    workspace = copied(trained, tmp_path / "workspace")
    create_demo_key(workspace)
    return workspace


@pytest.fixture(scope="module")
def customers(engine):
    states = engine.states
    return [states.customer_id(position) for position in range(0, states.n_customers, 7)]


def token(workspace):
    return {"Authorization": f"Bearer {issue_demo_token(workspace, Role.ADMINISTRATOR)}"}


class Callers:
    """Several who ask one after the other until told to stop, and note what they were answered."""

    def __init__(self, running, workspace, customers, count=6):
        self.answered = []
        self.statuses = set()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(running.address, token(workspace), customers[n::count]))
            for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, address, headers, customers):
        client = httpx.Client(headers=headers, timeout=60)
        while not self._stopping.is_set():
            for customer in customers:
                try:
                    answer = client.get(f"{address}{ROUTE.format(customer)}", params={"limit": 2})
                except httpx.TransportError:
                    self.statuses.add("cut")
                    continue
                self.statuses.add(answer.status_code)
                if answer.status_code == 200:
                    self.answered.append(answer.json()["decision_id"])
                if self._stopping.is_set():
                    break
        client.close()

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def recorded(workspace, config=None):
    """Ids of all decisions on record, of a log that is as it was written."""
    records = Records.open(workspace, config or RecordsConfig())
    try:
        found = verify(records)
        assert found.is_sound, found.problems[:3]
        return {entry.entry_id for entry in records.newest(1_000_000, kind="decision")}
    finally:
        records.close()


def test_a_worker_killed_while_it_writes_loses_nothing_that_was_answered(workspace, customers):
    with serving(workspace, free_port(), "--workers", 2) as running:
        callers = Callers(running, workspace, customers)
        for _ in range(3):
            before = len(callers.answered)
            eventually(lambda before=before: len(callers.answered) > before + 20)
            os.kill(eventually(running.workers).pop(), signal.SIGKILL)
        before = len(callers.answered)
        eventually(lambda: len(callers.answered) > before + 20)
        callers.stop()
    assert "cut" in callers.statuses
    assert callers.statuses <= {200, "cut"}
    assert set(callers.answered) <= recorded(workspace)


def test_the_whole_service_killed_loses_nothing_that_was_answered(workspace, customers):
    running = Running(workspace, free_port(), "--workers", 2)
    eventually(running.listens)
    callers = Callers(running, workspace, customers)
    eventually(lambda: len(callers.answered) > 40)
    workers = running.workers()
    for process in (running.process.pid, *workers):
        os.kill(process, signal.SIGKILL)
    callers.stop()
    running.wait()
    assert set(callers.answered) <= recorded(workspace)


def test_with_a_full_disk_nothing_is_answered_that_is_not_on_record(workspace, customers):
    """The system lets the service's files grow no further than the limit, as on a disk without room."""
    limit = 3_000_000

    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with serving(workspace, free_port(), preexec_fn=no_room) as running:
        callers = Callers(running, workspace, customers)
        eventually(lambda: 503 in callers.statuses)
        assert running.get("/healthz").status_code == 200
        callers.stop()
        assert 500 not in callers.statuses
    assert callers.answered
    assert set(callers.answered) <= recorded(workspace)


@pytest.mark.parametrize("on_failure", ["refuse", "queue"])
def test_a_database_that_goes_and_comes_back(workspace, customers, postgres, on_failure):
    url = postgres.empty_database()
    (workspace / "nextproduct.toml").write_text(
        f'[serving.records]\ndatabase = "{url}"\non_failure = "{on_failure}"\ncommit_timeout = 2.0\n', "utf-8"
    )
    headers = token(workspace)
    refused = {"customer_id": customers[0], "kind": "consent", "purpose": "marketing", "granted": False}
    try:
        with serving(workspace, free_port()) as running:

            def told():
                return httpx.post(f"{running.address}/v1/events", json=refused, headers=headers, timeout=60).status_code

            assert told() == 201
            callers = Callers(running, workspace, customers)
            eventually(lambda: len(callers.answered) > 20)
            postgres.stop()
            if on_failure == "queue":
                before = len(callers.answered)
                eventually(lambda: len(callers.answered) > before + 20)
                # what was refused before is not forgotten
                answer = running.get(ROUTE.format(customers[0]), headers=headers)
                assert (answer.status_code, answer.json()["recommendations"]) == (200, [])
            else:
                eventually(lambda: 503 in callers.statuses)
                assert running.get("/readyz").status_code == 503
                assert int(running.get(ROUTE.format(customers[0]), headers=headers).headers["retry-after"]) > 0
            assert told() == 503
            assert running.get("/healthz").status_code == 200
            postgres.start()
            eventually(lambda: running.get("/readyz").status_code == 200)
            before = len(callers.answered)
            eventually(lambda: len(callers.answered) > before + 20)
            callers.stop()
    finally:
        postgres.start()
    assert callers.statuses <= ({200} if on_failure == "queue" else {200, 503})
    assert set(callers.answered) <= recorded(workspace, RecordsConfig(database=url))


BEHIND = """
import time

real, real_ns = time.time, time.time_ns
time.time = lambda: real() - {days} * 86_400
time.time_ns = lambda: real_ns() - {days} * 86_400 * 10**9
"""


def test_with_a_clock_that_is_years_behind_days_go_on_from_the_states(workspace, customers, engine, tmp_path):
    """Neither what is decided nor what is put on record takes the day from before the states' last."""
    policy = workspace / POLICY_FILE
    text = policy.read_text(encoding="utf-8")
    assert text.count("decision_day: as_of") == 1
    policy.write_text(text.replace("decision_day: as_of", "decision_day: today"), encoding="utf-8")
    headers = {"X-API-Key": create_api_key(workspace, "CRM", Role.ADMINISTRATOR)}  # a token would be of the future
    as_of = engine.states.manifest.as_of
    year = date.today().year - 30
    (tmp_path / "sitecustomize.py").write_text(BEHIND.format(days=30 * 365), encoding="utf-8")
    with serving(workspace, free_port(), env=os.environ | {"PYTHONPATH": str(tmp_path)}) as running:
        before = running.get(ROUTE.format(customers[0]), headers=headers).json()
        event = {"customer_id": customers[0], "kind": "consent", "purpose": "marketing", "granted": False}
        told = httpx.post(f"{running.address}/v1/events", headers=headers, json=event, timeout=60)
        assert told.status_code == 201, told.text
        after = running.get(ROUTE.format(customers[0]), headers=headers).json()
    assert before["day"] == after["day"] == as_of
    assert before["recommendations"]
    assert after["recommendations"] == []
    assert {before["decision_id"], after["decision_id"]} <= recorded(workspace)
    records = Records.open(workspace, RecordsConfig())
    try:
        noted = {entry.at[:4] for entry in records.newest(10)}
    finally:
        records.close()
    assert noted <= {str(year), str(year + 1)}, "the clock was behind"
