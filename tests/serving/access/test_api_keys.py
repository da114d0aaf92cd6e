"""Keys for machines: their file survives whatever happens to its writers, and every reader sees what is revoked."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from features.errors import BadInput, NotFound
from serving.access import (
    NotAuthenticated,
    Principal,
    Role,
    api_keys,
    create_api_key,
    list_api_keys,
    revoke_api_key,
    watched_file,
)
from serving.access.api_keys import API_KEYS_FILE, ApiKeyVerifier
from tests.serving.access.issuers import eventually, fuzzed


def parts(key):
    mark, key_id, secret = key.split("_")
    assert mark == "np"
    return key_id, secret


def reason_of(by, presented):
    with pytest.raises(NotAuthenticated) as caught:
        by.principal_of(presented)
    assert str(caught.value) == str(NotAuthenticated("whatever"))
    return caught.value.reason


@pytest.fixture
def at_every_use(monkeypatch):
    monkeypatch.setattr(watched_file, "LOOK_EVERY", 0.0)


class TestCreate:
    def test_what_is_kept_is_not_the_secret(self, tmp_path):
        key = create_api_key(tmp_path, "CRM", Role.RM, rm_id="RM01", days=30)
        key_id, secret = parts(key)
        assert len(bytes.fromhex(secret)) * 8 == 256
        text = (tmp_path / API_KEYS_FILE).read_text(encoding="utf-8")
        assert key_id in text
        assert secret not in text
        (kept,) = list_api_keys(tmp_path)
        assert (kept.id, kept.name, kept.role, kept.rm_id, kept.branch_id) == (key_id, "CRM", Role.RM, "RM01", None)
        assert kept.expires_at - kept.created_at == timedelta(days=30)

    def test_only_its_owner_can_read_the_file(self, tmp_path):
        create_api_key(tmp_path, "CRM", Role.ANALYST)
        revoke_api_key(tmp_path, list_api_keys(tmp_path)[0].id)
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path

    def test_no_two_are_the_same(self, tmp_path):
        keys = {create_api_key(tmp_path, "CRM", Role.ANALYST) for _ in range(20)}
        assert len({parts(key)[0] for key in keys}) == len({parts(key)[1] for key in keys}) == 20
        assert [key.id for key in list_api_keys(tmp_path)] != sorted(key.id for key in list_api_keys(tmp_path))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("CRM", Role.RM), "the role rm needs an rm_id"),
            (("CRM", Role.TEAM_LEAD, "RM01"), "the role team_lead needs a branch_id"),
            (("", Role.ANALYST), "name has to be"),
            (("two\nlines", Role.ANALYST), "name has to be"),
            (("CRM", Role.RM, "\n"), "rm_id has to be"),
            (("CRM", Role.ANALYST, None, None, 0), "a key lasts 1 to 365 days, not 0"),
            (("CRM", Role.ANALYST, None, None, 366), "a key lasts 1 to 365 days, not 366"),
        ],
    )
    def test_what_does_not_fit_is_refused_and_nothing_written(self, tmp_path, arguments, said):
        with pytest.raises(BadInput, match=said):
            create_api_key(tmp_path, *arguments)
        assert list(tmp_path.iterdir()) == []

    def test_it_needs_a_workspace(self, tmp_path):
        with pytest.raises(NotFound, match="there is no workspace"):
            create_api_key(tmp_path / "none", "CRM", Role.ANALYST)
        with pytest.raises(NotFound, match="there is no workspace"):
            revoke_api_key(tmp_path / "none", "0" * 12)
        assert list_api_keys(tmp_path / "none") == ()


class TestVerify:
    def test_whose_it_is(self, tmp_path):
        key = create_api_key(tmp_path, "CRM", Role.TEAM_LEAD, "RM01", "B1")
        expected = Principal(f"key:{parts(key)[0]}", Role.TEAM_LEAD, "RM01", "B1", how="api_key")
        assert ApiKeyVerifier(tmp_path).principal_of(key) == expected

    def test_a_secret_opens_only_its_own_key(self, tmp_path):
        first, second = (create_api_key(tmp_path, name, Role.ANALYST) for name in "ab")
        swapped = f"np_{parts(first)[0]}_{parts(second)[1]}"
        assert reason_of(ApiKeyVerifier(tmp_path), swapped) == "the key's secret is wrong"

    def test_its_hash_is_not_the_key(self, tmp_path):
        """Whoever reads the file cannot get in with what is in it."""
        create_api_key(tmp_path, "CRM", Role.ANALYST)
        (kept,) = list_api_keys(tmp_path)
        assert reason_of(ApiKeyVerifier(tmp_path), f"np_{kept.id}_{kept.sha256}") == "the key's secret is wrong"

    def test_without_keys_none_is_known(self, tmp_path):
        by = ApiKeyVerifier(tmp_path)
        assert not by
        assert reason_of(by, f"np_{'0' * 12}_{'0' * 64}") == "the key is not known, or revoked"

    def test_it_expires(self, tmp_path, at_every_use, monkeypatch):
        yesterday = datetime.now(UTC) - timedelta(days=1)
        with monkeypatch.context() as then:
            then.setattr(api_keys, "_now", lambda: yesterday - timedelta(hours=1))
            over = create_api_key(tmp_path, "CRM", Role.ANALYST, days=1)
        with monkeypatch.context() as then:
            then.setattr(api_keys, "_now", lambda: yesterday + timedelta(hours=1))
            fine = create_api_key(tmp_path, "CRM", Role.ANALYST, days=1)
        by = ApiKeyVerifier(tmp_path)
        assert reason_of(by, over) == "the key has expired"
        assert by.principal_of(fine).role is Role.ANALYST
        assert [key.state(datetime.now(UTC)) for key in list_api_keys(tmp_path)] == ["expired", "active"]

    def test_one_from_before_that_has_no_end_is_accepted_and_named_in_the_log(self, tmp_path, caplog):
        key = create_api_key(tmp_path, "CRM", Role.ANALYST)
        path = tmp_path / API_KEYS_FILE
        assert not caplog.records
        content = json.loads(path.read_text(encoding="utf-8"))
        content["keys"][0]["expires_at"] = None
        path.write_text(json.dumps(content), encoding="utf-8")
        assert ApiKeyVerifier(tmp_path).principal_of(key).role is Role.ANALYST
        (warning,) = caplog.messages
        assert warning.endswith(f"replace {parts(key)[0]}")

    @fuzzed
    @given(data=st.data())
    def test_nothing_near_it_is_it(self, tmp_path_factory, data):
        key, by = _one_key(tmp_path_factory)
        at = data.draw(st.integers(0, len(key) - 1))
        changed = data.draw(
            st.sampled_from(
                [key[:at], key[at:], key[:at] + key[at + 1 :], key[:at] + key[at] + key[at:], key.upper(), key + "\n"]
            )
            | st.characters().map(lambda character: key[:at] + character + key[at + 1 :])
            | st.text()
        )
        assume(changed != key)
        reason_of(by, changed)


def _one_key(folders, made=[]):  # noqa: B006, made once
    if not made:
        workspace = folders.mktemp("keys")
        made.extend((create_api_key(workspace, "CRM", Role.ANALYST), ApiKeyVerifier(workspace)))
    return made


class TestRevoke:
    def test_it_is_refused_from_then_on_and_stays_on_the_list(self, tmp_path, at_every_use):
        key, other = (create_api_key(tmp_path, name, Role.ANALYST) for name in "ab")
        by = ApiKeyVerifier(tmp_path)
        assert by.principal_of(key)
        revoked = revoke_api_key(tmp_path, parts(key)[0])
        assert reason_of(by, key) == "the key is not known, or revoked"
        assert by.principal_of(other).role is Role.ANALYST
        assert [kept.state(datetime.now(UTC)) for kept in list_api_keys(tmp_path)] == ["revoked", "active"]
        assert revoke_api_key(tmp_path, parts(key)[0]) == revoked  # when it was stays

    def test_a_new_key_is_known_to_a_running_service(self, tmp_path, at_every_use):
        by = ApiKeyVerifier(tmp_path)
        key = create_api_key(tmp_path, "CRM", Role.ANALYST)
        assert by.principal_of(key).role is Role.ANALYST
        assert by

    def test_an_unknown_id_is_named(self, tmp_path):
        create_api_key(tmp_path, "CRM", Role.ANALYST)
        with pytest.raises(NotFound, match="has no key with the id 'abc': `nextproduct key list` shows all"):
            revoke_api_key(tmp_path, "abc")

    def test_another_process_sees_it_within_a_second(self, tmp_path):
        key = create_api_key(tmp_path, "CRM", Role.ANALYST)
        code = (
            "import pathlib, sys, time\nfrom serving.access.api_keys import ApiKeyVerifier\n"
            "from serving.access.errors import NotAuthenticated\n"
            "by = ApiKeyVerifier(pathlib.Path(sys.argv[1]))\nby.principal_of(sys.argv[2])\nprint('known', flush=True)\n"
            "try:\n    while True:\n        by.principal_of(sys.argv[2])\n        time.sleep(0.005)\n"
            "except NotAuthenticated:\n    print(time.time())"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), key], stdout=subprocess.PIPE, text=True
        ) as reader:
            assert reader.stdout.readline() == "known\n"
            revoke_api_key(tmp_path, parts(key)[0])
            revoked = time.time()
            noticed = float(reader.stdout.readline())
        assert noticed - revoked < watched_file.LOOK_EVERY + 0.5  # and what else this machine does


class TestFile:
    def test_writers_at_once_lose_nothing(self, tmp_path):
        code = (
            "import pathlib, sys\nfrom serving.access.api_keys import create_api_key\n"
            "for _ in range(8):\n    print(create_api_key(pathlib.Path(sys.argv[1]), 'CRM', 'analyst'))"
        )
        writers = [
            subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        made = [parts(key)[0] for writer in writers for key in writer.communicate(timeout=60)[0].split()]
        assert len(made) == 24
        assert sorted(made) == sorted(key.id for key in list_api_keys(tmp_path))

    def test_a_killed_writer_loses_nothing(self, tmp_path):
        """Killed at any moment: every key that was shown is there, and the next writer is not held up."""
        code = (
            "import pathlib, sys\nfrom serving.access.api_keys import create_api_key\n"
            "while True:\n    print(create_api_key(pathlib.Path(sys.argv[1]), 'CRM', 'analyst'), flush=True)"
        )
        shown = []
        for patience in (0.0, 0.013, 0.029, 0.04):
            writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
            shown.append(writer.stdout.readline().strip())
            time.sleep(patience)
            writer.send_signal(signal.SIGKILL)
            shown += [line.strip() for line in writer.stdout.readlines() if line.endswith("\n")]
            writer.wait()
            writer.stdout.close()
            shown.append(create_api_key(tmp_path, "after", Role.ANALYST))
        by = ApiKeyVerifier(tmp_path)
        assert {by.principal_of(key).role for key in shown} == {Role.ANALYST}

    def test_what_a_killed_writer_left_is_replaced(self, tmp_path):
        (tmp_path / f".{API_KEYS_FILE}.new").write_text("half", encoding="utf-8")
        key = create_api_key(tmp_path, "CRM", Role.ANALYST)
        assert ApiKeyVerifier(tmp_path).principal_of(key)
        assert sorted(path.name for path in tmp_path.iterdir()) == [f".{API_KEYS_FILE}.lock", API_KEYS_FILE]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda file: "", "the file: Invalid JSON"),
            (lambda file: "[]", "the file: "),
            (lambda file: {"keys": file["keys"], "more": 1}, "more: Extra inputs"),
            (lambda file: {"keys": [file["keys"][0] | {"role": "root"}]}, r"keys\.0\.role: "),
            (lambda file: {"keys": [file["keys"][0] | {"role": "rm"}]}, r"keys\.0: .*the role rm needs an rm_id"),
            (lambda file: {"keys": [file["keys"][0] | {"sha256": "abc"}]}, r"keys\.0\.sha256: "),
            (
                lambda file: {"keys": [file["keys"][0] | {"created_at": "2026-01-01T00:00"}]},
                r"keys\.0\.created_at: ",
            ),
            (lambda file: {"keys": file["keys"] * 2}, "two keys have the same id"),
        ],
    )
    def test_a_spoilt_file_lets_nobody_in(self, tmp_path, at_every_use, change, said, caplog):
        """Who was revoked in it cannot be told; it is named, and never written over."""
        key = create_api_key(tmp_path, "CRM", Role.ANALYST)
        by = ApiKeyVerifier(tmp_path)
        assert by.principal_of(key)
        path = tmp_path / API_KEYS_FILE
        sound = path.read_bytes()
        changed = change(json.loads(sound))
        path.write_text(changed if isinstance(changed, str) else json.dumps(changed), encoding="utf-8")
        spoilt = path.read_bytes()
        assert "not known" in reason_of(by, key)
        assert "no API key is accepted: " in caplog.text
        for use in (
            lambda: ApiKeyVerifier(tmp_path),
            lambda: list_api_keys(tmp_path),
            lambda: create_api_key(tmp_path, "CRM", Role.ANALYST),
            lambda: revoke_api_key(tmp_path, parts(key)[0]),
        ):
            with pytest.raises(BadInput, match=rf"api-keys\.json: {said}.*make new keys with `nextproduct key create`"):
                use()
        assert path.read_bytes() == spoilt
        path.write_bytes(sound)
        assert by.principal_of(key)

    def test_one_that_may_not_be_read_is_named(self, tmp_path):
        (tmp_path / API_KEYS_FILE).mkdir()
        with pytest.raises(BadInput, match=r"api-keys\.json cannot be read: Is a directory"):
            ApiKeyVerifier(tmp_path)

    def test_one_that_is_gone_has_no_keys(self, tmp_path, at_every_use):
        key = create_api_key(tmp_path, "CRM", Role.ANALYST)
        by = ApiKeyVerifier(tmp_path)
        os.unlink(tmp_path / API_KEYS_FILE)
        assert "not known" in reason_of(by, key)


def test_a_reader_never_sees_half_a_file(tmp_path):
    """While another process writes and writes."""
    code = (
        "import pathlib, sys\nfrom serving.access.api_keys import create_api_key\n"
        "while True:\n    create_api_key(pathlib.Path(sys.argv[1]), 'CRM', 'analyst')"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as writer:
        try:
            assert eventually(lambda: len(list_api_keys(tmp_path)) > 0, 30)
            counts = [len(list_api_keys(tmp_path)) for _ in range(300)]
        finally:
            writer.kill()
    assert counts == sorted(counts)
