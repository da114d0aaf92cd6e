"""The database is away, locked, removed or full: nothing that was answered is lost, and all goes on by itself."""

import asyncio
import itertools
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import sqlalchemy

from features.errors import BadInput
from serving.records import Entry, RecordsUnavailable, erase, new_entry_id, verify
from serving.records.queue_files import FOLDER, QueueFiles, drain, waiting_files
from tests.serving.records.places import (
    PROJECT,
    decision,
    event,
    events_of,
    every_entry,
    find,
    killed,
    wait_until,
)

AT = "2026-11-28T09:30:00.000000Z"


@contextmanager
def locked(place):
    """Somebody else holds what a writer needs."""
    if not place.database:
        engine, statement = sqlalchemy.create_engine(f"sqlite:///{place.workspace / 'records.db'}"), "BEGIN IMMEDIATE"
    else:
        engine, statement = sqlalchemy.create_engine(place.database), "LOCK TABLE entries IN EXCLUSIVE MODE"
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
        yield
        connection.rollback()
    engine.dispose()


def together(appends):
    return list(itertools.chain(*appends))


def ids(entries):
    return [entry.entry_id for entry in entries]


class TestRefuse:
    def test_a_server_that_is_away_and_comes_back(self, postgresql, postgres):
        with postgresql.opened(commit_timeout=2) as records:
            records.append_now([event("C1")])
            assert list(events_of(records, "C1")) == ["C1"]
            postgres.stop()
            for _ in range(2):
                with pytest.raises(RecordsUnavailable, match="cannot be written"):
                    records.append_now([decision()])
                with pytest.raises(RecordsUnavailable, match="cannot be read"):
                    events_of(records, "C1")
            assert (records.lag, records.queued) == (0, 0)
            postgres.start()
            assert list(events_of(records, "C1")) == ["C1"]
            assert records.append_now([decision()])
            assert verify(records).entries == 2

    def test_a_server_that_was_started_again_in_a_quiet_moment_is_not_noticed(self, postgresql, postgres):
        """The first append and the first lookup afterwards failed on connections that were gone."""
        with postgresql.opened() as records:
            records.append_now([event("C1")])
            events_of(records, "C1")
            postgres.stop()
            postgres.start()
            assert records.append_now([decision()])
            assert list(events_of(records, "C1")) == ["C1"]

    def test_a_server_that_is_away_at_the_start(self, postgresql, postgres):
        postgres.stop()
        with pytest.raises(RecordsUnavailable, match=r"cannot be opened .*: is the server there"), postgresql.opened():
            pass

    def test_locked_for_too_long(self, place):
        """What was given up is not written later, behind the back of whoever was refused."""

        async def append_all(records, entries):
            return await asyncio.gather(*(records.append([entry]) for entry in entries), return_exceptions=True)

        with place.opened(commit_timeout=0.5) as records:
            records.append_now([decision()])
            with locked(place):
                start = time.monotonic()
                refused = asyncio.run(append_all(records, [decision() for _ in range(5)]))
                assert time.monotonic() - start < 5
                assert [type(error) for error in refused] == [RecordsUnavailable] * 5
                wait_until(lambda: records.lag == 0)
            after = decision()
            assert records.append_now([after])
            assert ids(every_entry(records))[1:] == [after.entry_id]
            assert verify(records).is_sound

    def test_locked_for_a_moment(self, place):
        with place.opened() as records:

            async def append_all():
                waiting = asyncio.ensure_future(records.append([decision()]))
                await asyncio.sleep(0.2)
                assert records.lag == 1
                release.__exit__(None, None, None)
                return await waiting

            release = locked(place)
            release.__enter__()
            assert asyncio.run(append_all())

    @pytest.mark.parametrize("on_failure", ["refuse", "queue"])
    def test_a_file_that_was_removed_is_not_written_any_more(self, sqlite, on_failure):
        """SQLite goes on writing into what nobody can find again."""
        database = sqlite.workspace / "records.db"
        with sqlite.opened(on_failure=on_failure) as records:
            records.append_now([decision()])
            database.rename(sqlite.workspace / "aside.db")
            with pytest.raises(RecordsUnavailable, match="was removed while it was in use"):
                records.append_now([decision()])
            with pytest.raises(RecordsUnavailable, match="was removed while it was in use"):
                erase(records, "C1", reason="asked", by="test")
            database.write_bytes(b"")
            with pytest.raises(RecordsUnavailable, match="was replaced while it was in use"):
                records.append_now([decision()])
            (sqlite.workspace / "aside.db").rename(database)
            assert records.append_now([decision()])
            assert verify(records).entries == 2

    @pytest.mark.parametrize("on_failure", ["refuse", "queue"])
    def test_a_full_disk(self, sqlite, on_failure):
        """Neither the database nor a file takes anything: whatever the settings, nothing is answered."""
        code = FULL_DISK.format(workspace=str(sqlite.workspace), on_failure=on_failure)
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=False)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.split("\n") == ["refused"] * 3 + ["3 on record, sound", ""]
        with sqlite.opened(writable=False) as records:
            assert (verify(records).entries, verify(records).is_sound) == (3, True)
        assert waiting_files(sqlite.workspace) == []


