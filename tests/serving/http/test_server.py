"""The service as a user starts it: `nextproduct serve`, real processes, real sockets, real kills."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from serving.access import create_api_key
from serving.access.roles import Role
from serving.deployment import current
from tests.command import NEXTPRODUCT
from tests.serving.api import read_reply
from tests.serving.deployment.changing import deploy
from tests.serving.running import PATIENCE, Running, eventually, free_port, serving
from tests.training.banks import LIGHT, synthetic_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(trained, tmp_path_factory):
    return shutil.copytree(trained, tmp_path_factory.mktemp("served") / "workspace")


@pytest.fixture(scope="module")
def key(workspace):
    """Of an administrator."""
    return {"X-API-Key": create_api_key(workspace, "test", Role.ADMINISTRATOR)}


@pytest.fixture(scope="module")
def pair(workspace, key):
    """A service of two workers."""
    with serving(workspace, free_port(), "--workers", 2) as running:
        eventually(lambda: b"Serving on " in running.said)
        yield running


class TestSeveralWorkers:
    def test_it_says_where_it_listens_and_what_is_in_use_once_all_are_ready(self, pair, workspace):
        made = current(workspace)
        assert pair.said.decode().splitlines()[0] == (
            f"Serving on http://127.0.0.1:{pair.port} with 2 workers: model 1, states {made.states}, "
            f"policy {made.policy} (deployment 1)."
        )
        assert len(pair.workers()) == 2

    def test_it_listens_on_this_machine_only(self, pair):
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex(("127.0.0.2", pair.port)) != 0

    def test_a_port_in_use_is_refused_by_name(self, pair, workspace):
        done = subprocess.run(
            [*NEXTPRODUCT, "serve", str(workspace), "--port", str(pair.port)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert f"cannot listen on 127.0.0.1:{pair.port} (Address already in use): give another --port" in done.stderr
        assert "Traceback" not in done.stderr

    def test_it_answers_as_the_engine_does(self, pair, key, engine):
        for customer_id in ("R0000001", "C000001"):
            path = f"/v1/customers/{customer_id}/recommendations"
            answer = pair.get(path, params={"limit": 3}, headers=key)
            assert answer.status_code == 200
            expected = engine.recommend(customer_id, 3)
            offered = [(each["product_id"], each["priority"]) for each in answer.json()["recommendations"]]
            # across processes, through JSON: the same numbers to the last bit
            assert offered == [(each.product_id, each.priority) for each in expected.suggestions]

    def test_who_never_ends_the_headers_is_left(self, workspace, pair):
        with socket.create_connection(("127.0.0.1", pair.port), timeout=60) as slow:
            slow.sendall(b"GET /healthz HTTP/1.1\r\nhost: ")
            start = time.monotonic()
            assert read_reply(slow).problem["status"] == 408
            assert slow.recv(1) == b""
            assert time.monotonic() - start > 9

    def test_all_workers_go_over_to_what_is_deployed_and_nobody_notices(self, pair, workspace, key):
        policy = workspace / "policy.yaml"
        policy.write_text(policy.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
        answers, done = [], threading.Event()

        def ask():
            while not done.is_set():
                answer = pair.get("/v1/customers/R0000001/recommendations", headers=key)
                answers.append((answer.status_code, answer.json()["versions"]["policy"]))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        before = current(workspace)
        made = deploy(workspace, policy="current", by="test")

        def all_changed():
            return answers[-50:].count((200, made.policy)) == 50

        eventually(all_changed)
        done.set()
        for thread in asking:
            thread.join()
        assert {status for status, _ in answers} == {200}
        assert {policy for _, policy in answers} == {before.policy, made.policy}

    def test_a_worker_that_is_killed_is_replaced_and_the_others_answer_meanwhile(self, pair):
        first = pair.workers()
        os.kill(min(first), signal.SIGKILL)
        eventually(lambda: min(first) not in pair.workers())
        # what the killed one had taken on is lost; whoever asks from now on is answered
        while len(pair.workers()) < 2:
            assert pair.get("/readyz").status_code == 200
        for _ in range(20):
            assert pair.get("/readyz").status_code == 200
        assert len(pair.workers() - first) == 1

    def test_when_all_workers_are_killed_who_asks_waits_for_the_next(self, pair):
        before = pair.workers()
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        assert pair.get("/readyz").status_code == 200
        assert not pair.workers() & before

    def test_a_worker_that_cannot_start_again_is_tried_again_and_the_others_answer_meanwhile(self, pair, workspace):
        """It ended the service: a database that was away while one of many workers died took all of them down."""
        (workspace / "records.db").rename(workspace / "kept.db")
        (workspace / "records.db").mkdir()
        try:
            victim = min(pair.workers())
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: b"records.db" in pair.said)
            eventually(lambda: len(pair.workers()) == 2 and victim not in pair.workers())
            assert pair.get("/healthz").status_code == 200
        finally:
            (workspace / "records.db").rmdir()
            (workspace / "kept.db").rename(workspace / "records.db")
        eventually(lambda: all("customer_ids.npy" in _maps(worker) for worker in pair.workers()))
        assert pair.process.poll() is None
        assert pair.get("/readyz").status_code == 200


class TestStoppingAndStarting:
    def test_workers_end_with_their_supervisor_and_leave_the_port(self, workspace):
        """Nobody would stop them any more, and the next service could not listen."""
        running = Running(workspace, free_port(), "--workers", 2)
        workers = eventually(lambda: running.listens() and running.workers())
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
        eventually(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))
        with socket.create_server(("127.0.0.1", running.port)):
            pass

    def test_who_connects_first_is_answered_at_once(self, workspace):
        """Nothing listens before the first worker is warm."""
        running = Running(workspace, free_port())
        with socket.socket() as probe:
            eventually(lambda: _connects(probe, running))
            probe.settimeout(PATIENCE)
            start = time.monotonic()
            probe.sendall(b"GET /readyz HTTP/1.1\r\nhost: bank\r\n\r\n")
            assert probe.recv(4096).startswith(b"HTTP/1.1 200 OK")
            assert time.monotonic() - start < 2
        assert running.stop(signal.SIGINT) == 0
        assert running.said.count(b"\n") == running.said.count(b'"route":"/readyz"') + 1, running.said.decode()
        assert running.said.startswith(b"Serving on http://127.0.0.1:%d with 1 worker: model 1, " % running.port)

    def test_what_has_been_begun_is_finished_before_it_ends(self, workspace, key):
        running = Running(workspace, free_port())
        eventually(running.listens)
        body = b'{"model": "champion"}'
        lines = ("POST /v1/admin/swap HTTP/1.1", "host: bank", f"x-api-key: {key['X-API-Key']}",
                 "content-type: application/json", f"content-length: {len(body)}", "", "")  # fmt: skip
        before = current(workspace).number
        with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as asking:
            asking.sendall("\r\n".join(lines).encode() + body)
            time.sleep(0.1)
            running.process.send_signal(signal.SIGTERM)
            assert asking.recv(4096).startswith(b"HTTP/1.1 200 OK")
        assert running.stop() == 0
        assert current(workspace).number == before + 1

    def test_a_workspace_that_is_not_there_is_said_in_a_sentence(self, tmp_path):
        done = subprocess.run(
            [*NEXTPRODUCT, "serve", str(tmp_path / "no")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("Error: there is no workspace ")
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("workers", [1, 2])
    def test_what_keeps_it_from_starting_is_said_in_a_sentence(self, workspace, tmp_path, workers):
        settings = tmp_path / "nextproduct.toml"
        settings.write_text('[serving.records]\ndatabase = "postgresql://nobody@127.0.0.1:1/none"\n', encoding="utf-8")
        words = ["serve", workspace, "--port", free_port(), "--workers", workers, "--config", settings]
        done = subprocess.run([*NEXTPRODUCT, *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode not in (0, None)
        assert "127.0.0.1" in done.stderr
        assert "Traceback" not in done.stderr

    def test_it_may_be_asked_all_the_while_the_jobs_run(self, session_folder, tmp_path):
        """Broken before: asked while the first run made MLflow's store, it broke the store."""
        settings = LIGHT.replace("[training]\n", '[training]\nmodels = ["popularity"]\n', 1)
        (tmp_path / "nextproduct.toml").write_text(settings, encoding="utf-8")
        tables = synthetic_tables(session_folder)
        answers = []
        with serving(tmp_path, free_port()) as running:
            for job in (["build", str(tables), str(tmp_path)], ["train", str(tmp_path)]):
                working = subprocess.Popen([*NEXTPRODUCT, *job], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
                while working.poll() is None:
                    answers.append(running.get("/readyz").status_code)
                    time.sleep(0.01)
                _, said = working.communicate()
                assert working.returncode == 0, said.decode()
            eventually(lambda: running.get("/readyz").status_code == 200)
        assert set(answers) <= {503, 200}
        assert answers == sorted(answers, reverse=True)


def _maps(pid):
    """The files that a process has mapped: states, once it has opened what is in use."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _connects(probe, running):
    assert running.process.poll() is None, running.said.decode()
    return probe.connect_ex(("127.0.0.1", running.port)) == 0


def test_one_worker_compiles_what_is_left_where_others_have_started_threads():
    """As `demo` does, which serves in the process that has trained."""
    program = """
import numba, numpy as np
numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)

@numba.njit(parallel=True)
def many(values):
    for place in numba.prange(len(values)):
        values[place] += 1

@numba.njit
def later(values):
    return values.sum()

values = np.zeros(100)
many(values)
from serving.http.server import _limit_threads
_limit_threads(1)
print(later(values))
"""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    words = [sys.executable, "-c", program]
    said = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE)
    assert said.stdout == "100.0\n", said.stderr
