"""`/readyz` tells whether customers can be answered, whatever breaks, and it really breaks."""

import resource
import shutil
import signal
import sqlite3
import time

import httpx
import pytest

from serving.access import Role, create_api_key
from serving.api.readiness import EVERY
from tests.serving.running import copied, eventually, free_port, serving

ROUTE = "/v1/customers/R0000001/recommendations"
TIMEOUT = 1.5


@pytest.fixture
def workspace(trained, tmp_path):
    workspace = copied(trained, tmp_path / "workspace")
    configure(workspace)
    return workspace


def configure(workspace, **settings):
    lines = [f"commit_timeout = {TIMEOUT}", *(f'{name} = "{value}"' for name, value in settings.items())]
    (workspace / "nextproduct.toml").write_text("\n".join(["[serving.records]", *lines, ""]), "utf-8")


@pytest.fixture
def key(workspace):
    return {"X-API-Key": create_api_key(workspace, "CRM", Role.ADMINISTRATOR)}


def readyz(running):
    """Its status and what it says, once what was found before holds no longer."""
    time.sleep(EVERY)
    answer = running.get("/readyz")
    return answer.status_code, answer.json().get("detail", ""), answer.json().get("warnings")


def asked(running, key):
    return running.get(ROUTE, headers=key).status_code


def assert_unready(running, key, *said, asked_for=503):
    """Nothing is answered, and `/readyz` says so in words that tell nobody where the records lie."""
    assert asked(running, key) == asked_for
    status, detail, _ = readyz(running)
    assert status == 503
    for words in said:
        assert words in detail
    assert "/" not in detail


def test_while_all_is_well(workspace, key):
    with serving(workspace, free_port()) as running:
        assert asked(running, key) == 200
        for _ in range(3):
            assert readyz(running) == (200, "", [])
        assert asked(running, key) == 200


def test_a_database_that_was_taken_away_or_replaced(workspace, key):
    """Broken before: a look at what was open already found all well."""
    database, kept = workspace / "records.db", workspace / "kept.db"
    with serving(workspace, free_port()) as running:
        assert readyz(running)[0] == 200
        database.rename(kept)
        assert_unready(running, key, "the records' database was removed")
        shutil.copy(kept, database)
        assert_unready(running, key, "the records' database was replaced")
        kept.rename(database)
        assert readyz(running)[0] == 200
        assert asked(running, key) == 200


def test_a_database_that_is_locked_for_too_long(workspace, key):
    with serving(workspace, free_port()) as running:
        assert readyz(running)[0] == 200
        locking = sqlite3.connect(workspace / "records.db", isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        time.sleep(EVERY)
        began = time.monotonic()
        assert running.get("/readyz").status_code == 200  # it may be a moment only
        assert time.monotonic() - began < TIMEOUT
        eventually(lambda: running.get("/readyz").status_code == 503, 5)
        assert_unready(running, key, "lock")
        assert running.get("/healthz").status_code == 200
        locking.execute("ROLLBACK")
        locking.close()
        eventually(lambda: running.get("/readyz").status_code == 200)
        assert asked(running, key) == 200


def test_the_folder_of_the_workspace_is_gone(workspace, key):
    with serving(workspace, free_port()) as running:
        assert readyz(running)[0] == 200
        away = workspace.rename(workspace.with_name("elsewhere"))
        time.sleep(1.2)  # keys are looked at once a second, and those have gone too
        assert_unready(running, key, "the folder of the workspace is gone", asked_for=401)
        away.rename(workspace)
        assert readyz(running)[0] == 200
        eventually(lambda: asked(running, key) == 200)


def full(limit):
    """Have the system let a process's files grow no further, as on a disk without room."""

    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return no_room


def test_a_full_disk(workspace, key):
    with (
        serving(workspace, free_port(), preexec_fn=full(3_000_000)) as running,
        httpx.Client(base_url=running.address, headers=key, timeout=60) as client,
    ):
        assert readyz(running)[0] == 200
        eventually(lambda: client.get(ROUTE).status_code == 503)
        assert_unready(running, key, "the records")
        for _ in range(3):
            assert readyz(running)[0] == 503
            assert asked(running, key) == 503


@pytest.mark.parametrize("queue_is_writable", [True, False])
def test_with_a_queue_it_is_ready_while_that_can_be_written(workspace, key, queue_is_writable):
    configure(workspace, on_failure="queue")
    with serving(workspace, free_port()) as running:
        assert readyz(running) == (200, "", [])
        if not queue_is_writable:
            (workspace / "records-queue").write_text("no folder", "utf-8")
        locking = sqlite3.connect(workspace / "records.db", isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        if queue_is_writable:
            eventually(lambda: readyz(running)[2])
            status, _, (warning,) = readyz(running)
            assert status == 200
            assert warning.startswith("decisions wait in files: ")
            assert [asked(running, key) for _ in range(3)] == [200] * 3
            time.sleep(1.2)  # told once a second
            counted = running.get("/metrics", headers=key).text
            assert 'nextproduct_fallbacks_total{what="records_in_files"} 3.0' in counted
        else:
            eventually(lambda: readyz(running)[0] == 503)
            assert_unready(running, key, "neither the records' database nor the queue")
        locking.execute("ROLLBACK")
        locking.close()
        eventually(lambda: readyz(running) == (200, "", []))


def test_a_database_that_was_taken_away_is_no_business_of_the_queue(workspace, key):
    configure(workspace, on_failure="queue")
    with serving(workspace, free_port()) as running:
        assert readyz(running)[0] == 200
        (workspace / "records.db").rename(workspace / "kept.db")
        assert_unready(running, key, "the records' database was removed")
        (workspace / "kept.db").rename(workspace / "records.db")
        assert readyz(running)[0] == 200


def test_a_server_that_is_away_or_locked(workspace, key, postgres):
    configure(workspace, database=postgres.empty_database())
    try:
        with serving(workspace, free_port()) as running:
            assert readyz(running) == (200, "", [])
            postgres.stop()
            assert_unready(running, key, "the records cannot be read or written")
            postgres.start()
            eventually(lambda: running.get("/readyz").status_code == 200)
            assert asked(running, key) == 200
    finally:
        postgres.start()