FULL_DISK = """
import resource, signal
from pathlib import Path
from serving.records import Entry, Records, RecordsConfig, RecordsUnavailable, new_entry_id, verify

def decision():
    return Entry("decision", new_entry_id(), "C1", bytes(10_000))

records = Records.open(Path({workspace!r}), RecordsConfig(on_failure={on_failure!r}))
records.append_now([decision()])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, unlimited[1]))
for _ in range(3):
    try:
        records.append_now([decision()])
    except RecordsUnavailable:
        print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
assert records.append_now([decision()])
records.close()
records = Records.open(Path({workspace!r}), RecordsConfig())
records.append_now([decision()])
found = verify(records)
print(found.entries, "on record,", "sound" if found.is_sound else found.problems)
records.close()
"""


class TestQueue:
    def test_decisions_are_answered_and_arrive_once_in_order(self, postgresql, postgres):
        with postgresql.opened(on_failure="queue", commit_timeout=2) as records:
            refusal = event("C1", b'{"consent": false}')
            records.append_now([refusal])
            postgres.stop()
            kept = [decision(f"C{number}", payload=f"客户{number}".encode()) for number in range(300)]
            for entry in kept[:20]:
                assert records.append_now([entry])

            async def append_all():
                return await asyncio.gather(*(records.append([entry]) for entry in kept[20:]))

            assert asyncio.run(append_all()) == [True] * 280
            assert records.queued == 300
            with pytest.raises(RecordsUnavailable):
                records.append_now([event("C1")])
            with pytest.raises(RecordsUnavailable):
                records.append_now([decision(), event("C1")])
            assert ids(events_of(records, "C1", "C2")["C1"]) == [refusal.entry_id]
            postgres.start()
            wait_until(lambda: records.queued == 0)
            wait_until(lambda: records.append_now([event("C2")]) and records.queued == 0)
            found = every_entry(records)
            assert ids(found)[1:301] == ids(kept)
            assert all(stored.says_the_same_as(entry) for stored, entry in zip(found[1:], kept, strict=False))
            assert len(found) == 302
            assert verify(records).problems == ()
            assert waiting_files(postgresql.workspace) == []

    def test_a_locked_database(self, place):
        with place.opened(on_failure="queue", commit_timeout=0.5) as records:
            with locked(place):
                start = time.monotonic()
                first, second = decision(), decision()
                assert records.append_now([first])
                waited = time.monotonic() - start
                assert records.append_now([second])
                assert time.monotonic() - start - waited < 0.45  # nobody waits for it again
                assert records.queued == 2
            wait_until(lambda: records.queued == 0)
            assert sorted(ids(every_entry(records))) == sorted([first.entry_id, second.entry_id])
            assert verify(records).is_sound

    def test_killed_while_queueing_loses_nothing_that_was_acknowledged(self, postgresql, postgres):
        child = postgresql.child("queue", 0, 8)
        lines = [child.stdout.readline().strip() for _ in range(50)]
        postgres.stop()
        lines += [child.stdout.readline().strip() for _ in range(300)]
        rest, errors = killed(child)
        lines += rest
        acknowledged = {line for line in lines if line != "open" and not line.startswith("refused")}
        assert len(acknowledged) >= 300, errors
        assert waiting_files(postgresql.workspace)
        postgres.start()
        with postgresql.opened(on_failure="queue") as records:
            wait_until(lambda: waiting_files(postgresql.workspace) == [])
            found = every_entry(records)
            assert acknowledged <= set(ids(found))
            assert len(set(ids(found))) == len(found)
            assert verify(records).problems == ()

    def test_events_of_others_are_known_and_erased_ones_are_not(self, place):
        """They are followed while the database is there, so that they are known when it is not."""
        with place.opened(on_failure="queue", commit_timeout=0.5) as records, place.opened() as other:
            records.append_now([event("C1"), event("C2")])
            other.append_now([event("C3"), event("C1")])
            erase(other, "C2", reason="asked", by="test")
            standby = records._standby
            wait_until(lambda: list(known(standby)) == ["C1", "C3"])
            assert [stored.seq for stored in standby.events_of(["C3", "C1"])] == [1, 3, 4]
            standby.is_down = True
            assert [stored.seq for stored in events_of(records, "C1")["C1"]] == [1, 4]
            erase(other, "C3", reason="asked", by="test")
            wait_until(lambda: list(known(standby)) == ["C1"])


