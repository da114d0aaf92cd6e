"""Copies of the records, and records that lie where nothing can be written."""

import ctypes
import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from features.errors import BadInput, NotReady
from serving.records import Records, back_up, erase, verify
from tests.command import NEXTPRODUCT
from tests.serving.records.places import Place, decision, event, every_entry


@contextmanager
def reading(path):
    records = Records.open_file(path)
    try:
        yield records
    finally:
        records.close()


class TestBackUp:
    def test_holds_what_the_records_hold(self, place, tmp_path):
        with place.opened() as records:
            records.append_now([decision("C1"), event("客户1", b"\xff\x00"), decision("C2", bytes(70_000))])
            erase(records, "C1", reason="asked", by="test")
            done = back_up(records, tmp_path / "copy")
            with reading(tmp_path / "copy") as copy:
                assert every_entry(copy) == every_entry(records)
                assert verify(copy).problems == ()
                assert copy.head == done.head == verify(records).head

    def test_only_its_owner_may_read_it(self, place, tmp_path):
        before = os.umask(0)
        try:
            with place.opened() as records:
                back_up(records, tmp_path / "copy")
        finally:
            os.umask(before)
        assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600

    def test_is_of_one_moment_while_others_write(self, place, tmp_path):
        """A copy of the file by other means looked like tampering: part of it was in the log beside it."""
        child = place.child("refuse", 0, 16)
        try:
            for _ in range(100):
                child.stdout.readline()
            with place.opened(writable=False) as records:
                heads = [back_up(records, tmp_path / f"copy-{number}").head for number in range(4)]
            for number, head in enumerate(heads):
                with reading(tmp_path / f"copy-{number}") as copy:
                    found = verify(copy)
                    assert (found.problems, found.head, found.entries) == ((), head, head.seq)
            seqs = [head.seq for head in heads]
            assert seqs == sorted(seqs)  # who writes may have to wait for who reads what it prints
            assert seqs[0] >= 99
        finally:
            child.kill()
            child.communicate(timeout=60)

    def test_what_is_there_is_not_overwritten_and_nothing_is_left(self, sqlite, tmp_path):
        folder = tmp_path / "copies"
        folder.mkdir()
        (folder / "copy").write_bytes(b"earlier")
        with sqlite.opened() as records, pytest.raises(BadInput, match="copy is there already"):
            back_up(records, folder / "copy")
        assert (folder / "copy").read_bytes() == b"earlier"
        assert [path.name for path in folder.iterdir()] == ["copy"]

    def test_what_was_tampered_with_is_so_in_the_copy(self, sqlite, tmp_path):
        """Whatever SQLite was given: it must not stop the copy that is to be looked into."""
        with sqlite.opened() as records:
            records.append_now([decision("C1"), decision("C2")])
            with sqlite.tampering() as connection:
                connection.execute(text("UPDATE entries SET customer_id = CAST(x'ff' AS TEXT) WHERE seq = 2"))
            back_up(records, tmp_path / "copy")
            with reading(tmp_path / "copy") as copy:
                assert verify(copy).problems == verify(records).problems != ()

    def test_in_the_place_of_the_records_it_is_gone_on_from(self, place, tmp_path):
        with place.opened() as records:
            records.append_now([decision("C1"), event("C2")])
            head = back_up(records, tmp_path / "copy").head
        other = Place(tmp_path / "other", "")
        other.workspace.mkdir()
        shutil.copy(tmp_path / "copy", other.workspace / "records.db")
        with other.opened() as records:
            assert records.head == head
            records.append_now([decision("C3")])
            assert verify(records, anchor=head).problems == ()
            assert verify(records).entries == 3

    def test_whatever_was_written_is_in_it(self, place, tmp_path):
        contents = st.tuples(st.none() | st.sampled_from(["C1", "客户"]), st.binary(max_size=3000))
        with place.opened() as records:

            @settings(max_examples=10, deadline=None)
            @given(st.lists(contents, max_size=300))
            def check(contents):
                records.append_now([decision(customer_id, payload) for customer_id, payload in contents])
                (tmp_path / "copy").unlink(missing_ok=True)
                back_up(records, tmp_path / "copy")
                with reading(tmp_path / "copy") as copy:
                    assert every_entry(copy) == every_entry(records)
                    assert verify(copy).is_sound

            check()

    @pytest.mark.parametrize("content", [b"", b"no database" * 500])
    def test_a_file_without_records_is_refused(self, tmp_path, content):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(NotReady):
            Records.open_file(tmp_path / "other")


class TestWhereNothingCanBeWritten:
    """SQLite makes files beside a database that it reads."""

    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "media"
        folder.mkdir()
        yield folder
        folder.chmod(0o700)

    def test_records_that_were_closed_are_read(self, folder):
        with Place(folder, "").opened() as records:
            records.append_now([decision("C1"), event("C2")])
        assert "2 entries, whole" in looked_at(folder, "verify", folder)
        assert "C2" in looked_at(folder, "show", folder)

    def test_a_copy_is_read(self, folder, sqlite):
        with sqlite.opened() as records:
            records.append_now([decision("C1"), event("C2")])
            back_up(records, folder / "copy.db")
        assert "2 entries, whole" in looked_at(folder, "verify", folder / "copy.db")
        assert "C2" in looked_at(folder, "show", folder / "copy.db")

    def test_records_of_a_service_that_runs_are_read(self, folder):
        with Place(folder, "").opened() as records:
            records.append_now([decision("C1")])
            assert "1 entries, whole" in looked_at(folder, "verify", folder)

    def test_records_whose_log_cannot_be_read_there_are_refused(self, folder, sqlite):
        """As copied from under a service that was killed: they were one entry short, without a word."""
        with sqlite.opened() as records:
            records.append_now([decision("C1")])
            for name in ("records.db", "records.db-wal"):
                shutil.copy(sqlite.workspace / name, folder / name)
        refused = look_at(folder, "verify", folder)
        assert refused.returncode == 1
        assert "records.db-wal holds entries that are not in records.db yet" in refused.stderr
        folder.chmod(0o700)
        (folder / "records.db").chmod(0o600)
        with Place(folder, "").opened(writable=False) as records:
            assert verify(records).entries == 1


def looked_at(folder, *words):
    done = look_at(folder, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def look_at(folder, *words):
    """``nextproduct log`` of somebody who may read everything in a folder and write nothing; root may not either."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    before = sorted(path.name for path in folder.iterdir())
    done = subprocess.run(
        [*NEXTPRODUCT, "log", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_drop_root,
        env=os.environ | {"COLUMNS": "160", "NO_COLOR": "1"},
    )
    assert sorted(path.name for path in folder.iterdir()) == before
    return done


def _drop_root():
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
