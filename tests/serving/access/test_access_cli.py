"""The commands for tokens and keys, as a user runs them."""

import pytest
import typer
from typer.testing import CliRunner

from features.errors import BadInput, NotFound, NotReady
from serving.access import AccessConfig, Authenticator, Role, create_demo_key, list_api_keys
from serving.access_cli import app
from tests.command import python

# as the command `nextproduct` takes them in
COMMANDS = typer.Typer()
COMMANDS.add_typer(app)


def run(*arguments):
    return CliRunner().invoke(COMMANDS, [*map(str, arguments)])


def succeeded(*arguments):
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def whose(workspace, authorization=None, api_key=None):
    return Authenticator.of(workspace, AccessConfig()).authenticate(authorization, api_key)


class TestToken:
    @pytest.fixture
    def workspace(self, tmp_path):
        create_demo_key(tmp_path)
        return tmp_path

    def test_it_prints_the_token_and_nothing_else(self, workspace):
        done = succeeded(
            "token", workspace, "--role", "team_lead", "--branch", "B1", "--subject", "li.wei", "--ttl", "60"
        )
        (token,) = done.stdout.splitlines()
        assert done.stderr == ""
        found = whose(workspace, f"Bearer {token}")
        assert (found.subject, found.role, found.branch_id) == ("li.wei", Role.TEAM_LEAD, "B1")

    def test_an_rm_s(self, workspace):
        token = succeeded("token", workspace, "--role", "rm", "--rm", "RM01").stdout.strip()
        assert whose(workspace, f"Bearer {token}").rm_id == "RM01"

    def test_an_rm_without_an_id_is_refused(self, workspace):
        assert isinstance(run("token", workspace, "--role", "rm").exception, BadInput)

    def test_a_workspace_without_a_key_says_so(self, tmp_path):
        assert isinstance(run("token", tmp_path, "--role", "analyst").exception, NotReady)

    @pytest.mark.parametrize("options", [["--role", "root"], ["--role", "analyst", "--ttl", "0"], []])
    def test_impossible_options_are_refused(self, workspace, options):
        assert run("token", workspace, *options).exit_code == 2


class TestKeys:
    def test_from_its_making_to_its_end(self, tmp_path):
        made = succeeded(
            "key", "create", tmp_path, "--name", "CRM", "--role", "rm", "--rm", "RM01", "--branch", "B1", "--days", "30"
        )
        (key,) = made.stdout.splitlines()
        assert "cannot be shown again" in made.stderr
        assert whose(tmp_path, api_key=key).rm_id == "RM01"
        (kept,) = list_api_keys(tmp_path)

        listed = succeeded("key", "list", tmp_path).stdout
        for words in (kept.id, "CRM", "rm", "RM01", "B1", f"{kept.expires_at:%Y-%m-%d}", "active"):
            assert words in listed
        assert key.split("_")[2] not in listed
        assert kept.sha256 not in listed

        assert f"{kept.id} is revoked" in succeeded("key", "revoke", tmp_path, kept.id).stdout
        assert "revoked" in succeeded("key", "list", tmp_path).stdout

    def test_none_is_said(self, tmp_path):
        assert "has no keys" in succeeded("key", "list", tmp_path).stdout

    def test_an_unknown_one_is_not_revoked(self, tmp_path):
        assert isinstance(run("key", "revoke", tmp_path, "abc").exception, NotFound)

    @pytest.mark.parametrize("options", [["--role", "analyst"], ["--name", "CRM", "--role", "root"]])
    def test_impossible_options_are_refused(self, tmp_path, options):
        assert run("key", "create", tmp_path, *options).exit_code == 2
        assert list(tmp_path.iterdir()) == []


def test_help_does_not_pay_for_cryptography():
    done = python("import sys, serving.access_cli\nprint(*sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "serving" in loaded
    assert not loaded & {"jwt", "cryptography", "pydantic", "fastapi"}


@pytest.mark.parametrize("words", [["token"], ["key"], ["key", "create"], ["key", "list"], ["key", "revoke"]])
def test_each_explains_itself(words):
    assert "Usage" in succeeded(*words, "--help").output