def known(standby):
    return dict.fromkeys(sorted(str(stored.customer_id) for stored in standby.events_of(["C1", "C2", "C3"])))


class TestQueueFiles:
    @pytest.fixture
    def left(self, sqlite):
        """What a process that ended left: three appends, the second of two decisions."""
        appends = [[decision("C1", at=AT)], [decision("C2", at=AT), decision("客户3", bytes(range(256)), at=AT)]]
        appends.append([decision(None, b"", at=AT)])
        files = QueueFiles(sqlite.workspace)
        assert files.append(appends[:2]) == [1, 1]
        assert files.append(appends[2:]) == [1]
        assert files.count == 4
        files.put_aside()
        return appends

    @pytest.mark.parametrize("on_failure", ["refuse", "queue"])
    def test_are_taken_over_at_the_start(self, sqlite, left, on_failure):
        with sqlite.opened(on_failure=on_failure) as records:
            wait_until(lambda: waiting_files(sqlite.workspace) == [])
            for stored, entry in zip(every_entry(records), together(left), strict=True):
                assert stored.says_the_same_as(entry)
                assert stored.at == AT
            assert verify(records).is_sound

    def test_are_taken_over_when_an_event_loop_runs(self, sqlite, left):
        async def start():
            with sqlite.opened() as records:
                return len(every_entry(records))

        assert asyncio.run(start()) == 4

    @pytest.mark.parametrize("cut", [1, 2, 50, 10_000])
    def test_a_torn_last_line_was_never_answered(self, sqlite, left, cut):
        """Of an append, all decisions are there or none."""
        (path,) = waiting_files(sqlite.workspace)
        content = path.read_bytes()
        lines = content.splitlines(keepends=True)
        whole = content[: -min(cut, len(lines[-1]))]
        path.write_bytes(whole)
        with sqlite.opened() as records:
            expected = left if whole.endswith(b"}") else left[:2]
            assert ids(every_entry(records)) == ids(together(expected))
        assert waiting_files(sqlite.workspace) == []

    @pytest.mark.parametrize("line", [0, 1])
    def test_damage_elsewhere_is_told_and_the_file_is_kept(self, sqlite, left, line):
        (path,) = waiting_files(sqlite.workspace)
        lines = path.read_bytes().splitlines(keepends=True)
        lines[line] = lines[line].replace(b'"e30="' if line == 0 else b'"C2"', b'"e31="' if line == 0 else b'"C9"')
        path.write_bytes(b"".join(lines))
        for _ in range(2):
            with pytest.raises(BadInput, match=f"{path.name}, line {line + 1}: damaged"), sqlite.opened():
                pass
        with sqlite.opened(on_failure="queue") as records:
            others = [append for number, append in enumerate(left) if number != line]
            wait_until(lambda: len(every_entry(records)) == len(together(others)))
            assert ids(every_entry(records)) == ids(together(others))
            assert records.append_now([decision()])  # the damage keeps nobody from being answered
            assert records.queued == 0
            with pytest.raises(BadInput, match="damaged"):
                erase(records, "C1", reason="asked", by="test")
        assert path.read_bytes() == b"".join(lines)

    def test_taken_over_twice_they_are_recorded_once(self, sqlite, left):
        """As when the process is killed after the database has them and before the file is removed."""
        (path,) = waiting_files(sqlite.workspace)
        content = path.read_bytes()
        for _ in range(2):
            path.write_bytes(content)
            with sqlite.opened() as records:
                assert ids(every_entry(records)) == ids(together(left))

    def test_an_id_that_means_something_else_on_record_is_kept_apart(self, sqlite, left):
        """It was answered, so it may not be lost."""
        (path,) = waiting_files(sqlite.workspace)
        content = path.read_bytes()
        path.unlink()
        entry = left[0][0]
        with sqlite.opened() as records:
            records.append_now([Entry("decision", entry.entry_id, "C1", b"something else")])
        for _ in range(2):
            path.write_bytes(content)
            with sqlite.opened() as records:
                assert len(every_entry(records)) == 5
                assert find(records, entry.entry_id).payload == b"something else"
                assert find(records, f"{entry.entry_id}~").payload == entry.payload

    def test_a_file_that_is_written_is_left_alone(self, sqlite):
        files = QueueFiles(sqlite.workspace)
        files.append([[decision(at=AT)]])
        taken = []
        drain(sqlite.workspace, taken.extend)
        assert taken == []
        files.put_aside()
        drain(sqlite.workspace, taken.extend)
        assert len(taken) == 1
        assert files.count == 0

    def test_a_disk_that_fails_ends_a_file_and_the_next_append_begins_another(self, sqlite, monkeypatch):
        """What half an append left would else stand in the middle of the file."""
        files = QueueFiles(sqlite.workspace)
        files.append([[decision("C1", at=AT)]])

        def tear(descriptor, data):
            whole_write(descriptor, data[: len(data) // 2])
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            from serving.records import queue_files

            whole_write = queue_files._write
            patched.setattr(queue_files, "_write", tear)
            with pytest.raises(RecordsUnavailable, match="neither the database nor"):
                files.append([[decision("C2", at=AT)]])
        files.append([[decision("C3", at=AT)]])
        files.put_aside()
        assert len(list((sqlite.workspace / FOLDER).iterdir())) == 2
        with sqlite.opened() as records:
            assert [entry.customer_id for entry in every_entry(records)] == ["C1", "C3"]

    def test_only_their_owner_may_read_them(self, sqlite, left):
        (path,) = waiting_files(sqlite.workspace)
        assert path.stat().st_mode & 0o777 == 0o600


def test_new_ids_name_files_in_order(tmp_path):
    files = QueueFiles(tmp_path)
    for number in range(3):
        files.append([[decision(f"C{number}", entry_id=new_entry_id(), at=AT)]])
        files.put_aside()
    taken = []
    drain(tmp_path, taken.extend)
    assert [entry.customer_id for entry in taken] == ["C0", "C1", "C2"]
