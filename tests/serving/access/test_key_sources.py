"""Keys that change while they are used: in a file, and at an address that rotates, fails, hangs and lies."""

import logging
import os
import socket
import threading
import time

import pytest

from features.errors import BadInput
from serving.access import NotAuthenticated, watched_file
from serving.access.key_set import KeySet, read_key_set
from serving.access.key_sources import FetchedKeys, FileKeys
from serving.access.tokens import TokenVerifier
from tests.serving.access.issuers import Issuer, KeyServer, eventually, key_set
from tests.serving.access.test_tokens import RM, rules

FIRST, SECOND = Issuer(kid="first"), Issuer(kid="second")


def read(content):
    return read_key_set(content, "ES256", "keys.json")


def ids(source):
    return list(source.current().by_id)


def is_accepted(by, token):
    try:
        return by.principal_of(token) == RM
    except NotAuthenticated:
        return False


class TestFile:
    @pytest.fixture(autouse=True)
    def _at_every_use(self, monkeypatch):
        monkeypatch.setattr(watched_file, "LOOK_EVERY", 0.0)

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "keys.json"
        path.write_bytes(key_set(FIRST))
        return path

    def test_rotation(self, path):
        source = FileKeys(path, read)
        by = TokenVerifier(source, rules())
        old, new = FIRST.token(), SECOND.token()
        assert (is_accepted(by, old), is_accepted(by, new)) == (True, False)
        path.write_bytes(key_set(FIRST, SECOND))
        assert (is_accepted(by, old), is_accepted(by, new)) == (True, True)
        path.write_bytes(key_set(SECOND))
        assert (is_accepted(by, old), is_accepted(by, new)) == (False, True)

    def test_the_same_keys_as_long_as_it_does_not_change(self, path):
        """What was verified is forgotten when the keys are another object."""
        source = FileKeys(path, read)
        assert source.current() is source.current()

    def test_a_replacement_of_the_same_size_and_time_is_seen(self, path):
        source = FileKeys(path, read)
        before = path.stat()
        aside = path.with_suffix(".new")
        aside.write_bytes(key_set(Issuer(kid="other")))
        assert aside.stat().st_size == before.st_size
        os.utime(aside, ns=(before.st_atime_ns, before.st_mtime_ns))
        aside.replace(path)
        assert ids(source) == ["other"]

    @pytest.mark.parametrize("content", [b"", b'{"keys": [', b"[]"])
    def test_a_half_written_one_changes_nothing(self, path, content, caplog):
        source = FileKeys(path, read)
        path.write_bytes(content)
        assert ids(source) == ["first"]
        assert "the keys in use stay: keys.json" in caplog.text
        path.write_bytes(key_set(SECOND))
        assert ids(source) == ["second"]

    def test_one_that_is_gone_has_no_keys(self, path):
        source = FileKeys(path, read)
        path.unlink()
        assert source.current() == KeySet()
        path.write_bytes(key_set(FIRST))
        assert ids(source) == ["first"]

    def test_an_empty_set_has_none_either(self, path):
        source = FileKeys(path, read)
        path.write_bytes(key_set())
        assert source.current() == KeySet()

    def test_a_folder_in_its_place_is_named(self, tmp_path):
        with pytest.raises(BadInput, match=" cannot be read: Is a directory"):
            FileKeys(tmp_path, read)

    def test_a_bad_one_at_the_start_is_named(self, path):
        path.write_bytes(b"no keys")
        with pytest.raises(BadInput, match=r"keys\.json is not JSON"):
            FileKeys(path, read)


def test_a_file_is_looked_at_once_a_second(tmp_path):
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(FIRST))
    source = FileKeys(path, read)
    start = time.monotonic()
    path.write_bytes(key_set(SECOND))
    looked = eventually(lambda: ids(source) == ["second"], 5)
    assert looked
    assert 0.5 < time.monotonic() - start < 2.0  # a second, and what else this machine does


@pytest.fixture
def server():
    with KeyServer().running() as running:
        running.body = key_set(FIRST)
        yield running


@pytest.fixture
def fetched():
    """Makes sources, and ends their threads."""
    sources = []

    def make(server, *, every=60.0, pause=60.0, patience=5.0):
        sources.append(FetchedKeys(server.address, read, every=every, pause=pause, patience=patience))
        return sources[-1]

    yield make
    for source in sources:
        source.close()
    assert eventually(lambda: "jwks" not in {thread.name for thread in threading.enumerate()})


