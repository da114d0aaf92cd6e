"""What is on record is its owner's to read, whatever the umask was."""

import logging
import os
import stat

import pytest

from serving.records.queue_files import FOLDER, QueueFiles
from tests.serving.records.places import decision


@pytest.fixture(params=[0, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(workspace):
    return {
        str(path.relative_to(workspace)): stat.S_IMODE(path.stat().st_mode)
        for path in workspace.rglob("*")
    }  # fmt: skip


def test_new_files_are_private(sqlite, umask, caplog):
    with sqlite.opened() as records:
        records.append_now([decision()])
        queue = QueueFiles(sqlite.workspace)
        queue.append([[decision(at="2026-11-01T12:00:00.000000Z")]])
        found = modes(sqlite.workspace)
        assert {"records.db", "records.db-wal", "records.db-shm", "records.lock", FOLDER} < set(found)
        assert found.pop(FOLDER) == 0o700
        assert set(found.values()) == {0o600}
        queue.put_aside()
    assert caplog.records == []


def test_those_of_earlier_versions_are_made_so_and_it_is_said_once(sqlite, caplog):
    with sqlite.opened() as service:
        service.append_now([decision()])
        queue = QueueFiles(sqlite.workspace)
        queue.append([[decision(at="2026-11-01T12:00:00.000000Z")]])  # of a process that still runs
        for path in sqlite.workspace.rglob("*"):
            path.chmod(path.stat().st_mode | 0o044)
        with caplog.at_level(logging.WARNING), sqlite.opened(), sqlite.opened():
            found = modes(sqlite.workspace)
        assert found.pop(FOLDER) == 0o700
        assert set(found.values()) == {0o600}
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 2
        for name in ("records.db,", "records.db-wal", "records.db-shm", "records.lock: no longer"):
            assert sum(text.count(name) for text in said) == 1
        assert said[1].startswith(f"others than the owner could read {sqlite.workspace / FOLDER}")
        queue.put_aside()


def test_reading_changes_nothing(sqlite, caplog):
    with sqlite.opened() as records:
        records.append_now([decision()])
    (sqlite.workspace / "records.db").chmod(0o644)
    with sqlite.opened(writable=False):
        pass
    assert modes(sqlite.workspace)["records.db"] == 0o644
    assert caplog.records == []
