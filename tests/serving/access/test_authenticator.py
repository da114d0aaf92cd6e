"""From headers to a principal, and what is never said on the way."""

import json
import logging
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BadConfiguration, BadInput, NextProductError
from serving.access import (
    AccessConfig,
    Authenticator,
    NotAllowed,
    NotAuthenticated,
    Principal,
    Role,
    create_api_key,
    create_demo_key,
    issue_demo_token,
    list_api_keys,
    revoke_api_key,
    watched_file,
)
from serving.access.api_keys import API_KEYS_FILE
from serving.access.demo_key import DEMO_KEY_FILE
from tests.serving.access.issuers import AUDIENCE, ISSUER, Issuer, KeyServer, eventually, fuzzed, key_set

WHOSE = {"issuer": ISSUER, "audience": AUDIENCE}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    create_demo_key(folder)
    return folder


@pytest.fixture(scope="module")
def token(workspace):
    return issue_demo_token(workspace, Role.RM, "RM01")


@pytest.fixture(scope="module")
def key(workspace):
    return create_api_key(workspace, "CRM", Role.ANALYST)


@pytest.fixture(scope="module")
def authenticator(workspace, key):
    return Authenticator.of(workspace, AccessConfig())


def refused(authenticator, authorization, api_key=None):
    with pytest.raises(NotAuthenticated) as caught:
        authenticator.authenticate(authorization, api_key)
    return caught.value


class TestHeaders:
    def test_nothing_is_nobody(self, authenticator):
        assert refused(authenticator, None).reason == "neither a token nor a key was presented"

    def test_a_token_is_a_person(self, authenticator, token):
        expected = Principal("RM01", Role.RM, "RM01", None, how="token")
        assert authenticator.authenticate(f"Bearer {token}", None) == expected
        assert authenticator.authenticate(f"bearer {token}", None) == expected  # RFC 9110: schemes have no case

    def test_a_key_is_a_machine(self, authenticator, key):
        found = authenticator.authenticate(None, key)
        assert (found.subject, found.role, found.how) == (f"key:{key.split('_')[1]}", Role.ANALYST, "api_key")

    @pytest.mark.parametrize("other", ["", "np_", "anything"])
    def test_both_are_nobody(self, authenticator, token, key, other):
        for authorization, api_key in ((f"Bearer {token}", key), (f"Bearer {token}", other), (other, key)):
            refusal = refused(authenticator, authorization, api_key)
            assert refusal.reason == "both a token and a key were presented"

    @pytest.mark.parametrize(
        "scheme", ["", "Bearer", "Bearer  ", "Bearer\t", "Basic ", "Token ", " Bearer ", "Bearer:", "Bearer Bearer "]
    )
    def test_another_scheme_is_nobody(self, authenticator, token, scheme):
        refused(authenticator, scheme + token)

    def test_neither_stands_in_for_the_other(self, authenticator, token, key):
        refused(authenticator, f"Bearer {key}")
        refused(authenticator, None, token)
        refused(authenticator, f"ApiKey {key}")

    @fuzzed
    @given(st.none() | st.text() | st.text().map("Bearer {}".format), st.none() | st.text())
    def test_anything_else_is_nobody(self, authenticator, authorization, api_key):
        refused(authenticator, authorization, api_key)


class TestKeys:
    def test_without_any_everybody_is_refused(self, tmp_path, token, key):
        none = Authenticator.of(tmp_path, AccessConfig())
        assert not none.has_keys
        refused(none, f"Bearer {token}")
        refused(none, None, key)

    def test_what_counts_as_a_key(self, tmp_path, monkeypatch):
        monkeypatch.setattr(watched_file, "LOOK_EVERY", 0.0)
        authenticator = Authenticator.of(tmp_path, AccessConfig())
        create_api_key(tmp_path, "CRM", Role.ANALYST)
        assert authenticator.has_keys
        revoke_api_key(tmp_path, list_api_keys(tmp_path)[0].id)
        assert not authenticator.has_keys
        create_demo_key(tmp_path)
        assert authenticator.has_keys
        assert authenticator.authenticate(f"Bearer {issue_demo_token(tmp_path, Role.ANALYST)}", None)
        (tmp_path / DEMO_KEY_FILE).unlink()
        assert not authenticator.has_keys

    @pytest.mark.parametrize("where", ["keys.json", "{}/keys.json"])
    def test_those_of_a_file_in_the_workspace_or_elsewhere(self, tmp_path, where):
        issuer = Issuer("EdDSA")
        (tmp_path / "keys.json").write_bytes(key_set(issuer))
        config = AccessConfig(jwks=where.format(tmp_path), algorithm="EdDSA", **WHOSE)
        authenticator = Authenticator.of(tmp_path, config)
        assert authenticator.has_keys
        assert authenticator.authenticate(f"Bearer {issuer.token()}", None).rm_id == "RM01"

    def test_those_at_an_address(self, tmp_path):
        issuer, server = Issuer(), KeyServer()
        server.body = key_set(issuer)
        with server.running():
            authenticator = Authenticator.of(tmp_path, AccessConfig(jwks=server.address, jwks_seconds=1, **WHOSE))
            try:
                assert authenticator.authenticate(f"Bearer {issuer.token()}", None).rm_id == "RM01"
                assert eventually(lambda: server.requests > 1)
            finally:
                authenticator.close()
            asked = server.requests
            assert not eventually(lambda: server.requests > asked + 1, 1.5)  # one may have been under way

    def test_an_address_that_does_not_answer_counts_as_configured(self, tmp_path):
        server = KeyServer()
        with server.running():
            pass
        authenticator = Authenticator.of(tmp_path, AccessConfig(jwks=server.address, **WHOSE))
        try:
            assert authenticator.has_keys
            refused(authenticator, f"Bearer {Issuer().token()}")
        finally:
            authenticator.close()

    def test_a_missing_or_spoilt_file_is_named(self, tmp_path):
        config = AccessConfig(jwks="keys.json", **WHOSE)
        with pytest.raises(BadConfiguration, match=r"serving\.access\.jwks: there is no file .*keys\.json"):
            Authenticator.of(tmp_path, config)
        (tmp_path / "keys.json").write_text("[]", encoding="utf-8")
        with pytest.raises(BadConfiguration, match=r"serving\.access\.jwks: keys\.json has no list 'keys'"):
            Authenticator.of(tmp_path, config)

    @pytest.mark.parametrize("name", [DEMO_KEY_FILE, API_KEYS_FILE])
    def test_a_spoilt_file_of_ours_is_named(self, tmp_path, name):
        (tmp_path / name).write_text("spoilt", encoding="utf-8")
        with pytest.raises(BadInput, match=name):
            Authenticator.of(tmp_path, AccessConfig())