class TestAddress:
    def test_the_keys_are_there_from_the_start(self, server, fetched):
        assert ids(fetched(server)) == ["first"]

    def test_rotation_is_noticed_in_time(self, server, fetched):
        source = fetched(server, every=0.05, pause=0.05)
        by = TokenVerifier(source, rules())
        old, new = FIRST.token(), SECOND.token()
        assert is_accepted(by, old)
        server.body = key_set(SECOND)
        assert eventually(lambda: not is_accepted(by, old))
        assert is_accepted(by, new)

    def test_an_unknown_key_has_them_fetched(self, server, fetched):
        source = fetched(server, pause=0.05)
        by = TokenVerifier(source, rules())
        server.body = key_set(FIRST, SECOND)
        new = SECOND.token()
        time.sleep(0.3)
        assert server.requests == 1  # nobody asked
        assert not is_accepted(by, new)
        assert eventually(lambda: is_accepted(by, new))
        assert server.requests == 2

    def test_unknown_keys_have_them_fetched_only_so_often(self, server, fetched):
        """Anybody can make up key ids: they must not have us flood the issuer."""
        source = fetched(server, pause=0.5)
        by = TokenVerifier(source, rules())
        start = time.monotonic()
        while time.monotonic() < start + 1.2:
            assert not is_accepted(by, Issuer(kid="made up").token())
        assert 2 <= server.requests <= 1 + (time.monotonic() - start) / 0.5

    def test_the_same_content_is_the_same_keys(self, server, fetched):
        source = fetched(server, every=0.02, pause=0.02)
        keys = source.current()
        assert eventually(lambda: server.requests > 3)
        assert source.current() is keys

    @pytest.mark.parametrize(
        "lie",
        [
            {"status": 500},
            {"status": 404},
            {"body": b"<html>Log in first</html>"},
            {"body": b""},
            {"body": b'{"keys": ' + b" " * 1_000_000 + b"[]}"},
            {"body": key_set(SECOND)[:-1], "headers": {"Content-Length": str(len(key_set(SECOND)))}},
            {"status": 302, "headers": {"Location": "https://127.0.0.1:9/keys"}},
        ],
    )
    def test_keys_stay_when_a_fetch_fails(self, server, fetched, lie, caplog):
        source = fetched(server, every=0.02, pause=0.02)
        by = TokenVerifier(source, rules())
        for name, value in lie.items():
            setattr(server, name, value)
        asked = server.requests
        assert eventually(lambda: server.requests > asked + 2)
        assert ids(source) == ["first"]
        assert is_accepted(by, FIRST.token())
        assert f"the keys in use stay: {server.address}: " in caplog.text
        server.status, server.headers, server.body = 200, {}, key_set(SECOND)
        assert eventually(lambda: ids(source) == ["second"])

    def test_a_redirection_is_not_followed(self, server, fetched):
        """It could lead from https to a place that anybody can listen at."""
        elsewhere = KeyServer()
        with elsewhere.running():
            elsewhere.body = key_set(SECOND)
            server.status, server.headers = 302, {"Location": elsewhere.address}
            source = fetched(server)
            assert (server.requests, elsewhere.requests) == (1, 0)
            assert source.current() == KeySet()

    def test_keys_stay_while_the_server_is_down(self, fetched):
        server = KeyServer()
        server.body = key_set(FIRST)
        with server.running():
            source = fetched(server, every=0.05, pause=0.05)
        time.sleep(0.3)
        assert ids(source) == ["first"]
        server.body = key_set(SECOND)
        with server.running():
            assert eventually(lambda: ids(source) == ["second"])

    def test_without_keys_nobody_is_known_until_they_come(self, fetched, caplog):
        server = KeyServer()
        server.body = key_set(FIRST)
        with server.running():
            pass  # a port that nobody listens at any more
        source = fetched(server, every=60.0, pause=0.1)
        by = TokenVerifier(source, rules())
        token = FIRST.token()
        assert not is_accepted(by, token)
        assert "Connection refused" in caplog.text
        with server.running():  # after a failure the next try is soon, not after a minute
            assert eventually(lambda: is_accepted(by, token))

    def test_a_slow_server_holds_nobody_up(self, server, fetched):
        source = fetched(server, every=0.05, pause=0.05)
        by = TokenVerifier(source, rules())
        token = FIRST.token()
        assert is_accepted(by, token)
        asked = server.requests
        server.delay = 1.5
        assert eventually(lambda: server.requests > asked)
        longest, end = 0.0, time.monotonic() + 1.0
        while time.monotonic() < end:  # a fetch is under way all the time
            start = time.perf_counter()
            assert is_accepted(by, token)
            assert not is_accepted(by, SECOND.token())
            longest = max(longest, time.perf_counter() - start)
        assert longest < 0.5
        server.delay = 0.0

    def test_a_server_that_hangs_does_not_keep_the_service_from_starting(self, server, fetched):
        server.delay = 1.0
        start = time.monotonic()
        source = fetched(server, patience=0.2, pause=0.05)
        assert time.monotonic() - start < 0.8
        assert source.current() == KeySet()
        server.delay = 0.0
        assert eventually(lambda: ids(source) == ["first"])

    def test_nor_does_one_that_never_comes_to_the_point(self, fetched):
        """A byte of a header now and then: no single wait is long, so that no timeout of the connection ends it."""
        server, over = KeyServer(), threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server.port = listener.getsockname()[1]

            def drip():
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    while not over.wait(0.05):
                        connection.sendall(b"z")

            dripping = threading.Thread(target=drip)
            dripping.start()
            start = time.monotonic()
            source = fetched(server, patience=0.3)
            assert time.monotonic() - start < 1.5
            assert source.current() == KeySet()
            source.close()
            over.set()
            dripping.join()

    def test_what_it_logs_is_no_key(self, server, fetched, caplog):
        caplog.set_level(logging.DEBUG)
        fetched(server)
        server.body = b"{"
        fetched(server)
        assert FIRST.jwk()["x"] not in caplog.text
