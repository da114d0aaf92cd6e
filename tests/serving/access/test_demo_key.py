"""The demonstration's key: made once, kept private, good for tokens only while nothing better is configured."""

import json
import stat
import subprocess
import sys

import pytest

from features.errors import BadInput, NotFound, NotReady
from serving.access import AccessConfig, Authenticator, NotAuthenticated, Principal, Role
from serving.access.demo_key import DEMO_KEY_FILE, create_demo_key, issue_demo_token
from tests.serving.access.issuers import AUDIENCE, ISSUER, Issuer, key_set


@pytest.fixture
def workspace(tmp_path):
    create_demo_key(tmp_path)
    return tmp_path


def whose(workspace, token, **settings):
    return Authenticator.of(workspace, AccessConfig(**settings)).authenticate(f"Bearer {token}", None)


class TestKey:
    def test_only_its_owner_can_read_it(self, workspace):
        path = workspace / DEMO_KEY_FILE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key = json.loads(path.read_bytes())
        assert (key["kty"], key["crv"], set(key)) == ("EC", "P-256", {"kty", "crv", "x", "y", "d", "kid", "use"})

    def test_one_that_is_there_is_kept(self, workspace):
        before = (workspace / DEMO_KEY_FILE).read_bytes()
        create_demo_key(workspace)
        assert (workspace / DEMO_KEY_FILE).read_bytes() == before

    def test_each_workspace_has_its_own(self, workspace, tmp_path_factory):
        other = tmp_path_factory.mktemp("other")
        create_demo_key(other)
        with pytest.raises(NotAuthenticated):
            whose(other, issue_demo_token(workspace, Role.ANALYST))

    def test_of_many_who_make_it_at_once_one_does(self, tmp_path):
        code = (
            "import sys, pathlib\nfrom serving.access.demo_key import create_demo_key, issue_demo_token\n"
            "path = pathlib.Path(sys.argv[1])\ncreate_demo_key(path)\nprint(issue_demo_token(path, 'analyst'))"
        )
        makers = [
            subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        tokens = [maker.communicate(timeout=60)[0].strip() for maker in makers]
        assert {whose(tmp_path, token).role for token in tokens} == {Role.ANALYST}

    def test_what_a_killed_maker_left_is_no_key(self, tmp_path):
        (tmp_path / f".{DEMO_KEY_FILE}.new").write_text('{"kty"', encoding="utf-8")
        with pytest.raises(NotReady):
            issue_demo_token(tmp_path, Role.ANALYST)
        create_demo_key(tmp_path)
        assert whose(tmp_path, issue_demo_token(tmp_path, Role.ANALYST)).role is Role.ANALYST

    def test_it_needs_a_workspace(self, tmp_path):
        with pytest.raises(NotFound, match="there is no workspace"):
            create_demo_key(tmp_path / "none")


class TestToken:
    def test_it_says_who_somebody_is(self, workspace):
        token = issue_demo_token(workspace, Role.TEAM_LEAD, "RM01", "B1", "li.wei")
        assert whose(workspace, token) == Principal("li.wei", Role.TEAM_LEAD, "RM01", "B1", how="token")

    def test_by_default_it_is_for_the_rm_or_else_the_role(self, workspace):
        assert whose(workspace, issue_demo_token(workspace, Role.RM, "RM01")).subject == "RM01"
        assert whose(workspace, issue_demo_token(workspace, Role.RISK_OFFICER)).subject == "demo-risk_officer"

    def test_claims_that_the_bank_has_renamed_do_not_matter(self, workspace):
        token = issue_demo_token(workspace, Role.RM, "RM01")
        assert whose(workspace, token, role_claim="other", algorithm="RS256").rm_id == "RM01"

    @pytest.mark.parametrize("ttl", [0, -1, 43_201])
    def test_it_lasts_twelve_hours_at_most(self, workspace, ttl):
        with pytest.raises(BadInput, match=f"a token lasts 1 to 43200 seconds, not {ttl}"):
            issue_demo_token(workspace, Role.ANALYST, ttl=ttl)

    def test_role_and_ids_have_to_fit(self, workspace):
        with pytest.raises(BadInput, match="the role rm needs an rm_id"):
            issue_demo_token(workspace, Role.RM)

    def test_without_the_key_there_is_none(self, tmp_path):
        with pytest.raises(NotReady, match=r"only `nextproduct demo` makes one.*serving\.access\.jwks"):
            issue_demo_token(tmp_path, Role.ANALYST)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"kty": "EC"}', '{"kty": "EC", "d": "AA"}'])
    def test_a_spoilt_key_is_named_and_not_shown(self, tmp_path, content):
        (tmp_path / DEMO_KEY_FILE).write_text(content, encoding="utf-8")
        with pytest.raises(BadInput, match=r"^demo-key\.json is not a private key: remove it"):
            issue_demo_token(tmp_path, Role.ANALYST)


SETTINGS = {"jwks": "keys.json", "issuer": ISSUER, "audience": AUDIENCE}


class TestProduction:
    """As soon as the bank's own keys are configured, the demonstration's opens nothing."""

    def test_the_demonstration_s_tokens_are_refused(self, workspace):
        issuer = Issuer()
        (workspace / "keys.json").write_bytes(key_set(issuer))
        assert whose(workspace, issuer.token(), **SETTINGS).rm_id == "RM01"
        with pytest.raises(NotAuthenticated):
            whose(workspace, issue_demo_token(workspace, Role.ADMINISTRATOR), **SETTINGS)

    def test_even_when_the_bank_has_no_key_left(self, workspace):
        (workspace / "keys.json").write_bytes(key_set())
        with pytest.raises(NotAuthenticated):
            whose(workspace, issue_demo_token(workspace, Role.ADMINISTRATOR), **SETTINGS)

    def test_and_the_bank_s_before_they_are_configured(self, workspace):
        with pytest.raises(NotAuthenticated):
            whose(workspace, Issuer(kid="nextproduct-demo").token())
