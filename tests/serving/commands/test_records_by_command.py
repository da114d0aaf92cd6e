"""What the service puts on record, looked at from the command line while it runs and after."""

import sqlite3
import subprocess

import pytest

from serving.access import create_demo_key
from serving.software import SOFTWARE, decided_by
from tests.command import NEXTPRODUCT
from tests.serving.running import copied, free_port, serving


def command(*words):
    return subprocess.run([*NEXTPRODUCT, *map(str, words)], capture_output=True, check=False)


@pytest.fixture(scope="module")
def workspace(trained, tmp_path_factory):
    workspace = copied(trained, tmp_path_factory.mktemp("recorded") / "workspace")
    create_demo_key(workspace)
    return workspace


@pytest.fixture(scope="module")
def answers(workspace):
    """Two answers of the service, which still runs, to who has a token of the command's."""
    token = command("token", workspace, "--role", "campaign_manager").stdout.decode().strip()
    headers = {"Authorization": f"Bearer {token}"}
    with serving(workspace, free_port()) as running:
        yield [
            running.get(f"/v1/customers/{customer}/recommendations?limit=2&language=zh", headers=headers)
            for customer in ("R0000003", "C000003")
        ]


def test_replay_prints_the_same_bytes(workspace, answers):
    for answer in answers:
        assert answer.status_code == 200
        done = command("replay", workspace, answer.json()["decision_id"])
        assert (done.returncode, done.stdout) == (0, answer.content), done.stderr.decode()
        assert done.stderr.decode() == f"Decision {answer.json()['decision_id']}: {decided_by(SOFTWARE)}.\n"


def test_replay_of_what_is_not_on_record_is_refused_in_a_sentence(workspace, answers):
    done = command("replay", workspace, "nothing")
    assert done.returncode == 1
    assert done.stderr.decode() == "Error: decision 'nothing' is not on record\n"


def test_the_log_is_whole_until_somebody_changes_it(workspace, answers):
    whole = command("log", "verify", workspace)
    assert whole.returncode == 0, whole.stderr.decode()
    records = sqlite3.connect(workspace / "records.db")
    (payload,) = records.execute("SELECT payload FROM entries WHERE seq = 2").fetchone()
    assert b"R0000003" in payload  # the first entry is the deployment's
    with records:
        records.execute("UPDATE entries SET payload = ? WHERE seq = 2", (payload.replace(b"R0000003", b"R0000004"),))
    changed = command("log", "verify", workspace)
    assert changed.returncode == 1
    assert b"entry 2" in changed.stdout + changed.stderr
    with records:
        records.execute("UPDATE entries SET payload = ? WHERE seq = 2", (payload,))
    records.close()
    assert command("log", "verify", workspace).returncode == 0