class TestWhatIsSaid:
    def test_the_caller_hears_nothing_of_the_reason(self, authenticator, token):
        heard = {
            str(refused(authenticator, *headers))
            for headers in (
                (None, None),
                ("", None),
                (f"Bearer {token[:-2]}", None),
                ("Bearer x", "np_x_y"),
                (None, f"np_{'0' * 12}_{'0' * 64}"),
            )
        }
        (sentence,) = heard
        assert "`Authorization: Bearer TOKEN`" in sentence
        assert "`X-API-Key: KEY`" in sentence

    def test_the_log_has_the_reason_and_nothing_of_what_was_presented(self, authenticator, token, key, caplog):
        caplog.set_level(logging.DEBUG)
        header, body, signature = token.split(".")
        for authorization, api_key, reason in (
            (
                f"Bearer {header}.{body}.{'AB'[signature[0] == 'A']}{signature[1:]}",
                None,
                "the token's signature is wrong",
            ),
            (f"Bearer {token}\r\nforged: line", None, "form header.claims.signature"),
            (f"Basic {token}", None, "the authorization is not a bearer's"),
            (f"Bearer {token}", key, "both a token and a key were presented"),
            (None, key[:-1] + ("0" if key[-1] != "0" else "1"), "the key's secret is wrong"),
            (None, key + "\n", "form np_ID_SECRET"),
        ):
            caplog.clear()
            refused(authenticator, authorization, api_key)
            (record,) = caplog.records
            assert record.levelno == logging.INFO
            assert record.getMessage().startswith("a caller was refused: ")
            assert reason in caplog.text
            assert_silent(caplog.text, token, key)

    def test_who_is_known_is_not_logged_here(self, authenticator, token, key, caplog):
        caplog.set_level(logging.DEBUG)
        authenticator.authenticate(f"Bearer {token}", None)
        authenticator.authenticate(None, key)
        assert caplog.records == []

    def test_nothing_that_can_be_printed_has_a_secret(self, authenticator, workspace, token, key):
        authenticator.authenticate(f"Bearer {token}", None)
        authenticator.authenticate(None, key)
        private = json.loads((workspace / DEMO_KEY_FILE).read_bytes())["d"]
        seen = set()
        for thing in reachable(authenticator, seen):
            assert_silent(f"{thing!r} {thing!s}", token, key, private)
        assert len(seen) > 20
        for thing in list_api_keys(workspace):
            assert_silent(f"{thing!r} {thing!s}", key, thing.sha256)

    def test_nor_has_a_traceback(self, authenticator, token, key):
        for headers in ((f"Bearer {token}x", None), (None, key[:-1] + "x"), (f"Bearer {token}", key)):
            refusal = refused(authenticator, *headers)
            assert_silent("".join(traceback.format_exception(refusal)) + repr(refusal), token, key)

    def test_errors_are_ours(self):
        assert issubclass(NotAuthenticated, NextProductError)
        assert issubclass(NotAllowed, NextProductError)


def assert_silent(text, *secrets):
    for secret in secrets:
        for part in secret.replace("_", ".").split("."):
            if len(part) > 12:  # a key's id is no secret
                assert part not in text
                assert part[: len(part) // 2] not in text
                assert part[len(part) // 2 :] not in text


def reachable(thing, seen):
    """`thing` and what it holds, however deep, as far as it is of ours or a container."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    yield thing
    if isinstance(thing, dict):
        inside = [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple, set)):
        inside = list(thing)
    else:
        inside = list(getattr(thing, "__dict__", {}).values())
        inside += [getattr(thing, name) for name in getattr(type(thing), "__slots__", ()) if hasattr(thing, name)]
    for one in inside:
        if not callable(one):
            yield from reachable(one, seen)
