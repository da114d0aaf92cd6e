"""The service as a user starts it: `nextproduct serve`, a real socket, a real client."""

import signal
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest

from tests.command import NEXTPRODUCT
from tests.training.banks import LIGHT, synthetic_tables


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(workspace, port):
    """The address of a service that runs in a process of its own; it ends quietly."""
    process = subprocess.Popen(
        [*NEXTPRODUCT, "serve", str(workspace), "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        assert process.poll() is None, process.stderr.read().decode()
        try:
            httpx.get(f"{address}/healthz")
            break
        except httpx.ConnectError:
            time.sleep(0.1)
    yield address
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, b"")


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def server(trained, port):
    with serving(trained, port) as address:
        yield address


def test_it_answers_as_the_recommender_does(server, recommender):
    assert httpx.get(f"{server}/readyz").json()["status"] == "ready"
    for customer_id in ("R0000001", "C000001"):
        answer = httpx.get(f"{server}/v1/customers/{customer_id}/recommendations", params={"limit": 3})
        assert answer.status_code == 200
        # across processes, through JSON: the same numbers to the last bit
        assert answer.json() == recommender.recommend(customer_id, 3).to_dict()


def test_errors_are_problem_documents(server):
    answer = httpx.get(f"{server}/v1/customers/nobody/recommendations")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_it_describes_itself(server):
    assert "/v1/customers/{customer_id}/recommendations" in httpx.get(f"{server}/openapi.json").json()["paths"]
    assert httpx.get(f"{server}/docs").status_code == 200


def test_it_listens_on_this_machine_only(server, port):
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex(("127.0.0.2", port)) != 0


def test_a_port_in_use_is_refused_by_name(server, trained, port):
    done = subprocess.run(
        [*NEXTPRODUCT, "serve", str(trained), "--port", str(port)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_may_be_asked_all_the_while_the_jobs_run(session_folder, tmp_path):
    """Broken before: asked while the first run made MLflow's store, it broke the store."""
    settings = LIGHT.replace("[training]\n", '[training]\nmodels = ["popularity"]\n', 1)
    (tmp_path / "nextproduct.toml").write_text(settings, encoding="utf-8")
    tables = synthetic_tables(session_folder)
    answers = []
    with serving(tmp_path, free_port()) as address:
        for job in (["build", str(tables), str(tmp_path)], ["train", str(tmp_path)]):
            running = subprocess.Popen([*NEXTPRODUCT, *job], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
            while running.poll() is None:
                answers.append(httpx.get(f"{address}/readyz", timeout=60).status_code)
                time.sleep(0.01)
            _, said = running.communicate()
            assert running.returncode == 0, said.decode()
        answers.append(httpx.get(f"{address}/readyz").status_code)
    assert set(answers) == {503, 200}
    assert answers == sorted(answers, reverse=True)
